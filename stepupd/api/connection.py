"""One accepted socket: bytes in from the process that connected, bytes out with a bound.

The law of this file: every chunk read carries its sender's process id, put there by the kernel
(SCM_CREDENTIALS, unix(7)), and a chunk from any other process than the one that connected ends the
connection: whoever was handed root's socket does not speak as root. The process id is compared, not
the uid, because su and polkit's helper connect as root and keep the person's real uid. Descriptors
that a peer passes are never received: there is no room for them in the control buffer.
Not done here: no second look at the peer before a verdict leaves. A verdict goes to whoever holds
the other end; a grant is bound to account, action and session, never to "this process".
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Protocol

from stepupd.api.limits import Limits
from stepupd.api.service import Peer
from stepupd.core.errors import RequestError

_CHUNK = 16 * 1024
_UCRED = struct.Struct("iII")
_CONTROL = socket.CMSG_SPACE(_UCRED.size)

log = logging.getLogger(__name__)


class Dialogue(Protocol):
    """What a door makes of a connection's bytes."""

    def receive(self, chunk: bytes) -> None:
        """Take what came in."""
        ...

    def lose(self) -> None:
        """Hear that the connection is gone: called once."""
        ...


class Connection:
    """Owns the socket and the peer. `send`, `expect`, `refuse`, `finish` are for the dialogue."""

    __slots__ = (
        "_deadline",
        "_dialogue",
        "_is_finishing",
        "_limits",
        "_loop",
        "_on_closed",
        "_out",
        "_refusal",
        "_sock",
        "_timer",
        "peer",
        "spawn",
    )

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer,
        limits: Limits,
        *,
        refusal: Callable[[RequestError], bytes],
        spawn: Callable[[Coroutine[None, None, None]], None],
        on_closed: Callable[["Connection"], None],
    ) -> None:
        """Take over a non-blocking socket; `on_closed` is called once, at the very end."""
        self.peer = peer
        self.spawn = spawn
        self._sock = sock
        self._limits = limits
        self._refusal = refusal
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._dialogue: Dialogue | None = None
        self._out = bytearray()
        self._is_finishing = False
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether the dialogue may still send."""
        return self._sock.fileno() >= 0 and not self._is_finishing

    def start(self, dialogue: Dialogue) -> None:
        """Begin to read; the first message must be complete in time."""
        self._dialogue = dialogue
        self._loop.add_reader(self._sock.fileno(), self._read)
        self.expect(self._limits.message_seconds)

    def send(self, message: bytes) -> None:
        """Send, or keep what the peer does not take yet; cut it off when it keeps not reading."""
        if not self.is_open:
            return
        sent = 0 if self._out else self._send_some(message)
        if sent is None or sent == len(message):
            return
        if not self._out:
            self._loop.add_writer(self._sock.fileno(), self._write)
        self._out += message[sent:]
        if len(self._out) > self._limits.unread:
            self.cut()

    def expect(self, seconds: float | None) -> None:
        """Cut the connection unless called again within `seconds`; None waits for ever."""
        self._deadline = None if seconds is None else self._loop.time() + seconds
        if self._deadline is None or (self._timer and self._timer.when() <= self._deadline):
            return
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._check_deadline)

    def refuse(self, error: RequestError) -> None:
        """Send the door's refusal and finish."""
        self.send(self._refusal(error))
        self.finish()

    def finish(self) -> None:
        """Read no more; close once everything was sent."""
        if not self.is_open:
            return
        self._is_finishing = True
        self._loop.remove_reader(self._sock.fileno())
        if not self._out:
            self.cut()
            return
        self._tell_lost()
        self.expect(self._limits.drain_seconds)

    def cut(self) -> None:
        """Close now, whatever was not sent."""
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        if self._timer:
            self._timer.cancel()
        self._sock.close()
        self.peer.close()
        self._out.clear()
        self._on_closed(self)
        self._tell_lost()

    def _tell_lost(self) -> None:
        dialogue, self._dialogue = self._dialogue, None
        if dialogue is not None:
            dialogue.lose()

    def _read(self) -> None:
        try:
            chunk, control, _flags, _address = self._sock.recvmsg(_CHUNK, _CONTROL)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            chunk, control = b"", []
        if not chunk or self._dialogue is None:
            self.cut()
        elif not self._is_from_peer(control):
            self.refuse(
                RequestError(
                    "this connection was made by another process",
                    reason="not-permitted",
                    hint="Let the process that connects also send.",
                )
            )
        else:
            self._hand_over(self._dialogue, chunk)

    def _is_from_peer(self, control: list[tuple[int, int, bytes]]) -> bool:
        for level, kind, content in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid, _uid, _gid = _UCRED.unpack(content)
                return self.peer.is_sender(pid)
        return False

    def _hand_over(self, dialogue: Dialogue, chunk: bytes) -> None:
        try:
            dialogue.receive(chunk)
        except Exception:
            # `receive` turns bad bytes into refusals: this is our own failure, and no pass.
            log.exception("a door failed on its input")
            self.cut()

    def _send_some(self, message: bytes | bytearray) -> int | None:
        try:
            return self._sock.send(message)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.cut()
            return None

    def _write(self) -> None:
        sent = self._send_some(self._out)
        if sent is None:
            return
        del self._out[:sent]
        if self._out:
            return
        self._loop.remove_writer(self._sock.fileno())
        if self._is_finishing:
            self.cut()

    def _check_deadline(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._deadline > self._loop.time():
            self.expect(self._deadline - self._loop.time())
        else:
            self.cut()
