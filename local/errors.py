"""The one exception that reaches the user as a message instead of a traceback."""


class LocalError(Exception):
    """Something the user can act on: `message` says what is wrong, `fix` what to do about it."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message
