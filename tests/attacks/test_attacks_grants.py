"""Attacks on what is remembered: replayed proofs, grants used elsewhere or for too long."""

import asyncio
import signal
from dataclasses import replace
from threading import Event

import pytest
from broker_support import (
    ADA,
    BOB,
    COMMAND,
    OTHER,
    OWN,
    SUDO,
    TERMINAL,
    House,
    Person,
)
from core_support import make_policy, make_rule
from crash_support import UNTOLD, Doomed
from device_support import all_threads_end, blink, enrol, idle, make_key, touch
from fido2.ctap import CtapDevice

from stepupd.core.model import Claim, Level, Moment, Reason, Scope, Session
from stepupd.devices.link import StoppableDevice
from stepupd.devices.simulated import SimulatedBus

KEPT = {
    scope: make_policy(make_rule(max_age=300, scope=scope))
    for scope in (Scope.SESSION, Scope.SUBJECT)
}


@pytest.fixture
async def house(tmp_path):
    """Make a machine with one enrolled key; policy remembers a touch in its session."""
    made = House(tmp_path, make_key(), policy=KEPT[Scope.SESSION])
    await made.enrol(made.key)
    yield made
    await all_threads_end()
    made.close()


async def prove(house: House, **changes):
    """Earn a grant with a touch; return it."""
    using = house.begin(**changes)
    await touch(house.key)
    result = await using
    assert result.verdict.reason is Reason.PROVED
    return result.grant


async def asks_again(house: House, **changes) -> bool:
    """Return whether a request is answered by a grant or has to be proved; it is given up then."""
    person = Person()
    using = house.begin(person, **changes)
    seen = asyncio.ensure_future(person.sees("asks for"))
    await asyncio.wait({using, seen}, return_when=asyncio.FIRST_COMPLETED)
    person.leave()
    seen.cancel()
    reason = (await using).verdict.reason
    await idle(*house.bus.keys)
    assert reason in (Reason.GRANT, Reason.CALLER_GONE, Reason.NO_CREDENTIAL)
    return reason is not Reason.GRANT


class ReplayingBus(SimulatedBus):
    """A key whose assertions are kept, and played back once `is_playing`."""

    def __init__(self, keys) -> None:
        super().__init__(keys)
        self.kept: list[bytes] = []
        self.is_playing = False

    def plugged(self):
        return [
            replace(found, connect=lambda connect=found.connect: Replayer(connect(), self))
            for found in super().plugged()
        ]


class Replayer(StoppableDevice):
    """A link that answers with what the key said before."""

    def __init__(self, device: CtapDevice, bus: ReplayingBus) -> None:
        super().__init__(device, Event())
        self._bus = bus

    def call(self, cmd, data=b"", event=None, on_keepalive=None):
        if data[0] != 0x02:
            return self._device.call(cmd, data, event, on_keepalive)
        if self._bus.is_playing:
            return self._bus.kept[-1]
        self._bus.kept.append(self._device.call(cmd, data, event, on_keepalive))
        return self._bus.kept[-1]


@pytest.fixture
async def replayed(tmp_path):
    """Make a machine whose only key answers with its last assertion, which was good once."""
    house = House(tmp_path, make_key())
    house.bus = ReplayingBus([house.key])
    house.close()
    house.open()
    await house.enrol(house.key)
    await prove(house)
    house.bus.is_playing = True
    yield house
    await all_threads_end()
    house.close()


async def test_attack_040_replay_in_a_new_ceremony(replayed):
    """The same bytes for the same request, word for word: another challenge, another signature."""
    (before,) = replayed.credentials.list_credentials(ADA.uid)
    result = await replayed.step_up()

    assert result.verdict.reason is Reason.BAD_SIGNATURE
    assert replayed.credentials.list_credentials(ADA.uid) == (before,)
    assert "evidence" not in replayed.entries()[-1]


async def test_attack_040_replay_after_a_restart_and_at_the_other_door(replayed):
    """What was good before the restart is good nowhere after it."""
    replayed.close()
    replayed.open()

    for caller in (SUDO, OWN):
        result = await replayed.step_up(caller=caller, subject="ada")
        assert result.verdict.reason is Reason.BAD_SIGNATURE
    assert replayed.verify().is_intact


async def test_attack_040_replay_many_times_at_once(replayed):
    """However many try, none gets in; each leaves its entry."""
    count = len(replayed.entries())
    results = await asyncio.gather(*[replayed.step_up() for _ in range(4)])

    assert {result.verdict.reason for result in results} == {Reason.BAD_SIGNATURE}
    assert len(replayed.entries()) == count + 4


@pytest.mark.parametrize("step", [1, 2, 3])
def test_attack_054_killed_between_the_check_and_the_counter(short_path, step):
    """Kill -9 after the touch, before all is stored: nobody was told, and it is worth nothing."""
    machine = Doomed(short_path / "machine")
    machine.fatal = step
    machine.start()
    try:
        machine.enroll()
        machine.arm()
        with pytest.raises(UNTOLD):
            machine.step_up()
        assert machine.process.wait(20) == -signal.SIGKILL
        machine.fatal = 0
        machine.start()
        with machine.client() as client:
            assert client.call("ListGrants")["grants"] == []
        machine.key().script(touch_after_ms=None, deny=True)
        with machine.client() as client:
            assert client.call("StepUp", {"action": "cli:test"})["reason"] == "declined"
        machine.key().script(deny=False)
        assert machine.step_up()["reason"] == "proved"
        assert machine.verify().is_intact
    finally:
        machine.kill()


