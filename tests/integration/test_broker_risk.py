"""Risk around a ceremony: what is observed and learned, what an entry says, and only watching."""

from dataclasses import replace

import pytest
from broker_support import ADA, House
from core_support import make_policy, make_request, make_rule
from device_support import touch

from stepupd.core.model import Level, Moment, Reason
from stepupd.core.policy import Mode, Policy, Rung
from stepupd.core.risk.facts import Facts, Observer
from stepupd.core.risk.learning import Lesson, learn
from stepupd.core.risk.profile import Feature, Profile

ABROAD = Facts(hour=10, source="203.0.113.9", country="NZ", latitude=-41.3, longitude=174.8)
WEIGHING = Policy(
    rules=make_policy(make_rule()).rules,
    ladder=(Rung(40, Level.VERIFY), Rung(90, None)),
    weights={"new_source": 20, "new_country": 40, "remote": 10},
    digest="d",
)


async def prove(house: House):
    """Run one step-up by touch, and wait until it was learned from."""
    using = house.begin()
    await touch(house.key)
    result = await using
    house.broker.close()
    house.build(house.world)
    return result


def know(house: House, facts: Facts) -> None:
    """Make the facts usual for ada, as weeks of touches would."""
    profile = Profile(ADA.uid)
    for hour in range(40):
        moment = Moment(1_789_000_000.0 + hour * 7200, 1.0, house.boot_id)
        lesson = Lesson(make_request(action="pam:sudo"), facts, moment, is_proved=True)
        profile = learn(profile, lesson)
    house.profiles.keep(profile)


async def test_without_weights_nothing_is_observed_nor_learned(house):
    """A policy that weighs nothing keeps no record of anybody's habits."""
    asked = []
    house.change(observe=lambda *question: asked.append(question) or ABROAD)
    assert (await prove(house)).verdict.is_allow

    assert asked == []
    assert house.profiles.find(ADA.uid) == Profile(ADA.uid)
    assert "facts" not in house.entries()[-1]


async def test_what_was_seen_is_in_the_entry_with_what_it_added(house):
    """The facts as observed, each signal with its points, and the score."""
    know(house, replace(ABROAD, country="NO", source="192.0.2.1"))
    house.policy, house.facts = replace(WEIGHING, ladder=()), ABROAD
    assert (await prove(house)).verdict.is_allow

    entry = house.entries()[-1]
    assert entry["facts"]["source"] == "203.0.113.9"
    assert entry["decision"]["risk"]["signals"].keys() == {"new_source", "new_country", "remote"}
    assert entry["decision"]["risk"]["score"] == 70


async def test_an_allowed_request_teaches(house):
    """A touch makes the address usual, for the person and a little for everybody."""
    house.policy, house.facts = WEIGHING, ABROAD
    assert (await prove(house)).verdict.is_allow

    assert ABROAD.source in house.profiles.find(ADA.uid).seen[Feature.SOURCE]
    assert ABROAD.source in house.profiles.find_crowd().seen[Feature.SOURCE]


async def test_a_denied_request_teaches_nothing(house):
    """What the ladder denied is as strange afterwards as before."""
    know(house, replace(ABROAD, country="NO", source="192.0.2.1"))
    before = house.profiles.find(ADA.uid)
    house.policy = replace(WEIGHING, ladder=(Rung(40, None),))
    house.facts = ABROAD
    result = await house.step_up()
    house.broker.close()
    house.build(house.world)

    assert result.verdict.reason is Reason.RISK_DENIES
    assert house.profiles.find(ADA.uid) == before
    (event,) = house.activities.find(ADA.uid, house.read_clock()).events
    assert not event.is_allowed


@pytest.mark.parametrize("observer", [Observer.SOURCE, Observer.GEO])
async def test_attack_110_an_observer_that_failed_counts_in_full_and_is_named(house, observer):
    """Level up, not signal off; and the entry says which one failed."""
    know(house, ABROAD)
    house.policy = replace(WEIGHING, weights={"new_country": 90})
    house.facts = replace(ABROAD, missing=frozenset({observer}))
    result = await house.step_up()

    assert result.verdict.reason is Reason.RISK_DENIES
    assert house.entries()[-1]["facts"]["missing"] == [observer.value]


async def test_a_policy_that_only_watches_asks_what_its_rules_ask(house):
    """The entry has what it would have asked, and the person is asked no more than before."""
    know(house, replace(ABROAD, country="NO", source="192.0.2.1"))
    house.policy, house.facts = replace(WEIGHING, mode=Mode.OBSERVE), ABROAD
    result = await prove(house)

    assert (result.verdict.is_allow, result.level) == (True, Level.TOUCH)
    entry = house.entries()[-1]
    assert entry["decision"]["required"]["level"] == "touch"
    assert entry["would"]["required"]["level"] == "verify"
    assert house.verify().is_intact


async def test_a_store_that_cannot_learn_costs_nobody_an_answer(house, caplog):
    """The answer stands; the log says that nothing was learned."""
    house.policy, house.facts = WEIGHING, ABROAD
    (house.folder / "profiles").rmdir()
    assert (await prove(house)).verdict.is_allow

    assert "nothing was learned" in caplog.text
