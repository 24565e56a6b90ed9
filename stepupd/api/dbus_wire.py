"""A connection to a message bus, as frames: bytes in from the bus, whole messages out.

The law of this file: a frame's length is checked before anything is kept; one that is too long is
thrown away unread, and one that nobody can read ends itself, never the connection. Frames come
from the bus daemon, which is trusted to name each sender; nothing else in them is trusted.
Not done here: no decoding. The codec costs 3 MiB, so a daemon that nobody asks over D-Bus never
loads it: the calls with which a connection begins are written by hand (D-Bus specification,
"Message Protocol"). Descriptors come only where they are asked for; those that come with a frame
are closed with it, unless whoever gets it takes them.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from stepupd.api.dbus_passed import MOST_CLOSING, Passed, find_closing
from stepupd.api.dbus_stream import Stream
from stepupd.core.errors import InternalError

BUS = "org.freedesktop.DBus"
MAX_FRAME = 128 * 1024
"""A call may hold a command of 64 KiB, as at the JSON-RPC socket; replies of the bus are small."""

_FIXED = 16
_MAX_LINE = 1024
_HANDSHAKE_SECONDS = 5.0
_CALL, _RETURN, _ERROR, _SIGNAL = range(1, 5)
_DO_NOT_QUEUE = 4  # NameFlag, D-Bus specification, "org.freedesktop.DBus.RequestName"
_PRIMARY_OWNER = 1
_MOST_EARLY = 64
"""Calls that may come before the name is ours: who called while the bus started us."""
_FIRST_SERIAL = 3
"""The first serial that is not a connection's own beginning."""


class NameTakenError(InternalError):
    """Another process has our name, or the bus does not let us have it."""

    reason = "bus-name-taken"


class Wire:
    """One connection. `on_frame` gets each frame that is no signal of the beginning.

    With an empty `name` it owns none. Descriptors are asked for if it `takes_descriptors`.
    """

    def __init__(
        self,
        name: str,
        on_frame: Callable[["Wire", bytes], None],
        *,
        takes_descriptors: bool = False,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._name = name
        self._on_frame = on_frame
        self._has_to_negotiate = takes_descriptors
        self._buffer = bytearray()
        self._passed = Passed()
        self._early: list[tuple[bytes, Passed]] = []
        self._skip = 0
        self._is_accepted = False
        self._is_greeted = False
        self._replies = 0
        self._serial = _FIRST_SERIAL - 1
        self._stream: Stream | None = None

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return not self.closed.done() and self.ready.done()

    @property
    def wanted(self) -> int:
        """How many bytes to read: never past the end of a frame, whose descriptors are its own."""
        if not self._is_greeted:  # a line says nowhere how long it is
            return 1
        if self._skip:
            return self._skip
        kept = len(self._buffer)
        return (_FIXED if kept < _FIXED else measure_frame(self._buffer)) - kept

    def next_serial(self) -> int:
        """Return a serial that no earlier message of this connection had."""
        self._serial = self._serial % 0xFFFFFFFF + 1
        return self._serial

    def send(self, frame: bytes) -> None:
        """Send a frame, or drop it when the bus is gone."""
        if self._stream is not None and not self.closed.done():
            self._stream.write(frame)

    def take_passed(self) -> Passed:
        """Return what came with the frame that is handed over just now; the taker closes it."""
        taken, self._passed = self._passed, Passed()
        return taken

    def close(self) -> None:
        """Hang up."""
        if self._stream is not None:
            self._stream.close()

    def begin(self, stream: Stream) -> None:
        """Introduce ourselves (D-Bus specification, "Authentication Protocol")."""
        self._stream = stream
        uid = str(os.geteuid()).encode().hex()
        stream.write(b"\0AUTH EXTERNAL %b\r\n" % uid.encode())

    def lose(self) -> None:
        """Tell whoever waits that the connection is gone."""
        self._passed.close()
        for _, passed in self._early:
            passed.close()
        if not self.ready.done():
            self.ready.set_exception(InternalError("the bus hung up"))
        self.closed.set_result(None)

    def receive(self, chunk: bytes, passed: Passed) -> None:
        """Cut the stream into frames."""
        self._buffer += chunk
        if self._skip:
            passed.close()
        self._passed.add(passed.release())
        while not self._is_greeted:
            if not self._greet():
                self._passed.close()
                return
        while self._take_frame():
            pass

    def _greet(self) -> bool:
        """Take one line of the greeting; return whether to go on."""
        end = self._buffer.find(b"\r\n")
        if end < 0 and len(self._buffer) <= _MAX_LINE:
            return False
        if end < 0 or not (self._is_accepted or self._buffer.startswith(b"OK ")):
            self._fail(InternalError("the bus does not take us"))
            return False
        del self._buffer[: end + 2]
        self._is_accepted = True
        if self._has_to_negotiate:
            # Whether it agrees or not: without, no call brings a descriptor.
            self._has_to_negotiate = False
            self.send(b"NEGOTIATE_UNIX_FD\r\n")
            return True
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
            self._passed.close()
            return True
        if len(self._buffer) < size:
            return False
        frame = bytes(self._buffer[:size])
        del self._buffer[:size]
        try:
            self._hand_over(frame)
        finally:
            self._passed.close()
        return not self.closed.done()

    def _hand_over(self, frame: bytes) -> None:
        if self.ready.done():
            self._on_frame(self, frame)
        elif frame[1] in {_RETURN, _ERROR}:
            # Replies come in the order of the calls: to Hello, then to RequestName.
            self._replies += 1
            if self._replies == 1 + bool(self._name) or frame[1] == _ERROR:
                self._take_name(frame)
        elif frame[1] == _CALL and len(self._early) < _MOST_EARLY:
            # What was called to start us comes before the answer about the name.
            self._early.append((frame, self.take_passed()))

    def _take_name(self, frame: bytes) -> None:
        if not self._name and frame[1] != _RETURN:
            self._fail(InternalError("the bus does not greet us"))
        elif self._name and (frame[1] != _RETURN or read_last_number(frame) != _PRIMARY_OWNER):
            self._fail(NameTakenError(f"the bus does not give us the name {self._name}"))
        else:
            self.ready.set_result(None)
            self._hand_over_early()

    def _hand_over_early(self) -> None:
        while self._early:
            frame, self._passed = self._early.pop(0)
            try:
                self._on_frame(self, frame)
            finally:
                self._passed.close()

    def _fail(self, error: InternalError) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
        self.close()


async def connect(
    address: str,
    name: str,
    on_frame: Callable[[Wire, bytes], None],
    *,
    takes_descriptors: bool = False,
) -> Wire:
    """Return a connection that owns `name`, or none if that is empty.

    Raises OSError where no bus listens, NameTakenError, and InternalError or TimeoutError for a bus
    that does not answer as one.
    """
    path = find_socket(address)
    async with asyncio.timeout(_HANDSHAKE_SECONDS):
        sock = await _open_socket(path)
        # A few are closed at any time; where many are stuck, more would be too.
        takes = takes_descriptors and len(find_closing()) < MOST_CLOSING // 2
        wire = Wire(name, on_frame, takes_descriptors=takes)
        stream = Stream(sock, wire)
        stream.start()
        wire.begin(stream)
        try:
            await wire.ready
        except BaseException:
            wire.close()
            raise
    return wire


async def _open_socket(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, path)
    except BaseException:
        sock.close()
        raise
    return sock


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
