"""One accepted socket: bytes in from the process that connected, bytes out with a bound.

The law of this file: every chunk read carries its sender's process id, put there by the kernel
(SCM_CREDENTIALS, unix(7)), and a chunk from any other process than the one that connected ends the
connection: whoever was handed root's socket does not speak as root. The process id is compared, not
the uid, because su and polkit's helper connect as root and keep the person's real uid. Descriptors
that a peer passes are never received: there is no room for them in the control buffer. Of what a
peer sends a few messages are handled per turn of the event loop, and nothing is read meanwhile.
Not done here: no second look at the peer before a verdict leaves. A verdict goes to whoever holds
the other end; a grant is bound to account, action and session, never to "this process".
"""

import asyncio
import logging
import select
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from typing import Protocol

from stepupd.api.limits import Limits
from stepupd.api.service import Peer
from stepupd.core.errors import RequestError

_CHUNK = 4 * 1024
"""Bytes: a message or two, so that one peer's flood waits in its own socket."""
_UCRED = struct.Struct("iII")
_CONTROL = socket.CMSG_SPACE(_UCRED.size)

log = logging.getLogger(__name__)


class Dialogue(Protocol):
    """What a door makes of a connection's bytes."""

    def receive(self, chunk: bytes) -> Iterator[None]:
        """Take what came in; each step handles one message."""
        ...

    def end_input(self) -> bool:
        """Hear that nothing more comes in; return whether there is still something to send."""
        ...

    def lose(self) -> None:
        """Hear that the connection is gone: called once."""
        ...


class Connection:
    """Owns the socket and the peer. `send`, `expect`, `refuse`, `finish` are for the dialogue."""

    __slots__ = (
        "_deadline",
        "_dialogue",
        "_hang_up_timer",
        "_is_finishing",
        "_is_paused",
        "_limits",
        "_loop",
        "_on_closed",
        "_out",
        "_refusal",
        "_sock",
        "_steps",
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
        self._steps: Iterator[None] = iter(())
        self._is_paused = False
        self._is_finishing = False
        self._hang_up_timer: asyncio.TimerHandle | None = None
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
        for timer in (self._timer, self._hang_up_timer):
            if timer:
                timer.cancel()
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
            self.cut()
            return
        if self._dialogue is None:
            self.cut()
        elif not chunk:
            self._end_input(self._dialogue)
        elif not self._is_from_peer(control):
            self.refuse(
                RequestError(
                    "this connection was made by another process",
                    reason="not-permitted",
                    hint="Let the process that connects also send.",
                )
            )
        else:
            self._steps = self._dialogue.receive(chunk)
            self._handle_some()

    def _is_from_peer(self, control: list[tuple[int, int, bytes]]) -> bool:
        for level, kind, content in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid, _uid, _gid = _UCRED.unpack(content)
                return self.peer.is_sender(pid)
        return False

    def _handle_some(self) -> None:
        try:
            for _ in range(self._limits.messages_per_turn):
                if self._dialogue is None:
                    return
                next(self._steps)
        except StopIteration:
            self._resume_reading()
        except Exception:
            # `receive` turns bad bytes into refusals: this is our own failure, and no pass.
            log.exception("a door failed on its input")
            self.cut()
        else:
            self._pause_reading()
            self._loop.call_soon(self._handle_some)

    def _pause_reading(self) -> None:
        if self.is_open and not self._is_paused:
            self._is_paused = True
            self._loop.remove_reader(self._sock.fileno())

    def _resume_reading(self) -> None:
        if self.is_open and self._is_paused:
            self._is_paused = False
            self._loop.add_reader(self._sock.fileno(), self._read)

    def _end_input(self, dialogue: Dialogue) -> None:
        self._loop.remove_reader(self._sock.fileno())
        if dialogue.end_input():
            self._look_for_hang_up()
        else:
            self.cut()

    def _look_for_hang_up(self) -> None:
        # A peer that shut down its sending half can still read, and one that closed cannot: only
        # then Linux says POLLHUP. The loop would say "readable" for both, again and again.
        if self._sock.fileno() < 0:
            return
        look = select.poll()
        look.register(self._sock, 0)
        if look.poll(0):
            self.cut()
            return
        self._hang_up_timer = self._loop.call_later(
            self._limits.hang_up_seconds, self._look_for_hang_up
        )

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
