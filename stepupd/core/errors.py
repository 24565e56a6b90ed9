"""Whose fault it is, as an exception tree.

A refusal is a value (`Verdict`); only a fault raises. Each class names who can mend it. None of
them inherits from a builtin such as `ValueError`, so nobody catches one by accident.
"""


class StepUpError(Exception):
    """Base of every error of ours; never raised itself.

    `reason` is a stable code for programs, `str(error)` a sentence for people, `hint` says what
    to do next (may be empty).
    """

    reason = "internal"

    def __init__(self, message: str, *, reason: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if reason is not None:
            self.reason = reason


class RequestError(StepUpError):
    """The caller sent something it must not send."""

    reason = "bad-request"


class AuthenticatorError(StepUpError):
    """A device or the person holding it did something wrong."""

    reason = "authenticator"


class ConfigError(StepUpError):
    """The administrator's file is wrong; the message starts with `file:line:column:`."""

    reason = "config"

    def __init__(
        self, message: str, *, file: str = "", line: int = 0, column: int = 0, hint: str = ""
    ) -> None:
        where = f"{file}:{line}:{column}: " if file and line else f"{file}: " if file else ""
        super().__init__(where + message, hint=hint)
        self.file, self.line, self.column = file, line, column


class InternalError(StepUpError):
    """We failed. The caller hears "unavailable", never "allowed"."""

    reason = "internal"
