"""What the machine sleeps through is cut short.

The law of this file: whatever began before the machine slept is over once it has, whoever tells of
it: logind in advance, or the clock, which always does. A touch after that is for nothing from
before. What begins in between is cut short by the same clock.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from stepupd.core.model import Moment

SLEEP = 0.1
"""Seconds by which the time asleep differs once the machine has slept; readings differ by less."""

_log = logging.getLogger(__name__)


class Start(NamedTuple):
    """When something began, as far as being cut short goes."""

    cuts: int
    asleep: float


class Interruption:
    """Knows what runs, and ends it. One per broker."""

    def __init__(self, read_clock: Callable[[], Moment]) -> None:
        self._read_clock = read_clock
        self._cuts = 0
        self._next: asyncio.Future[None] | None = None
        self._running: set[asyncio.Future[None]] = set()

    def mark_start(self) -> Start:
        """Return now, to be asked about later."""
        return Start(self._cuts, self._read_clock().asleep)

    def is_cut(self, start: Start) -> bool:
        """Return whether what began then is over."""
        now = self.mark_start()
        return now.cuts != start.cuts or abs(now.asleep - start.asleep) >= SLEEP

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be waited for by `cut_short` until the block is left."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running.add(ended)
        try:
            yield
        finally:
            self._running.discard(ended)
            ended.set_result(None)

    def next_cut(self) -> "asyncio.Future[None]":
        """Return what is done at the next cut; it is everybody's, so nobody may cancel it."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    async def cut_short(self) -> None:
        """End all that runs, and wait until it has ended."""
        self._cuts += 1
        if self._next is not None:
            self._next.set_result(None)
            self._next = None
        if self._running:
            _log.info("%d requests are cancelled: the machine sleeps", len(self._running))
            await asyncio.wait(self._running)
