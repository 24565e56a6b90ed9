"""Attacks on the key, its link and the touch: who is answered, who waits, what is ever sent."""

import asyncio
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from broker_support import ADA, BOB, OTHER, OWN, SUDO, House, Person
from core_support import make_policy, make_rule
from device_support import (
    PATIENCE,
    SEAMS,
    Bench,
    all_threads_end,
    blink,
    enrol,
    idle,
    kind_of,
    make_key,
    make_op,
    sign_op,
    touch,
)
from fido2 import cbor
from fido2.ctap2 import Ctap2
from sysfs_support import FIDO, Sysfs

from stepupd.core.effects import Asserted, Notice, PinNeeded, TroubleKind
from stepupd.core.model import Level, Reason, Scope
from stepupd.core.secret import Secret
from stepupd.devices.key import operate
from stepupd.devices.link import StoppableDevice
from stepupd.devices.simulated import Command, Fault, SimulatedBus, SimulatedDevice, Step
from stepupd.devices.turns import WAITING_PER_OWNER

PIN = "123456"
REMEMBERED = make_policy(make_rule(max_age=300, scope=Scope.SESSION))


@pytest.fixture
async def house(tmp_path):
    """Make a machine with one enrolled key that waits for touches."""
    made = House(tmp_path, make_key(), policy=REMEMBERED)
    await made.enrol(made.key)
    yield made
    for key in made.bus.keys:
        key.change_script(fault=None)
    await all_threads_end()
    made.close()


async def test_attack_058_one_touch_answers_the_request_that_was_shown(house):
    """Two sudo at once: the touch is for the first, whose command was shown; not for the second."""
    first, second = Person(), Person()
    asked = house.begin(first)
    await first.sees("restart db")
    other = house.begin(second, action="pam:su")
    await second.sees("Another request")
    assert not any("Touch" in text for text in second.seen)
    await touch(house.key)

    result = await asked
    assert result.verdict.reason is Reason.PROVED
    assert result.grant.action == "pam:sudo"
    assert not other.done()
    await second.sees("Touch")
    await blink(house.key)
    assert not other.done()
    house.key.touch()
    assert (await other).verdict.is_allow
    challenges = [entry["challenge"] for entry in house.entries()[-2:]]
    assert "pam:sudo" in challenges[0]["request"]
    assert "pam:su" in challenges[1]["request"]
    assert challenges[0]["nonce"] != challenges[1]["nonce"]


async def test_attack_058_a_touch_before_the_prompt_counts_for_nothing(house):
    """A finger that lies on the key already, or came too early, answers no later request."""
    for _ in range(10):
        assert not house.key.touch()
    using = house.begin()
    await blink(house.key)
    await asyncio.sleep(0)
    assert not using.done()
    house.key.touch()

    assert (await using).verdict.is_allow
    assert not house.key.touch()


async def test_attack_059_another_program_holds_the_key(house):
    """Its request blinks first: ours is told so, gets its own touch after, and is not fooled."""
    device = SimulatedDevice(house.key)
    thief = asyncio.get_running_loop().run_in_executor(
        None, lambda: Ctap2(device).selection(event=Event())
    )
    await blink(house.key)
    person = Person()

    using = house.begin(person)
    await person.sees("Another program is using the key")
    house.key.touch()  # goes to the thief
    await thief
    assert not using.done()
    await touch(house.key)

    assert (await using).verdict.is_allow


async def test_attack_059_a_program_that_never_lets_go_is_named_in_the_log(house):
    """Our request ends at its deadline with the reason "busy", and is recorded."""
    house.key.change_script(fault=Fault.BUSY)
    person = Person()
    using = house.begin(person)
    await person.sees("Another program is using the key")
    house.clock.now += 31

    assert (await using).verdict.reason is Reason.BUSY
    assert house.reasons() == ["busy"]


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.ENDLESS_KEEPALIVE])
async def test_attack_062_a_tarpit_beside_a_good_key(fault):
    """A key that never answers delays nobody, and its thread comes back."""
    bad, good = make_key(), make_key()
    credentials = enrol(bad), enrol(good)
    bench = Bench(SEAMS["descriptors"]([bad, good]))
    bad.change_script(fault=fault)

    using = bench.begin(sign_op(*credentials))
    await touch(good)

    answer = await using
    assert answer.credential_id == credentials[1].id
    await all_threads_end()
    bad.unplug()
    bad.change_script(fault=None)
    bad.plug()
    again = bench.begin(sign_op(*credentials))
    await touch(bad)
    assert isinstance(await again, Asserted)


