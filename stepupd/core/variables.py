"""What a rule's `when` may look at: a closed table of names, and their values for one request.

The law of this file:
* a variable whose observer failed is left out, so that a condition which turns on it is in error;
* what nobody can know takes the value that makes a request look riskier: what was never proved
  is long past, a screen that cannot be seen is locked;
* a variable that depends on anything the caller says or can make itself look like stands in
  `condition.CLAIMED`: so do risk, in which claims weigh, and the names of programs, which they
  choose. A rule whose condition uses one may only ask for more (see `policy`).

Nothing is compiled or decided here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

from stepupd.core.condition import Variable
from stepupd.core.model import Risk, StepUpRequest
from stepupd.core.risk.asker import find_asker
from stepupd.core.risk.facts import Observer
from stepupd.core.risk.features import VALUES
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Feature

NEVER = 10**9
"""Seconds, 31 years: how long ago it was, where it never was."""
KNOWN = 0.5
"""Weight in the profile: one proof makes a place known for a month, one grant alone does not."""


@unique
class Kind(StrEnum):
    """A variable's type, in CEL's words."""

    BOOL = "bool"
    INT = "int"
    STRING = "string"
    STRINGS = "list(string)"


@dataclass(frozen=True, slots=True)
class Description:
    """One row of the table."""

    kind: Kind
    meaning: str
    observer: Observer | None = None
    """Who has to be asked for it."""
    is_learned: bool = False
    """Whether it is taken from the subject's profile."""


VARIABLES: Mapping[str, Description] = {
    # Who asks, and for whom.
    "subject": Description(Kind.STRING, "user name of the account that has to prove itself"),
    "uid": Description(Kind.INT, "its user id"),
    "groups": Description(Kind.STRINGS, 'names of its groups: "ops" in groups'),
    "keys": Description(Kind.INT, "how many keys it has enrolled"),
    "caller_uid": Description(Kind.INT, "user id of the process that asks"),
    "caller_is_root": Description(Kind.BOOL, "whether that is root's, such as sudo or sshd"),
    "caller_is_subject": Description(Kind.BOOL, "whether that is the subject's own"),
    # For what, and where.
    "action": Description(Kind.STRING, "the action, such as pam:sudo"),
    "door": Description(Kind.STRING, "where the request came in: relay, socket or bus"),
    "has_session": Description(Kind.BOOL, "whether it belongs to a login session"),
    "terminal": Description(Kind.STRING, 'the session\'s terminal, such as pts/3; "" if none'),
    # From where.
    "remote": Description(
        Kind.BOOL, "whether the session comes from another machine", observer=Observer.SOURCE
    ),
    "source": Description(
        Kind.STRING, 'IP address it comes from; "" for this machine', observer=Observer.SOURCE
    ),
    "source_known": Description(
        Kind.BOOL,
        "whether the subject proved itself from there before; true for this machine",
        observer=Observer.SOURCE,
        is_learned=True,
    ),
    "network_known": Description(
        Kind.BOOL,
        "the same of its network: the first 24 bits of an IPv4 address, 48 of IPv6",
        observer=Observer.SOURCE,
        is_learned=True,
    ),
    "ssh_key": Description(
        Kind.STRING,
        'fingerprint of the ssh key that sshd has accepted, SHA256:...; "" but for pam:sshd',
        observer=Observer.SOURCE,
    ),
    "country": Description(
        Kind.STRING,
        'country of the source, two letters (ISO 3166-1); "" if unknown or this machine',
        observer=Observer.GEO,
    ),
    "country_known": Description(
        Kind.BOOL,
        "the same of its country; false if that is unknown",
        observer=Observer.GEO,
        is_learned=True,
    ),
    # When.
    "hour": Description(Kind.INT, "hour of the machine's local day, 0 to 23"),
    "weekday": Description(Kind.INT, "day of the week, 0 (Monday) to 6"),
    "since_boot": Description(Kind.INT, "whole seconds since the machine started"),
    "since_resume": Description(
        Kind.INT,
        "whole seconds since it woke up; 1000000000 if it did not sleep",
        observer=Observer.UPTIME,
    ),
    "since_proved": Description(
        Kind.INT,
        "whole seconds since the subject last proved itself; 1000000000 for never",
        is_learned=True,
    ),
    # The seat.
    "is_active": Description(
        Kind.BOOL,
        "whether the session is in the foreground; false without a seat",
        observer=Observer.SEAT,
    ),
    "is_locked": Description(
        Kind.BOOL,
        "whether its screen is locked; true where that cannot be known",
        observer=Observer.SEAT,
    ),
    "alerts": Description(Kind.STRINGS, "kinds of the alerts that hold for the subject"),
    # What depends on the caller's word.
    "program": Description(
        Kind.STRING,
        'name of the program that asks; "" if unknown',
        observer=Observer.PROGRAMS,
    ),
    "programs": Description(
        Kind.STRINGS,
        "its name and those of the programs above it, nearest first",
        observer=Observer.PROGRAMS,
    ),
    "asker": Description(
        Kind.STRING,
        "what they look like: terminal, ssh, cron, web, editor, agent, service or unknown",
        observer=Observer.PROGRAMS,
    ),
    "risk": Description(Kind.INT, "the score, in which claims weigh too"),
    "signals": Description(Kind.STRINGS, "names of the signals that add to it"),
    "command": Description(Kind.STRING, "the claimed command, a space between the arguments"),
    "reason": Description(Kind.STRING, "why it says that it asks"),
    "ruser": Description(Kind.STRING, "the remote user that PAM names"),
    "rhost": Description(Kind.STRING, "the remote host that PAM names"),
    "ssh_client": Description(
        Kind.STRING,
        'version text of the ssh client; always "" but in tests',
        observer=Observer.SOURCE,
    ),
}
"""Every variable, in the order of the manual."""


