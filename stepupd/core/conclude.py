"""The end of every ceremony: one place that turns what happened into one outcome."""

from stepupd.core.decision import Decision
from stepupd.core.effects import Trouble, TroubleKind
from stepupd.core.errors import StepUpError
from stepupd.core.model import Answer, Reason, Verdict
from stepupd.core.outcome import Outcome
from stepupd.core.prompts import say_reason

_REASON_OF = {
    TroubleKind.HANG_UP: Reason.CALLER_GONE,
    TroubleKind.CANCELLED: Reason.CANCELLED,
    TroubleKind.TIMEOUT: Reason.TIMEOUT,
    TroubleKind.NO_AUTHENTICATOR: Reason.NO_AUTHENTICATOR,
    TroubleKind.NO_CREDENTIALS: Reason.NO_AUTHENTICATOR,
    TroubleKind.DECLINED: Reason.DECLINED,
    TroubleKind.BUSY: Reason.BUSY,
    TroubleKind.QUEUE_FULL: Reason.BUSY,
    TroubleKind.GONE: Reason.DEVICE_GONE,
    TroubleKind.SILENT: Reason.DEVICE_SILENT,
    TroubleKind.GARBLED: Reason.DEVICE_FAULT,
    TroubleKind.UNSUPPORTED: Reason.UNSUPPORTED,
    TroubleKind.EXCLUDED: Reason.ALREADY_ENROLLED,
    TroubleKind.PIN_INVALID: Reason.TOO_MANY_TRIES,
    TroubleKind.PIN_AUTH_BLOCKED: Reason.PIN_BLOCKED,
    TroubleKind.PIN_BLOCKED: Reason.PIN_BLOCKED,
    TroubleKind.PIN_NOT_SET: Reason.PIN_NOT_SET,
    TroubleKind.PIN_UNSPENT: Reason.PIN_UNSPENT,
    TroubleKind.UV_INVALID: Reason.TOO_MANY_TRIES,
    TroubleKind.UV_BLOCKED: Reason.UV_BLOCKED,
    TroubleKind.INTERNAL: Reason.INTERNAL,
}

_UNAVAILABLE = frozenset(
    {
        Reason.NO_CREDENTIAL,
        Reason.NO_AUTHENTICATOR,
        Reason.PIN_NOT_SET,
        Reason.BUSY,
        Reason.DEVICE_GONE,
        Reason.DEVICE_SILENT,
        Reason.DEVICE_FAULT,
        Reason.UNSUPPORTED,
        Reason.CALLER_GONE,
        Reason.INTERNAL,
    }
)
"""Reasons that say nothing about the person: the proof could not be asked for."""

_ALARMING = frozenset({Reason.COUNTER_REGRESSED, Reason.BACKUP_CHANGED})
"""Reasons that only a valid signature leads to: no forger can cast suspicion on a key."""


def refuse(
    reason: Reason, decision: Decision | None = None, *, credential_id: bytes = b""
) -> Outcome:
    """Return the outcome of a refusal; `credential_id` is of the stored key whose answer it was."""
    text = say_reason(reason)
    answer = Answer.UNAVAILABLE if reason in _UNAVAILABLE else Answer.DENY
    verdict = Verdict(answer, reason, text)
    if reason in _ALARMING:
        return Outcome(verdict, decision, alarm=text, suspect=credential_id)
    return Outcome(verdict, decision)


def refuse_trouble(trouble: Trouble, decision: Decision | None = None) -> Outcome:
    """Return the outcome of a ceremony that met trouble outside."""
    return refuse(_REASON_OF[trouble.kind], decision)


def refuse_error(
    error: StepUpError, decision: Decision | None = None, *, credential_id: bytes = b""
) -> Outcome:
    """Return the outcome of a reply that a checker rejected."""
    return refuse(Reason(error.reason), decision, credential_id=credential_id)
