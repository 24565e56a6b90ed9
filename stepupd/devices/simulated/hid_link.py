"""The key's side of CTAPHID (CTAP 2.1, 11.2): channels, messages, busy, cancel, keepalive.

Law: one message at a time, for whichever channel began it; every other channel hears CHANNEL_BUSY.
Whatever arrives is answered or ignored as the standard says; nothing a host sends can stop the
link. A link lives as long as the key stays plugged in.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import ENODEV
from threading import Event, Thread
from time import monotonic
from typing import Final

from fido2.ctap import STATUS, CtapError
from fido2.hid import CAPABILITY, CTAPHID

from stepupd.devices.simulated.authenticator import name_command
from stepupd.devices.simulated.hid_frame import (
    BROADCAST,
    MAX_PAYLOAD,
    Assembly,
    FirstPacket,
    NextPacket,
    read_packet,
    write_packets,
)
from stepupd.devices.simulated.insertion import Insertion
from stepupd.devices.simulated.key import SimulatedKey
from stepupd.devices.simulated.script import Command, Fault, Step

_ERR = CtapError.ERR
_NONCE: Final = 8
# The standard leaves the limit open; other keys use half a second too.
_MESSAGE_TIMEOUT_S: Final = 0.5
_CTAPHID_VERSION: Final = 2
_DEVICE_VERSION: Final = (1, 0, 0)
_FOREIGN_CHANNEL: Final = 0x0F0E1607


@dataclass(eq=False, slots=True)
class _Job:
    """A CBOR command that a worker thread runs for a channel."""

    channel: int
    data: bytes
    cancelled: Event = field(default_factory=Event)


class HidLink:
    """The link of one key during one stay; `hear` is told every packet the key sends."""

    def __init__(self, key: SimulatedKey, insertion: Insertion) -> None:
        self.insertion = insertion
        self._key = key
        self._changed = insertion.body.changed
        self._listeners: list[Callable[[bytes], None]] = []
        self._channels = 0
        self._assembly: Assembly | None = None
        self._job: _Job | None = None

    def listen(self, hear: Callable[[bytes], None]) -> None:
        """Tell `hear` every packet from now on, whoever it is for, as hidraw does."""
        with self._changed:
            self._listeners.append(hear)

    def ignore(self, hear: Callable[[bytes], None]) -> None:
        """Stop telling `hear`."""
        with self._changed:
            self._listeners.remove(hear)

    def receive(self, data: bytes) -> None:
        """Take one packet from a host. OSError if the key was pulled out."""
        packet = read_packet(data)
        if isinstance(packet, FirstPacket) and packet.command == CTAPHID.INIT:
            self.insertion.reach(Step.INIT, ENODEV)
        with self._changed:
            self.expire()
            if isinstance(packet, NextPacket):
                self._continue(packet)
            elif packet.channel == BROADCAST or packet.command == CTAPHID.INIT:
                self._open_channel(packet)
            elif not 0 < packet.channel <= self._channels:
                self._refuse(packet.channel, _ERR.INVALID_CHANNEL)
            elif packet.command == CTAPHID.CANCEL:
                self._cancel(packet.channel)
            else:
                self._begin(packet)

    def expire(self) -> float | None:
        """Drop a message whose packets stopped coming; return the seconds left for one."""
        if self._assembly is None:
            return None
        left = self._assembly.since + _MESSAGE_TIMEOUT_S - monotonic()
        if left > 0:
            return left
        self._refuse(self._assembly.channel, _ERR.TIMEOUT)
        self._assembly = None
        return None

    def _open_channel(self, packet: FirstPacket) -> None:
        """Answer INIT: a new channel on broadcast, a fresh start on a channel."""
        if packet.command != CTAPHID.INIT or packet.channel == 0:
            self._refuse(packet.channel, _ERR.INVALID_CHANNEL)
            return
        if packet.length != _NONCE:
            self._refuse(packet.channel, _ERR.INVALID_LENGTH)
            return
        channel = packet.channel
        if channel == BROADCAST:
            self._channels += 1
            channel = self._channels
        else:
            self._abort(channel)
        capabilities = CAPABILITY.WINK | CAPABILITY.CBOR | CAPABILITY.NMSG
        reply = struct.pack(">IBBBBB", channel, _CTAPHID_VERSION, *_DEVICE_VERSION, capabilities)
        script = self._key.script
        if script.has_fault(Fault.BUSY, Command.INIT):
            self._refuse(packet.channel, _ERR.CHANNEL_BUSY)
        elif script.has_fault(Fault.GARBAGE, Command.INIT):
            self._send(packet.channel, CTAPHID.INIT, bytes(_NONCE) + reply)
        elif not script.has_fault(Fault.SILENT, Command.INIT):
            self._send(packet.channel, CTAPHID.INIT, packet.data[:_NONCE] + reply)

    def _begin(self, packet: FirstPacket) -> None:
        busy = self._assembly or self._job
        if self._assembly is not None and self._assembly.channel == packet.channel:
            self._assembly = None
            self._refuse(packet.channel, _ERR.INVALID_SEQ)
        elif busy is not None:
            self._refuse(packet.channel, _ERR.CHANNEL_BUSY)
        elif packet.length > MAX_PAYLOAD:
            self._refuse(packet.channel, _ERR.INVALID_LENGTH)
        else:
            self._assembly = Assembly(packet, monotonic())
            self._finish()

    def _continue(self, packet: NextPacket) -> None:
        if self._assembly is None or self._assembly.channel != packet.channel:
            return  # CTAP 2.1, 11.2.5.4: spurious continuation packets are ignored
        if self._assembly.add(packet):
            self._finish()
            return
        self._assembly = None
        self._refuse(packet.channel, _ERR.INVALID_SEQ)

    def _finish(self) -> None:
        """Run the message if all of it is here."""
        message = self._assembly
        if message is None or not message.is_complete:
            return
        self._assembly = None
        if message.command == CTAPHID.PING:
            self._send(message.channel, CTAPHID.PING, message.payload)
        elif message.command == CTAPHID.WINK:
            self.insertion.body.winks += 1
            self._send(message.channel, CTAPHID.WINK, b"")
        elif message.command != CTAPHID.CBOR:
            self._refuse(message.channel, _ERR.INVALID_COMMAND)
        elif not message.payload:
            self._refuse(message.channel, _ERR.INVALID_LENGTH)
        else:
            self._job = _Job(message.channel, message.payload)
            Thread(target=self._work, args=(self._job,), daemon=True).start()

    def _cancel(self, channel: int) -> None:
        if self._job is not None and self._job.channel == channel:
            self._job.cancelled.set()
            self._changed.notify_all()

    def _abort(self, channel: int) -> None:
        """Forget what the channel was doing (CTAP 2.1, 11.2.9.1.3)."""
        self._cancel(channel)
        if self._job is not None and self._job.channel == channel:
            self._job = None
        if self._assembly is not None and self._assembly.channel == channel:
            self._assembly = None

    def _work(self, job: _Job) -> None:
        def keepalive(status: int) -> None:
            with self._changed:
                if self._job is job:
                    self._send(job.channel, CTAPHID.KEEPALIVE, bytes([status]))

        try:
            reply = self._key.run(self.insertion, job.data, job.cancelled, keepalive)
            self._reply(job, CTAPHID.CBOR, reply)
        except CtapError as error:
            self._reply(job, CTAPHID.ERROR, bytes([int(error.code)]))
        except OSError:
            # Pulled out: the readers find that out by themselves. Else the disk is at fault.
            if not self.insertion.is_gone:
                self._reply(job, CTAPHID.ERROR, bytes([_ERR.OTHER]))

    def _reply(self, job: _Job, command: int, payload: bytes) -> None:
        """Send the reply of a job that was not aborted; the link is free before its last packet."""
        *packets, last = write_packets(job.channel, command, payload)
        is_concerned = self._key.script.concerns(name_command(job.data))
        delay_ms = self._key.script.packet_delay_ms if is_concerned else 0
        for packet in packets:
            self.insertion.pause(delay_ms)
            with self._changed:
                if self._job is job:
                    self._emit(packet)
        self.insertion.pause(delay_ms)
        if is_concerned:
            self.insertion.reach(Step.MID_PACKET)
        with self._changed:
            if self._job is job:
                self._job = None
                self._emit(last)
            # With the reply in one go: no later command of the host comes between.
            is_pulled = is_concerned and self.insertion.leave(Step.AFTER_REPLY)
        if is_pulled:
            self.insertion.body.tell_watchers()

    def _refuse(self, channel: int, code: int) -> None:
        self._send(channel, CTAPHID.ERROR, bytes([code]))

    def _send(self, channel: int, command: int, payload: bytes) -> None:
        for packet in write_packets(channel, command, payload):
            self._emit(packet)

    def _emit(self, packet: bytes) -> None:
        if self._key.script.foreign_packets:
            foreign = write_packets(_FOREIGN_CHANNEL, CTAPHID.KEEPALIVE, bytes([STATUS.UPNEEDED]))
            self._tell(*foreign)
        self._tell(packet)

    def _tell(self, *packets: bytes) -> None:
        for hear in self._listeners:
            for packet in packets:
                hear(packet)
        self._changed.notify_all()
