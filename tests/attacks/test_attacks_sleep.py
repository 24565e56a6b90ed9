"""The machine sleeps in the middle: what ran is over, and a touch afterwards is for nothing."""

import asyncio
from dataclasses import replace

import pytest
from broker_support import OWN, SUDO, House, Person
from core_support import make_policy, make_rule
from device_support import PATIENCE, all_threads_end, blink, idle, make_key, touch

from stepupd.core.model import Answer, Level, Reason, Scope

PIN = "123456"
TOUCH = make_policy(make_rule(max_age=600, scope=Scope.SESSION))
VERIFY = make_policy(make_rule(Level.VERIFY, max_age=600, scope=Scope.SESSION))
EIGHT_HOURS = 8 * 3600.0


class Sleeper(House):
    """A machine that can be put to sleep."""

    asleep = 0.0

    def read_clock(self):
        return replace(super().read_clock(), asleep=self.asleep)

    def sleep_untold(self) -> None:
        """Sleep for eight hours, of which only the clocks tell."""
        self.asleep += EIGHT_HOURS
        self.clock.now += EIGHT_HOURS

    async def hear_of_sleep(self) -> None:
        """Hear what logind says in advance; return once sleep may come."""
        await self.broker.interruption.cut_short()
        await self.world.authenticators.let_go()


@pytest.fixture
async def sleeper(tmp_path):
    """Make a machine with one enrolled key, which has no PIN yet."""
    made = Sleeper(tmp_path, make_key(), policy=TOUCH)
    await made.enrol(made.key)
    yield made
    await all_threads_end()
    made.close()


async def wait_for_a_touch(house, person):
    asking = house.begin(person)
    await blink(house.key)
    return asking


async def wait_for_a_key(house, person):
    house.key.unplug()
    asking = house.begin(person)
    await person.sees("in")
    house.key.plug()
    return asking


async def wait_for_a_pin(house, person):
    house.policy = VERIFY
    house.key.set_pin(PIN)
    asking = house.begin(person)
    await person.sees("PIN of")
    return asking


async def wait_behind_another(house, person):
    first = house.begin(Person())
    await blink(house.key)
    asking = house.begin(person)
    await person.sees("Another request")
    return asyncio.ensure_future(_both(first, asking))


async def _both(first, asking):
    assert (await first).verdict.reason is Reason.CANCELLED
    return await asking


async def wait_to_enrol(house, person):
    house.bus.add(make_key())
    return await _enrol(house, person, caller=SUDO)


async def wait_for_the_proof_before_enrolling(house, person):
    return await _enrol(house, person, caller=OWN)


async def _enrol(house, person, caller):
    subject = "ada" if caller is SUDO else ""
    asking = asyncio.ensure_future(house.service.enroll(caller, subject, "red", person))
    await blink(house.key)
    return asking


STATES = (
    wait_for_a_touch,
    wait_for_a_key,
    wait_for_a_pin,
    wait_behind_another,
    wait_to_enrol,
    wait_for_the_proof_before_enrolling,
)


@pytest.mark.parametrize("reach", STATES, ids=lambda reach: reach.__name__)
async def test_attack_069_sleep_that_is_told_of(sleeper, reach):
    """At each state: cancelled and recorded, the keys let go, and the first request after works."""
    before = len(sleeper.entries())
    asking = await reach(sleeper, Person())
    await sleeper.hear_of_sleep()
    sleeper.sleep_untold()
    result = await asyncio.wait_for(asking, PATIENCE)

    assert (result.verdict.answer, result.verdict.reason) == (Answer.DENY, Reason.CANCELLED)
    assert not any(key.touch() for key in sleeper.bus.keys)
    assert {e["verdict"]["reason"] for e in sleeper.entries()[before:]} == {"cancelled"}
    assert sleeper.list_grants() == ()
    await idle(*sleeper.bus.keys)

    sleeper.policy = TOUCH
    again = sleeper.begin()
    await touch(sleeper.key)
    assert (await again).verdict.reason is Reason.PROVED


async def test_attack_069_a_touch_after_sleep_that_nobody_told_of(sleeper):
    """Without logind the clock tells: good evidence, and yet no allow and no grant."""
    asking = await wait_for_a_touch(sleeper, Person())
    sleeper.asleep += 3.0
    assert sleeper.key.touch()
    result = await asking

    assert result.verdict.reason is Reason.CANCELLED
    assert sleeper.list_grants() == ()


async def test_attack_069_eight_hours_later_the_time_is_over(sleeper):
    """Nothing waits on past its deadline because the machine slept."""
    asking = await wait_for_a_touch(sleeper, Person())
    sleeper.sleep_untold()
    result = await asyncio.wait_for(asking, PATIENCE)

    assert not result.verdict.is_allow


async def test_attack_069_a_pin_typed_after_sleep_is_sent_nowhere(sleeper):
    """The key's tries stay what they were."""
    sleeper.policy = VERIFY
    sleeper.key.set_pin(PIN)
    before = sleeper.key.describe()["pin_retries"]

    def sleep_at_the_question():
        if "PIN of" in person.seen[-1]:
            sleeper.asleep += 3.0

    person = Person("999999", on_event=sleep_at_the_question)
    result = await sleeper.step_up(person)

    assert result.verdict.reason is Reason.CANCELLED
    assert sleeper.key.describe()["pin_retries"] == before


async def test_attack_069_an_enrolment_is_one_thing(sleeper):
    """Slept between the proof and the new key's touch: the proof from before enrols nothing now."""
    other, person = make_key(), Person()
    sleeper.bus.add(other)
    asking = await wait_for_the_proof_before_enrolling(sleeper, person)
    assert sleeper.key.touch()
    await person.sees("to enrol it")
    await blink(other)
    sleeper.asleep += 3.0
    assert other.touch()
    result = await asking

    assert result.verdict.reason is Reason.CANCELLED
    assert len(sleeper.credentials.list_credentials(1000)) == 1


async def test_attack_069_sleep_between_a_proof_and_what_it_was_for(sleeper):
    """Recorded, then slept: the enrolment that it was the proof for is over before it begins."""
    append = sleeper.journal.append_now

    class SleepyJournal:
        count = sleeper.journal.count

        def append_now(self, record):
            entry = append(record)
            sleeper.asleep += 3.0
            return entry

    sleeper.change(journal=SleepyJournal())
    asking = await wait_for_the_proof_before_enrolling(sleeper, person := Person())
    assert sleeper.key.touch()
    result = await asyncio.wait_for(asking, PATIENCE)

    assert sleeper.reasons() == ["proved"]
    assert result.verdict.reason is Reason.CANCELLED
    assert not any("to enrol it" in text for text in person.seen)


async def test_attack_069_grants_age_while_asleep(sleeper):
    """Ten minutes are ten minutes, slept through or not."""
    asking = await wait_for_a_touch(sleeper, Person())
    sleeper.key.touch()
    assert (await asking).grant is not None
    sleeper.sleep_untold()

    asking = await wait_for_a_touch(sleeper, person := Person())
    person.leave()
    assert (await asking).verdict.reason is Reason.CALLER_GONE


async def test_nothing_is_cancelled_by_clocks_that_are_read_late(sleeper):
    """Readings of the two clocks differ a little; nobody slept."""
    asking = await wait_for_a_touch(sleeper, Person())
    sleeper.asleep += 0.01
    sleeper.key.touch()

    assert (await asking).verdict.reason is Reason.PROVED
