"""The D-Bus door: owns the name on the bus, comes back when the bus does, and loads little.

The law of this file: without a bus the rest of the daemon goes on; a connection that ends ends what
came through it, as a hang-up; and an idle daemon costs the bus nothing but one connection.
"""

import asyncio
import importlib
import logging
from typing import TYPE_CHECKING

from stepupd.api.dbus_outside import Outside
from stepupd.api.dbus_stay import Stay
from stepupd.api.dbus_wire import Wire
from stepupd.api.house import House

if TYPE_CHECKING:  # loaded with the codec, when somebody calls
    from stepupd.api.dbus_session import Session

NAME = "org.stepupd1"
_CALL = 1  # D-Bus specification, "Message Types"

_log = logging.getLogger(__name__)


class BusDoor:
    """One per daemon. `start` it in the event loop, `close` it at the end."""

    def __init__(self, address: str, house: House, outside: Outside) -> None:
        self._house = house
        self._outside = outside
        self._wire: Wire | None = None
        self._session: Session | None = None
        self._stay = Stay(address, NAME, self._take, self._serve, takes_descriptors=True)

    def start(self) -> None:
        """Connect as soon as something listens at the address; stay connected from then on."""
        self._stay.start()

    async def settle(self) -> None:
        """Wait until the name is owned, or the first attempt has failed; at most some seconds."""
        await self._stay.settle()

    async def close(self) -> None:
        """Leave the bus and wait until every call has ended. Idempotent."""
        await self._stay.close()

    def announce(self, **properties: str) -> None:
        """Tell everybody on the bus that properties have changed."""
        if self._wire is not None and self._wire.is_open:
            self._enter(self._wire).announce(**properties)

    async def _serve(self, wire: Wire) -> None:
        self._wire = wire
        _log.info("%s is on the bus", NAME)
        try:
            await asyncio.shield(wire.closed)
            _log.warning("the bus is gone; coming back as soon as it does")
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
