"""The upper seam: a simulated key as python-fido2's `CtapDevice`, without packets.

It behaves like a device on a link that gives up on a silent key, retries a busy one until it is
cancelled, and reports a pulled one as OSError.
"""

import os
from collections.abc import Callable, Iterator
from errno import EBADF
from threading import Event
from typing import Final

from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.hid import CAPABILITY, CTAPHID

from stepupd.devices.simulated.authenticator import name_command
from stepupd.devices.simulated.hid_frame import count_packets
from stepupd.devices.simulated.key import SimulatedKey
from stepupd.devices.simulated.script import Command, Fault, Step

QUIET_S: Final = 2.0
_BUSY_PAUSE_S: Final = 0.1


class SimulatedDevice(CtapDevice):
    """A key opened while it is plugged in; useless once it was pulled out.

    OSError if the key is not there or does not answer. `quiet`: seconds of scripted silence until
    OSError.
    """

    def __init__(self, key: SimulatedKey, quiet: float = QUIET_S) -> None:
        self._key = key
        self._quiet = quiet
        self._is_closed = False
        self._insertion = key.require_insertion()
        self._insertion.reach(Step.INIT)
        if key.script.has_fault(Fault.SILENT, Command.INIT):
            raise OSError("authenticator silent")

    @property
    def capabilities(self) -> int:
        """What the key can do beyond CTAP1, which it cannot."""
        return CAPABILITY.WINK | CAPABILITY.CBOR | CAPABILITY.NMSG

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """Send a CTAPHID command and return its reply; see `CtapDevice.call`."""
        if self._is_closed:
            raise OSError(EBADF, os.strerror(EBADF))
        self._insertion.check_plugged()
        if cmd == CTAPHID.PING:
            return data
        if cmd == CTAPHID.WINK:
            self._insertion.body.winks += 1
            return b""
        if cmd != CTAPHID.CBOR:
            raise CtapError(CtapError.ERR.INVALID_COMMAND)
        return self._exchange(data, event or Event(), on_keepalive)

    def close(self) -> None:
        """Close the device; what the key is doing goes on."""
        self._is_closed = True

    @classmethod
    def list_devices(cls) -> Iterator["SimulatedDevice"]:
        """List nothing: simulated keys are found only through the bus they were put on."""
        return iter(())

    def _exchange(
        self, data: bytes, cancelled: Event, heard: Callable[[STATUS], None] | None
    ) -> bytes:
        keepalive = _Once(heard)
        while True:
            try:
                reply = self._key.run(self._insertion, data, cancelled, keepalive, self._quiet)
            except CtapError as error:
                if error.code != CtapError.ERR.CHANNEL_BUSY or cancelled.wait(_BUSY_PAUSE_S):
                    raise
            else:
                return self._deliver(name_command(data), reply)

    def _deliver(self, command: Command, reply: bytes) -> bytes:
        if not self._key.script.concerns(command):
            return reply
        self._insertion.pause(self._key.script.packet_delay_ms * count_packets(len(reply)))
        self._insertion.reach(Step.MID_PACKET)
        if self._insertion.leave(Step.AFTER_REPLY):
            self._insertion.body.tell_watchers()
        return reply


class _Once:
    """Passes a keepalive on when its status changes, as `CtapDevice.call` promises."""

    def __init__(self, heard: Callable[[STATUS], None] | None) -> None:
        self._heard = heard
        self._last: int | None = None

    def __call__(self, status: int) -> None:
        if self._heard is not None and status != self._last:
            self._last = status
            self._heard(STATUS(status))
