"""Whether this is an hour at which the subject is usually about.

The profile's histogram has 168 bins, and is circular: Sunday's last hour is beside Monday's first.
It is smoothed over neighbouring hours and, weaker, over the same hours of other days, and compared
with what the same number of requests would give if they came evenly through the week; the nearest
bins are looked at first, and often they are enough.
"""

from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import (
    HOURS_OF_WEEK,
    NOTHING,
    WARM_UP_HOURS,
    Feature,
    Profile,
    fade,
)
from stepupd.core.risk.signals.kinds import Finding, find
from stepupd.core.risk.signals.novelty import judge_warmth

USUAL = 0.5
"""From this part of an even spread on, an hour is usual."""

_NEAR = ((-2, 0.25), (-1, 0.6), (0, 1.0), (1, 0.6), (2, 0.25))
_SAME_KIND_OF_DAY, _OTHER_KIND_OF_DAY = 0.3, 0.02
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SATURDAY = 5


def look_at_hour(observation: Observation) -> Finding | None:
    """Find an hour of the week at which this subject is seldom or never seen."""
    profile, facts = observation.profile, observation.facts
    warmth = judge_warmth(profile, WARM_UP_HOURS)
    if warmth <= 0:
        return None
    share = find_share(profile, facts.weekday, facts.hour, observation.now.wall)
    if share >= USUAL:
        return None
    reason = f"{_DAYS[facts.weekday % 7]} at {facts.hour:02}h is unusual for this subject"
    return find(warmth * (1 - share / USUAL), reason)


def find_share(profile: Profile, weekday: int, hour: int, wall: float) -> float:
    """Return how usual an hour is, up to `USUAL`: 1 is what it would be in an even spread."""
    requests = profile.count_requests(wall)
    if requests <= 0:
        return 0.0
    bins = profile.seen.get(Feature.HOUR, NOTHING)
    share = 0.0
    for index, part in _AROUND[(weekday * 24 + hour) % HOURS_OF_WEEK]:
        sighting = bins.get(index)
        if sighting is not None:
            weight = part * fade(sighting.weight, wall - sighting.at)
            share += weight * HOURS_OF_WEEK / requests
            if share >= USUAL:
                return USUAL
    return share


def _list_around(index: int) -> tuple[tuple[str, float], ...]:
    """Return the bins that tell of one bin, each with its part; the parts sum to 1."""
    is_weekend = index // 24 >= _SATURDAY
    parts: dict[int, float] = {}
    for day in range(7):
        kind = 1.0
        if day:
            same = ((index // 24 + day) % 7 >= _SATURDAY) == is_weekend
            kind = _SAME_KIND_OF_DAY if same else _OTHER_KIND_OF_DAY
        for offset, part in _NEAR:
            parts[(index + 24 * day + offset) % HOURS_OF_WEEK] = kind * part
    whole = sum(parts.values())
    nearest = sorted(parts.items(), key=lambda pair: -pair[1])
    return tuple((str(hour), part / whole) for hour, part in nearest)


_AROUND = tuple(_list_around(index) for index in range(HOURS_OF_WEEK))
