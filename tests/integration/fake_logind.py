"""Two sessions on a bus, of which one is locked: `python fake_logind.py ADDRESS`."""

import asyncio
import sys

from dbus_fast import PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_property


class Session(ServiceInterface):
    """What is asked of a session."""

    def __init__(self, *, is_locked):
        super().__init__("org.freedesktop.login1.Session")
        self._is_locked = is_locked

    @dbus_property(access=PropertyAccess.READ)
    def LockedHint(self) -> "b":  # noqa: F821, N802 - the interface's own words
        return self._is_locked


async def main(address):
    bus = await MessageBus(bus_address=address).connect()
    bus.export("/org/freedesktop/login1/session/_33", Session(is_locked=False))
    bus.export("/org/freedesktop/login1/session/c5", Session(is_locked=True))
    await bus.request_name("org.freedesktop.login1")
    print("ready", flush=True)  # noqa: T201 - its caller waits for it
    await bus.wait_for_disconnect()


asyncio.run(main(sys.argv[1]))
