"""A private bus with the rules of the real one and of ours, the D-Bus door on it, and callers."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dbus_fast import Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus
from doors_support import DEFAULT_LIMITS, PATIENCE, ScriptedService

from stepupd.api.admission import Admission
from stepupd.api.dbus_door import BusDoor
from stepupd.api.dbus_interface import CEREMONY, MANAGER, NAME, ROOT_PATH
from stepupd.api.dbus_outside import Outside
from stepupd.api.house import House
from stepupd.core.errors import RequestError
from stepupd.core.management import Permission, Verb, permit
from stepupd.host.named_process import identify_process

FOLDER = Path(__file__).parents[2] / "dbus"
POLKIT = "org.freedesktop.PolicyKit1"

# As /usr/share/dbus-1/system.conf, without activation; then our file, as packaged.
CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <policy user="root">
    <allow own="{polkit}"/>
    <allow send_destination="{polkit}"/>
    <allow own="org.freedesktop.login1"/>
    <allow send_destination="org.freedesktop.login1"/>
  </policy>
  <include>{ours}</include>
</busconfig>
"""


# A bus daemon lets in only accounts that exist; Debian's `daemon` and `bin` do everywhere.
ADA, BOB = 1, 2
NAMES = {0: "root", ADA: "daemon", BOB: "bin"}


class BusService(ScriptedService):
    """The scripted service, with accounts that a bus daemon knows."""

    def check(self, verb: Verb, caller, subject: str) -> None:
        uid = {"": caller.uid} | {name: uid for uid, name in NAMES.items()}
        may = permit(
            verb, caller, uid.get(subject, -1), has_credentials=True, is_first_key_open=False
        )
        if may is Permission.REFUSED:
            raise RequestError("not for that account", reason="not-permitted")