@pytest.mark.parametrize("wall", [0.0, -86_400.0, 3.2e7, 4e9])
async def test_attack_094_the_wall_clock_changes_no_grant(house, wall):
    """Set to 1970, back a day, on a year, past 2038: life is counted on the boot clock."""
    await prove(house)
    house.change(read_clock=lambda: Moment(wall, house.clock.now, house.boot_id))
    assert not await asks_again(house)
    house.clock.now += 299.9
    assert not await asks_again(house)
    house.clock.now += 0.1
    assert await asks_again(house)


async def test_attack_094_a_boot_clock_from_before_the_grant(house):
    """A moment before the proof is no moment of its life."""
    await prove(house)
    house.clock.now -= 1

    assert await asks_again(house)


@pytest.mark.parametrize(
    "session",
    [
        Session(4000, 999_999, "pts/3"),  # the number of the leader, used again
        Session(4001, 123456, "pts/3"),  # the terminal, used again
        Session(5000, 200_000, "pts/3"),  # setsid in the same terminal
        Session(4000, 123456, "pts/4"),
        None,  # nohup, cron
    ],
    ids=str,
)
async def test_attack_095_another_session(house, session):
    """A grant of a session serves that session: the same leader, started at the same tick."""
    await prove(house)

    assert await asks_again(house, session=session)
    assert not await asks_again(house, session=TERMINAL)


class TestAttack097:
    """A grant serves what it was earned for, and nothing that is near it."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"action": "pam:su"},
            {"action": "pam:sudo-i"},
            {"max_age": 0},
        ],
        ids=str,
    )
    async def test_attack_097_another_request(self, house, changes):
        """Another action, a fresher proof."""
        await prove(house)

        assert await asks_again(house, **changes)

    async def test_attack_097_a_higher_level(self, house):
        """A touch is no verification: the key, which has no PIN, cannot give one."""
        await prove(house)

        result = await house.step_up(level=Level.VERIFY)
        assert result.verdict.reason is Reason.PIN_NOT_SET

    async def test_attack_097_another_subject(self, house):
        """Proved by ada, asked for bob."""
        bobs = make_key()
        house.credentials.add(enrol(bobs, uid=BOB.uid))
        house.bus.add(bobs)
        await prove(house)

        assert await asks_again(house, subject="bob")

    async def test_attack_097_what_a_person_earned_does_not_serve_root(self, house):
        """A process of ada's may ask in the name of `pam:sudo`; sudo itself asks again."""
        await prove(house, caller=OWN, subject="")

        assert await asks_again(house)
        assert not await asks_again(house, caller=OWN, subject="")

    async def test_attack_097_another_command_is_the_same_action(self, house):
        """The command is only claimed: it narrows no grant, which is why it can widen none."""
        await prove(house)

        assert not await asks_again(house, claim=Claim(command=(*COMMAND, "again")))


def _end_session(_house):
    return {"session": Session(4000, 777_777, "pts/3")}


async def _revoke(house):
    assert await house.service.revoke(OTHER, "", "") == 0
    assert await house.service.revoke(OWN, "", "") == 1


async def _remove_key(house):
    await house.service.remove_credential(SUDO, "ada", "blue", Person())


def _reboot(house):
    house.boot_id = "c" * 36


def _restart(house):
    house.close()
    house.open()


def _expire(house):
    house.clock.now += 300


EVENTS = {
    # event: does a grant in `session`, in `subject` scope survive it?
    _end_session: (False, True),
    _revoke: (False, False),
    _remove_key: (False, False),
    _reboot: (False, False),
    _restart: (True, True),
    _expire: (False, False),
}


@pytest.mark.parametrize("scope", KEPT)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
async def test_attack_099_events_and_grants(house, event, scope):
    """Each event ends the grants that it should end, at once, and no others."""
    house.policy = KEPT[scope]
    await prove(house)
    outcome = event(house)
    changes = await outcome if asyncio.iscoroutine(outcome) else outcome

    survives = EVENTS[event][list(KEPT).index(scope)]
    assert await asks_again(house, **(changes or {})) == (not survives)


async def test_attack_100_a_proof_for_one_request_serves_one_request(tmp_path):
    """In `request` scope there is nothing to race for: of many at once none gets in unproved."""
    house = House(tmp_path, make_key())
    await house.enrol(house.key)
    assert await prove(house) is None
    people = [Person() for _ in range(50)]
    asked = [house.begin(person) for person in people]
    await blink(house.key)
    for person in people:
        person.leave()
    results = await asyncio.gather(*asked)

    assert not any(result.verdict.is_allow for result in results)
    await all_threads_end()
    house.close()
