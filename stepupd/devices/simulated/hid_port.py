"""The lower seam: a simulated key as a hidraw node that programs open, read and write.

As on Linux, every opener sees every packet the key sends, packets that arrived before the key was
pulled out can still be read, and then reading fails with EIO, writing and opening with ENODEV.
"""

import errno
import os
from collections import deque
from time import monotonic
from typing import Final

from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor

from stepupd.devices.simulated.hid_frame import PACKET
from stepupd.devices.simulated.hid_link import HidLink
from stepupd.devices.simulated.key import SimulatedKey

# pid.codes' test numbers: no product has them.
_VENDOR: Final = 0x1209
_PRODUCT: Final = 0x0001
# An opener that does not read loses the newest packets beyond this, as with hidraw.
_BACKLOG: Final = 1024


class HidPort:
    """The node of one key, through every stay of it."""

    def __init__(self, key: SimulatedKey) -> None:
        self._key = key
        self._link: HidLink | None = None

    @property
    def descriptor(self) -> HidDescriptor:
        """What enumerating the node tells."""
        path, serial = f"simulated:{self._key.serial}", self._key.serial
        return HidDescriptor(path, _VENDOR, _PRODUCT, PACKET, PACKET, self._key.name, serial)

    def open(self) -> "HidConnection":
        """Open the node. OSError ENODEV if the key is not plugged in."""
        insertion = self._key.require_insertion()
        with insertion.body.changed:
            if self._link is None or self._link.insertion is not insertion:
                self._link = HidLink(self._key, insertion)
            return HidConnection(self._link)

    def open_device(self) -> CtapHidDevice:
        """Open the node under python-fido2's own device. OSError, or what that raises."""
        connection = self.open()
        try:
            return CtapHidDevice(self.descriptor, connection)
        except BaseException:
            connection.close()
            raise


class HidConnection(CtapHidConnection):
    """One program's open node."""

    def __init__(self, link: HidLink) -> None:
        self._link = link
        self._changed = link.insertion.body.changed
        self._packets: deque[bytes] = deque()
        self._is_closed = False
        link.listen(self._hear)

    def read_packet(self, timeout: float | None = None) -> bytes:
        """Read a packet of 64 bytes, for any channel.

        OSError: EIO when the key is gone, EBADF when closed, TimeoutError after `timeout` seconds.
        """
        end = None if timeout is None else monotonic() + timeout
        with self._changed:
            while not self._packets:
                self._check_open()
                self._link.insertion.check_plugged(errno.EIO)
                waits = [left for left in (self._link.expire(), _left(end)) if left is not None]
                if not self._packets:
                    self._changed.wait(min(waits, default=None))
            self._check_open()
            return self._packets.popleft()

    def write_packet(self, data: bytes) -> None:
        """Write a packet of 64 bytes. OSError: ENODEV when the key is gone, EBADF when closed."""
        with self._changed:
            self._check_open()
            self._link.insertion.check_plugged(errno.ENODEV)
        self._link.receive(data)

    def close(self) -> None:
        """Close the node; whatever the key is doing goes on."""
        with self._changed:
            if not self._is_closed:
                self._is_closed = True
                self._link.ignore(self._hear)
                self._changed.notify_all()

    def _check_open(self) -> None:
        if self._is_closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def _hear(self, packet: bytes) -> None:
        if len(self._packets) < _BACKLOG:
            self._packets.append(packet)


def _left(end: float | None) -> float | None:
    if end is None:
        return None
    left = end - monotonic()
    if left <= 0:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    return left
