"""Signals of much in a short time, against a floor and against the subject's own rate."""

import pytest
from core_support import NOW, make_request
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as change
from risk_support import SETTLED, make_activity, observe

from stepupd.core.risk.activity import MAX_EVENTS, Activity, Event, remember
from stepupd.core.risk.profile import Feature, Profile, Sighting
from stepupd.core.risk.signals import SIGNALS


def strength(name, activity, **changes):
    finding = SIGNALS[name].look(observe(activity=activity, **changes))
    return 0.0 if finding is None else finding.strength


@pytest.mark.parametrize(
    ("events", "expected"), [(0, 0), (9, 0), (10, 0.1), (14, 0.5), (19, 1), (200, 1)]
)
def test_requests_in_five_minutes(events, expected):
    """Ten with this one are nobody's burst, twice as many are one in full."""
    calm = change(SETTLED, hourly=1.0)

    assert strength("burst_requests", make_activity(*[60.0] * events), profile=calm) == expected


@pytest.mark.parametrize(("events", "expected"), [(19, 0), (20, 0.05), (29, 0.5), (39, 1)])
def test_requests_in_an_hour(events, expected):
    calm = change(SETTLED, hourly=1.0)

    assert strength("burst_requests", make_activity(*[900.0] * events), profile=calm) == expected


def test_who_is_busy_every_day_is_no_burst():
    """The subject's own rate widens what is ordinary, up to what is kept at all."""
    events = make_activity(*[900.0] * 99)

    assert strength("burst_requests", events, profile=change(SETTLED, hourly=25.0)) == 0.0
    assert strength("burst_requests", events, profile=change(SETTLED, hourly=1e6)) == 0.0
    full = make_activity(*[900.0] * (MAX_EVENTS - 1))
    assert strength("burst_requests", full, profile=change(SETTLED, hourly=1e6)) == 1.0


def test_what_is_older_than_an_hour_is_no_burst():
    assert strength("burst_requests", make_activity(*[3600.0] * 200)) == 0.0
    assert strength("burst_requests", make_activity(*[300.0] * 15)) == 0.0


@pytest.mark.parametrize(("failures", "expected"), [(0, 0), (2, 0), (3, 0.25), (6, 1), (50, 1)])
def test_failures(failures, expected):
    """Two wrong touches happen; four more are somebody trying."""
    activity = make_activity(*[600.0] * failures, is_allowed=False)

    assert strength("burst_failures", activity) == expected
    assert strength("burst_failures", make_activity(*[600.0] * failures)) == 0.0


@pytest.mark.parametrize(("actions", "expected"), [(4, 0), (5, 0.2), (9, 1)])
def test_kinds_of_action(actions, expected):
    """Five with this one are ordinary for anybody; the same one twice is one kind."""
    events = [Event(NOW.boot - 60, f"dbus:{number}", is_allowed=True) for number in range(actions)]
    repeated = make_activity(*[60.0] * actions, action=make_request().action)

    assert strength("burst_actions", Activity(tuple(events))) == expected
    assert strength("burst_actions", repeated) == 0.0


def test_who_does_many_things_may_do_many():
    known = {f"dbus:{n}": Sighting(5, NOW.wall, NOW.wall) for n in range(40)}
    profile = Profile(1000, {Feature.ACTION: known})
    events = tuple(Event(NOW.boot - 60, f"dbus:{n}", is_allowed=True) for n in range(15))

    assert strength("burst_actions", Activity(events), profile=profile) == 0.0
    assert strength("burst_actions", Activity(events)) == 1.0


@given(
    st.lists(st.tuples(st.floats(0, 4000), st.booleans(), st.sampled_from("abcdefgh")), max_size=60)
)
def test_one_request_more_never_looks_calmer(events):
    activity = Activity()
    for age, is_allowed, action in sorted(events, reverse=True):
        activity = remember(activity, Event(NOW.boot - age, action, is_allowed))
    more = remember(activity, Event(NOW.boot, "z", is_allowed=False))

    for name in ("burst_requests", "burst_failures", "burst_actions"):
        assert strength(name, more) >= strength(name, activity)
