"""An adviser that listens: one POST over HTTP, on this machine or over TLS.

The law of this file: without TLS only this machine is asked, by a loopback address or a Unix socket
that nobody but its service can have put there; with TLS the certificate is verified for the host's
name. Only status 200 is an answer: no redirect is followed, no proxy asked, no connection kept. One
deadline covers looking the name up, connecting, and every byte, however slowly they come.
Not done here: no credentials are sent. Whatever wants some is asked through a program.
"""

import http.client
import io
import os
import socket
import ssl
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from time import monotonic

from stepupd.core.risk.advice import (
    MAX_ANSWER,
    Address,
    AdviserFailed,
    AdviserPlan,
    encode_question,
    read_answer,
)
from stepupd.core.risk.facts import Advice

_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Connection": "close",
    "User-Agent": "stepupd",
}


class HttpAdviser:
    """Asks an endpoint. `context` is for other roots than the machine's. Safe from any thread."""

    def __init__(self, plan: AdviserPlan, context: ssl.SSLContext | None = None) -> None:
        if plan.address is None:
            raise AdviserFailed(f"{plan.name}: it has no address")
        self._plan = plan
        self._address = plan.address
        self._context: ssl.SSLContext | None = None
        if plan.address.is_secure:
            self._context = context or ssl.create_default_context()
        # One name service may hang; more threads than one would only hang with it.
        self._names = ThreadPoolExecutor(1, f"adviser-{plan.name}")

    @property
    def name(self) -> str:
        """The adviser's name."""
        return self._plan.name

    def advise(self, question: Mapping[str, object]) -> Advice:
        """Ask the endpoint. Raises AdviserFailed."""
        until = monotonic() + self._plan.deadline
        body = encode_question(self._plan, question)
        try:
            with closing(self._connect(until)) as connection:
                answer = _post(_TimedSocket(connection, until), self._address, body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            what = str(error) or type(error).__name__
            raise AdviserFailed(f"{self.name}: {what}") from error
        return read_answer(self._plan, answer)

    def _connect(self, until: float) -> socket.socket:
        if self._plan.socket:
            refuse_shared(Path(self._plan.socket))
            return _open(socket.AF_UNIX, self._plan.socket, until)
        error: OSError = OSError("its name has no address")
        for family, where in self._look_up(until):
            try:
                return self._secure(_open(family, where, until), until)
            except OSError as failed:
                error = failed
        raise error

    def _look_up(self, until: float) -> list[tuple[int, object]]:
        host, port = self._address.host, self._address.port
        find = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        if _is_numeric(host):
            found = find(flags=socket.AI_NUMERICHOST)
        else:
            looking = self._names.submit(find)
            try:
                found = looking.result(_left(until))
            finally:
                looking.cancel()
        return [(family, where) for family, _, _, _, where in found]

    def _secure(self, connection: socket.socket, until: float) -> socket.socket:
        if self._context is None:
            return connection
        try:
            connection.settimeout(_left(until))
            return self._context.wrap_socket(connection, server_hostname=self._address.host)
        except BaseException:
            connection.close()
            raise


class _TimedReader(io.RawIOBase):
    """What comes in; each wait ends with the deadline."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override] # of bytes
        """Read some bytes."""
        self._connection.settimeout(_left(self._until))
        return self._connection.recv_into(buffer)


class _TimedSocket:
    """A connection as `http.client` wants it. Whoever opened it closes it."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until

    def sendall(self, data: bytes) -> None:
        """Send everything."""
        rest = memoryview(data)
        while rest:
            self._connection.settimeout(_left(self._until))
            rest = rest[self._connection.send(rest) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the stream that a response is read from."""
        return io.BufferedReader(_TimedReader(self._connection, self._until))

    def close(self) -> None:
        """Do nothing."""


def _post(connection: _TimedSocket, address: Address, body: bytes) -> bytes:
    asking = http.client.HTTPConnection(address.host, address.port)
    asking.sock = connection
    asking.request("POST", address.path, body, _HEADERS)
    response = asking.getresponse()
    if response.status != http.client.OK:
        raise ValueError(f"it answered with status {response.status}")
    return response.read(MAX_ANSWER + 1)


def refuse_shared(path: Path) -> None:
    """Raise OSError where anybody could have put the socket."""
    for way in (path, path.resolve()):
        here = Path("/")
        for part in way.parts[1:]:
            above, here = here.stat(), here / part
            status = here.lstat()
            is_passage = stat.S_ISDIR(status.st_mode) and status.st_uid in (0, os.geteuid())
            is_sticky = bool(above.st_mode & stat.S_ISVTX) and above.st_uid == 0
            if above.st_mode & stat.S_IWOTH and not (is_sticky and is_passage):
                raise PermissionError(f"anybody may have put {here} there")


def _open(family: int, where: object, until: float) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(_left(until))
        connection.connect(where)  # type: ignore[arg-type] # of that family
    except BaseException:
        connection.close()
        raise
    return connection


def _left(until: float) -> float:
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError("it did not answer in time")
    return left


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
