"""A profile as plain data, and back: one form for each profile, and nothing but profiles.

The law of this file: what is read is checked whole before any of it is believed; a field too many
or too few, a number that cannot be, more values than are ever kept: the profile is corrupt. Sealing
is the store's business.
"""

from collections.abc import Mapping
from math import isfinite
from typing import cast

from stepupd.core.errors import InternalError
from stepupd.core.risk.profile import (
    HOURS_OF_WEEK,
    MAX_VALUES,
    Feature,
    Profile,
    Sighting,
    Whereabouts,
)

VERSION = 1
MAX_WEIGHT = 1e6
"""Far above what a value can gain in any life."""
MAX_TEXT = 256
"""Characters of a value; more than is ever kept."""

Form = dict[str, object]


def encode_profile(profile: Profile) -> Form:
    """Return the profile as JSON has it; equal profiles give equal forms, in one order of keys."""
    seen = {
        feature.value: {
            value: [one.weight, one.at, one.since]
            for value, one in sorted(profile.seen[feature].items())
        }
        for feature in sorted(profile.seen)
    }
    last = profile.last
    return {
        "at": profile.at,
        "hour_at": profile.hour_at,
        "hour_count": profile.hour_count,
        "hourly": profile.hourly,
        "hours": profile.hours,
        "last": last
        and [last.source, last.country, last.latitude, last.longitude, last.at, last.radius],
        "proved": profile.proved,
        "requests": profile.requests,
        "seen": seen,
        "uid": profile.uid,
        "version": VERSION,
    }


def decode_profile(form: object) -> Profile:
    """Return the profile of a form that `encode_profile` made. Raises InternalError."""
    match form:
        case {
            "at": at,
            "hour_at": hour_at,
            "hour_count": hour_count,
            "hourly": hourly,
            "hours": hours,
            "last": last,
            "proved": proved,
            "requests": requests,
            "seen": dict(seen),
            "uid": uid,
            "version": 1,
            **rest,
        } if not rest:
            return Profile(
                uid=_read_count(uid),
                seen={_read_feature(name): _read_values(name, seen[name]) for name in seen},
                requests=_read_number(requests, 0, MAX_WEIGHT),
                at=_read_number(at),
                hours=_read_count(hours),
                hourly=_read_number(hourly, 0, MAX_WEIGHT),
                hour_at=_read_number(hour_at),
                hour_count=_read_count(hour_count),
                last=None if last is None else _read_whereabouts(last),
                proved=None if proved is None else _read_number(proved),
            )
    raise _corrupt("its fields are not those of a profile")


def _read_feature(name: object) -> Feature:
    try:
        return Feature(cast("str", name))
    except ValueError:
        raise _corrupt(f"{name!r} is no feature") from None


def _read_values(name: str, values: object) -> Mapping[str, Sighting]:
    most = HOURS_OF_WEEK if name == Feature.HOUR else MAX_VALUES
    if not isinstance(values, dict) or len(values) > most:
        raise _corrupt(f"its values of {name} are no values, or too many")
    return {_read_text(value): _read_sighting(one) for value, one in values.items()}


def _read_sighting(one: object) -> Sighting:
    match one:
        case [weight, at, since]:
            return Sighting(
                _read_number(weight, 0, MAX_WEIGHT), _read_number(at), _read_number(since)
            )
    raise _corrupt("a sighting is not three numbers")


def _read_whereabouts(last: object) -> Whereabouts:
    match last:
        case [source, country, latitude, longitude, at, radius]:
            return Whereabouts(
                _read_text(source),
                _read_text(country),
                _read_number(latitude, -90, 90),
                _read_number(longitude, -180, 180),
                _read_number(at),
                _read_number(radius, 0, 20100),
            )
    raise _corrupt("its whereabouts are not six fields")


def _read_text(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    raise _corrupt("a text is no text, or too long")


def _read_number(value: object, least: float = float("-inf"), most: float = float("inf")) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value) if abs(value) < 1e300 else float("inf")  # noqa: PLR2004 - any int
        if isfinite(number) and least <= number <= most:
            return number
    raise _corrupt("a number is none, or cannot be")


def _read_count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**62:
        return value
    raise _corrupt("a count is none, or cannot be")


def _corrupt(what: str) -> InternalError:
    return InternalError(
        f"a profile cannot be read: {what}",
        reason="store-corrupt",
        hint="`stepup profile forget` starts a new one",
    )
