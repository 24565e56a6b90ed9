"""One request at the keys from its first touch to its last: nobody comes in between."""

import asyncio
from dataclasses import replace

import pytest
from broker_support import ADA, OWN, SUDO, House, Person
from core_support import make_policy, make_rule
from device_support import PATIENCE, blink, enrol, make_key, sign_op

from stepupd.core.effects import TroubleKind, Use
from stepupd.core.model import Level, Reason
from stepupd.core.secret import Secret
from stepupd.devices.key_ring import KeyRing
from stepupd.devices.simulated import Command, SimulatedBus

PIN = "1234"


@pytest.fixture
async def house(tmp_path):
    """Make a machine with one key."""
    made = House(tmp_path, make_key())
    yield made
    made.close()


async def test_the_second_touch_of_an_enrolment_goes_to_the_enrolment(house):
    """A request that waits meanwhile gets its own touch, later (promise 4, attack 58)."""
    await house.enrol(house.key, caller=SUDO)
    person, other = Person(), Person()
    enrolling = asyncio.ensure_future(house.service.enroll(OWN, "", "red", person))
    await blink(house.key)
    waiting = house.begin(other)
    await other.sees("Another request is being answered first")

    assert house.key.touch()  # the proof
    await person.sees("to enrol it")
    await blink(house.key)
    assert house.key.touch()  # refused: this very key is enrolled already
    refused = await enrolling
    await other.sees("Touch the simulated key (no real proof) to allow it")

    assert refused.verdict.reason is Reason.ALREADY_ENROLLED
    assert not waiting.done()
    await blink(house.key)
    assert house.key.touch()
    assert (await waiting).verdict.is_allow


async def test_nobody_spends_pin_tries_between_question_and_answer(tmp_path):
    """Promise 8: two requests at one key never both hear of the same last unguarded try."""
    key = make_key()
    house = House(tmp_path, key, policy=make_policy(make_rule(Level.VERIFY)))
    await house.enrol(key)
    key.set_pin(PIN)
    first, second = Person(), Person()
    one, two = house.begin(first), house.begin(second)

    await first.sees("PIN of")
    await second.sees("Another request is being answered first")
    assert not any("PIN of" in text for text in second.seen)

    first.leave()
    await second.sees("PIN of")
    second.leave()
    assert [(await asking).verdict.is_allow for asking in (one, two)] == [False, False]
    house.close()


async def test_a_pin_is_not_sent_once_somebody_else_spent_tries():
    """The key has fewer tries than the person was told of: ask again, with the truth."""
    key = make_key()
    ring = KeyRing([SimulatedBus([key])], lambda: 0.0)
    asking = sign_op(enrol(key), is_uv=True)
    key.set_pin(PIN)
    async with ring.turn(ADA.uid) as turn:
        needed = await turn.use(Use((asking,), "Touch.", 30.0), lambda _: None)
        told = replace(
            asking,
            pin=Secret("wrong"),
            authenticator=needed.authenticator,
            retries=needed.retries + 1,
        )
        again = await turn.use(Use((told,), "Touch.", 30.0), lambda _: None)

    assert again == needed


async def test_a_removal_meanwhile_is_a_refusal_that_the_log_can_prove(house):
    """The key is removed while its touch is awaited: no allow, no broken log."""
    await house.enrol(house.key)
    waiting = house.begin()
    await blink(house.key)
    async with asyncio.timeout(PATIENCE):
        await house.service.remove_credential(SUDO, "ada", "blue", Person())
    assert house.key.touch()
    result = await waiting

    assert result.verdict.reason is Reason.UNKNOWN_CREDENTIAL
    assert house.entries()[-1]["verdict"]["answer"] == "deny"
    assert house.verify().is_intact


async def test_a_key_that_gives_up_waiting_is_asked_again(tmp_path):
    """The rule's deadline counts, not the key's own patience."""
    key = make_key()
    house = House(tmp_path, key)
    await house.enrol(key)
    key.change_script(touch_timeout_ms=200, on_command=Command.GET_ASSERTION)
    asking = house.begin()
    await blink(key)
    assert await asyncio.to_thread(key.wait_for_idle, PATIENCE)
    key.change_script(touch_timeout_ms=30_000)
    await blink(key)
    assert key.touch()

    assert (await asking).verdict.is_allow
    house.close()


async def test_no_key_is_opened_after_the_deadline():
    """A PIN typed too late spends no try."""
    key = make_key(pin=PIN)
    ring = KeyRing([SimulatedBus([key])], lambda: 100.0)
    async with ring.turn(ADA.uid) as turn:
        answer = await turn.use(Use((sign_op(),), "Touch.", 99.0), lambda _: None)

    assert answer.kind in {TroubleKind.NO_AUTHENTICATOR, TroubleKind.BUSY}
    assert key.describe()["command"] is None
