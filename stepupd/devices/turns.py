"""Turns at the keys: one ceremony at a time, uids in rotation.

A touch can only be meant for one request, so only one request may wait for it. No uid gets a
second turn while another one waits for its first.
"""

import asyncio
from collections import deque


class Turns:
    """A fair lock, keyed by who wants it."""

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}

    @property
    def is_taken(self) -> bool:
        """Whether somebody has the turn."""
        return self._is_taken

    async def take(self, owner: int) -> None:
        """Wait for the turn. Cancelling gives it back."""
        if not self._is_taken:
            self._is_taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give the turn to the next owner in rotation."""
        while self._waiting:
            owner = next(iter(self._waiting))
            queue = self._waiting.pop(owner)
            turn = queue.popleft()
            if queue:
                self._waiting[owner] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False
