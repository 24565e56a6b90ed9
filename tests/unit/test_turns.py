"""Turns at the keys: one at a time, in rotation, never lost."""

import asyncio

import pytest

from stepupd.devices.turns import WAITING, WAITING_PER_OWNER, QueueFullError, Turns


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Line:
    """Takes turns and remembers in which order they came."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.order: list[str] = []

    def join(self, owner: int, name: str) -> asyncio.Task:
        return asyncio.ensure_future(self._take(owner, name))

    async def _take(self, owner: int, name: str) -> None:
        await self.turns.take(owner)
        self.order.append(name)

    async def drain(self) -> list[str]:
        while self.turns.is_taken:
            self.turns.release()
            await settle()
        return self.order


async def test_only_one_has_the_turn():
    """The second waits until the first gives it back."""
    line = Line()
    line.join(1, "first")
    line.join(2, "second")
    await settle()
    assert line.order == ["first"]
    line.turns.release()
    await settle()
    assert line.order == ["first", "second"]


async def test_uids_rotate():
    """A uid that asks three times waits behind everybody who asks once (attack 139)."""
    line = Line()
    for owner, name in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1"), (2, "b2")]:
        line.join(owner, name)
    await settle()

    assert await line.drain() == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_whoever_stops_waiting_is_skipped():
    """A cancelled wait costs nobody a turn."""
    line = Line()
    line.join(1, "a")
    waiting = line.join(2, "b")
    line.join(3, "c")
    await settle()
    waiting.cancel()
    await settle()

    assert await line.drain() == ["a", "c"]


async def test_a_turn_that_came_too_late_goes_on():
    """Cancelled in the very moment in which the turn came: the next one gets it."""
    line = Line()
    line.join(1, "a")
    waiting = line.join(2, "b")
    line.join(3, "c")
    await settle()
    line.turns.release()
    waiting.cancel()
    await settle()

    assert line.order == ["a", "c"]
    assert await line.drain() == ["a", "c"]
    assert not line.turns.is_taken


async def test_a_full_queue_refuses_at_once():
    """Each owner has few places, everybody together a bounded number (attack 144)."""
    turns = Turns()
    await turns.take(0)
    owners = [1] * WAITING_PER_OWNER + list(range(2, WAITING + 1))
    tasks = [asyncio.ensure_future(turns.take(owner)) for owner in owners]
    await settle()
    with pytest.raises(QueueFullError):
        await turns.take(1)
    with pytest.raises(QueueFullError):
        await turns.take(WAITING + 1)
    refused = [task for task in tasks if task.done()]
    assert len(refused) == len(tasks) - WAITING
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    turns.release()
    await turns.take(1)
    assert turns.is_taken
