"""When a key is lost: a recovery code in place of its touch.

The law of this file: a code is asked for only where no key of the subject could answer and where
the rule says `recovery = true`, in place of a touch, never of more. It allows one request, earns
no grant, and raises an alarm. Two wrong codes end the ceremony.
"""

from dataclasses import replace

from stepupd.core.conclude import refuse, refuse_trouble
from stepupd.core.decision import StepUp
from stepupd.core.effects import Ask, Ceremony, Show, Trouble, TroubleKind, Typed
from stepupd.core.errors import AuthenticatorError
from stepupd.core.model import Answer, Level, Reason, Requirement, Verdict
from stepupd.core.outcome import Outcome
from stepupd.core.prompts import ask_recovery_text, say_reason
from stepupd.core.recovery_code import check_code
from stepupd.core.snapshot import Snapshot

INSERT_WAIT = 10.0
"""Seconds to wait for a first key where a code could be typed in its place."""

TYPING = 25.0
"""Seconds past the rule's deadline for typing: with its default, within the PAM module's 60."""

ATTEMPTS = 2

_KEY_IS_LOST = frozenset(
    {
        TroubleKind.NO_AUTHENTICATOR,
        TroubleKind.NO_CREDENTIALS,
        TroubleKind.SILENT,
        TroubleKind.GONE,
        TroubleKind.PIN_BLOCKED,
    }
)


def may_recover(now: Snapshot, requirement: Requirement) -> bool:
    """Return whether a recovery code would be accepted at all."""
    return (
        bool(now.recovery_codes) and requirement.is_recoverable and requirement.level <= Level.TOUCH
    )


def is_key_lost(trouble: Trouble) -> bool:
    """Return whether this trouble means that the subject has no working key at hand."""
    return trouble.kind in _KEY_IS_LOST


def recover(now: Snapshot, decision: StepUp) -> Ceremony:
    """Ask for a recovery code and check it."""
    deadline = now.now.boot + decision.requirement.deadline + TYPING
    question = Ask(ask_recovery_text(now.request), deadline)
    for attempt in range(ATTEMPTS):
        typed = yield question
        if not isinstance(typed, Typed):
            trouble = typed if isinstance(typed, Trouble) else Trouble(TroubleKind.INTERNAL)
            return refuse_trouble(trouble, decision)
        if not typed.secret:
            return refuse(Reason.CANCELLED, decision)
        try:
            evidence = check_code(typed.secret, now.recovery_codes)
        except AuthenticatorError:
            if attempt + 1 < ATTEMPTS:
                yield Show(say_reason(Reason.BAD_CODE), is_error=True)
            continue
        accepted = Outcome(Verdict(Answer.ALLOW, Reason.PROVED), decision, evidence=evidence)
        return replace(accepted, alarm="A recovery code was used in place of a key.")
    return refuse(Reason.BAD_CODE, decision)
