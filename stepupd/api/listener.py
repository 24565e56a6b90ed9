"""A door's listening socket: made in one step, filled within limits, never dying of a full house.

The law of this file: the socket is born with its final mode and is connectable only after that; a
path is unlinked only if it is a dead socket of our own; who is at the other end is asked before a
byte is read; and when descriptors run out, accepting pauses while the rest of the daemon goes on.
"""

import asyncio
import errno
import logging
import os
import resource
import socket
import stat
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepupd.api.admission import Admission
from stepupd.api.connection import Connection, Dialogue
from stepupd.api.limits import Limits
from stepupd.api.service import Identify, Peer
from stepupd.core.errors import ConfigError, RequestError
from stepupd.core.model import Door

_BACKLOG = 1024
_TRANSIENT = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What tells one door from the other."""

    door: Door
    open_dialogue: Callable[[Connection], Dialogue]
    encode_refusal: Callable[[RequestError], bytes]


def bind_socket(path: Path, mode: int) -> socket.socket:
    """Return a listening socket at `path` with `mode`; `ConfigError` if that cannot be.

    Sets the process's umask for a moment: call it before there are threads.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o777 & ~mode)
    try:
        _remove_stale(path)
        sock.bind(str(path))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(f"cannot listen on {path}: {error.strerror or error}") from error
    except ConfigError:
        sock.close()
        raise
    finally:
        os.umask(umask)
    return sock


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise ConfigError(f"{path} is there already, and no socket of ours")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # its backlog is full: it lives
    raise ConfigError(f"another daemon listens on {path}", hint="Stop it first.")


def adopt_socket(fd: int) -> socket.socket:
    """Take over a listening socket from the service manager; `ConfigError` for anything else."""
    sock = socket.socket(fileno=fd)
    is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM or not is_listening:
        sock.close()
        raise ConfigError("the socket passed in is no listening Unix stream socket")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED):
        # A caller that came before we started would send without its name, and be refused.
        sock.close()
        raise ConfigError(
            "the socket passed in does not pass credentials",
            hint="Write PassCredentials=yes into its socket unit.",
        )
    return sock


class Listener:
    """Accepts for one entrance. Make it and use it inside the event loop; it owns the socket."""

    def __init__(
        self,
        sock: socket.socket,
        entrance: Entrance,
        *,
        identify: Identify,
        admission: Admission,
        limits: Limits,
    ) -> None:
        self._sock = sock
        self._entrance = entrance
        self._identify = identify
        self._admission = admission
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._high_descriptor = soft - limits.spare_descriptors

    def start(self) -> None:
        """Begin to accept."""
        self._sock.setblocking(False)
        # Accepted sockets inherit it, so that no byte comes in without its sender's name.
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._loop.add_reader(self._sock.fileno(), self._accept)

    async def close(self) -> None:
        """Stop accepting, hang up on everybody, wait until all calls have ended. Idempotent."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
        if self._pause:
            self._pause.cancel()
        for connection in tuple(self._open):
            connection.cut()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self) -> None:
        for _ in range(self._limits.accepts):
            try:
                sock, _address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _TRANSIENT:
                    self._pause_accepting(error)
                return
            # Linux gives out the lowest free number, so a high one means a nearly full table.
            is_nearly_full = sock.fileno() >= self._high_descriptor
            sock.setblocking(False)
            self._welcome(sock)
            if is_nearly_full:
                self._pause_accepting(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
                return

    def _welcome(self, sock: socket.socket) -> None:
        peer: Peer | None = None
        try:
            peer = self._identify(sock, self._entrance.door)
            self._admission.enter(peer.caller.uid)
        except RequestError as error:
            with suppress(OSError):
                sock.send(self._entrance.encode_refusal(error))
            _drop(sock, peer)
            return
        except OSError:
            # No descriptor left for a look at the peer: whoever it is, it is not let in.
            _drop(sock, peer)
            return
        connection = Connection(
            sock,
            peer,
            self._limits,
            refusal=self._entrance.encode_refusal,
            spawn=self._spawn,
            on_closed=self._forget,
        )
        self._open.add(connection)
        connection.start(self._entrance.open_dialogue(connection))

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._admission.leave(connection.peer.caller.uid)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pause_accepting(self, error: OSError) -> None:
        log.warning("%s door pauses: %s", self._entrance.door.value, error.strerror)
        self._loop.remove_reader(self._sock.fileno())
        self._pause = self._loop.call_later(self._limits.pause_seconds, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock.fileno(), self._accept)


def _drop(sock: socket.socket, peer: Peer | None) -> None:
    if peer is not None:
        peer.close()
    sock.close()
