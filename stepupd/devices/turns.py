"""Turns at the keys: one ceremony at a time, uids in rotation.

A touch can only be meant for one request, so only one request may wait for it. No uid gets a
second turn while another one waits for its first, and nobody can make the queue long: whoever
finds it full is told at once.
"""

import asyncio
from collections import deque

WAITING_PER_OWNER = 3
"""With the one at the keys that makes four: a person's terminals, not a script run wild."""

WAITING = 64
"""Of everybody together; more could not be answered before their deadlines anyway."""


class QueueFullError(Exception):
    """Too many wait already."""


class Turns:
    """A fair lock, keyed by who wants it."""

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}
        self._served: dict[int, int] = {}
        """Owners in the order of their last turns, since the keys were last free."""

    @property
    def is_taken(self) -> bool:
        """Whether somebody has the turn."""
        return self._is_taken

    async def take(self, owner: int) -> None:
        """Wait for the turn; cancelling gives it back. Raises QueueFullError."""
        if not self._is_taken:
            self._is_taken = True
            self._serve(owner)
            return
        queue = self._waiting.get(owner, deque())
        if len(queue) >= WAITING_PER_OWNER or sum(map(len, self._waiting.values())) >= WAITING:
            raise QueueFullError
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        self._waiting[owner] = queue
        try:
            await turn
        except asyncio.CancelledError:
            if turn in queue:
                self._leave(owner, queue, turn)
            elif not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give the turn to the owner whose last one is longest ago."""
        while self._waiting:
            owner = min(self._waiting, key=lambda owner: self._served.get(owner, 0))
            queue = self._waiting[owner]
            turn = queue.popleft()
            if not queue:
                del self._waiting[owner]
            if not turn.done():
                self._serve(owner)
                turn.set_result(None)
                return
        self._is_taken = False
        self._served.clear()

    def _serve(self, owner: int) -> None:
        self._served[owner] = max(self._served.values(), default=0) + 1

    def _leave(
        self, owner: int, queue: "deque[asyncio.Future[None]]", turn: "asyncio.Future[None]"
    ) -> None:
        queue.remove(turn)
        if not queue:
            self._waiting.pop(owner, None)
