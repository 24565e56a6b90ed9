"""The kernel's own events of devices, from the real kernel."""

import asyncio
import errno
import os
import socket
from pathlib import Path

import pytest
from device_support import PATIENCE

from stepupd.devices import uevents
from stepupd.devices.uevents import says_all, watch_devices

MEMORY = Path("/sys/class/mem/null/uevent")
"""A device of every machine; root may have the kernel say again that it is there."""


def make_event() -> None:
    """Have the kernel speak of a device of the subsystem `mem`."""
    try:
        MEMORY.write_text("change")
    except OSError as error:
        pytest.skip(f"the kernel makes no events here: {error.strerror}")


class Ears:
    """Hears a subsystem."""

    def __init__(self, subsystem: str, action: str = "change") -> None:
        self.count = 0
        self._heard = asyncio.Event()
        self.end = watch_devices(subsystem, self.told, action)

    def told(self) -> None:
        self.count += 1
        self._heard.set()

    async def hears(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._heard.wait()


async def test_the_kernels_event_is_heard_by_whom_it_concerns():
    """And by nobody else; one that has ended listens no more."""
    late, ears = Ears("mem"), Ears("mem")
    others = Ears("hidraw"), Ears("mem", "remove")
    late.end()
    late.end()
    make_event()
    await ears.hears()
    for one in (*others, ears):
        one.end()

    assert [one.count for one in (late, *others)] == [0, 0, 0]


async def test_only_the_kernel_is_heard():
    """Attack 35: another process that sends the same message to the same group changes nothing."""
    forged, real = Ears("hidraw", "remove"), Ears("mem")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15) as eve:
        try:
            eve.sendto(b"remove@/x\0ACTION=remove\0SUBSYSTEM=hidraw\0", (0, 1))
        except PermissionError:
            pytest.skip("only root can forge")
    make_event()
    await real.hears()
    for one in (forged, real):
        one.end()

    assert forged.count == 0


async def test_what_was_lost_counts_as_an_event():
    """The queue ran over: a removal may have been in it."""
    lost = OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    class Full:
        answers = iter([lost, BlockingIOError()])

        def recvfrom(self, _size):
            raise next(self.answers)

    assert uevents._read_events(Full(), {b"ACTION=remove"})


@pytest.mark.parametrize(
    ("event", "is_ours"),
    [
        (b"remove@/devices/x/hidraw0\0ACTION=remove\0SUBSYSTEM=hidraw\0SEQNUM=7\0", True),
        (b"remove@/devices/x\0ACTION=remove\0SUBSYSTEM=hidraw2\0", False),
        (b"add@/devices/x/hidraw0\0ACTION=add\0SUBSYSTEM=hidraw\0", False),
        (b"SUBSYSTEM=hidraw\0ACTION=remove\0SUBSYSTEM=usb\0", False),
        (b"libudev\0\xfe\xed\xca\xfe", False),
        (b"", False),
    ],
)
def test_an_event_names_its_subsystem_and_what_happened(event, is_ours):
    assert says_all(event, {b"ACTION=remove", b"SUBSYSTEM=hidraw"}) == is_ours
