"""What our own observers saw around a request, as the machine attests it.

The law of this file: nothing here is what the caller says of itself. What is not known is empty or
None; an observer that failed is named in `missing`, and every signal that needs it then counts in
full: a failure never makes a request look ordinary.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum, unique

import msgspec

from stepupd.core.errors import InternalError


@unique
class Observer(StrEnum):
    """Something outside the core that is looked at; asked only if a policy needs its facts."""

    SOURCE = "source"
    """Where the login session comes from: `source`, `ssh_key`, `ssh_client`."""
    GEO = "geo"
    """`country`, `latitude`, `longitude` of the source; needs SOURCE."""
    PROGRAMS = "programs"
    """The chain of programs that ask: `programs`."""
    SEAT = "seat"
    """`is_active`, `is_locked`."""
    UPTIME = "uptime"
    """`since_resume`."""
    ADVICE = "advice"
    """`advice`: what signals from outside say, such as a risk engine."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What one source outside says: `score` from 0 to 100, and why, in words."""

    name: str
    score: int
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The circumstances of one request. Times in seconds."""

    hour: int = 0
    """Hour of the machine's local day, 0 to 23."""
    weekday: int = 0
    """0 is Monday."""
    source: str = ""
    """Numeric IP address that the login session comes from; "" for this machine itself."""
    country: str = ""
    """ISO 3166-1 alpha-2 of the source; "" if unknown or local."""
    latitude: float | None = None
    longitude: float | None = None
    """Degrees, WGS 84; of the city where a database knows it, else of the country's middle."""
    radius: float = 0.0
    """Kilometres around that place within which the source is; 0 if the place is exact."""
    programs: tuple[str, ...] = ()
    """Names of the executables from the asking process upwards, nearest first."""
    is_active: bool | None = None
    """Whether the login session is in the foreground of its seat; None where it has no seat."""
    is_locked: bool | None = None
    since_resume: float | None = None
    """Since the machine woke up; None if it did not sleep since boot."""
    ssh_key: str = ""
    """Fingerprint of the key that opens the session, as `SHA256:...`, of several all, with spaces
    between; "" if none or unknown."""
    ssh_client: str = ""
    """Version text of the ssh client, which claims it. No observer knows it: sshd tells nobody."""
    advice: tuple[Advice, ...] = field(default=())
    missing: frozenset[Observer] = frozenset()
    """Observers that failed, timed out or lied."""


_ORDINARY = Facts()
_NAMES = tuple(one.name for one in fields(Facts))


def describe_facts(facts: Facts) -> dict[str, object]:
    """Return what is known, as the audit log has it: a field that says nothing is left out."""
    known = {
        name: value
        for name in _NAMES
        if (value := getattr(facts, name)) != getattr(_ORDINARY, name)
    }
    if facts.missing:
        known["missing"] = sorted(facts.missing)
    described: dict[str, object] = msgspec.to_builtins(known)
    return described


def read_facts(described: Mapping[str, object]) -> Facts:
    """Read what `describe_facts` wrote. Raises InternalError (`bad-entry`)."""
    try:
        return msgspec.convert(described, Facts)
    except msgspec.ValidationError as error:
        raise InternalError(f"no facts: {error}", reason="bad-entry") from None
