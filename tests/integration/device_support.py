"""Simulated keys under the real device layer, at three seams: calls, packets, and descriptors."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from fido2.hid import CtapHidDevice
from fido2.hid.base import FileCtapHidConnection, HidDescriptor

from stepupd.core.attestation import check_registration
from stepupd.core.client_data import ClientDataType, make_client_data, origin_of
from stepupd.core.cose import ALGORITHMS
from stepupd.core.effects import AssertFido2, Notice, Registered, RegisterFido2, Trouble, Use
from stepupd.core.model import Credential
from stepupd.devices.hidraw import BoundedConnection
from stepupd.devices.key import operate
from stepupd.devices.key_ring import KeyRing
from stepupd.devices.simulated import HidPort, Model, SimulatedBus, SimulatedKey

RP_ID = "laptop.3fa2c1.stepup"
PATIENCE = 30
"""Seconds after which a test gives up; never what is measured."""

CHALLENGE = bytes(range(32))


class Opened(FileCtapHidConnection):
    """Stands where the file would be opened, with a descriptor that is open already."""

    def __init__(self, descriptor: "OpenDescriptor") -> None:
        self.handle = descriptor.handle
        self.descriptor = descriptor


class FdConnection(BoundedConnection, Opened):
    """Our own connection, on one end of a socket pair: real read, write and poll."""


@dataclass
class OpenDescriptor(HidDescriptor):
    """A descriptor of a node that is open."""

    handle: int = -1


def open_over_fd(port: HidPort) -> CtapHidDevice:
    """Open a simulated key's node through a file descriptor, packets pumped by two threads."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    node = port.open()

    def pump_out() -> None:
        with contextlib.suppress(OSError):
            while packet := theirs.recv(65):
                node.write_packet(packet[1:])
        node.close()

    def pump_in() -> None:
        with contextlib.suppress(OSError):
            while True:
                theirs.send(node.read_packet())
        with contextlib.suppress(OSError):
            theirs.shutdown(socket.SHUT_RDWR)
        out.join()
        theirs.close()

    out = threading.Thread(target=pump_out, daemon=True)
    out.start()
    threading.Thread(target=pump_in, daemon=True).start()
    shown = port.descriptor
    descriptor = OpenDescriptor(*vars(shown).values(), handle=ours.detach())
    connection = FdConnection(descriptor)
    try:
        return CtapHidDevice(descriptor, connection)
    except BaseException:
        connection.close()
        raise


class FdBus(SimulatedBus):
    """The bus, at its lowest seam."""

    def plugged(self):
        ports = {key.serial: self._ports[key] for key in self.keys}
        return [
            replace(found, connect=lambda port=ports[found.serial]: open_over_fd(port))
            for found in super().plugged()
        ]


SEAMS: dict[str, Callable[..., SimulatedBus]] = {
    "calls": SimulatedBus,
    "packets": lambda keys: SimulatedBus(keys, over_hid=True),
    "descriptors": FdBus,
}


class BootClock:
    """A clock that is just a number."""

    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """A key ring over simulated keys, and what it told the person."""

    bus: SimulatedBus
    clock: BootClock = field(default_factory=BootClock)
    notices: list[Notice] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.ring = KeyRing([self.bus], self.clock)

    def begin(self, *operations, uid=1000, deadline=30.0) -> asyncio.Task:
        use = Use(operations, "Touch.", self.clock.now + deadline)
        return asyncio.ensure_future(self._use(use, uid))

    async def _use(self, use, uid):
        async with self.ring.turn(uid) as turn:
            return await turn.use(use, self.notify)

    async def use(self, *operations, **settings):
        async with asyncio.timeout(PATIENCE):
            return await self.begin(*operations, **settings)

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)
        self.changed.set()

    async def hear(self, notice: Notice) -> None:
        """Wait until the person was told."""
        async with asyncio.timeout(PATIENCE):
            while notice not in self.notices:
                self.changed.clear()
                await self.changed.wait()


def make_key(*, pin: str | None = None, **model) -> SimulatedKey:
    key = SimulatedKey(model=Model(**model))
    if pin is not None:
        key.set_pin(pin)
    return key


def sign_op(*credentials: Credential, is_uv=False, **changes) -> AssertFido2:
    data = make_client_data(ClientDataType.GET, CHALLENGE, origin_of(RP_ID))
    allow = tuple(credential.id for credential in credentials)
    return replace(AssertFido2(RP_ID, data, allow, is_uv), **changes)


def make_op(*exclude: Credential, **changes) -> RegisterFido2:
    data = make_client_data(ClientDataType.CREATE, CHALLENGE, origin_of(RP_ID))
    ids = tuple(credential.id for credential in exclude)
    made = RegisterFido2(RP_ID, data, b"user", "ada", tuple(ALGORITHMS), ids)
    return replace(made, **changes)


def enrol(key: SimulatedKey, *, uid=1000, name="blue") -> Credential:
    """Enrol a key that is touched at once, past all ceremonies; then it waits for touches."""
    before = key.script
    key.change_script(touch_after_ms=0)
    (plugged,) = SimulatedBus([key]).plugged()
    answer = operate(plugged, make_op(), threading.Event(), lambda: None, is_alone=True)
    key.script = before
    assert isinstance(answer, Registered), answer
    new = check_registration(
        answer, rp_id=RP_ID, challenge=CHALLENGE, roots=(), now_wall=0, is_uv_required=False
    )
    return Credential(
        new.id, uid, name, RP_ID, new.public_key, new.aaguid, new.sign_count, is_simulated=True
    )


async def blink(key: SimulatedKey) -> None:
    """Wait until a key blinks."""
    assert await asyncio.to_thread(key.wait_for_blink, PATIENCE)


async def idle(*keys: SimulatedKey) -> None:
    """Wait until no key runs a command any more."""
    for key in keys:
        assert await asyncio.to_thread(key.wait_for_idle, PATIENCE)


async def touch(key: SimulatedKey) -> None:
    """Touch a key once it blinks."""
    await blink(key)
    assert key.touch()


def key_threads() -> list[threading.Thread]:
    """Return the threads that still hold a key."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("key ")]


async def all_threads_end() -> None:
    """Wait until no thread holds a key."""
    for thread in key_threads():
        await asyncio.to_thread(thread.join, PATIENCE)
    assert key_threads() == []


def kind_of(answer: object) -> object:
    return answer.kind if isinstance(answer, Trouble) else type(answer)
