"""`stepup event push`: an attack, a lost device, an account that was closed elsewhere."""

from enum import Enum
from typing import Annotated

import typer

from stepup import options
from stepup.calls import call
from stepup.errors import refuse_usage
from stepup.replies import read_number
from stepup.terminal import print_json, print_result
from stepup.times import parse_duration, say_span


class EventWord(Enum):
    """An event of OpenID CAEP or RISC; a test holds it equal to the daemon's list."""

    SESSION_REVOKED = "session-revoked"
    CREDENTIAL_COMPROMISE = "credential-compromise"
    RISK_LEVEL_CHANGE = "risk-level-change"
    ACCOUNT_DISABLED = "account-disabled"
    ACCOUNT_PURGED = "account-purged"
    ACCOUNT_CREDENTIAL_CHANGE_REQUIRED = "account-credential-change-required"
    ASSURANCE_LEVEL_CHANGE = "assurance-level-change"
    CREDENTIAL_CHANGE = "credential-change"
    DEVICE_COMPLIANCE_CHANGE = "device-compliance-change"
    IDENTIFIER_CHANGED = "identifier-changed"
    IDENTIFIER_RECYCLED = "identifier-recycled"
    RECOVERY_ACTIVATED = "recovery-activated"
    RECOVERY_INFORMATION_CHANGED = "recovery-information-changed"
    SESSIONS_REVOKED = "sessions-revoked"
    TOKEN_CLAIMS_CHANGE = "token-claims-change"  # noqa: S105 - an event's name


LONGEST = 7 * 86400.0
"""Seconds that an alert may hold; a test holds it equal to the daemon's."""

Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="Whose account.")]
Event = Annotated[
    EventWord,
    typer.Argument(metavar="EVENT", help="As OpenID CAEP and RISC name it; see stepup(1)."),
]
Lasts = Annotated[
    str, typer.Option("--lasts", metavar="TIME", help="How long to be wary: 1h, 2d, at most 7d.")
]


def about() -> None:
    """Tell the daemon what happened elsewhere."""


def push(
    context: typer.Context,
    subject: Subject,
    event: Event,
    *,
    reason: options.Reason = "",
    lasts: Lasts = "1d",
    is_json: options.Json = False,
) -> None:
    """Push an event about an account.

    It revokes grants, makes further requests riskier, or both. For root, and
    for whom the administrator lists.
    """
    params = options.keep(subject=subject, event=event.value, reason=reason)
    answer = call(context, "PushEvent", params | {"lasts": _read_lasts(lasts)})
    if is_json:
        print_json(answer)
        return
    print_result(_say(int(read_number(answer, "revoked")), read_number(answer, "lasts")))


def _read_lasts(text: str) -> float:
    seconds = parse_duration(text)
    if seconds > LONGEST:
        raise refuse_usage(f"{text!r} is too long", "an alert holds for at most 7d")
    return seconds


def _say(revoked: int, lasts: float) -> str:
    ended = "Revoked 1 grant." if revoked == 1 else f"Revoked {revoked} grants."
    return f"{ended} An alert holds for {say_span(lasts)}." if lasts else ended
