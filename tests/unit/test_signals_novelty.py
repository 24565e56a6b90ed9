"""Signals of what is new for a subject: warm-up, fading, and the hour of the week."""

from dataclasses import replace

import pytest
from core_support import NOW, make_request
from hypothesis import given
from hypothesis import strategies as st
from risk_support import DAY, HOUR, OFFICE, SETTLED, at, make_lesson, make_profile, observe

from stepupd.core.model import Claim, Session
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.features import VALUES
from stepupd.core.risk.learning import learn
from stepupd.core.risk.profile import WARM_UP, Feature, Profile, make_stranger
from stepupd.core.risk.signals import SIGNALS
from stepupd.core.risk.signals.hours import USUAL, find_share
from stepupd.core.risk.signals.novelty import has_nothing_new

NOVELTIES = {
    "new_source": {"facts": replace(OFFICE, source="192.0.2.1")},
    "new_network": {"facts": replace(OFFICE, source="192.0.2.1")},
    "new_country": {"facts": replace(OFFICE, country="BR")},
    "new_command": {"request": make_request(claim=Claim(command=("useradd", "eve")))},
    "new_action": {"request": make_request(action="ssh:login")},
    "new_terminal": {"request": make_request(session=Session(4000, 1, "tty1"))},
    "new_program": {"facts": replace(OFFICE, programs=("sudo", "python3"))},
    "new_ssh_key": {"facts": replace(OFFICE, ssh_key="SHA256:other")},
    "new_ssh_client": {"facts": replace(OFFICE, ssh_client="SSH-2.0-Go")},
}
WAYS = [OFFICE, *(changes["facts"] for changes in NOVELTIES.values() if "facts" in changes)]


def look(name, **changes):
    return SIGNALS[name].look(observe(**changes))


def strength(name, **changes):
    finding = look(name, **changes)
    return 0.0 if finding is None else finding.strength


def test_every_first_time_signal_is_tried_here():
    """The table above follows the code: a signal with a feature is one of it."""
    assert set(NOVELTIES) == {kind.name for kind in SIGNALS.values() if kind.feature is not None}


@pytest.mark.parametrize("name", NOVELTIES)
def test_what_is_usual_is_not_new_and_the_rest_is(name):
    assert look(name) is None
    assert strength(name, **NOVELTIES[name]) == 1.0
    assert "first time" in look(name, **NOVELTIES[name]).reason


