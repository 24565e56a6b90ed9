"""Attacks on risk (group H): a look that failed, a habit made by force, a clock that was turned."""

from dataclasses import replace

import pytest
from core_support import NOW
from msgspec.structs import replace as change
from risk_support import DAY, HOUR, OFFICE, SETTLED, at, make_lesson, make_profile, observe

from stepupd.core.policy import Score
from stepupd.core.risk.assess import assess_observation
from stepupd.core.risk.facts import Facts, Observer
from stepupd.core.risk.learning import learn
from stepupd.core.risk.signals import SIGNALS

NEEDING = [
    (observer, kind.name) for kind in SIGNALS.values() for observer in sorted(kind.observers)
]


@pytest.mark.parametrize("score", Score)
@pytest.mark.parametrize(("observer", "name"), NEEDING)
def test_attack_110_a_signal_that_could_not_be_seen_counts_in_full(observer, name, score):
    """At its highest, whatever the facts say, and its reason names who failed."""
    kind = SIGNALS[name]
    calm = observe(replace(OFFICE, missing=frozenset({observer})))
    risk = assess_observation(calm, {name: kind.weight}, score)

    assert risk.score >= (kind.weight if score is Score.WEIGHTS else 1)
    assert observer.value in risk.signals[0].reason


@pytest.mark.parametrize(("observer", "name"), NEEDING)
def test_attack_110_no_habit_excuses_what_could_not_be_seen(observer, name):
    """Who has always had the signal is asked as a newcomer is while its observer fails."""
    blind = replace(OFFICE, missing=frozenset({observer}))
    used_to_it = make_profile(200, signals=(name,))
    scores = [
        assess_observation(observe(blind, profile=profile), {name: 1}, Score.LIKELIHOOD).score
        for profile in (used_to_it, make_profile(0))
    ]

    assert scores[0] == scores[1] > 0


@pytest.mark.parametrize("score", Score)
def test_attack_110_blinding_an_observer_for_a_month_hides_nothing_after_it(score):
    """A broken database of countries teaches nothing; the next new country is as new as ever."""
    blind = Facts(hour=10, weekday=1, source=OFFICE.source, missing=frozenset({Observer.GEO}))
    blinded, seeing = SETTLED, SETTLED
    for hour in range(200):
        signals = ("new_country", "impossible_travel")
        blinded = learn(blinded, make_lesson(at(hour * HOUR), blind, signals=signals))
        seeing = learn(seeing, make_lesson(at(hour * HOUR)))
    brazil = replace(OFFICE, source="192.0.2.1", country="BR", latitude=-23.5, longitude=-46.6)
    later = at(200 * HOUR)
    table = {"new_country": 40}
    scores = [
        assess_observation(observe(brazil, profile=profile, now=later), table, score).score
        for profile in (blinded, seeing)
    ]

    assert scores[0] == scores[1] > 10


@pytest.mark.parametrize("score", Score)
def test_an_attacker_who_is_let_through_for_an_hour_stays_strange(score):
    """A thousand requests that a rule allowed, within an hour, make a place no more usual."""
    there = replace(OFFICE, source="192.0.2.1", country="BR", latitude=-23.5, longitude=-46.6)
    once = learn(SETTLED, make_lesson(facts=there, is_proved=False))
    often = once
    for number in range(1000):
        often = learn(often, make_lesson(at(number), there, is_proved=False))
    seen = observe(there, now=at(1000))
    after_once, after_often = (
        assess_observation(change(seen, profile=profile), method=score).score
        for profile in (once, often)
    )

    assert after_often == after_once > 60


@pytest.mark.parametrize("seconds", [-400 * DAY, -HOUR, HOUR, 400 * DAY])
def test_turning_the_clock_makes_no_strange_place_usual(seconds):
    there = replace(OFFICE, source="192.0.2.1", country="BR", latitude=-23.5, longitude=-46.6)
    table = {"new_source": 15, "new_country": 40}
    seen = observe(there, now=at(seconds))

    assert assess_observation(observe(there), table).score == 55
    assert assess_observation(seen, table).score == 55
    assert seen.now.wall - NOW.wall == seconds
