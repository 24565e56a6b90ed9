"""The keys of this machine, as the broker sees them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import Self

from stepupd.core.effects import Notice, Reply, Trouble, TroubleKind, Use
from stepupd.devices.plugged import Plugged, Source
from stepupd.devices.race import Race
from stepupd.devices.turns import QueueFullError, Turns

UNTOLD = 0.3
"""Seconds of waiting that nobody is told of: keys of the request before need them to let go."""


KEPT_OPEN = 120.0
"""Seconds after their last use that keys stay open, for a quick second touch."""


class KeyRing:
    """Every FIDO2 key on every bus, used by one request at a time."""

    def __init__(self, sources: Sequence[Source], read_boot_clock: Callable[[], float]) -> None:
        self._sources = sources
        self.read_boot_clock = read_boot_clock
        self.turns = Turns()
        self._held: set[str] = set()
        """Keys that did not let go in time: nobody uses them before they have."""
        self._closing: set[asyncio.Task[None]] = set()
        self._rest_timer: asyncio.TimerHandle | None = None
        self._end_watch: Callable[[], None] | None = None

    def turn(self, owner_uid: int) -> "KeyTurn":
        """Return a turn at the keys for one request; use it in an `async with` block."""
        return KeyTurn(self, owner_uid)

    def find_keys(self) -> Iterable[Plugged]:
        """Return the keys that are plugged in and free."""
        plugged = [key for source in self._sources for key in source.plugged()]
        return [key for key in plugged if key.identity not in self._held]

    def list_plugged(self) -> frozenset[str]:
        """Return the identities of all keys that are plugged in, free or not."""
        return frozenset(key.identity for source in self._sources for key in source.plugged())

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """Have `told` called, from any thread, after a key went; return what ends it.

        Raises OSError where a bus tells nobody.
        """
        with ExitStack() as watches:
            for source in self._sources:
                watches.callback(source.watch(told))
            return watches.pop_all().close

    async def let_go(self) -> None:
        """Wait until the keys of races that have ended are free, and let go of all of them."""
        while self._closing:
            await asyncio.wait(self._closing)
        self._rest()

    def list_names(self) -> tuple[str, ...]:
        """Return the models that are plugged in now."""
        return tuple(key.name for key in self.find_keys())

    def close_race(self, race: Race) -> "asyncio.Task[None]":
        """Let a race's keys go, in the background; the task ends when they have, or time is up."""
        return self._keep(race.close())

    def end_turn(self, closing: "asyncio.Task[None] | None", race: Race | None) -> None:
        """Pass the turn on as soon as the keys are free, or held back."""
        self._keep(self._end_turn(closing, race))

    async def _end_turn(self, closing: "asyncio.Task[None] | None", race: Race | None) -> None:
        try:
            if closing is not None:
                await closing
        finally:
            late = set() if race is None else race.running
            self._held |= late
            self._rest_later()
            self.turns.release()
        if race is not None and late:
            await race.drain()
            self._held -= late

    def _rest_later(self) -> None:
        """Let keys go some time after their last use, and at once what has gone meanwhile."""
        loop = asyncio.get_running_loop()
        if self._rest_timer is not None:
            self._rest_timer.cancel()
        self._rest_timer = loop.call_later(KEPT_OPEN, self._rest)

        def look_again() -> None:
            with suppress(RuntimeError):  # the loop is closed: the daemon stops
                loop.call_soon_threadsafe(self.list_plugged)

        if self._end_watch is None:
            with suppress(OSError):  # where nobody tells, the next look will do
                self._end_watch = self.watch(look_again)
        self.list_plugged()  # after the watch has begun: what went before is seen now

    def _rest(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
        end, self._end_watch = self._end_watch, None
        if end is not None:
            end()
        for source in self._sources:
            source.rest()

    def _keep(self, work: "asyncio._CoroutineLike[None]") -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task


class KeyTurn:
    """One request's time at the keys, from its first use of them until the block is left.

    It spans every touch and every question in between: nobody else's prompt can come before a
    second touch, and nobody else can spend tries that the person was just told of.
    """

    def __init__(self, ring: KeyRing, owner_uid: int) -> None:
        self._ring = ring
        self._owner_uid = owner_uid
        self._is_taken = False
        self._race: Race | None = None
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._is_taken:
            self._is_taken = False
            self._ring.end_turn(self._closing, self._race)

    async def use(self, use: Use, notify: Callable[[Notice], None]) -> Reply:
        """Run a `Use` on all keys; cancelling the task cancels the keys."""
        trouble = await self._begin(use, notify)
        if trouble is not None:
            return trouble
        race = Race(use, self._ring.find_keys, notify, self._ring.read_boot_clock)
        self._race = race
        try:
            return await race.run()
        finally:
            # The answer need not wait until the other keys have let go; the next use does.
            self._closing = self._ring.close_race(race)

    async def _begin(self, use: Use, notify: Callable[[Notice], None]) -> Trouble | None:
        queued = asyncio.get_running_loop().call_later(UNTOLD, notify, Notice.QUEUED)
        left = max(0.0, use.deadline - self._ring.read_boot_clock())
        try:
            async with asyncio.timeout(left):
                if not self._is_taken:
                    await self._ring.turns.take(self._owner_uid)
                    self._is_taken = True
                elif self._closing is not None:
                    await asyncio.shield(self._closing)
        except QueueFullError:
            return Trouble(TroubleKind.QUEUE_FULL)
        except TimeoutError:
            return Trouble(TroubleKind.BUSY)
        finally:
            queued.cancel()
        return None
