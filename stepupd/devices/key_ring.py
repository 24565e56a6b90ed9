"""The keys of this machine, as the broker sees them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from stepupd.core.effects import Notice, Reply, Trouble, TroubleKind, Use
from stepupd.devices.plugged import Plugged, Source
from stepupd.devices.race import Race
from stepupd.devices.turns import QueueFullError, Turns

UNTOLD = 0.3
"""Seconds of waiting that nobody is told of: keys of the request before need them to let go."""


class KeyRing:
    """Every FIDO2 key on every bus, used by one ceremony at a time."""

    def __init__(self, sources: Sequence[Source], read_boot_clock: Callable[[], float]) -> None:
        self._sources = sources
        self._read_boot_clock = read_boot_clock
        self._turns = Turns()
        self._closing: set[asyncio.Task[None]] = set()

    async def use(self, use: Use, owner_uid: int, notify: Callable[[Notice], None]) -> Reply:
        """Run a `Use` on all keys; cancelling the task cancels the keys."""
        queued = asyncio.get_running_loop().call_later(UNTOLD, notify, Notice.QUEUED)
        try:
            left = max(0.0, use.deadline - self._read_boot_clock())
            async with asyncio.timeout(left):
                await self._turns.take(owner_uid)
        except QueueFullError:
            return Trouble(TroubleKind.QUEUE_FULL)
        except TimeoutError:
            return Trouble(TroubleKind.BUSY)
        finally:
            queued.cancel()
        race = Race(use, self.find_keys, notify, self._read_boot_clock)
        try:
            return await race.run()
        finally:
            # The answer need not wait until the other keys have let go; the next turn does.
            closing = asyncio.ensure_future(self._close(race))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def find_keys(self) -> Iterable[Plugged]:
        """Return the keys that are plugged in now."""
        return [key for source in self._sources for key in source.plugged()]

    def list_names(self) -> tuple[str, ...]:
        """Return the models that are plugged in now."""
        return tuple(key.name for key in self.find_keys())

    async def _close(self, race: Race) -> None:
        try:
            await race.close()
        finally:
            self._turns.release()
