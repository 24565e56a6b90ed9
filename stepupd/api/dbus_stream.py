"""The socket below a connection to the bus: bytes with the descriptors that came along, and out.

The law of this file: no more is read at once than what is wanted, so that a descriptor belongs to
the frame it came with (unix(7): it arrives with the first byte it was sent with); there is room for
all that can come, because what finds none is closed by the kernel while everybody waits; each is
closed on exec; and where closing is stuck, nothing more is taken.
"""

import asyncio
import logging
import socket
import struct
from typing import Protocol

from stepupd.api.dbus_passed import MOST_CLOSING, Passed, find_closing

_CHUNK = 64 * 1024
_READS_PER_TURN = 16
"""Reads of one turn of the event loop, so that a flood leaves room for the others."""
_MAX_OUT = 1024 * 1024
"""Kept for a bus that does not read. Beyond it we stop reading, so that no more is owed."""
_RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)
_INT = struct.calcsize("i")
_SCM_MAX_FD = 253  # unix(7)
_ROOM = socket.CMSG_SPACE(_SCM_MAX_FD * _INT)

_log = logging.getLogger(__name__)


class Reader(Protocol):
    """Who is told what comes in."""

    @property
    def wanted(self) -> int:
        """How many bytes may be read now, one at least."""

    def receive(self, chunk: bytes, passed: Passed) -> None:
        """Take bytes, and what came with them."""

    def lose(self) -> None:
        """Hear, once, that the stream has ended."""


class Stream:
    """A connected socket; owns it. Made and used inside the event loop."""

    def __init__(self, sock: socket.socket, reader: Reader) -> None:
        self._sock = sock
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._out = bytearray()
        self._is_paused = False

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._sock.fileno(), self._read)

    def write(self, data: bytes) -> None:
        """Send, or keep what the bus does not take yet; nothing once the stream has ended."""
        if self._sock.fileno() < 0:
            return
        if not self._out:
            sent = self._send(data)
            if sent is None or sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self._sock.fileno(), self._flush)
        self._out += data
        if len(self._out) > _MAX_OUT and not self._is_paused:
            self._is_paused = True
            self._loop.remove_reader(self._sock.fileno())

    def close(self) -> None:
        """End it now, whatever was not sent. Idempotent."""
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._out.clear()
        self._reader.lose()

    def _read(self) -> None:
        for _ in range(_READS_PER_TURN):
            if self._sock.fileno() < 0 or self._is_paused:
                return
            size = min(self._reader.wanted, _CHUNK)
            try:
                chunk, control, flags, _ = self._sock.recvmsg(size, _ROOM, socket.MSG_CMSG_CLOEXEC)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.close()
                return
            passed = Passed(_read_numbers(control))
            if flags & socket.MSG_CTRUNC:  # our table is full: which of them are these?
                passed.close()
            if passed and len(find_closing()) >= MOST_CLOSING:
                _log.error("descriptors from the bus cannot be closed")
                chunk = b""
            if not chunk:
                passed.close()
                self.close()
                return
            self._reader.receive(chunk, passed)

    def _send(self, data: bytes | bytearray) -> int | None:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.close()
            return None

    def _flush(self) -> None:
        sent = self._send(self._out)
        if sent is None:
            return
        del self._out[:sent]
        if not self._out:
            self._loop.remove_writer(self._sock.fileno())
        if self._is_paused and len(self._out) <= _MAX_OUT // 4:
            self._is_paused = False
            self._loop.add_reader(self._sock.fileno(), self._read)


def _read_numbers(control: list[tuple[int, int, bytes]]) -> list[int]:
    numbers: list[int] = []
    for level, kind, content in control:
        if (level, kind) == _RIGHTS:
            numbers += struct.unpack(f"{len(content) // _INT}i", content)
    return numbers
