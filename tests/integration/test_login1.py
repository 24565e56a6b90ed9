"""Listening to logind, and asking it to lock, with everything that may go wrong on a bus."""

import asyncio
import sys
from contextlib import asynccontextmanager

import pytest
from dbus_fast import Message, MessageType
from dbus_support import PATIENCE, PrivateBus, private_bus
from login1_support import MANAGER, PATH, forge_sleep, logind_on

from stepupd.api.dbus_logind import Logind
from stepupd.core.model import Moment

ADA, BOB = 1000, 1001


class Listener:
    """A `Logind` on a bus, and how often it let go."""

    def __init__(self, bus: PrivateBus) -> None:
        self.count = 0
        self._changed = asyncio.Event()
        self.logind = Logind(bus.address, self.let_go, lambda: Moment(0, 42.0, "boot"))

    async def let_go(self) -> None:
        self.count += 1
        self._changed.set()

    async def holds_delay(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.logind._delay is None:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)

    async def hears(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.count < count:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def listening(bus: PrivateBus):
    made = Listener(bus)
    made.logind.start()
    try:
        yield made
    finally:
        await made.logind.close()


@asynccontextmanager
async def all_up(*sessions: tuple[str, int]):
    """Yield bus, logind and a listener that holds a delay."""
    async with private_bus() as bus, logind_on(bus, *sessions) as logind, listening(bus) as ours:
        await ours.holds_delay()
        yield bus, logind, ours


async def test_sleep_waits_until_everything_is_let_go():
    """The delay is held while awake, given back once let go, and taken anew after waking."""
    async with all_up() as (_, logind, ours):
        (delay,) = logind.delays
        assert delay.words == ("sleep", "stepupd", "letting go of security keys", "delay")
        assert delay.is_held

        logind.prepare_for_sleep(True)
        await delay.ends()
        assert ours.count == 1
        assert ours.logind.resumed_at is None

        logind.prepare_for_sleep(False)
        await ours.holds_delay()
        assert ours.count == 2
        assert ours.logind.resumed_at == 42.0
        assert logind.delays[1].is_held


async def test_what_does_not_let_go_delays_sleep_for_a_bounded_time(monkeypatch):
    """Fault matrix, suspend: the delay ends by itself."""
    monkeypatch.setattr("stepupd.api.dbus_logind.LETTING_GO", 0.1)
    async with all_up() as (_, logind, ours):
        stuck = asyncio.Event()
        ours.logind._let_go = stuck.wait
        logind.prepare_for_sleep(True)

        await logind.delays[0].ends()


async def test_attack_035_a_stranger_speaks_of_sleep():
    """Broadcast or sent to us alone, only logind's own word counts: two of it, letting go twice."""
    async with all_up() as (bus, logind, ours):
        await forge_sleep(bus)
        logind.prepare_for_sleep(True)
        logind.prepare_for_sleep(False)
        await logind.until(lambda: len(logind.delays) == 2)

        assert ours.count == 2


async def test_leaving_gives_the_delay_back():
    async with all_up() as (_, logind, ours):
        await ours.logind.close()

        await logind.delays[0].ends()


async def test_only_the_persons_sessions_are_locked():
    async with all_up(("1", ADA), ("2", BOB), ("c3", ADA)) as (_, logind, ours):
        assert await ours.logind.lock_sessions(ADA) == 2

        assert sorted(logind.locked) == ["1", "c3"]


async def test_a_session_that_cannot_be_locked_keeps_no_other_from_it(caplog):
    async with all_up(("1", ADA), ("2", ADA)) as (_, logind, ours):
        logind.broken.add("1")

        assert await ours.logind.lock_sessions(ADA) == 1
        assert logind.locked == ["2"]
        assert "a session of uid 1000 could not be locked" in caplog.text


async def test_a_logind_that_hangs_is_given_up(caplog):
    """Fault matrix, logind hangs: two seconds, one line in the log, and the bus still works."""
    async with all_up(("1", ADA)) as (_, logind, ours):
        logind.is_silent = True
        assert await ours.logind.lock_sessions(ADA) == 0
        assert "could not be locked" in caplog.text

        logind.is_silent = False
        assert await ours.logind.lock_sessions(ADA) == 1


async def test_no_logind_is_no_failure_and_a_late_one_is_heard(caplog):
    """Fault matrix, logind absent: said once; when it comes it is heard, and locks."""
    async with private_bus() as bus, listening(bus) as ours:
        await ours.logind.settle()
        assert await ours.logind.lock_sessions(ADA) == 0
        async with ours.logind._delay_turn:  # once the first attempt is over
            assert caplog.text.count("sleep is not delayed") == 1

        async with logind_on(bus, ("1", ADA)) as logind:
            logind.prepare_for_sleep(True)
            await ours.hears(1)
            assert await ours.logind.lock_sessions(ADA) == 1
            logind.prepare_for_sleep(False)
            await logind.until(lambda: logind.delays)


async def test_a_restarted_logind_is_believed():
    """Its name has another owner then: the bus is asked each time."""
    async with private_bus() as bus, listening(bus) as ours:
        for count in (1, 2, 3):
            async with logind_on(bus) as logind:
                await ours.logind.settle()
                logind.prepare_for_sleep(True)
                await ours.hears(count)


async def test_a_bus_that_comes_late_and_goes_twenty_times():
    """Fault matrix, D-Bus absent or restarted: heard again each time, nothing to be done."""
    async with private_bus() as bus:
        bus.stop()
        bus.path.unlink()
        async with listening(bus) as ours:
            await ours.logind.settle()
            for count in range(1, 21):
                bus.start()
                async with logind_on(bus, ("1", ADA)) as logind:
                    await logind.until(lambda logind=logind: logind.delays)
                    logind.prepare_for_sleep(True)
                    await ours.hears(count)
                bus.stop()


async def test_a_lock_waits_for_a_bus_that_comes_back():
    async with private_bus() as bus, listening(bus) as ours:
        await ours.logind.settle()
        bus.stop()
        locking = asyncio.ensure_future(ours.logind.lock_sessions(ADA))
        bus.start()
        async with logind_on(bus, ("1", ADA)):
            # Whoever was faster: the bus is back, with logind on it or not yet.
            assert await locking in {0, 1}
            assert await ours.logind.lock_sessions(ADA) == 1


@pytest.mark.parametrize("signature", ["s", "bb", ""])
async def test_a_signal_of_another_type_is_none(signature):
    """Attack 22: it is not logind's, whoever sends it."""
    values = {"s": ["true"], "bb": [True, True], "": []}
    async with all_up() as (_, logind, ours):
        wrong = Message(
            None,
            PATH,
            MANAGER,
            "PrepareForSleep",
            message_type=MessageType.SIGNAL,
            signature=signature,
            body=values[signature],
        )
        await logind.bus.send(wrong)
        logind.prepare_for_sleep(True)
        logind.prepare_for_sleep(False)
        await logind.until(lambda: len(logind.delays) == 2)

        assert ours.count == 2


async def test_a_delay_that_was_not_given_is_asked_for_again(monkeypatch):
    """At boot logind may answer only once polkit runs; meanwhile sleep is heard all the same."""
    monkeypatch.setattr("stepupd.api.dbus_logind.RETRIES", (0.05,) * 200)
    async with private_bus() as bus, logind_on(bus) as logind, listening(bus) as ours:
        logind.is_refusing = True
        await ours.logind.settle()
        logind.prepare_for_sleep(True)
        await ours.hears(1)

        logind.is_refusing = False
        await ours.holds_delay()


async def test_listening_loads_no_codec_until_there_is_something_to_hear():
    """An idle daemon pays a connection and a descriptor, and not the 3 MiB of the library."""
    code = """
import asyncio, sys
from stepupd.api.dbus_logind import Logind
from stepupd.core.model import Moment
async def main():
    slept = asyncio.Event()
    async def let_go():
        slept.set()
    logind = Logind(sys.argv[1], let_go, lambda: Moment(0, 0, ""))
    logind.start()
    while logind._delay is None:
        await asyncio.sleep(0)
    print("dbus_fast" in sys.modules, flush=True)
    await slept.wait()
    print("dbus_fast" in sys.modules, flush=True)
    await logind.close()
asyncio.run(main())
"""
    async with private_bus() as bus, logind_on(bus) as logind:
        command = [sys.executable, "-I", "-c", code, bus.address]
        child = await asyncio.create_subprocess_exec(*command, stdout=-1)
        async with asyncio.timeout(PATIENCE):
            assert await child.stdout.readline() == b"False\n"
            logind.prepare_for_sleep(True)
            assert await child.stdout.read() == b"True\n"
            await child.wait()
