"""FIDO2 keys on USB, through the kernel's hidraw nodes.

The law of this file:
* a node is known by the device behind it, numbered anew at every plug; `hidraw0` says nothing;
* nodes are found by their report descriptor in sysfs, so that looking opens no device;
* a connection drops packets of other programs' channels, and gives up on a key that is silent for
  two seconds or that ignores being cancelled: no thread waits for ever.
"""

import errno
import logging
import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from fido2.hid import CtapHidDevice, base, linux

from stepupd.devices.held_nodes import HeldNodes
from stepupd.devices.plugged import Plugged
from stepupd.devices.uevents import watch_devices

SYSFS = Path("/sys/class/hidraw")
DEV = Path("/dev")

QUIET_LIMIT = 2.0
"""Seconds of silence after which a key is given up: a live one speaks every 100 ms (CTAP 2.1,
section 11.2.9.1.5)."""

PACKET_SIZES = range(8, 1025)
"""Bytes: 64 at full speed; less than 8 carries nothing, more than 1,024 no USB packet holds."""

_INIT = 0x86
_CANCEL = 0x91
_CHANNEL = slice(0, 4)
_NONCE = slice(7, 15)

_log = logging.getLogger(__name__)


class BoundedConnection(linux.LinuxCtapHidConnection):
    """A hidraw connection for one channel, bounded in time. Raises OSError."""

    def __init__(self, descriptor: base.HidDescriptor) -> None:
        super().__init__(descriptor)  # type: ignore[no-untyped-call]
        self.let_go: Callable[[int], None] = os.close
        """What becomes of the node's descriptor at the end."""
        self._poll = select.poll()
        self._poll.register(self.handle, select.POLLIN)
        self._channel = self._nonce = b""
        # A channel of its own comes at once or not at all.
        self._gives_up = monotonic() + QUIET_LIMIT

    def write_packet(self, data: bytes) -> None:
        """Send a packet, and remember whose answer to wait for."""
        if data[4] == _INIT:
            self._nonce = data[_NONCE]
        elif data[4] == _CANCEL:
            self._gives_up = min(self._gives_up, monotonic() + QUIET_LIMIT)
        elif data[_CHANNEL] != self._channel:
            self._gives_up = float("inf")
        self._channel = data[_CHANNEL]
        super().write_packet(data)  # type: ignore[no-untyped-call]

    def read_packet(self) -> bytes:
        """Return the next packet that is meant for us."""
        end = min(monotonic() + QUIET_LIMIT, self._gives_up)
        while (left := end - monotonic()) > 0 and self._poll.poll(left * 1000):
            packet: bytes = super().read_packet()  # type: ignore[no-untyped-call]
            if not packet:
                raise OSError(errno.ENODEV, "the key is gone")
            if self._is_ours(packet):
                return packet
        raise TimeoutError(errno.ETIMEDOUT, "the key is silent")

    def close(self) -> None:
        """Use it no longer. Idempotent."""
        handle, self.handle = self.handle, -1
        if handle >= 0:
            self.let_go(handle)

    def _is_ours(self, packet: bytes) -> bool:
        # INIT is answered on the broadcast channel, where every program hears every answer.
        is_init = len(packet) > _NONCE.stop and packet[4] == _INIT
        return packet[_CHANNEL] == self._channel and (not is_init or packet[_NONCE] == self._nonce)


@dataclass(frozen=True, slots=True)
class HidrawKey:
    """A FIDO2 key on a hidraw node."""

    descriptor: base.HidDescriptor
    node: Path
    identity: str
    name: str
    held: HeldNodes
    is_simulated: bool = False

    def open(self) -> CtapHidDevice:
        """Return a connection with a channel of its own; raises OSError or ConnectionFailure."""
        connection = BoundedConnection(self.descriptor)
        try:
            self._check_identity()
            device = CtapHidDevice(self.descriptor, connection)
        except BaseException:
            connection.close()
            raise
        connection.let_go = partial(self.held.hold, self.identity)
        return device

    def _check_identity(self) -> None:
        if _find_identity(self.node) != self.identity:
            raise OSError(errno.ENODEV, "the node belongs to another key now")


class HidrawSource:
    """Finds the FIDO2 keys among the hidraw nodes; remembers what it has looked at."""

    def __init__(self, sysfs: Path = SYSFS, dev: Path = DEV) -> None:
        self._sysfs = sysfs
        self._dev = dev
        self._seen: dict[str, HidrawKey | None] = {}
        self._unopened: set[str] = set()
        self._held = HeldNodes()

    def plugged(self) -> list[Plugged]:
        """Return the keys that are present and that we may open."""
        try:
            nodes = sorted(self._sysfs.iterdir())
        except OSError:
            nodes = []
        present = {_find_identity(node): node for node in nodes}
        seen = self._seen  # another thread may look at the same time
        self._seen = {
            identity: seen[identity] if identity in seen else self._look_at(node, identity)
            for identity, node in present.items()
            if identity
        }
        self._unopened &= self._seen.keys()
        self._held.keep_only(self._seen)
        return [key for key in self._seen.values() if key is not None and self._may_open(key)]

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """Have `told` called when a node went; see `Source.watch`."""
        return watch_devices("hidraw", told)

    def rest(self) -> None:
        """Let go of the nodes that were kept open."""
        self._held.release()

    def _may_open(self, key: HidrawKey) -> bool:
        # Asked each time: udev gives access to a new node a moment after it is there.
        if os.access(key.descriptor.path, os.R_OK | os.W_OK):
            return True
        if key.identity not in self._unopened:
            self._unopened.add(key.identity)
            _log.warning("%s is a FIDO2 key that this daemon may not open", key.descriptor.path)
        return False

    def _look_at(self, node: Path, identity: str) -> HidrawKey | None:
        device = node / "device"
        try:
            sizes = base.parse_report_descriptor((device / "report_descriptor").read_bytes())
            facts = dict(
                line.split("=", 1)
                for line in (device / "uevent").read_text("utf-8", "replace").splitlines()
                if "=" in line
            )
        except (OSError, ValueError, ArithmeticError, IndexError):
            return None
        path = str(self._dev / node.name)
        if not all(size in PACKET_SIZES for size in sizes):
            _log.warning("%s claims packets of %s bytes: no FIDO2 key has those", path, sizes)
            return None
        name = facts.get("HID_NAME", "FIDO2 key")
        descriptor = base.HidDescriptor(path, 0, 0, *sizes, name, facts.get("HID_UNIQ"))
        return HidrawKey(descriptor, node, identity, name, self._held)


def _find_identity(node: Path) -> str:
    """Return the device behind a node, with the kernel's running number; "" if there is none."""
    try:
        # Like 0003:1050:0407.0005: the last part counts up at every plug (hid_add_device).
        return f"{(node / 'device').readlink().name} {node.name}"
    except OSError:
        return ""
