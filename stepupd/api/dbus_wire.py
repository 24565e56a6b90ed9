"""A connection to a message bus, as frames: bytes in from the bus, whole messages out.

The law of this file: a frame's length is checked before anything is kept; one that is too long is
thrown away unread, and one that nobody can read ends itself, never the connection. Frames come
from the bus daemon, which is trusted to name each sender; nothing else in them is trusted.
Not done here: no decoding. The codec costs 3 MiB, so a daemon that nobody asks over D-Bus never
loads it: the calls with which a connection begins are written by hand (D-Bus specification,
"Message Protocol"). No descriptors are taken: a frame cannot carry one.
"""

import asyncio
import os
import struct
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from stepupd.core.errors import InternalError

BUS = "org.freedesktop.DBus"
MAX_FRAME = 128 * 1024
"""A call may hold a command of 64 KiB, as at the JSON-RPC socket; replies of the bus are small."""

_FIXED = 16
_MAX_LINE = 1024
_MAX_OUT = 1024 * 1024
"""Kept for a bus that does not read. Beyond it we stop reading, so that no more is owed."""
_HANDSHAKE_SECONDS = 5.0
_CALL, _RETURN, _ERROR, _SIGNAL = range(1, 5)
_DO_NOT_QUEUE = 4  # NameFlag, D-Bus specification, "org.freedesktop.DBus.RequestName"
_PRIMARY_OWNER = 1
_FIRST_SERIAL = 3
"""The first serial that is not a connection's own beginning."""


class NameTakenError(InternalError):
    """Another process has our name, or the bus does not let us have it."""

    reason = "bus-name-taken"


