"""What the exit status says: the one table, for programs that cannot read sentences.

The law of this file: 0 means allowed and nothing else does. A status is looked up only after the
verdict; an unknown reason gives the stricter status. `man/stepup.1` and `stepup --help` show this
table, and a test compares them.
"""

from enum import IntEnum, unique
from typing import Self


@unique
class ExitCode(IntEnum):
    """The exit status; `text` is its line in the table."""

    text: str

    def __new__(cls, value: int, text: str) -> Self:
        """Make a status that carries its own description."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member

    ALLOWED = 0, "allowed, or done"
    DENIED = 1, "denied; doctor, policy: something is broken"
    USAGE = 2, "wrong usage"
    NO_AUTHENTICATOR = 3, "no key that can be used"
    TIMEOUT = 4, "nobody answered in time"
    CANCELLED = 5, "cancelled or declined"
    UNREACHABLE = 6, "stepupd cannot be reached"
    BUSY = 7, "busy with another request"
    NOT_PERMITTED = 8, "not permitted for this caller"
    DAMAGED = 9, "the audit log is damaged"
    FAILED = 10, "stepupd or stepup failed"
    CANNOT_EXECUTE = 126, "run: the command cannot be executed"
    NOT_FOUND = 127, "run: the command was not found"


_DENIED_REASONS = (
    "no-rule",
    "rule-denies",
    "rule-in-error",
    "risk-denies",
    "already-enrolled",
    "too-many-tries",
    "bad-encoding",
    "type-mismatch",
    "challenge-mismatch",
    "origin-mismatch",
    "rp-id-mismatch",
    "up-missing",
    "uv-missing",
    "reserved-flags",
    "backup-state",
    "backup-changed",
    "counter-regressed",
    "unknown-credential",
    "algorithm-mismatch",
    "bad-signature",
    "bad-attestation",
    "level-too-low",
)

REASON_CODES: dict[str, ExitCode] = {
    "rule-allows": ExitCode.ALLOWED,
    "grant": ExitCode.ALLOWED,
    "proved": ExitCode.ALLOWED,
    **dict.fromkeys(_DENIED_REASONS, ExitCode.DENIED),
    "no-credential": ExitCode.NO_AUTHENTICATOR,
    "no-authenticator": ExitCode.NO_AUTHENTICATOR,
    "device-gone": ExitCode.NO_AUTHENTICATOR,
    "device-silent": ExitCode.NO_AUTHENTICATOR,
    "device-fault": ExitCode.NO_AUTHENTICATOR,
    "unsupported": ExitCode.NO_AUTHENTICATOR,
    "pin-not-set": ExitCode.NO_AUTHENTICATOR,
    "pin-blocked": ExitCode.NO_AUTHENTICATOR,
    "uv-blocked": ExitCode.NO_AUTHENTICATOR,
    "bad-code": ExitCode.DENIED,
    "timeout": ExitCode.TIMEOUT,
    "cancelled": ExitCode.CANCELLED,
    "declined": ExitCode.CANCELLED,
    "pin-unspent": ExitCode.CANCELLED,
    "caller-gone": ExitCode.CANCELLED,
    "busy": ExitCode.BUSY,
    "not-permitted": ExitCode.NOT_PERMITTED,
    "internal": ExitCode.FAILED,
}
"""Every reason code of a verdict."""

ERROR_CODES: dict[str, ExitCode] = {
    "bad-request": ExitCode.USAGE,
    "no-such-key": ExitCode.USAGE,
    "no-such-account": ExitCode.USAGE,
    "bad-name": ExitCode.USAGE,
    "name-taken": ExitCode.USAGE,
    "unauthenticated": ExitCode.NOT_PERMITTED,
    "unreachable": ExitCode.UNREACHABLE,
    "untrusted-socket": ExitCode.UNREACHABLE,
}
"""Reasons that only errors carry; all others mean that we failed."""


def find_verdict_code(verdict: str, reason: str) -> ExitCode:
    """Return the status for a verdict; only "allow" gives 0."""
    if verdict == "allow":
        return ExitCode.ALLOWED
    fallback = ExitCode.DENIED if verdict == "deny" else ExitCode.FAILED
    return REASON_CODES.get(reason, fallback) or fallback


def find_error_code(reason: str) -> ExitCode:
    """Return the status for an error; never 0."""
    code = ERROR_CODES.get(reason) or REASON_CODES.get(reason)
    return code or ExitCode.FAILED


def list_exit_codes() -> str:
    """Return the table as people read it."""
    return "\n".join(f"{code.value:>3}  {code.text}" for code in ExitCode)
