"""The hand of the simulated keys: a Unix socket through which a test or a person touches them.

Law: the socket has mode 0600 and never lies in the daemon's production directory. Each line is a
JSON object with "do" and is answered by one JSON line; anything else is answered by
{"error": ...} and changes nothing. Lines are limited to 64 KiB.
"""

import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Final

from fido2.ctap import CtapError

from stepupd.core.errors import ConfigError, RequestError, StepUpError
from stepupd.devices.simulated.key import SimulatedKey

SOCKET_NAME: Final = "key.sock"
_PRODUCTION: Final = Path("/run/stepupd")
_LINE: Final = 64 * 1024
_WAIT_S: Final = 5.0
_WAIT_LIMIT_S: Final = 600.0

_Request = Mapping[str, object]
_Reply = Mapping[str, object]


class ControlServer:
    """Serves the keys in `directory` from `start` to `stop`."""

    def __init__(self, directory: Path, keys: Sequence[SimulatedKey]) -> None:
        self.path = directory / SOCKET_NAME
        self._keys = keys
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Begin to serve, in a daemon thread. ConfigError if the socket may not be there."""
        if self.path.resolve().is_relative_to(_PRODUCTION.resolve()):
            raise ConfigError(f"simulated keys may not be controlled from {_PRODUCTION}")
        _remove_stale_socket(self.path)
        self._listener = _listen(self.path)
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Stop serving and remove the socket; requests under way are still answered."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            self.path.unlink(missing_ok=True)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # stopped
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rwb") as stream:
            while line := stream.readline(_LINE + 1):
                reply = answer_line(self._keys, line)
                stream.write(json.dumps(reply).encode() + b"\n")
                stream.flush()
                if not line.endswith(b"\n"):
                    return


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        # Before binding: on Linux the socket file then never has another mode.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(str(path))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def answer_line(keys: Sequence[SimulatedKey], line: bytes) -> _Reply:
    """Do what a line asks for and return the reply, which has "error" if that failed."""
    try:
        return _answer(keys, _read_request(line))
    except (StepUpError, CtapError) as error:
        return {"error": str(error)}


def _answer(keys: Sequence[SimulatedKey], request: _Request) -> _Reply:
    key = _choose_key(keys, request)
    actions: dict[str, Callable[[SimulatedKey, _Request], _Reply]] = {
        "touch": lambda key, _: {"counted": key.touch()},
        "deny": lambda key, _: {"counted": key.deny()},
        "plug": _plug,
        "unplug": _unplug,
        "script": _script,
        "state": lambda key, _: key.describe(),
        "wait": _wait,
        "set_pin": _set_pin,
    }
    action = actions.get(str(request.get("do")))
    if action is None:
        raise RequestError(f'"do" is one of {", ".join(sorted(actions))}')
    return action(key, request)


def _read_request(line: bytes) -> _Request:
    if len(line) > _LINE:
        raise RequestError("the line is longer than 64 KiB")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError("the line is not JSON") from error
    if not isinstance(request, dict):
        raise RequestError("a request is a JSON object")
    return request


def _choose_key(keys: Sequence[SimulatedKey], request: _Request) -> SimulatedKey:
    index = request.get("key", 0)
    if type(index) is not int or not 0 <= index < len(keys):
        raise RequestError(f'"key" is a number below {len(keys)}')
    return keys[index]


def _plug(key: SimulatedKey, _request: _Request) -> _Reply:
    key.plug()
    return {"plugged": True}


def _unplug(key: SimulatedKey, _request: _Request) -> _Reply:
    key.unplug()
    return {"plugged": False}


def _script(key: SimulatedKey, request: _Request) -> _Reply:
    changes = request.get("set", {})
    if not isinstance(changes, dict):
        raise RequestError('"set" is an object of settings')
    key.change_script(**changes)
    return {"script": key.describe()["script"]}


def _wait(key: SimulatedKey, request: _Request) -> _Reply:
    timeout = request.get("timeout", _WAIT_S)
    if type(timeout) not in (int, float) or not isinstance(timeout, int | float):
        raise RequestError('"timeout" is a number of seconds')
    waits = {"blink": key.wait_for_blink, "idle": key.wait_for_idle}
    wait = waits.get(str(request.get("for")))
    if wait is None:
        raise RequestError('"for" is blink or idle')
    return {"reached": wait(min(max(timeout, 0), _WAIT_LIMIT_S))}


def _set_pin(key: SimulatedKey, request: _Request) -> _Reply:
    pin = request.get("pin")
    if not isinstance(pin, str):
        raise RequestError('"pin" is a string')
    key.set_pin(pin)
    return {"pin_set": True}


def _remove_stale_socket(path: Path) -> None:
    """Remove a socket nobody listens on. ConfigError if it is in use or is something else."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_socket():
        raise ConfigError("this is not a socket", file=str(path))
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ConfigError("another process controls simulated keys here", file=str(path))
