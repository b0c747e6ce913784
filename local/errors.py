"""The exception that is shown to the user as a message, without a traceback."""


class LocalError(Exception):
    """An error that the user can fix: `message` describes the problem, `fix` the solution."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message