def list_observers(names: Iterable[str]) -> frozenset[Observer]:
    """Return the observers that have to be asked for the variables."""
    asked = {VARIABLES[name].observer for name in names}
    if Observer.GEO in asked:
        asked.add(Observer.SOURCE)
    return frozenset(observer for observer in asked if observer is not None)


def needs_profile(names: Iterable[str]) -> bool:
    """Return whether any of the variables is taken from the subject's profile."""
    return any(VARIABLES[name].is_learned for name in names)


def list_variables(observation: Observation, risk: Risk) -> Mapping[str, Variable]:
    """Return the value of every variable but those that a failed observer would have told."""
    values: dict[str, Variable] = {
        **_list_request(observation.request),
        **_list_facts(observation),
        "keys": len(observation.credentials),
        "since_boot": int(observation.now.boot),
        "since_proved": _find_age(observation.profile.proved, observation.now.wall),
        "alerts": tuple(
            dict.fromkeys(
                alert.kind
                for alert in observation.activity.alerts
                if alert.until > observation.now.boot
            )
        ),
        "risk": risk.score,
        "signals": tuple(signal.name for signal in risk.signals),
    }
    missing = observation.facts.missing
    if not missing:
        return values
    return {
        name: value for name, value in values.items() if missing.isdisjoint(list_observers((name,)))
    }


def _list_request(request: StepUpRequest) -> dict[str, Variable]:
    subject, caller, claim = request.subject, request.caller, request.claim
    return {
        "subject": subject.name,
        "uid": subject.uid,
        "groups": tuple(sorted(subject.groups)),
        "caller_uid": caller.uid,
        "caller_is_root": caller.is_privileged,
        "caller_is_subject": caller.uid == subject.uid,
        "action": request.action,
        "door": caller.door.value,
        "has_session": request.session is not None,
        "terminal": _find_terminal(request),
        "command": " ".join(claim.command),
        "reason": claim.reason,
        "ruser": claim.ruser,
        "rhost": claim.rhost,
    }


def _list_facts(observation: Observation) -> dict[str, Variable]:
    facts = observation.facts
    return {
        "program": facts.programs[0] if facts.programs else "",
        "programs": facts.programs,
        "asker": find_asker(facts.programs, _find_terminal(observation.request)).value,
        "remote": bool(facts.source),
        "source": facts.source,
        "source_known": _is_known(observation, Feature.SOURCE),
        "network_known": _is_known(observation, Feature.NETWORK),
        "ssh_key": facts.ssh_key,
        "country": facts.country,
        "country_known": _is_known(observation, Feature.COUNTRY),
        "hour": facts.hour,
        "weekday": facts.weekday,
        "since_resume": NEVER if facts.since_resume is None else int(facts.since_resume),
        "is_active": facts.is_active is True,
        "is_locked": facts.is_locked is not False,
        "ssh_client": facts.ssh_client,
    }


def _find_terminal(request: StepUpRequest) -> str:
    return request.session.tty if request.session is not None else ""


def _is_known(observation: Observation, feature: Feature) -> bool:
    if not observation.facts.source:
        return True
    value = VALUES[feature](observation.request, observation.facts)
    return observation.profile.weigh(feature, value, observation.now.wall) >= KNOWN


def _find_age(then: float | None, now: float) -> int:
    """Return how long ago it was. A time yet to come means that a clock was set: no proof."""
    return NEVER if then is None or then > now else int(now - then)