class Wire(asyncio.Protocol):
    """One connection. `on_frame` gets each frame that is no signal of the beginning.

    With an empty `name` it owns none.
    """

    def __init__(self, name: str, on_frame: Callable[["Wire", bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._name = name
        self._on_frame = on_frame
        self._buffer = bytearray()
        self._skip = 0
        self._is_greeted = False
        self._replies = 0
        self._serial = _FIRST_SERIAL - 1
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return not self.closed.done() and self.ready.done()

    def next_serial(self) -> int:
        """Return a serial that no earlier message of this connection had."""
        self._serial = self._serial % 0xFFFFFFFF + 1
        return self._serial

    def send(self, frame: bytes) -> None:
        """Send a frame, or drop it when the bus is gone."""
        if self._transport is not None and not self.closed.done():
            self._transport.write(frame)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves (D-Bus specification, "Authentication Protocol")."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a bus is a stream")
        self._transport = transport
        transport.set_write_buffer_limits(high=_MAX_OUT)
        uid = str(os.geteuid()).encode().hex()
        transport.write(b"\0AUTH EXTERNAL %b\r\n" % uid.encode())

    def pause_writing(self) -> None:
        """Owe no more to a bus that does not read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell whoever waits."""
        if not self.ready.done():
            self.ready.set_exception(InternalError("the bus hung up"))
        self.closed.set_result(None)

    def data_received(self, chunk: bytes) -> None:
        """Cut the stream into frames."""
        self._buffer += chunk
        if not self._is_greeted and not self._greet():
            return
        while self._take_frame():
            pass

    def _greet(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0 and len(self._buffer) <= _MAX_LINE:
            return False
        if not self._buffer.startswith(b"OK "):
            self._fail(InternalError("the bus does not take us"))
            return False
        del self._buffer[: end + 2]
        self._is_greeted = True
        name = encode_string(self._name) + struct.pack("<I", _DO_NOT_QUEUE)
        self.send(b"BEGIN\r\n" + encode_bus_call(1, "Hello"))
        if self._name:
            self.send(encode_bus_call(2, "RequestName", "su", name))
        return True

    def _take_frame(self) -> bool:
        if self._skip:
            cut = min(self._skip, len(self._buffer))
            del self._buffer[:cut]
            self._skip -= cut
        if self._skip or len(self._buffer) < _FIXED:
            return False
        size = measure_frame(self._buffer)
        # Types that are not known yet are to be ignored ("Message Types").
        if size > MAX_FRAME or not _CALL <= self._buffer[1] <= _SIGNAL:
            self._skip = size
            return True
        if len(self._buffer) < size:
            return False
        frame = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._hand_over(frame)
        return not self.closed.done()

    def _hand_over(self, frame: bytes) -> None:
        if self.ready.done():
            self._on_frame(self, frame)
        elif frame[1] in {_RETURN, _ERROR}:
            # Replies come in the order of the calls: to Hello, then to RequestName.
            self._replies += 1
            if self._replies == 1 + bool(self._name) or frame[1] == _ERROR:
                self._begin(frame)

    def _begin(self, frame: bytes) -> None:
        if not self._name and frame[1] != _RETURN:
            self._fail(InternalError("the bus does not greet us"))
        elif self._name and (frame[1] != _RETURN or read_last_number(frame) != _PRIMARY_OWNER):
            self._fail(NameTakenError(f"the bus does not give us the name {self._name}"))
        else:
            self.ready.set_result(None)

    def _fail(self, error: InternalError) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
        self.close()


async def connect(address: str, name: str, on_frame: Callable[[Wire, bytes], None]) -> Wire:
    """Return a connection that owns `name`, or none if that is empty.

    Raises OSError where no bus listens, NameTakenError, and InternalError or TimeoutError for a bus
    that does not answer as one.
    """
    loop = asyncio.get_running_loop()
    path = find_socket(address)
    async with asyncio.timeout(_HANDSHAKE_SECONDS):
        _, wire = await loop.create_unix_connection(lambda: Wire(name, on_frame), path)
        try:
            await wire.ready
        except BaseException:
            wire.close()
            raise
    return wire


def find_socket(address: str) -> str:
    """Return the path of the first Unix socket in a bus address (an abstract one begins with NUL).

    Raises InternalError where there is none: no other transport tells who is who.
    """
    for one in address.split(";"):
        transport, _, rest = one.partition(":")
        options = dict(part.partition("=")[::2] for part in rest.split(",") if part)
        if transport == "unix" and options.get("path"):
            return unquote(options["path"])
        if transport == "unix" and options.get("abstract"):
            return "\0" + unquote(options["abstract"])
    raise InternalError("the bus address names no Unix socket")


def is_there(address: str) -> bool:
    """Return whether something may listen at a bus address."""
    try:
        path = find_socket(address)
    except InternalError:
        return False
    return path.startswith("\0") or Path(path).exists()


def measure_frame(head: bytes | bytearray) -> int:
    """Return a frame's size, from its first 16 bytes."""
    body, _serial, fields = struct.unpack_from("<III" if head[0:1] == b"l" else ">III", head, 4)
    whole: int = _FIXED + fields + -fields % 8 + body
    return whole


def encode_string(text: str) -> bytes:
    """Return a D-Bus string whose place is a multiple of four, padded for what follows it."""
    body = encode_unpadded(text)
    return body + bytes(-len(body) % 4)


def encode_unpadded(text: str) -> bytes:
    """Return a D-Bus string whose place is a multiple of four, and after which nothing comes."""
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw + b"\0"


def encode_bus_call(serial: int, member: str, signature: str = "", body: bytes = b"") -> bytes:
    """Return a call of the bus itself."""
    return encode_call(serial, (BUS, "/org/freedesktop/DBus", BUS), member, signature, body)


def encode_call(
    serial: int, to: tuple[str, str, str], member: str, signature: str = "", body: bytes = b""
) -> bytes:
    """Return a call to (destination, path, interface); `body` is encoded already."""
    destination, path, interface = to
    fields = b""
    for code, kind, text in (
        (1, "o", path),
        (2, "s", interface),
        (3, "s", member),
        (6, "s", destination),
    ):
        fields += bytes(-len(fields) % 8) + bytes([code, 1, ord(kind), 0]) + encode_unpadded(text)
    if signature:
        raw = signature.encode()
        fields += bytes(-len(fields) % 8) + bytes([8, 1, ord("g"), 0, len(raw)]) + raw + b"\0"
    head = struct.pack("<cBBBIII", b"l", _CALL, 0, 1, len(body), serial, len(fields)) + fields
    return head + bytes(-len(head) % 8) + body


def read_last_number(frame: bytes) -> int:
    """Return the uint32 at the end of a frame."""
    (number,) = struct.unpack("<I" if frame[0:1] == b"l" else ">I", frame[-4:])
    return int(number)