async def test_attack_062_a_key_that_speaks_a_packet_at_a_time():
    """A reply that comes slower and slower ends at the deadline, not at its own pace."""
    key = make_key()
    operation = make_op()
    bench = Bench(SEAMS["descriptors"]([key]))
    key.change_script(packet_delay_ms=600, touch_after_ms=0, on_command=Command.MAKE_CREDENTIAL)

    using = bench.begin(operation)
    await bench.hear(Notice.TOUCH)
    bench.clock.now += 31

    assert kind_of(await asyncio.wait_for(using, PATIENCE)) is TroubleKind.TIMEOUT
    await all_threads_end()


@pytest.mark.parametrize("count", [7, 0x7FFF])
def test_attack_062_packets_of_an_impossible_size(tmp_path, count):
    """A device that claims packets in which nothing fits, or huge ones, is not even opened."""
    sysfs = Sysfs(tmp_path)
    sysfs.plug(descriptor=FIDO.replace(b"\x95\x40", b"\x96" + count.to_bytes(2, "little")))
    sysfs.plug("hidraw1", 6)

    assert [key.descriptor.report_size_out for key in sysfs.source().plugged()] == [64]


@pytest.mark.parametrize("step", [Step.OPEN, Step.INIT, Step.TOUCH, Step.MID_PACKET])
async def test_attack_063_unplugged(house, step):
    """At once `device-gone`, one entry, nothing given; plugged in again the next one works."""
    after = None if step is Step.TOUCH else 0
    house.key.change_script(unplug_at=step, touch_after_ms=after)
    result = await house.step_up()

    assert result.verdict.reason is Reason.DEVICE_GONE
    assert house.reasons() == ["device-gone"]
    assert house.list_grants() == ()
    house.key.plug()
    house.key.change_script(touch_after_ms=0)
    assert (await house.step_up()).verdict.is_allow


def test_attack_064_a_key_on_the_node_of_another_is_not_opened(tmp_path):
    """The key that was listed has gone, another sits on its node: the request for it fails."""
    sysfs = Sysfs(tmp_path)
    sysfs.plug(number=5)
    (first,) = sysfs.source().plugged()
    sysfs.unplug()
    sysfs.plug(number=6)
    before = sorted(Path("/proc/self/fd").iterdir())

    with pytest.raises(OSError, match="another key"):
        first.open()

    assert sorted(Path("/proc/self/fd").iterdir()) == before
    answer = operate(first, sign_op(enrol(make_key())), Event(), lambda: None, is_alone=True)
    assert kind_of(answer) is TroubleKind.GONE


async def test_attack_065_a_caller_that_dies_frees_the_key(house):
    """A prompt left open is not a lock: when its caller goes, the next one has the key."""
    person = Person()
    left = house.begin(person)
    await blink(house.key)
    waiting = house.begin(caller=OTHER, subject="bob")
    person.leave()

    assert (await left).verdict.reason is Reason.CALLER_GONE
    assert (await waiting).verdict.reason is Reason.NO_CREDENTIAL
    await idle(house.key)
    again = house.begin()
    await touch(house.key)
    assert (await again).verdict.is_allow


async def test_attack_066_pins_of_others_are_not_spent(tmp_path):
    """A hostile uid spends no try: its own requests, all it may make, reach no key of ada's."""
    house = House(tmp_path, make_key(pin=PIN), policy=make_policy(make_rule(Level.VERIFY)))
    await house.enrol(house.key)
    for _ in range(8):
        result = await house.step_up(Person("000000", "000000"), caller=OTHER, subject="")
        assert not result.verdict.is_allow
    assert house.key.describe()["pin_retries"] == 8
    house.close()


async def test_attack_066_two_tries_a_ceremony_and_the_last_ones_only_on_a_yes(tmp_path):
    """Whatever is typed: at most two tries, and of the last three none without a typed "yes"."""
    house = House(tmp_path, make_key(pin=PIN), policy=make_policy(make_rule(Level.VERIFY)))
    await house.enrol(house.key)
    spent = []
    for _ in range(5):
        before = house.key.describe()["pin_retries"]
        await house.step_up(Person(*["000000"] * 8))
        spent.append(before - house.key.describe()["pin_retries"])
        house.key.unplug()
        house.key.plug()

    assert spent == [2, 2, 1, 0, 0]
    assert house.reasons()[-1] == "pin-unspent"
    house.close()


class RecordingBus(SimulatedBus):
    """Remembers the first byte of every command, and the subcommand of clientPIN."""

    def __init__(self, keys) -> None:
        super().__init__(keys)
        self.sent: set[tuple[int, ...]] = set()

    def plugged(self):
        return [
            replace(found, connect=lambda connect=found.connect: Recorder(connect(), self.sent))
            for found in super().plugged()
        ]


