"""Who is at the other end of a connection: what the kernel says, and nothing else.

The law of this file: the uid comes from SO_PEERCRED, the process from SO_PEERPIDFD; there is no
default for either. Whoever cannot be told is refused: a peer that the kernel cannot name, and uid
65534, which is what every account outside our user namespace looks like (user_namespaces(7)).
Not done here: no look at the peer's address (it chose that itself), no account names. An account
stays what it was at connect(): a process that becomes root later, or stops being root, does not
change it (unix(7)).
"""

import errno
import os
import socket
import struct

from stepupd.core.errors import RequestError
from stepupd.core.model import Caller, Door, Session
from stepupd.host.process import find_session, is_running

SO_PEERPIDFD = getattr(socket, "SO_PEERPIDFD", 77)
"""Linux 6.5; Python names it from 3.14 on."""

_UCRED = struct.Struct("iII")
_OVERFLOW_UID = 65534
_NO_UID = 2**32 - 1
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Peer:
    """One identified peer; owns its pidfd. `close()` it with the connection."""

    __slots__ = ("_pidfd", "caller")

    def __init__(self, caller: Caller, pidfd: int | None) -> None:
        self.caller = caller
        self._pidfd = pidfd

    def is_alive(self) -> bool:
        """Return whether the process that connected still runs; False where nobody can tell."""
        return self._pidfd is not None and is_running(self._pidfd)

    def is_sender(self, pid: int) -> bool:
        """Return whether a message from `pid` came from the process that connected.

        Alive now means that its process id was nobody else's when the message was sent. Without
        pidfds (before Linux 6.5) only the number is compared.
        """
        if pid <= 0 or pid != self.caller.pid:
            return False
        return self._pidfd is None or is_running(self._pidfd)

    def find_session(self) -> Session | None:
        """Return the terminal session of the process, None if anything is uncertain."""
        return find_session(self.caller.pid, self._pidfd)

    def close(self) -> None:
        """Give the pidfd back; more than once does no harm."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


def identify(sock: socket.socket, door: Door) -> Peer:
    """Return the peer of a connected Unix socket.

    `RequestError` ("unauthenticated") if the kernel does not say who it is, ("caller-gone") if it
    has ended; `OSError` when descriptors run out.
    """
    pid, uid, _gid = _UCRED.unpack(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    )
    if uid in {_OVERFLOW_UID, _NO_UID}:
        raise RequestError(
            "the kernel does not say who you are",
            reason="unauthenticated",
            hint="Call from an account that exists outside containers and user namespaces.",
        )
    return Peer(Caller(uid, pid, door), _open_pidfd(sock))


def _open_pidfd(sock: socket.socket) -> int | None:
    try:
        pidfd = sock.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno in _OUT_OF_DESCRIPTORS:
            raise
        if error.errno == errno.ENOPROTOOPT:  # before Linux 6.5
            return None
        raise RequestError("the process that connected is gone", reason="caller-gone") from error
    os.set_inheritable(pidfd, False)
    return pidfd
