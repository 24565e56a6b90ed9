"""A small synchronous client of stepupd, for the command line and for other programs.

Ask for a touch before something dangerous:

    from stepupd.client import Client
    with Client() as daemon:
        answer = daemon.step_up("deploy:production", on_show=lambda text, _: print(text))
    if not answer.is_allowed:
        raise SystemExit(answer.text)

Only the standard library, and little of it: starting up fast is part of the contract. The client
trusts the process that listens only if the kernel says that it is root's, stepupd's or its own
account's. Closing the client (or Ctrl-C) cancels what the daemon is doing for it.
"""

import json
import os
import pwd
import socket
import struct
from collections.abc import Callable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

SYSTEM_SOCKET = "/run/stepupd/stepupd.sock"
SERVICE_ACCOUNT = "stepupd"
SILENCE = 150.0
"""Seconds without a word after which the daemon counts as stopped: a rule gives a person at most
120 to touch a key, and the rest is for a slow machine."""

_LINE_MAX = 1024 * 1024
_LOOK = 1.0
"""Seconds that one system call may block. A Ctrl-C that comes after Python's last look for signals
and before the call is only noticed once the call returns."""
_UCRED = struct.Struct("iII")

Fields = dict[str, object]
"""A JSON object."""

OnShow = Callable[[str, bool], object]
"""Called with a text and whether it is an error."""

OnAsk = Callable[[str, bool], str | None]
"""Called with a question and whether the answer is hidden; None declines."""


class ClientError(Exception):
    """Base: no answer was given. `reason` is a stable code, `hint` says what to do next."""

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.hint = hint


class DaemonUnreachable(ClientError):  # noqa: N818 - says what happened
    """Nobody trustworthy listens, or the connection broke. Never take it for "allowed"."""


class CallRefused(ClientError):  # noqa: N818 - says what happened
    """The daemon did not serve the call; `code` is JSON-RPC's."""

    def __init__(self, message: str, *, code: int, reason: str, hint: str = "") -> None:
        super().__init__(message, reason=reason, hint=hint)
        self.code = code


class StepUpAnswer:
    """The end of a step-up; `fields` holds all of the daemon's result."""

    __slots__ = ("fields", "reason", "text", "verdict")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.verdict = _take_text(fields, "verdict")
        self.reason = _take_text(fields, "reason")
        self.text = _take_text(fields, "text")

    @property
    def is_allowed(self) -> bool:
        """Whether to go on; everything but the daemon's "allow" is a no."""
        return self.verdict == "allow"

    def __bool__(self) -> bool:
        return self.is_allowed

    def __repr__(self) -> str:
        return f"StepUpAnswer({self.verdict!r}, {self.reason!r})"


def find_socket() -> str:
    """Return the socket's path: $STEPUP_SOCKET, else the system's, else the user's own."""
    chosen = os.environ.get("STEPUP_SOCKET", "")
    if chosen:
        return chosen
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and not os.path.exists(SYSTEM_SOCKET):  # noqa: PTH110 - pathlib is slow to import
        return f"{runtime}/stepupd/stepupd.sock"
    return SYSTEM_SOCKET