class PrivateBus:
    """A dbus-daemon of our own. `start` and `stop` as often as you like; the address stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "bus"
        self.address = f"unix:path={self.path}"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "bus.conf").write_text(
            CONFIGURATION.format(path=self.path, polkit=POLKIT, ours=FOLDER / "org.stepupd1.conf")
        )

    def start(self) -> None:
        """Return once it listens."""
        self.path.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                "dbus-daemon",
                f"--config-file={self.folder / 'bus.conf'}",
                "--nofork",
                "--print-address",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it does not know the account `stepupd` here
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@asynccontextmanager
async def private_bus() -> AsyncIterator[PrivateBus]:
    folder = Path(tempfile.mkdtemp(prefix="stepupd-bus-"))
    os.chmod(folder, 0o755)  # noqa: PTH101 - pathlib in a coroutine is ruff's ASYNC240
    bus = PrivateBus(folder)
    bus.start()
    try:
        yield bus
    finally:
        bus.stop()
        shutil.rmtree(folder)


@dataclass
class Setup:
    """One door on a private bus, before a service that follows a script."""

    bus: PrivateBus
    service: BusService
    admission: Admission
    door: BusDoor
    reloads: list[None] = field(default_factory=list)

    async def is_up(self) -> None:
        """Wait until the door owns its name."""
        async with asyncio.timeout(PATIENCE):
            async with caller(self.bus) as other:
                while (await other.ask_bus("NameHasOwner", "s", NAME)).body != [True]:
                    pass


@asynccontextmanager
async def open_door(limits=DEFAULT_LIMITS, *, own_uid: int = 0) -> AsyncIterator[Setup]:
    async with private_bus() as bus:
        service, admission, reloads = BusService(), Admission(limits), []

        async def name_account(uid: int) -> str:
            if uid not in NAMES:
                raise RequestError("no such account", reason="no-such-account")
            return NAMES[uid]

        async def read_log(count: int) -> tuple[str, ...]:
            return tuple(f'{{"seq":{number}}}' for number in range(count))

        outside = Outside(
            name_account,
            read_log,
            lambda: reloads.append(None),
            identify_process,
            own_uid=own_uid,
            has_polkit=True,
        )
        door = BusDoor(bus.address, House(service, admission, limits), outside)
        setup = Setup(bus, service, admission, door, reloads)
        door.start()
        try:
            await setup.is_up()
            yield setup
        finally:
            await door.close()


class Caller:
    """One connection to the bus, of this process's account unless `as_uid` says otherwise."""

    def __init__(self, bus: MessageBus) -> None:
        self.bus = bus
        self.signals: asyncio.Queue[Message] = asyncio.Queue()
        bus.add_message_handler(self._take)

    @property
    def name(self) -> str:
        return self.bus.unique_name

    def _take(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL and message.interface != NAME_OF_BUS:
            self.signals.put_nowait(message)

    async def send(self, message: Message) -> Message:
        async with asyncio.timeout(PATIENCE):
            return await self.bus.call(message)

    async def ask_bus(self, member: str, signature: str = "", *body: object) -> Message:
        return await self.send(
            Message(
                destination=NAME_OF_BUS,
                path="/org/freedesktop/DBus",
                interface=NAME_OF_BUS,
                member=member,
                signature=signature,
                body=list(body),
            )
        )

    async def call(
        self,
        member: str,
        signature: str = "",
        *body: object,
        path: str = ROOT_PATH,
        interface: str = MANAGER,
        flags: MessageFlag = MessageFlag.NONE,
        passed: Sequence[int] = (),
    ) -> Message:
        return await self.send(
            Message(
                destination=NAME,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=list(body),
                flags=flags,
                unix_fds=list(passed),
            )
        )

    async def begin(self, action: str, **options: Variant) -> str:
        """Ask for a step-up and return the ceremony's path."""
        reply = await self.call("StepUp", "sa{sv}", action, options)
        assert reply.message_type is MessageType.METHOD_RETURN, read_error(reply)
        return reply.body[0]

    async def respond(self, path: str, member: str, signature: str = "", *body: object) -> Message:
        return await self.call(member, signature, *body, path=path, interface=CEREMONY)

    async def signal(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            return await self.signals.get()

    async def verdict(self) -> tuple[str, str]:
        """Return verdict and reason of the next `Finished`."""
        while (found := await self.signal()).member != "Finished":
            pass
        return found.body[0], found.body[1]


NAME_OF_BUS = "org.freedesktop.DBus"


@asynccontextmanager
async def caller(bus: PrivateBus) -> AsyncIterator[Caller]:
    connection = await MessageBus(bus.address, negotiate_unix_fd=True).connect()
    async with speak(connection) as one:
        yield one


@asynccontextmanager
async def speak(connection: MessageBus) -> AsyncIterator[Caller]:
    """Use a connection, and hang up if the other side has not."""
    try:
        yield Caller(connection)
    finally:
        if connection.connected:
            connection.disconnect()
            await connection.wait_for_disconnect()


def read_error(reply: Message) -> tuple[str, str]:
    assert reply.message_type is MessageType.ERROR, reply.body
    return reply.error_name, reply.body[0]


def error_of(reply: Message) -> str:
    """Return the last part of an error reply's name."""
    return read_error(reply)[0].rpartition(".")[2]


CHILD = """
import asyncio, json, os, sys
from dbus_fast import Message, MessageFlag, Variant
from dbus_fast.aio import MessageBus
uid, address = int(sys.argv[1]), sys.argv[2]
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
async def call(bus, path, interface, member, signature, body, flags=0, passed=()):
    reply = await asyncio.wait_for(bus.call(Message(destination='org.stepupd1', path=path,
        interface=interface, member=member, signature=signature, body=body,
        flags=MessageFlag(flags), unix_fds=list(passed))), 60)
    return [reply.error_name or '', [repr(item) for item in reply.body]]
async def main():
    bus = await MessageBus(address, negotiate_unix_fd=True).connect()
    manager = ('/org/stepupd1', 'org.stepupd1.Manager')
{code}
asyncio.run(main())
"""


async def run_as(uid: int, bus: PrivateBus, code: str, *arguments: object) -> str:
    """Run the body of a coroutine in a process of another account; return what it prints."""
    indented = "\n".join("    " + line for line in code.strip("\n").split("\n"))
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-c",
        CHILD.replace("{code}", indented),
        str(uid),
        bus.address,
        *map(str, arguments),
        stdout=-1,
        stderr=-1,
    )
    async with asyncio.timeout(PATIENCE):
        output, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    return output.decode()


class Client:
    """A process of another account that is connected, and does nothing."""

    def __init__(self, process, name):
        self.process, self.name = process, name

    async def leave(self):
        self.process.kill()
        await self.process.communicate()


async def start_client(setup, uid):
    code = "    print(bus.unique_name, flush=True); await asyncio.sleep(600)"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-c",
        CHILD.replace("{code}", code),
        str(uid),
        setup.bus.address,
        stdout=-1,
    )
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    return Client(process, line.decode().strip())
