"""A simulated key as a HID device of the kernel: a hidraw node that every program takes for a key.

Law: it needs root, and whoever may use /dev/uhid could forge any key anyway. It is never part of a
daemon: it runs by itself (`python -m stepupd.devices.simulated.uhid DIRECTORY`), for tests and
trials, and what it signs looks like hardware to everyone who does not know its AAGUID. The kernel's
interface is linux/uhid.h; what lies above the packets is `hid_link`, what lies below is not here.
"""

import argparse
import errno
import os
import select
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from stepupd.core.errors import StepUpError
from stepupd.devices.simulated.control import ControlServer
from stepupd.devices.simulated.hid_link import HidLink
from stepupd.devices.simulated.key import SimulatedKey

DEVICE: Final = "/dev/uhid"

# pid.codes' test numbers, as on the other seam; on USB, because libfido2 looks at nothing else.
_BUS_USB, _VENDOR, _PRODUCT = 3, 0x1209, 0x0001

# CTAP 2.1, 11.2.8.2: usage page F1D0, one input and one output report of 64 bytes.
REPORT_DESCRIPTOR: Final = bytes.fromhex(
    "06d0f1 0901 a101 0920 1500 26ff00 7508 9540 8102 0921 1500 26ff00 7508 9540 9102 c0"
)

_DESTROY, _OUTPUT, _GET_REPORT, _GET_REPLY = 1, 6, 9, 10
_CREATE, _INPUT, _SET_REPORT, _SET_REPLY = 11, 12, 13, 14
_EVENT_SIZE: Final = 4380
_DATA_SIZE: Final = 4096


class UhidPort:
    """The kernel's side of one key: a device while the key is plugged in, none while it is not.

    `uhid`: a descriptor of /dev/uhid, every read and write of which is one event.
    """

    def __init__(self, key: SimulatedKey, uhid: int) -> None:
        self._key = key
        self._link: HidLink | None = None
        self._uhid = uhid
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        key.watch(self._call)

    def serve(self) -> None:
        """Follow the key's plugging and carry packets until `uhid` ends. OSError: it refused."""
        poll = select.poll()
        poll.register(self._uhid, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        self._follow_plug()
        while True:
            ready = {fd for fd, _ in poll.poll(self._find_patience())}
            if self._wake in ready:
                os.eventfd_read(self._wake)
                self._follow_plug()
            if self._uhid in ready:
                event = os.read(self._uhid, _EVENT_SIZE)
                if not event:
                    return
                self._take(event)

    def _call(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _find_patience(self) -> float | None:
        """Return milliseconds until a message that is being received has taken too long."""
        if self._link is None:
            return None
        with self._link.insertion.body.changed:
            left = self._link.expire()
        return None if left is None else left * 1000 + 1

    def _follow_plug(self) -> None:
        insertion = self._key.body.insertion
        if self._link is not None and self._link.insertion is not insertion:
            self._link = None
            os.write(self._uhid, struct.pack("=I", _DESTROY))
        if self._link is None and insertion is not None:
            self._link = HidLink(self._key, insertion)
            self._link.listen(self._send)
            os.write(self._uhid, _describe_device(self._key))

    def _send(self, packet: bytes) -> None:
        # A worker may still have something to say after the device is gone.
        with suppress(OSError):
            os.write(self._uhid, struct.pack("=IH", _INPUT, len(packet)) + packet)

    def _take(self, event: bytes) -> None:
        (kind,) = struct.unpack_from("=I", event)
        if kind == _OUTPUT and self._link is not None:
            (size,) = struct.unpack_from("=H", event, 4 + _DATA_SIZE)
            # The first byte is the report's number: 0, there is only one.
            with suppress(OSError):
                self._link.receive(event[5 : 4 + size])
        elif kind in (_GET_REPORT, _SET_REPORT):
            (number,) = struct.unpack_from("=I", event, 4)
            reply = _GET_REPLY if kind == _GET_REPORT else _SET_REPLY
            os.write(self._uhid, struct.pack("=IIHH", reply, number, errno.EIO, 0))


def _describe_device(key: SimulatedKey) -> bytes:
    """Return UHID_CREATE2: name, place, serial number, sizes and numbers, report descriptor."""
    return struct.pack(
        "=I128s64s64sHHIIII",
        _CREATE,
        key.name.encode(),
        b"uhid",
        key.serial.encode(),
        len(REPORT_DESCRIPTOR),
        _BUS_USB,
        _VENDOR,
        _PRODUCT,
        0,
        0,
    ) + REPORT_DESCRIPTOR.ljust(_DATA_SIZE, b"\0")


def main() -> None:
    """Serve one key until SIGTERM; its memory and its control socket lie in the directory."""
    parser = argparse.ArgumentParser(description="a simulated key on /dev/uhid", allow_abbrev=False)
    parser.add_argument("directory", type=Path, help="where key.json and key.sock lie")
    directory = parser.parse_args().directory
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = SimulatedKey(directory / "key.json")
        ControlServer(directory, [key]).start()
        UhidPort(key, os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)).serve()
    except (OSError, StepUpError) as error:
        sys.exit(f"simulated key: {error}")


if __name__ == "__main__":
    main()
