"""Errors that the pure packages raise, and the base class of Caisson's errors."""

from caisson.api.reasons import Reason


class PolicyViolation(Exception):  # noqa: N818  it describes a state, not a failure
    """The Sandbox requests something that the administrator does not allow. The message names the field and the fix."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Store the reason for the conditions."""
        super().__init__(message)
        self.reason = reason


class CaissonError(Exception):
    """The base class of Caisson's errors."""


class ConfigError(CaissonError):
    """The configuration is invalid. The message lists every error with its field."""
