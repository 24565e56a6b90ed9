"""A logind of our own: a real service on the bus, with the calls and the signal that we use."""

import asyncio
import os
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError
from dbus_fast.service import ServiceInterface, dbus_method, dbus_signal
from dbus_support import PATIENCE, PrivateBus

LOGIND = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
MANAGER = f"{LOGIND}.Manager"


class Delay:
    """What logind keeps of an inhibitor: the reading end of a pipe, which ends with its holder.

    `writer` goes to the holder; `close_own` once he has it, from then on the end can be seen.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words
        self._reader, self.writer = os.pipe()
        self._own = self.writer
        self._is_over = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._reader, self._end)

    @property
    def is_held(self) -> bool:
        self.close_own()
        return self._reader >= 0 and not select.select([self._reader], [], [], 0)[0]

    async def ends(self) -> None:
        self.close_own()
        async with asyncio.timeout(PATIENCE):
            await self._is_over.wait()

    def close_own(self) -> None:
        if self._own >= 0:
            os.close(self._own)
            self._own = -1

    def close(self) -> None:
        self.close_own()
        if self._reader >= 0:
            asyncio.get_running_loop().remove_reader(self._reader)
            os.close(self._reader)
            self._reader = -1

    def _end(self) -> None:
        self._is_over.set()
        self.close()


class Logind(ServiceInterface):
    """`org.freedesktop.login1.Manager`. `sessions` holds (id, uid); `broken` ones do not lock."""

    def __init__(self, bus: MessageBus, *sessions: tuple[str, int]) -> None:
        super().__init__(MANAGER)
        self.bus = bus
        self.sessions = list(sessions)
        self.broken: set[str] = set()
        self.is_silent = self.is_refusing = False
        self.locked: list[str] = []
        self.delays: list[Delay] = []
        self.changed = asyncio.Event()

    @dbus_method(name="Inhibit")
    def inhibit(self, what: "s", who: "s", why: "s", mode: "s") -> "h":  # noqa: F821 - D-Bus types
        if self.is_refusing:
            raise DBusError("org.freedesktop.DBus.Error.AccessDenied", "not now")
        delay = Delay((what, who, why, mode))
        self.delays.append(delay)
        self.changed.set()
        return delay.writer

    @dbus_method(name="ListSessions")
    async def list_sessions(self) -> "a(susso)":  # noqa: F821 - a D-Bus type
        await self._speak()
        path = f"{PATH}/session/"
        return [[name, uid, "who", "seat0", path + name] for name, uid in self.sessions]

    @dbus_method(name="LockSession")
    async def lock_session(self, name: "s") -> None:  # noqa: F821 - a D-Bus type
        await self._speak()
        if name in self.broken:
            raise DBusError("org.freedesktop.DBus.Error.NotSupported", "no screen to lock")
        self.locked.append(name)
        self.changed.set()

    @dbus_signal(name="PrepareForSleep")
    def prepare_for_sleep(self, start) -> "b":  # noqa: F821 - a D-Bus type
        return start

    async def until(self, holds) -> None:
        """Wait until `holds()`."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def _speak(self) -> None:
        if self.is_silent:
            await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def logind_on(bus: PrivateBus, *sessions: tuple[str, int]) -> AsyncIterator[Logind]:
    connection = await MessageBus(bus.address, negotiate_unix_fd=True).connect()
    made = Logind(connection, *sessions)
    connection.export(PATH, made)
    await connection.request_name(LOGIND)
    try:
        yield made
    finally:
        connection.disconnect()
        with suppress(Exception):  # the bus may have gone before
            await connection.wait_for_disconnect()
        for delay in made.delays:
            delay.close()


async def forge_sleep(bus: PrivateBus) -> None:
    """As a stranger: speak of sleep to everybody, and to each connection on the bus."""
    connection = await MessageBus(bus.address).connect()
    names = await connection.call(
        Message("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ListNames")
    )
    assert names.message_type is MessageType.METHOD_RETURN
    for name in (None, *filter(lambda name: name.startswith(":"), names.body[0])):
        await connection.send(
            Message(
                name,
                PATH,
                MANAGER,
                "PrepareForSleep",
                message_type=MessageType.SIGNAL,
                signature="b",
                body=[True],
            )
        )
    connection.disconnect()
    await connection.wait_for_disconnect()
