"""A delay from logind: the machine sleeps only once we have let go of the keys.

The law of this file: it is a courtesy. Whoever gets none goes on without, and what the machine
sleeps through is over all the same; and a delay ends by itself when its descriptor is closed, or
when logind has waited long enough (logind.conf(5), InhibitDelayMaxSec=).
Not done here: no event loop. It is one short exchange with deadlines, on a connection of its own,
because it alone needs a descriptor from the bus.

Source: org.freedesktop.login1(5), Inhibit; D-Bus specification, "Authentication Protocol".
"""

import os
import socket
import struct

from stepupd.api.dbus_wire import (
    MAX_FRAME,
    encode_bus_call,
    encode_call,
    encode_string,
    encode_unpadded,
    find_socket,
    measure_frame,
)
from stepupd.core.errors import InternalError

LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
_SECONDS = 2.0
_RETURN, _ERROR = 2, 3
_REPLY_TO_INHIBIT = 2
"""Replies come in the order of the calls: to Hello, then to Inhibit."""
_MOST_FRAMES = 16
_MAX_LINE = 1024
_FIXED = 16


def take_delay(address: str) -> int:
    """Return a descriptor that delays sleep until it is closed. Blocks for some seconds at most.

    Raises OSError or InternalError where there is none to be had.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bus:
        bus.settimeout(_SECONDS)
        bus.connect(find_socket(address))
        uid = str(os.geteuid()).encode().hex()
        _say(bus, b"\0AUTH EXTERNAL %b\r\n" % uid.encode(), b"OK ")
        _say(bus, b"NEGOTIATE_UNIX_FD\r\n", b"AGREE_UNIX_FD")
        words = ("sleep", "stepupd", "letting go of security keys")
        body = b"".join(map(encode_string, words)) + encode_unpadded("delay")
        bus.sendall(
            b"BEGIN\r\n"
            + encode_bus_call(1, "Hello")
            + encode_call(2, LOGIND, "Inhibit", "ssss", body)
        )
        return _take_descriptor(bus)


def _say(bus: socket.socket, line: bytes, expected: bytes) -> None:
    bus.sendall(line)
    answer = b""
    while not answer.endswith(b"\r\n") and len(answer) < _MAX_LINE:
        chunk = bus.recv(1)
        if not chunk:
            break
        answer += chunk
    if not answer.startswith(expected):
        raise InternalError("the bus passes no descriptors")


def _take_descriptor(bus: socket.socket) -> int:
    """Return the one descriptor that the reply brings; whatever else came is closed."""
    found: list[int] = []
    try:
        kind, replies = 0, 0
        for _ in range(_MOST_FRAMES):
            kind = _read_frame(bus, found)
            replies += kind in {_RETURN, _ERROR}
            if replies == _REPLY_TO_INHIBIT or kind == _ERROR:
                break
        if kind != _RETURN or not found:
            raise InternalError("logind gives no delay")
        return found.pop()
    except struct.error as error:
        raise InternalError("the bus speaks nonsense") from error
    finally:
        for descriptor in found:
            os.close(descriptor)


def _read_frame(bus: socket.socket, found: list[int]) -> int:
    """Read a frame whole, keep the descriptors that come with it, and return its type."""
    head = _read(bus, _FIXED, found)
    size = measure_frame(head)
    if size > MAX_FRAME:
        raise InternalError("a frame is too long")
    _read(bus, size - _FIXED, found)
    return head[1]


def _read(bus: socket.socket, size: int, found: list[int]) -> bytes:
    whole = b""
    while len(whole) < size:
        chunk, descriptors, _flags, _sender = socket.recv_fds(bus, size - len(whole), 4)
        found.extend(descriptors)
        if not chunk:
            raise InternalError("the bus hung up")
        whole += chunk
    return whole