@pytest.mark.parametrize("name", NOVELTIES)
def test_nothing_is_new_to_whom_nothing_is_known(name):
    """With an empty profile everything would be new; strength comes with what is known."""
    young = [make_profile(hours, OFFICE) for hours in (0, 1, WARM_UP // 2, WARM_UP)]

    assert [strength(name, profile=profile, **NOVELTIES[name]) for profile in young] == [
        0.0,
        1 / WARM_UP,
        0.5,
        1.0,
    ]


@pytest.mark.parametrize("name", [*NOVELTIES, "unusual_hour"])
def test_a_profile_that_was_lost_makes_everything_new(name):
    """No warm-up for who was known once: forgetting hides nothing."""
    assert strength(name, profile=make_stranger(1000)) == 1.0


@pytest.mark.parametrize("name", NOVELTIES)
def test_what_is_not_known_is_no_novelty(name):
    """An empty value says nothing: a failed observer counts elsewhere, a local session has none."""
    nothing = make_request(claim=Claim(), session=Session(4000, 1, "pts/9"))

    assert look(name, facts=Facts(), request=nothing) is None


def test_one_proof_makes_usual_and_a_rule_alone_does_not():
    """Who is let through by a rule has to come back in other hours."""
    there = replace(OFFICE, source="192.0.2.1")
    proved = learn(SETTLED, make_lesson_at(0, there, is_proved=True))
    passed = SETTLED
    strengths = []
    for hour in range(3):
        passed = learn(passed, make_lesson_at(hour * HOUR, there, is_proved=False))
        moment = at(hour * HOUR)
        strengths.append(strength("new_source", facts=there, profile=passed, now=moment))

    assert strength("new_source", facts=there, profile=proved) == 0.0
    assert strengths[0] == pytest.approx(2 / 3)
    assert strengths[1] == pytest.approx(1 / 3, abs=0.01)
    assert strengths[2] == pytest.approx(0, abs=0.01)


def make_lesson_at(seconds, facts, **changes):
    return make_lesson(at(seconds), facts, **changes)


def test_what_was_long_ago_becomes_new_again():
    """Half in a month: once proved is usual for twelve days, and nearly new after half a year."""
    there = replace(OFFICE, source="192.0.2.1")
    profile = learn(SETTLED, make_lesson_at(0, there))
    seen = [
        strength("new_source", facts=there, profile=profile, now=at(days * DAY))
        for days in (0, 12, 30, 180)
    ]

    assert seen[:2] == [0.0, 0.0]
    assert seen[2] == pytest.approx(1 / 3)
    assert seen[3] > 0.95
    later = look("new_source", facts=there, profile=profile, now=at(30 * DAY))
    assert "30 days ago" in later.reason


def test_long_absence_is_no_warm_up():
    """After three years nothing is usual any more, and what comes is new in full."""
    assert strength("new_country", now=at(3 * 365 * DAY)) > 0.99
    assert strength("new_country", now=at(3 * 365 * DAY), facts=replace(OFFICE, country="BR")) == 1


def test_a_clock_that_was_set_back_makes_nothing_new():
    assert strength("new_source", now=at(-400 * DAY)) == 0.0


@given(
    st.lists(st.tuples(st.sampled_from(WAYS), st.floats(0, 40 * DAY), st.booleans()), max_size=20),
    st.sampled_from(WAYS),
    st.floats(-DAY, 80 * DAY),
)
def test_the_quick_look_clears_nobody_whom_a_signal_would_find(past, facts, later):
    """Whatever was learned: where it says that nothing is new, each signal says so too."""
    profile, passed = SETTLED, 0.0
    for learned, pause, is_proved in past:
        passed += pause
        profile = learn(profile, make_lesson_at(passed, learned, is_proved=is_proved))
    seen = observe(facts, profile=profile, now=at(passed + later))
    found = [kind.name for kind in SIGNALS.values() if kind.feature and kind.look(seen)]

    assert not (has_nothing_new(seen) and found)


def test_the_quick_look_clears_what_is_usual():
    """Else it would save nothing."""
    assert has_nothing_new(observe())


def test_a_signal_of_a_value_is_one_that_the_quick_look_stands_in_for():
    """Where a kind names a feature, it is a novelty of that feature and nothing else."""
    named = {kind.feature for kind in SIGNALS.values() if kind.feature is not None}
    assert named == set(VALUES) - {Feature.HOUR}


# --- the hour of the week -----------------------------------------------------------------------


def working_profile(weeks=8, hours=range(9, 17), days=range(5)):
    """Return the profile of one who works by day, ending at NOW."""
    profile = Profile(1000)
    for week in range(weeks, 0, -1):
        for day in days:
            for hour in hours:
                ago = (week * 7 - day) * DAY - hour * HOUR
                facts = replace(OFFICE, weekday=day, hour=hour)
                profile = learn(profile, make_lesson_at(-ago, facts))
    return profile


WORKER = working_profile()


def hour_strength(weekday, hour, profile=WORKER):
    facts = replace(OFFICE, weekday=weekday, hour=hour)
    return strength("unusual_hour", facts=facts, profile=profile)


def test_working_hours_are_usual_and_the_night_is_not():
    assert [hour_strength(day, hour) for day in range(5) for hour in range(9, 17)] == [0.0] * 40
    assert hour_strength(2, 3) == 1.0
    assert hour_strength(6, 3) == 1.0


def test_it_fades_from_the_edge_of_the_day():
    """An hour late is nothing; each further hour is stranger than the one before."""
    evening = [hour_strength(2, hour) for hour in (17, 18, 19, 22)]

    assert evening[0] == 0.0
    assert evening == sorted(evening)
    assert evening[-1] == 1.0


def test_a_weekend_is_stranger_than_a_weekday():
    """The same hours of other working days speak for a day, those of weekends hardly."""
    four_days = working_profile(days=range(4))

    assert hour_strength(4, 11, four_days) < hour_strength(5, 11, four_days)


def test_the_week_is_a_circle():
    """Sunday's last hour is beside Monday's first."""
    profile = working_profile(hours=(0,), days=(0,), weeks=60)

    assert hour_strength(6, 23, profile) == 0.0
    assert hour_strength(6, 12, profile) == 1.0


def test_the_hour_needs_a_longer_warm_up():
    profile = make_profile(6)

    assert hour_strength(2, 3, profile) == pytest.approx(6 / 48)
    assert look("unusual_hour", profile=Profile(1000)) is None


def test_one_night_does_not_make_nights_usual():
    """A single request at night is one among hundreds."""
    facts = replace(OFFICE, weekday=2, hour=3)
    profile = learn(WORKER, make_lesson_at(0, facts))

    assert 0.6 < hour_strength(2, 3, profile) < 0.8


def test_hours_of_nobody_have_no_share():
    assert find_share(Profile(1000), 0, 0, NOW.wall) == 0.0
    assert find_share(WORKER, 1, 11, NOW.wall) == USUAL
