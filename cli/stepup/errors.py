"""The one way out of a verb that did not succeed."""

from stepup.exits import ExitCode


class CommandError(Exception):
    """A sentence, a hint, a reason code for programs, and the exit status; never 0."""

    label = "error"

    def __init__(self, message: str, code: ExitCode, *, reason: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason or code.name.lower().replace("_", "-")
        self.hint = hint


def refuse_usage(message: str, hint: str = "") -> CommandError:
    """Return the error for an argument that cannot be meant."""
    return CommandError(message, ExitCode.USAGE, hint=hint)
