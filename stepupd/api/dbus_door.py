"""The D-Bus door: owns the name on the bus, comes back when the bus does, and loads little.

The law of this file: without a bus the rest of the daemon goes on; a connection that ends ends what
came through it, as a hang-up; and an idle daemon costs the bus nothing but one connection.
"""

import asyncio
import importlib
import logging
from typing import TYPE_CHECKING

from stepupd.api.dbus_outside import Outside
from stepupd.api.dbus_wire import NameTakenError, Wire, connect, is_there
from stepupd.api.house import House
from stepupd.core.errors import InternalError

if TYPE_CHECKING:  # loaded with the codec, when somebody calls
    from stepupd.api.dbus_session import Session

NAME = "org.stepupd1"
_CALL = 1  # D-Bus specification, "Message Types"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts to come back: at once after a restart, never a burden."""

_log = logging.getLogger(__name__)


class BusDoor:
    """One per daemon. `start` it in the event loop, `close` it at the end."""

    def __init__(self, address: str, house: House, outside: Outside) -> None:
        self._address = address
        self._house = house
        self._outside = outside
        self._wire: Wire | None = None
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_settled = asyncio.Event()

    def start(self) -> None:
        """Connect, if something listens at the address; stay connected from then on."""
        if is_there(self._address):
            self._task = asyncio.get_running_loop().create_task(self._stay())
        else:
            _log.info("no bus, no D-Bus door")
            self._is_settled.set()

    async def settle(self) -> None:
        """Wait until the name is owned, or the first attempt has failed; at most some seconds."""
        await self._is_settled.wait()

    async def close(self) -> None:
        """Leave the bus and wait until every call has ended. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    def announce(self, **properties: str) -> None:
        """Tell everybody on the bus that properties have changed."""
        if self._wire is not None and self._wire.is_open:
            self._enter(self._wire).announce(**properties)

    async def _stay(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                self._wire = await connect(self._address, NAME, self._take)
                pause = _FIRST_PAUSE
                _log.info("%s is on the bus", NAME)
                self._is_settled.set()
                await self._serve(self._wire)
                _log.warning("the bus is gone; coming back as soon as it does")
            except NameTakenError as error:
                _log.error("%s", error)
                pause = _LONGEST_PAUSE
            except (OSError, InternalError, TimeoutError) as error:
                _log.debug("no bus: %s", error)
            self._is_settled.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _serve(self, wire: Wire) -> None:
        try:
            await asyncio.shield(wire.closed)
        finally:
            wire.close()
            session, self._session, self._wire = self._session, None, None
            if session is not None:
                session.lose()
                await session.wait()

    def _take(self, wire: Wire, frame: bytes) -> None:
        # Signals concern those who have called already.
        if self._session is None and frame[1] != _CALL:
            return
        try:
            self._enter(wire).take(frame)
        except Exception:  # noqa: BLE001 - see below
            # Bad frames are refusals: this is our own failure, and no pass.
            _log.exception("the D-Bus door failed on a message")
            wire.close()

    def _enter(self, wire: Wire) -> "Session":
        """Return the connection's session; the first one loads what it takes."""
        if self._session is None:
            codec = importlib.import_module("stepupd.api.dbus_codec")
            session = importlib.import_module("stepupd.api.dbus_session")
            self._session = session.Session(wire, codec, self._house, self._outside)
        return self._session
