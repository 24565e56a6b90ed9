"""Signals of where a request comes from: elsewhere, and too far away for the time."""

from dataclasses import replace

import pytest
from core_support import NOW, make_request
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as change
from risk_support import HOUR, OFFICE, SETTLED, at, make_lesson, make_profile, observe

from stepupd.core.model import Claim
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.learning import learn
from stepupd.core.risk.profile import Whereabouts
from stepupd.core.risk.signals import SIGNALS
from stepupd.core.risk.signals.origin import EARTH_RADIUS, MIN_DISTANCE, UNPLACED, find_distance

BERLIN = Whereabouts("198.51.100.7", "DE", 52.52, 13.405, NOW.wall)
EQUATOR_DEGREE = 111.195
"""Kilometres: 6371 km times pi, by 180."""


def place(latitude, longitude, **changes):
    changes = {"source": "192.0.2.1", "country": "", **changes}
    return Facts(latitude=latitude, longitude=longitude, **changes)


def travel(facts, last=BERLIN, hours=0.0):
    profile = change(SETTLED, last=last)
    moment = at(hours * HOUR)
    return SIGNALS["impossible_travel"].look(observe(facts, profile=profile, now=moment))


@pytest.mark.parametrize(
    ("latitude", "longitude", "kilometres"),
    [
        (52.52, 13.405, 0),
        (48.8566, 2.3522, 878),  # Paris
        (40.7128, -74.006, 6385),  # New York
        (-52.52, -166.595, 20015),  # the antipode
    ],
)
def test_distances_are_great_circles(latitude, longitude, kilometres):
    assert find_distance(BERLIN, place(latitude, longitude)) == pytest.approx(kilometres, abs=3)


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
def test_no_two_places_are_farther_than_half_round(one, two, three, four):
    last = change(BERLIN, latitude=one, longitude=two)
    there = find_distance(last, place(three, four))
    back = find_distance(change(last, latitude=three, longitude=four), place(one, two))

    assert 0 <= there <= 3.1416 * EARTH_RADIUS
    assert there == pytest.approx(back, abs=1e-6)


@pytest.mark.parametrize(
    ("degrees", "hours", "is_found"),
    [
        (9.0, 1.1, True),  # 1001 km, 910 km/h
        (9.0, 1.2, False),  # 834 km/h
        (0.91, 0.0, True),  # 101 km at once
        (0.89, 0.0, False),  # 99 km: what databases are wrong by
        (180.0, 22.0, True),
        (180.0, 22.3, False),  # nothing is out of reach any more
    ],
)
def test_faster_than_an_airliner_is_impossible(degrees, hours, is_found):
    """More than 900 km/h, and more than 100 km."""
    equator = change(BERLIN, latitude=0.0, longitude=0.0)
    finding = travel(place(0.0, degrees), equator, hours)

    assert (finding is not None) is is_found
    if finding:
        assert finding.strength == 1.0
        assert f"{degrees * EQUATOR_DEGREE:.0f} km" in finding.reason


def test_what_is_uncertain_is_taken_off_the_distance():
    """Two neighbours known only by their countries' middles may stand at the same border."""
    equator = change(BERLIN, latitude=0.0, longitude=0.0, radius=500)
    near, far = place(0.0, 9.0, radius=450), place(0.0, 20.0, radius=450)

    assert travel(near, equator) is None
    assert travel(far, equator) is not None
    assert find_distance(equator, near) < MIN_DISTANCE


def test_the_same_address_does_not_travel():
    """A database that moved an address moved no person."""
    assert travel(place(-30.0, 140.0, source=BERLIN.source)) is None


def test_a_local_session_and_a_first_one_do_not_travel():
    assert travel(Facts()) is None
    assert travel(place(0.0, 0.0), last=None) is None


def test_a_clock_that_was_set_back_gives_no_time_to_travel():
    assert travel(place(40.7128, -74.006), hours=-100).strength == 1.0


def test_an_unknown_place_is_never_near():
    """A public address that no database places may be anywhere, as long as that is out of reach."""
    nowhere = Facts(source="203.0.114.9")
    office = Facts(source="10.1.2.3")

    assert travel(nowhere, hours=1).strength == UNPLACED
    assert travel(replace(nowhere, source="junk"), hours=1).strength == UNPLACED
    assert travel(nowhere, hours=23) is None
    assert travel(office, hours=1) is None


def test_what_a_rule_lets_through_does_not_move_anybody():
    """A thief's first, harmless request must not make his place the one to travel from."""
    brazil = place(-23.5, -46.6, country="BR")
    for is_proved in (False, True):
        profile = learn(SETTLED, make_lesson(at(HOUR), brazil, is_proved=is_proved))
        seen = observe(brazil, profile=profile, now=at(2 * HOUR))
        again = SIGNALS["impossible_travel"].look(change(seen, facts=replace(brazil, radius=1)))
        elsewhere = SIGNALS["impossible_travel"].look(
            change(seen, facts=replace(brazil, source="192.0.2.2"))
        )

        assert (profile.last.country == "BR") is is_proved
        assert (elsewhere is None) is is_proved
        assert (again is None) is is_proved


def test_a_usual_network_moves_without_a_proof():
    profile = make_profile()
    home = replace(OFFICE, source="198.51.100.99")

    assert learn(profile, make_lesson(at(9), home, is_proved=False)).last.source == home.source


def test_a_session_from_elsewhere_is_remote_whoever_says_so():
    look = SIGNALS["remote"].look
    claimed = observe(Facts(), request=make_request(claim=Claim(rhost="gate.example")))

    assert look(observe(Facts())) is None
    assert OFFICE.source in look(observe()).reason
    assert "gate.example" in look(claimed).reason
