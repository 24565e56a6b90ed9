"""What an event from outside does to an account: one table.

The law of this file: an event only makes things stricter. It revokes the subject's grants, raises
an alert, or both; nothing that says that all is well (`account-enabled`, `session-established`) has
a name here. An alert that holds is never shortened by whoever raises another; only root may end one
before its time.
Names are those of OpenID CAEP 1.0 (section 3) and RISC 1.0 (section 2).
Not done here: tokens. Whoever receives signed security events checks them and pushes what they
say.
"""

from dataclasses import dataclass
from enum import StrEnum, unique

from stepupd.core.model import Caller
from stepupd.core.risk.activity import Alert

DAY = 86400.0
MOST_SECONDS = 7 * DAY
"""Longer than that an account is better locked."""


@unique
class EventName(StrEnum):
    """An event that may be pushed."""

    SESSION_REVOKED = "session-revoked"
    TOKEN_CLAIMS_CHANGE = "token-claims-change"  # noqa: S105 - an event's name
    CREDENTIAL_CHANGE = "credential-change"
    ASSURANCE_LEVEL_CHANGE = "assurance-level-change"
    DEVICE_COMPLIANCE_CHANGE = "device-compliance-change"
    RISK_LEVEL_CHANGE = "risk-level-change"

    ACCOUNT_CREDENTIAL_CHANGE_REQUIRED = "account-credential-change-required"
    ACCOUNT_DISABLED = "account-disabled"
    ACCOUNT_PURGED = "account-purged"
    IDENTIFIER_CHANGED = "identifier-changed"
    IDENTIFIER_RECYCLED = "identifier-recycled"
    CREDENTIAL_COMPROMISE = "credential-compromise"
    RECOVERY_ACTIVATED = "recovery-activated"
    RECOVERY_INFORMATION_CHANGED = "recovery-information-changed"
    SESSIONS_REVOKED = "sessions-revoked"


@dataclass(frozen=True, slots=True)
class Consequence:
    """What one event does. How much an alert weighs is for its signal to say."""

    revokes: bool
    alerts: bool


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """An event as it was pushed. `lasts` is how long its alert holds, in seconds."""

    subject: str
    name: EventName
    reason: str = ""
    lasts: float = DAY


@dataclass(frozen=True, slots=True)
class Pushed:
    """What came of an event. `lasts` is 0 where no alert was raised."""

    entry: int
    revoked: int
    lasts: float


_REVOKE = Consequence(revokes=True, alerts=False)
_WARN = Consequence(revokes=False, alerts=True)
_BOTH = Consequence(revokes=True, alerts=True)

CONSEQUENCES = {
    EventName.SESSION_REVOKED: _REVOKE,
    EventName.SESSIONS_REVOKED: _REVOKE,
    EventName.CREDENTIAL_COMPROMISE: _BOTH,
    EventName.ACCOUNT_DISABLED: _BOTH,
    EventName.ACCOUNT_PURGED: _BOTH,
    EventName.IDENTIFIER_RECYCLED: _BOTH,  # The name may be another person's by now.
    EventName.RISK_LEVEL_CHANGE: _WARN,
    EventName.TOKEN_CLAIMS_CHANGE: _WARN,
    EventName.CREDENTIAL_CHANGE: _WARN,
    EventName.ASSURANCE_LEVEL_CHANGE: _WARN,
    EventName.DEVICE_COMPLIANCE_CHANGE: _WARN,
    EventName.ACCOUNT_CREDENTIAL_CHANGE_REQUIRED: _WARN,
    EventName.IDENTIFIER_CHANGED: _WARN,
    EventName.RECOVERY_ACTIVATED: _WARN,
    EventName.RECOVERY_INFORMATION_CHANGED: _WARN,
}


def may_push(caller: Caller, *, is_listed: bool) -> bool:
    """Return whether the caller may push events: root, or who is listed; of itself nobody else."""
    return caller.is_privileged or is_listed


def join_alerts(
    held: tuple[Alert, ...], alert: Alert, now: float, *, may_shorten: bool
) -> tuple[Alert, ...]:
    """Return the alerts that hold at `now` (boot clock) once another is raised: one of each kind.

    One of the same kind is replaced, but by one that ends sooner only with `may_shorten`.
    """
    same = [old.until for old in held if old.kind == alert.kind]
    is_shorter = any(until > alert.until for until in same)
    if is_shorter and not may_shorten:
        return drop_ended(held, now)
    others = tuple(old for old in held if old.kind != alert.kind)
    return drop_ended((*others, alert), now)


def drop_ended(alerts: tuple[Alert, ...], now: float) -> tuple[Alert, ...]:
    """Return the alerts that still hold at `now`."""
    return tuple(alert for alert in alerts if alert.until > now)
