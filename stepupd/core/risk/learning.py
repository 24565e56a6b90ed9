"""Learning: how a profile takes in a request that was allowed.

The law of this file:
* whoever calls has asked `may_teach`: a request that was denied or failed teaches nothing;
* a value gains once in `LEARNING_PAUSE`, so a burst weighs as much as one request; a request that
  nobody proved gains only a part, so what a rule lets through becomes usual slowly;
* no feature takes more than `NEW_VALUES` new values in that time, so a burst of strange values
  cannot push out the usual ones;
* a signal that fired because an observer failed is nobody's habit;
* a clock that was set back gains nothing and loses nothing; one that was set ahead only forgets.

Nothing is stored here, and no history is kept.
"""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from stepupd.core.model import Answer, Moment, Reason, StepUpRequest
from stepupd.core.risk.facts import Facts, Observer
from stepupd.core.risk.features import find_hour, find_network, show_values
from stepupd.core.risk.profile import (
    HOURS_OF_WEEK,
    KNOWN,
    LEARNING_PAUSE,
    MAX_VALUES,
    NOTHING,
    Feature,
    Profile,
    Sighting,
    Whereabouts,
    fade,
)
from stepupd.core.risk.signals import SIGNALS

UNPROVED = 0.25
"""What a request gains that a rule or a grant let through without a proof of its own."""
NEW_VALUES = 8
"""New values that one feature takes in `LEARNING_PAUSE`."""
SMOOTHING = 1 / 8
"""How much of an hour's count goes into `Profile.hourly`."""
HOURLY_FLOOR = 4.0
"""An hour counts at most twice `Profile.hourly`, or twice this."""

_TEACHING = frozenset({Reason.PROVED, Reason.GRANT, Reason.RULE_ALLOWS})
_COUNTED = frozenset({Feature.HOUR, Feature.SIGNAL})
"""Features whose shares are taken of `Profile.requests`: each gain is a whole unit, as there."""
_OF_SOURCE = frozenset({Feature.SOURCE, Feature.NETWORK, Feature.COUNTRY})


class Lesson(msgspec.Struct, frozen=True):
    """One request that was allowed, and what is to be learned from it.

    `signals` are the names of those that fired; `is_proved` says whether a person proved himself
    for this very request; `credential_id` is what he did it with.
    """

    request: StepUpRequest
    facts: Facts
    now: Moment
    signals: tuple[str, ...] = ()
    is_proved: bool = False
    credential_id: bytes = b""


def may_teach(answer: Answer, reason: Reason) -> bool:
    """Return whether a request that ended so may be learned from."""
    return answer is Answer.ALLOW and reason in _TEACHING


def learn(profile: Profile, lesson: Lesson) -> Profile:
    """Return the profile with one lesson taken in."""
    wall = lesson.now.wall
    changed: dict[Feature, Mapping[str, Sighting]] = {}
    gain = 1.0 if lesson.is_proved else UNPROVED
    for feature, value in list_values(lesson):
        unit = 1.0 if feature in _COUNTED else gain
        values = changed.get(feature) or profile.seen.get(feature, NOTHING)
        old = values.get(value)
        if old is None:
            if not _is_flooded(values, wall):
                changed[feature] = _gain(values, feature, value, wall, unit)
            continue
        passed = wall - old.at
        if passed >= LEARNING_PAUSE:  # The usual case: seen again.
            weight = fade(old.weight, passed) + unit
            changed[feature] = {**values, value: Sighting(weight, wall, old.since)}
        elif passed < 0:  # The clock was set back: from here on, and without a gain.
            turned = Sighting(old.weight, wall, min(old.since, wall))
            changed[feature] = {**values, value: turned}
        elif old.weight < unit:  # Seen in this hour, and now proved: as if proved at once.
            changed[feature] = {**values, value: replace(old, weight=unit)}
    hour = _count_hour(profile, wall)
    return Profile(
        uid=profile.uid,
        seen={**profile.seen, **changed} if changed else profile.seen,
        requests=hour.requests,
        at=hour.at,
        hours=hour.hours,
        hourly=hour.hourly,
        hour_at=hour.began,
        hour_count=hour.so_far,
        last=_find_whereabouts(profile, lesson) or profile.last,
        proved=wall if lesson.is_proved else profile.proved,
    )


