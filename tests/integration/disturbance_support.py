"""One daemon on one bus for a table of disturbances: how it is put back, and what its log says.

`ada` is an account without rights, so she has to prove herself; `root` is a service that asks for
her, or an administrator. How often one account may ask is bounded, so she is another one each time.
"""

import asyncio
import itertools
import json
import os
import pwd
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager

from daemon_support import Machine
from dbus_fast.aio import MessageBus
from dbus_fast.auth import AuthExternal
from dbus_support import PATIENCE, Caller, PrivateBus, speak
from login1_support import Logind, logind_on

from stepupd.api.dbus_interface import NAME

ROOT = 0
ACCOUNTS = range(1, 11)
"""Accounts that Debian has everywhere, from `daemon` to `uucp`."""

PIN = "1234"
OWN_KEY, NEW_KEY = 0, 1

POLICY = """
[[rule]]
name = "never"
action = "cli:never"
deny = true

[[rule]]
name = "with a PIN"
action = "cli:verify"
require = "verify"
deadline = "2m"

[[rule]]
name = "once"
action = "cli:grant"
require = "touch"
max_age = "1h"
scope = "subject"

[[rule]]
name = "each time"
action = "*"
require = "touch"
deadline = "2m"
"""


class Scene:
    """A daemon that has been started on its bus, with a logind; they outlive each test."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.bus = PrivateBus(machine.base)
        self._stack = AsyncExitStack()
        self.logind: Logind | None = None
        self._accounts = itertools.cycle(ACCOUNTS)
        self.next_ada()

    def next_ada(self) -> None:
        self.ada = next(self._accounts)
        self.name_of_ada = pwd.getpwuid(self.ada).pw_name

    async def start(self) -> None:
        self.machine.write_policy(POLICY)
        await self.start_bus()
        buses = {f"DBUS_{name}_BUS_ADDRESS": self.bus.address for name in ("SESSION", "SYSTEM")}
        await asyncio.to_thread(self.machine.start, **buses)
        await self.is_up()
        self.machine.key(NEW_KEY).unplug()
        self.machine.enroll("root's")
        self.machine.key().set_pin(PIN)

    async def start_bus(self) -> None:
        self.bus.start()
        self.logind = await self._stack.enter_async_context(logind_on(self.bus))

    async def stop_bus(self) -> None:
        self.bus.stop()
        await self._stack.aclose()

    async def is_up(self) -> None:
        """Wait until the daemon is on the bus, and delays sleep there."""
        async with asyncio.timeout(PATIENCE), call_as(self.bus, ROOT) as root:
            while (await root.ask_bus("NameHasOwner", "s", NAME)).body != [True]:
                pass
        await self.logind.until(lambda: self.logind.delays)

    async def falls_asleep(self) -> None:
        """Have logind say so, and return once the daemon lets the machine sleep."""
        delay = self.logind.delays[-1]
        self.logind.prepare_for_sleep(True)
        await delay.ends()

    async def wakes_up(self) -> None:
        count = len(self.logind.delays)
        self.logind.prepare_for_sleep(False)
        await self.logind.until(lambda: len(self.logind.delays) > count)

    async def blink(self, key: int = OWN_KEY) -> None:
        assert await asyncio.to_thread(self.machine.key(key).wait_for_blink, PATIENCE)

    async def touch(self, *keys: int) -> None:
        """Touch each key once it blinks."""
        for key in keys:
            await self.blink(key)
            assert self.machine.key(key).touch()

    async def all_dark(self) -> None:
        """Wait until no key runs a command."""
        for number in (OWN_KEY, NEW_KEY):
            assert await asyncio.to_thread(self.machine.key(number).wait_for_idle, PATIENCE)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the daemon meanwhile: what is sent to it is there at once when it goes on."""
        self.machine.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.machine.send_signal(signal.SIGCONT)

    async def has_left(self, name: str) -> None:
        """Wait until the bus says that a connection is gone."""
        async with asyncio.timeout(PATIENCE), call_as(self.bus, ROOT) as root:
            while (await root.ask_bus("NameHasOwner", "s", name)).body != [False]:
                pass

    async def read_log(self, since: int) -> list[dict]:
        """Return the entries after the first `since`."""
        async with call_as(self.bus, ROOT) as root:
            (lines,) = (await root.call("AuditTail", "u", 50)).body
        return [entry for entry in map(json.loads, lines) if entry["seq"] >= since]

    async def read_end(self, since: int) -> str:
        """Return why the next request after those ended, once it has."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for entry in await self.read_log(since):
                    if "verdict" in entry:
                        return entry["verdict"]["reason"]

    async def prove(self) -> str:
        """Have root prove himself with ada's key, by one touch, and return how that ended."""
        async with call_as(self.bus, ROOT) as root:
            asking = asyncio.ensure_future(root.call("Check", "sa{sv}", "cli:witness", {}))
            await self.touch(OWN_KEY)
            return (await asking).body[1]

    def count_blinks(self) -> int:
        return sum(self.machine.key(number).state()["blinks"] for number in (OWN_KEY, NEW_KEY))

    def put_back(self, *, has_new_key: bool) -> None:
        """Give the next ada one key, one grant and nothing else, whatever was before. Blocks."""
        self.next_ada()
        self.machine.key(OWN_KEY).plug()
        new_key = self.machine.key(NEW_KEY)
        (new_key.plug if has_new_key else new_key.unplug)()
        own = {"subject": self.name_of_ada}
        with self.machine.client() as root:
            found = root.call("ListCredentials", own)["credentials"]
            if [one["name"] for one in found] != ["blue"]:
                for one in found:
                    root.call("RemoveCredential", {"credential": one["id"], **own})
                self.machine.enroll(**own)
            root.call("Revoke", {"grant": "", **own})
            self.machine.key().script(touch_after_ms=0)
            assert root.call("StepUp", {"action": "cli:grant", **own})["reason"] == "proved"
            self.machine.key().script(touch_after_ms=None)

    def count_entries(self) -> int:
        with self.machine.client() as root:
            return root.call("Status")["entries"]

    async def close(self) -> None:
        await asyncio.to_thread(self.machine.stop)
        await self.stop_bus()


@asynccontextmanager
async def scene_in(machine: Machine) -> AsyncIterator[Scene]:
    """Run a daemon with two keys, ada's and a new one; at the end nothing in it has failed."""
    scene = Scene(machine)
    with ExitStack() as ends:
        ends.callback(scene.bus.stop)
        ends.callback(machine.kill)
        await scene.start()
        yield scene
        await scene.close()
    said = machine.read_stderr()
    assert "Traceback" not in said, said


@asynccontextmanager
async def call_as(bus: PrivateBus, uid: int) -> AsyncIterator[Caller]:
    """Connect as an account: the kernel notes who connects, not who writes later.

    For that moment all threads are of the account, so none may be opening anything.
    """
    connection = MessageBus(bus.address, auth=AuthExternal(uid), negotiate_unix_fd=True)
    os.seteuid(uid)
    try:
        await connection.connect()
    finally:
        os.seteuid(ROOT)
    async with speak(connection) as one:
        yield one