class Client:
    """One connection, one call at a time; made on entry to `with` or by the first call."""

    def __init__(self, path: str | None = None, *, timeout: float | None = SILENCE) -> None:
        """`timeout` is how many seconds the daemon may stay silent; None waits for ever."""
        self.path = find_socket() if path is None else path
        self._timeout = timeout
        self._sock: socket.socket | None = None
        self._buffer = bytearray()
        self._last_id = 0

    def __enter__(self) -> "Client":  # noqa: PYI034 - typing is slow to import
        self.connect()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def connect(self) -> None:
        """Connect, and check who listens; `DaemonUnreachable` if that fails."""
        if self._sock is not None:
            return
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_LOOK)
        try:
            sock.connect(self.path)
            _check_listener(sock, self.path)
        except OSError as error:
            sock.close()
            raise DaemonUnreachable(
                f"cannot reach stepupd at {self.path}: {error.strerror or error}",
                reason="unreachable",
                hint="Is it running? See: systemctl status stepupd",
            ) from error
        except DaemonUnreachable:
            sock.close()
            raise
        self._sock = sock

    def close(self) -> None:
        """Close; the daemon cancels what it is doing for this connection."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        self._buffer.clear()

    def call(
        self,
        method: str,
        params: Fields | None = None,
        on_show: OnShow | None = None,
        on_ask: OnAsk | None = None,
    ) -> Fields:
        """Call a method and return its result; `CallRefused` or `DaemonUnreachable` otherwise.

        Whatever else is raised here, by a callback or by Ctrl-C, closes the connection.
        """
        self.connect()
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params or {}}
        try:
            self._send(request, may_fail=True)
            return self._wait(self._last_id, on_show, on_ask)
        except CallRefused:
            raise
        except BaseException:
            self.close()
            raise

    def resume(
        self,
        connected: "_socket.socket",
        received: bytes,
        on_show: OnShow | None = None,
        on_ask: OnAsk | None = None,
    ) -> Fields:
        """Go on with a request of id 1 that was sent on a connection made without this class.

        `received` is what came on it so far. Raises as `call` does.
        """
        self.close()
        self._sock = socket.socket(fileno=connected.detach())
        self._sock.settimeout(_LOOK)
        self._buffer += received
        self._last_id = 1
        return self._wait(1, on_show, on_ask)

    def step_up(  # noqa: PLR0913 - all but the action have defaults
        self,
        action: str,
        *,
        subject: str = "",
        level: str | None = None,
        max_age: float | None = None,
        command: Sequence[str] = (),
        reason: str = "",
        on_show: OnShow | None = None,
        on_ask: OnAsk | None = None,
    ) -> StepUpAnswer:
        """Ask for proof. `level` and `max_age` (seconds) may only sharpen what policy asks."""
        params: Fields = {
            "action": action,
            "subject": subject,
            "level": level,
            "max_age": max_age,
            "command": list(command),
            "reason": reason,
        }
        return StepUpAnswer(self.call("StepUp", params, on_show, on_ask))

    def _send(self, message: Fields, *, may_fail: bool = False) -> None:
        try:
            self._socket().sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            # A daemon that refuses at once says why before it closes: read that first.
            if not may_fail:
                raise _broken(self.path) from error

    def _wait(self, call_id: int, on_show: OnShow | None, on_ask: OnAsk | None) -> Fields:
        while True:
            message = self._receive()
            method = message.get("method")
            if method is None and message.get("id") == call_id:
                return _take_response(message)
            if method is None and message.get("id") is None:
                self.close()  # the daemon refused the connection, not this call
                return _take_response(message)
            params = _take_fields(message.get("params", {}))
            if method == "Show" and on_show is not None:
                on_show(_take_text(params, "text"), params.get("is_error") is True)
            elif method == "Ask":
                self._answer(message.get("id"), params, on_ask)

    def _answer(self, ask_id: object, params: Fields, on_ask: OnAsk | None) -> None:
        is_hidden = params.get("is_hidden") is not False
        typed = None if on_ask is None else on_ask(_take_text(params, "text"), is_hidden)
        reply: Fields = {"jsonrpc": "2.0", "id": ask_id}
        if typed is None:
            reply["error"] = {"code": -32000, "message": "declined"}
        else:
            reply["result"] = {"answer": typed}
        self._send(reply)

    def _receive(self) -> Fields:
        silence = 0.0
        while b"\n" not in self._buffer:
            try:
                chunk = self._socket().recv(65536)
            except TimeoutError as error:
                silence += _LOOK
                if self._timeout is not None and silence >= self._timeout:
                    raise _silent(self.path, silence) from error
                continue
            except OSError as error:
                raise _broken(self.path) from error
            if not chunk or len(self._buffer) > _LINE_MAX:
                raise _broken(self.path)
            self._buffer += chunk
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer[:] = rest
        try:
            return _take_fields(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise _nonsense() from error

    def _socket(self) -> socket.socket:
        if self._sock is None:
            raise _broken(self.path)
        return self._sock


def _take_response(message: Fields) -> Fields:
    if message.get("error") is None:
        return _take_fields(message.get("result"))
    error = _take_fields(message.get("error"))
    data = _take_fields(error.get("data", {}))
    code = error.get("code")
    raise CallRefused(
        _take_text(error, "message"),
        code=code if isinstance(code, int) else 0,
        reason=_take_text(data, "reason"),
        hint=_take_text(data, "hint"),
    )


def _check_listener(sock: socket.socket, path: str) -> None:
    # Who called listen(), from the kernel: the file's owner would be read at another moment.
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _pid, uid, _gid = _UCRED.unpack(credentials)
    if uid in {0, os.geteuid()} or uid == _find_service_uid():
        return
    raise DaemonUnreachable(
        f"{path} belongs to uid {uid}, not to stepupd",
        reason="untrusted-socket",
        hint="Do not type anything there; check $STEPUP_SOCKET and who made that socket.",
    )


def _find_service_uid() -> int | None:
    try:
        return pwd.getpwnam(SERVICE_ACCOUNT).pw_uid
    except KeyError:
        return None


def _take_fields(value: object) -> Fields:
    if not isinstance(value, dict):
        raise _nonsense()
    return value


def _take_text(fields: Fields, key: str) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise _nonsense()
    return value


def _broken(path: str) -> DaemonUnreachable:
    return DaemonUnreachable(
        f"the connection to stepupd at {path} broke",
        reason="unreachable",
        hint="The daemon's log may say why: journalctl -u stepupd",
    )


def _silent(path: str, seconds: float) -> DaemonUnreachable:
    return DaemonUnreachable(
        f"stepupd at {path} has said nothing for {seconds:.0f} seconds",
        reason="unreachable",
        hint="Is it stopped? See: systemctl status stepupd",
    )


def _nonsense() -> DaemonUnreachable:
    return DaemonUnreachable(
        "what listens there does not speak stepupd's protocol", reason="bad-response"
    )