class Recorder(StoppableDevice):
    """A link that tells what goes over it."""

    def __init__(self, device, sent) -> None:
        super().__init__(device, Event())
        self._sent = sent

    def call(self, cmd, data=b"", event=None, on_keepalive=None):
        sub = (cbor.decode(data[1:])[2],) if data[0] == 0x06 else ()
        self._sent.add((data[0], *sub))
        return super().call(cmd, data, event, on_keepalive)


async def test_attack_067_what_is_ever_sent_to_a_key():
    """No reset, no PIN change, no credential management, no configuration: over all flows."""
    plain, pinned, reader = make_key(), make_key(pin=PIN), make_key(has_builtin_uv=True)
    strict = make_key(pin=PIN, registers_without_uv=False)
    keys = [plain, pinned, reader, strict]
    credentials = [enrol(key) for key in keys[:3]]
    for key in keys:
        key.change_script(touch_after_ms=0)
    bus = RecordingBus(keys)
    bench = Bench(bus)

    for is_uv in (False, True):
        for present in keys:
            for key in keys:
                (key.plug if key is present or is_uv else key.unplug)()
            if is_uv or present is not strict:
                await bench.use(sign_op(*credentials, is_uv=is_uv))
            await bench.use(make_op(*credentials))
            await bench.use(make_op())
    for key in keys:
        (key.plug if key is strict or key is pinned else key.unplug)()
    needed = await bench.use(sign_op(credentials[1], is_uv=True))
    assert isinstance(needed, PinNeeded)
    for pin in ("000000", PIN):
        answer = {"pin": Secret(pin), "authenticator": needed.authenticator}
        await bench.use(sign_op(credentials[1], is_uv=True, **answer))
    pinned.unplug()
    needed = await bench.use(make_op())
    await bench.use(make_op(pin=Secret(PIN), authenticator=needed.authenticator))
    await all_threads_end()

    client_pin = {(6, sub) for sub in (1, 2, 6, 9)}  # retries, key agreement, token by UV or PIN
    assert bus.sent == {(1,), (2,), (4,), (0x0B,)} | client_pin


async def test_attack_120_a_flood_shows_one_prompt_at_a_time(house):
    """Of 100 requests of one person one blinks, a few wait unseen, the rest is refused at once."""
    people = [Person() for _ in range(100)]
    asked = [house.begin(person) for person in people]
    refused = [task for task in asked if task not in await _still_waiting(asked)]

    shown = [person for person in people if any("Touch" in text for text in person.seen)]
    assert len(shown) == 1
    assert len(refused) == 100 - 1 - WAITING_PER_OWNER
    assert {task.result().verdict.reason for task in refused} == {Reason.BUSY}
    assert house.key.describe()["blinks"] == 2 + 1
    for person in people:
        person.leave()
    await asyncio.gather(*asked)
    assert len(house.reasons()) == 100
    assert house.list_grants() == ()


async def _still_waiting(asked) -> set[asyncio.Task]:
    """Return what is left once all that can be refused has been."""
    left = set(asked)
    async with asyncio.timeout(PATIENCE):
        while len(left) > 1 + WAITING_PER_OWNER:
            _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
    return left


async def test_attack_139_a_uid_that_never_stops_asking_delays_others_by_one_turn(house):
    """Ada's next request comes before the attacker's second one."""
    house.credentials.add(replace(enrol(house.bus.keys[0], uid=BOB.uid), name="bobs"))
    attackers = [house.begin(caller=OTHER, subject="") for _ in range(4)]
    await blink(house.key)
    person = Person()
    victim = house.begin(person, caller=OWN, subject="")
    await person.sees("Another request")
    house.key.touch()
    done, _ = await asyncio.wait(attackers, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    await person.sees("Touch")
    await touch(house.key)

    assert (await victim).verdict.is_allow
    assert sum(task.done() for task in attackers) == 1
    for _ in range(3):
        await touch(house.key)
    await asyncio.gather(*attackers)


async def test_attack_144_a_full_queue_answers_at_once_and_forgets(house):
    """Whoever finds no place hears "busy"; when the others are through there is room again."""
    people = [Person() for _ in range(1 + WAITING_PER_OWNER)]
    asked = [house.begin(person) for person in people]
    await blink(house.key)

    result = await house.step_up()
    assert result.verdict.reason is Reason.BUSY
    for person in people:
        person.leave()
    await asyncio.gather(*asked)
    await idle(house.key)
    using = house.begin()
    await touch(house.key)
    assert (await using).verdict.is_allow
    assert house.reasons().count("busy") == 1
    assert ADA.uid == house.entries()[-1]["request"]["subject_uid"]
    assert SUDO.uid == house.entries()[-1]["request"]["caller_uid"]
