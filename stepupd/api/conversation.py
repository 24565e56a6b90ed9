"""The person on the other side of a door, as a ceremony sees him.

The law of this file: an answer belongs to one question, by number; an answer that comes late, twice
or unasked is dropped. When the caller goes, every question is answered "no" at once and `gone` says
why. What was typed is a `Secret` from here on; it is kept nowhere.
"""

import asyncio
from typing import Protocol

from stepupd.core.effects import TroubleKind
from stepupd.core.secret import Secret


class Line(Protocol):
    """How one door writes to its person."""

    def send_show(self, text: str, *, is_error: bool) -> None:
        """Send a text."""
        ...

    def send_ask(self, text: str, *, is_hidden: bool) -> int:
        """Send a question and return its number, never used before on this connection."""
        ...


class Conversation:
    """One ceremony's way to show and to ask. `gone` resolves to HANG_UP or CANCELLED."""

    __slots__ = ("_is_deaf", "_line", "_open", "gone")

    def __init__(self, line: Line) -> None:
        self.gone: asyncio.Future[TroubleKind] = asyncio.get_running_loop().create_future()
        self._line = line
        self._open: dict[int, asyncio.Future[Secret | None]] = {}
        self._is_deaf = False

    async def show(self, text: str, *, is_error: bool = False) -> None:
        """Show a text; nothing happens once the caller is gone."""
        if not self.gone.done():
            self._line.send_show(text, is_error=is_error)

    async def ask(self, text: str, *, is_hidden: bool = True) -> Secret | None:
        """Return what was typed, None if the caller declined or went away."""
        if self.gone.done() or self._is_deaf:
            return None
        answer: asyncio.Future[Secret | None] = asyncio.get_running_loop().create_future()
        number = self._line.send_ask(text, is_hidden=is_hidden)
        if self.gone.done():  # sending found the connection dead
            return None
        self._open[number] = answer
        try:
            return await answer
        finally:
            self._open.pop(number, None)

    def answer(self, number: int, secret: Secret | None) -> bool:
        """Settle question `number`; None declines. False if it is not waiting."""
        waiting = self._open.pop(number, None)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(secret)
        return True

    def stop_listening(self) -> None:
        """Decline every question, now and from now on: the caller has said its last word."""
        self._is_deaf = True
        self._decline_open()

    def end(self, kind: TroubleKind) -> None:
        """Say that the caller hung up or cancelled; the first word counts."""
        if self.gone.done():
            return
        self.gone.set_result(kind)
        self._decline_open()

    def _decline_open(self) -> None:
        for number in tuple(self._open):
            self.answer(number, None)
