"""What is usual for one subject: small, decaying counts, and never a history.

The law of this file: only a request that was allowed teaches; one value gains at most one unit of
weight in `LEARNING_PAUSE`, so that a burst cannot make itself usual; every weight fades by half in
`HALF_LIFE`; at most `MAX_VALUES` values of a feature are kept, the faintest goes first.

Nothing is learned here: `learning` does. Each lesson makes new ones of these, a replay millions;
so they are structs, which are made in a fraction of a dataclass's time.
"""

from collections.abc import Mapping
from enum import StrEnum, unique

import msgspec

HALF_LIFE = 30 * 86400.0
"""Seconds in which what was learned counts half: a month."""
LEARNING_PAUSE = 3600.0
"""Seconds in which one value is learned once, however often it is seen."""
KNOWN = 0.75
"""The weight from which on a value is usual; what was proved once stays so for twelve days."""
MAX_VALUES = 64
"""Values kept of one feature."""
WARM_UP = 16
"""Hours with requests until what is not known counts as new in full."""
WARM_UP_HOURS = 3 * WARM_UP
"""The same for the hour of the week: it has more bins than a day has requests."""
HOURS_OF_WEEK = 168
"""Values kept of `Feature.HOUR`: there are no more."""


@unique
class Feature(StrEnum):
    """What is counted."""

    SOURCE = "source"
    NETWORK = "network"
    COUNTRY = "country"
    HOUR = "hour"
    """Hour of the week, "0" (Monday, midnight) to "167"."""
    ACTION = "action"
    COMMAND = "command"
    """The claimed command's program and its first word."""
    TERMINAL = "terminal"
    PROGRAM = "program"
    """The parent program."""
    CREDENTIAL = "credential"
    SSH_KEY = "ssh-key"
    SSH_CLIENT = "ssh-client"
    SIGNAL = "signal"
    """Signals that fired in requests that were allowed."""


class Sighting(msgspec.Struct, frozen=True, gc=False):  # It holds nothing but numbers.
    """How often a value was seen: `weight`, as of `at` (wall clock), first seen `since`."""

    weight: float
    at: float
    since: float


NOTHING: Mapping[str, Sighting] = {}


class Whereabouts(msgspec.Struct, frozen=True):
    """Where the subject last came from; degrees, WGS 84, `at` the wall clock.

    `radius` is in kilometres: how far around that place it may have been.
    """

    source: str
    country: str
    latitude: float
    longitude: float
    at: float
    radius: float = 0.0


class Profile(msgspec.Struct, frozen=True):
    """One subject's profile, or that of all subjects together."""

    uid: int
    seen: Mapping[Feature, Mapping[str, Sighting]] = msgspec.field(default_factory=dict)
    requests: float = 0.0
    """Hours that had a request learned from, decayed as of `at`: what shares are taken of."""
    at: float = 0.0
    hours: int = 0
    """Such hours, undecayed: what warm-up counts, so that long absence is not taken for it."""
    hourly: float = 0.0
    """Requests in an hour that has any, smoothed: what a burst is measured against."""
    hour_at: float = 0.0
    """When the hour began that is being counted."""
    hour_count: int = 0
    """Requests in it so far."""
    last: Whereabouts | None = None
    proved: float | None = None
    """When the last step-up was proved, by the wall clock."""

    def find(self, feature: Feature, value: str) -> Sighting | None:
        """Return what is known of a value."""
        return self.seen.get(feature, NOTHING).get(value)

    def weigh(self, feature: Feature, value: str, wall: float) -> float:
        """Return a value's weight at that time; 0 if it was never seen."""
        sighting = self.seen.get(feature, NOTHING).get(value)
        return 0.0 if sighting is None else fade(sighting.weight, wall - sighting.at)

    def count_requests(self, wall: float) -> float:
        """Return `requests` at that time."""
        return fade(self.requests, wall - self.at)


def make_stranger(uid: int) -> Profile:
    """Return the profile of one who was known and is no more: all is new, without a warm-up.

    For a profile that was forgotten, lost or damaged, so that losing it never hides anything.
    """
    return Profile(uid, hours=WARM_UP_HOURS)


def fade(weight: float, seconds: float) -> float:
    """Return what is left of a weight. A clock that was set back takes nothing and adds nothing."""
    return weight if seconds <= 0 else weight * 0.5 ** (seconds / HALF_LIFE)
