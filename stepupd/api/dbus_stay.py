"""Staying on a bus: connect as soon as there is one, serve, and come back when it does.

The law of this file: without a bus the rest of the daemon goes on, and one that comes late is
found; to look for one costs a glance at a path, the rarer the longer there was none.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from stepupd.api.dbus_wire import NameTakenError, Wire, connect, is_there
from stepupd.core.errors import InternalError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts to come back: at once after a restart, never a burden."""
_RARE = 60.0
"""Seconds between looks for a bus where there never was one."""

_log = logging.getLogger(__name__)


class Stay:
    """One connection after another. `start` it in the event loop, `close` it at the end.

    `serve` gets each connection and returns when that has ended; without a `name` it owns none.
    """

    def __init__(
        self,
        address: str,
        name: str,
        on_frame: Callable[[Wire, bytes], None],
        serve: Callable[[Wire], Awaitable[None]],
        *,
        takes_descriptors: bool = False,
    ) -> None:
        self._address = address
        self._name = name
        self._on_frame = on_frame
        self._serve = serve
        self._takes_descriptors = takes_descriptors
        self._task: asyncio.Task[None] | None = None
        self._is_settled = asyncio.Event()
        self._longest = _RARE

    def start(self) -> None:
        """Connect, and stay connected from then on."""
        if not is_there(self._address):
            _log.info("no bus at %s yet", self._address)
            self._is_settled.set()
        self._task = asyncio.get_running_loop().create_task(self._stay())

    async def settle(self) -> None:
        """Wait until it is connected, or the first attempt has failed; at most some seconds."""
        await self._is_settled.wait()

    async def close(self) -> None:
        """Leave the bus and wait until `serve` has ended. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _stay(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            if is_there(self._address):
                self._longest = _LONGEST_PAUSE
                pause = await self._try(pause)
            self._is_settled.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._longest)

    async def _try(self, pause: float) -> float:
        """Connect and serve; return after how long to try again."""
        try:
            wire = await connect(
                self._address,
                self._name,
                self._on_frame,
                takes_descriptors=self._takes_descriptors,
            )
            self._is_settled.set()
            try:
                await self._serve(wire)
            finally:
                wire.close()
        except NameTakenError as error:
            _log.error("%s", error)
            return _LONGEST_PAUSE
        except (OSError, InternalError, TimeoutError) as error:
            _log.debug("no bus: %s", error)
            return pause
        return _FIRST_PAUSE