def learn_crowd(crowd: Profile, before: Profile, after: Profile, wall: float) -> Profile:
    """Return the profile of everybody, with what one subject's profile has just learned.

    What a subject gained, everybody gains: the pause is each subject's own. When a subject is
    about is his own affair, and left out.
    """
    changed: dict[Feature, Mapping[str, Sighting]] = {}
    for feature, values in after.seen.items():
        old = before.seen.get(feature, NOTHING)
        if values is old or feature is Feature.HOUR:
            continue
        for value, sighting in values.items():
            gain = _find_gain(old.get(value), sighting, wall)
            if gain > 0:
                known = changed.get(feature) or crowd.seen.get(feature, NOTHING)
                changed[feature] = _gain(known, feature, value, wall, gain)
    hours = after.hours - before.hours
    if not changed and not hours:
        return crowd
    return replace(
        crowd,
        seen={**crowd.seen, **changed},
        requests=crowd.count_requests(wall) + hours,
        at=wall,
        hours=crowd.hours + hours,
    )


def list_values(lesson: Lesson) -> list[tuple[Feature, str]]:
    """Return what a lesson shows, feature by feature; what is not known is left out."""
    request, facts = lesson.request, lesson.facts
    values = show_values(request, facts)
    if Observer.SOURCE in facts.missing:  # What stands there is nobody's address.
        values = {one: value for one, value in values.items() if one not in _OF_SOURCE}
    shown = list(values.items())
    shown.append((Feature.HOUR, find_hour(request, facts)))
    if lesson.credential_id:
        shown.append((Feature.CREDENTIAL, lesson.credential_id.hex()))
    if lesson.signals:
        told = (name for name in lesson.signals if not _was_blind(name, facts))
        shown.extend((Feature.SIGNAL, name) for name in told)
    return shown


def _was_blind(name: str, facts: Facts) -> bool:
    """Return whether a signal fired only because an observer failed: that is nobody's habit."""
    if not facts.missing:
        return False
    kind = SIGNALS.get(name)
    return kind is not None and not facts.missing.isdisjoint(kind.observers)


def _is_flooded(values: Mapping[str, Sighting], wall: float) -> bool:
    new = sum(abs(wall - sighting.since) < LEARNING_PAUSE for sighting in values.values())
    return new >= NEW_VALUES


def _gain(
    values: Mapping[str, Sighting], feature: Feature, value: str, wall: float, unit: float
) -> Mapping[str, Sighting]:
    """Return the values with one more heavy by a unit, and the faintest dropped if it is full."""
    old = values.get(value)
    weight = unit if old is None else fade(old.weight, wall - old.at) + unit
    grown = {**values, value: Sighting(weight, wall, wall if old is None else old.since)}
    if len(grown) > (HOURS_OF_WEEK if feature is Feature.HOUR else MAX_VALUES):
        faintest = min(values, key=lambda one: fade(values[one].weight, wall - values[one].at))
        del grown[faintest]
    return grown


def _find_gain(before: Sighting | None, after: Sighting, wall: float) -> float:
    if before is after:
        return 0.0
    return after.weight - (0.0 if before is None else fade(before.weight, wall - before.at))


class _Hour(msgspec.Struct, frozen=True):
    """What a profile says of hours."""

    began: float
    so_far: int
    hourly: float
    hours: int
    requests: float
    at: float


def _count_hour(profile: Profile, wall: float) -> _Hour:
    """Count the request in the present hour, or open a new one and take the old one in."""
    passed, hourly = wall - profile.hour_at, profile.hourly
    if profile.hour_count and 0 <= passed < LEARNING_PAUSE:
        count = profile.hour_count + 1
        at = min(profile.at, wall)
        return _Hour(profile.hour_at, count, hourly, profile.hours, profile.requests, at)
    if profile.hour_count:
        most = 2 * max(hourly, HOURLY_FLOOR)
        hourly += SMOOTHING * (min(profile.hour_count, most) - hourly)
    if passed < 0:  # The clock was set back: a new hour to count, but none that was learned from.
        return _Hour(wall, 1, hourly, profile.hours, profile.requests, min(profile.at, wall))
    requests = profile.count_requests(wall) + 1
    return _Hour(wall, 1, hourly, profile.hours + 1, requests, wall)


def _find_whereabouts(profile: Profile, lesson: Lesson) -> Whereabouts | None:
    """Return where the request came from; None if that is not known or not to be believed.

    Only a proof, or a network that is usual already, moves a subject: a thief's first request,
    which some rule lets through, must not make his place the one to travel from.
    """
    facts, wall = lesson.facts, lesson.now.wall
    if not facts.source or facts.latitude is None or facts.longitude is None:
        return None
    network = find_network(facts.source)
    if not lesson.is_proved and profile.weigh(Feature.NETWORK, network, wall) < KNOWN:
        return None
    return Whereabouts(
        facts.source, facts.country, facts.latitude, facts.longitude, wall, facts.radius
    )
