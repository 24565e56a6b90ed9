"""Where a request comes from: whether from elsewhere, and whether one can have come so fast.

The law of this file: a place that is not known is never near. Distances are great circles on a
sphere of the Earth's mean radius, less what is uncertain about both ends.
"""

from math import asin, cos, radians, sin, sqrt

from stepupd.core.risk.facts import Facts
from stepupd.core.risk.features import read_address
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Whereabouts
from stepupd.core.risk.signals.kinds import Finding

EARTH_RADIUS = 6371.0
"""Kilometres, the mean (IUGG)."""
HALF_ROUND = 20015.0
"""Kilometres: no two places are farther apart."""
MAX_SPEED = 900.0
"""Kilometres an hour: an airliner."""
MIN_DISTANCE = 100.0
"""Kilometres: what a database of addresses may be wrong by on any day."""
UNPLACED = 0.5
"""Strength where the place is not known, and could be out of reach."""


def look_remote(observation: Observation) -> Finding | None:
    """Find a session that comes from another machine, as observed or as the caller says."""
    origin = observation.facts.source or observation.request.claim.rhost
    return Finding(1.0, f"the session comes from {origin}") if origin else None


def look_at_travel(observation: Observation) -> Finding | None:
    """Find a subject that is farther from where it was than an airliner flies in that time."""
    facts, last = observation.facts, observation.profile.last
    if last is None or not facts.source or facts.source == last.source:
        return None
    hours = max(0.0, observation.now.wall - last.at) / 3600
    reach = MAX_SPEED * hours
    distance = find_distance(last, facts)
    if distance is None:
        return _look_unplaced(facts, reach)
    if distance <= MIN_DISTANCE or distance <= reach:
        return None
    reason = f"{distance:.0f} km from {_name(last)} to {_name(facts)} in {hours * 60:.0f} minutes"
    return Finding(1.0, reason)


def find_distance(last: Whereabouts, facts: Facts) -> float | None:
    """Return the least distance in kilometres; None if the facts have no place."""
    if facts.latitude is None or facts.longitude is None:
        return None
    one, other = radians(last.latitude), radians(facts.latitude)
    across = radians(facts.longitude - last.longitude)
    half = sin((other - one) / 2) ** 2 + cos(one) * cos(other) * sin(across / 2) ** 2
    distance = 2 * EARTH_RADIUS * asin(sqrt(min(1.0, half)))
    return max(0.0, distance - last.radius - facts.radius)


def _look_unplaced(facts: Facts, reach: float) -> Finding | None:
    address = read_address(facts.source)
    if reach >= HALF_ROUND or (address is not None and not address.is_global):
        return None
    return Finding(UNPLACED, f"where {facts.source} is could not be found out")


def _name(place: Whereabouts | Facts) -> str:
    return f"{place.source} ({place.country})" if place.country else place.source
