"""CTAPHID packets: 64 bytes each way (CTAP 2.1, 11.2.4). Pure: bytes in, bytes out."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PACKET: Final = 64
MAX_PAYLOAD: Final = 7609
BROADCAST: Final = 0xFFFFFFFF

_FIRST = PACKET - 7
_NEXT = PACKET - 5
_INIT_BIT: Final = 0x80


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """An initialization packet: a command, the length of its payload and the payload's start."""

    channel: int
    command: int
    length: int
    data: bytes


@dataclass(frozen=True, slots=True)
class NextPacket:
    """A continuation packet."""

    channel: int
    sequence: int
    data: bytes


def read_packet(packet: bytes) -> FirstPacket | NextPacket:
    """Read one packet; a short one counts as padded with zeros, as the host controller sends it."""
    packet = packet[:PACKET].ljust(PACKET, b"\0")
    channel, kind = struct.unpack_from(">IB", packet)
    if kind & _INIT_BIT:
        (length,) = struct.unpack_from(">H", packet, 5)
        return FirstPacket(channel, kind & ~_INIT_BIT, length, packet[7:])
    return NextPacket(channel, kind, packet[5:])


def write_packets(channel: int, command: int, payload: bytes) -> Iterator[bytes]:
    """Cut a message into packets."""
    head = struct.pack(">IBH", channel, _INIT_BIT | command, len(payload))
    yield (head + payload[:_FIRST]).ljust(PACKET, b"\0")
    for sequence, start in enumerate(range(_FIRST, len(payload), _NEXT)):
        head = struct.pack(">IB", channel, sequence)
        yield (head + payload[start : start + _NEXT]).ljust(PACKET, b"\0")


def count_packets(length: int) -> int:
    """Say how many packets a payload of `length` bytes takes."""
    return 1 + max(0, -(-(length - _FIRST) // _NEXT))


class Assembly:
    """A message of which packets are still missing."""

    def __init__(self, first: FirstPacket, since: float) -> None:
        self.channel = first.channel
        self.command = first.command
        self.since = since
        self._length = first.length
        self._data = first.data
        self._sequence = 0

    @property
    def is_complete(self) -> bool:
        """Whether the whole payload is here."""
        return len(self._data) >= self._length

    @property
    def payload(self) -> bytes:
        """The payload, once complete."""
        return self._data[: self._length]

    def add(self, packet: NextPacket) -> bool:
        """Add the next packet; False if it is out of order."""
        if packet.sequence != self._sequence:
            return False
        self._sequence += 1
        self._data += packet.data
        return True
