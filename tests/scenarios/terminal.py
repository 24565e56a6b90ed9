"""One terminal of a transcript: what it shows, what is typed into it."""

import asyncio

from stepupd.core.effects import TroubleKind
from stepupd.core.model import Session
from stepupd.core.secret import Secret


class Terminal:
    """One terminal of ada's: a conversation, and the request that runs in it."""

    def __init__(self, number: int) -> None:
        self.session = Session(4000 + number, 123456, f"pts/{number}")
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        self.typed: asyncio.Queue[str] = asyncio.Queue()
        self.asked = None
        self.gone = asyncio.get_running_loop().create_future()

    async def show(self, text, *, is_error):  # noqa: ARG002 - the seam
        for line in text.split("\n"):
            self.lines.put_nowait(line.rstrip())

    async def ask(self, text, *, is_hidden):
        await self.show(text, is_error=is_hidden)
        return Secret(await self.typed.get())

    def hang_up(self, kind=TroubleKind.HANG_UP):
        if not self.gone.done():
            self.gone.set_result(kind)
