"""Errors that the pure packages raise, and the base of all of Caisson's errors."""

from caisson.api.reasons import Reason


class PolicyViolation(Exception):  # noqa: N818  it is a state of affairs rather than a failure
    """The Sandbox asks for something that the administrator does not offer. The message names field and choices."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Carry the reason that the conditions get."""
        super().__init__(message)
        self.reason = reason


class CaissonError(Exception):
    """The base of Caisson's own errors."""


class ConfigError(CaissonError):
    """The configuration can't be used. The message lists every error, with the field that each is about."""
