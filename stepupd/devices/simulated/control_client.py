"""A small client of the control socket, for demonstrations and tests. Standard library only."""

import json
import socket
from pathlib import Path

from stepupd.core.errors import RequestError

_MARGIN_S = 5.0


class Control:
    """Touches one simulated key from another process; a connection per request.

    `path`: the socket. `key`: which key, if several are served. OSError if nobody serves;
    RequestError if the request is refused.
    """

    def __init__(self, path: Path, key: int = 0) -> None:
        self._path = path
        self._key = key

    def touch(self) -> bool:
        """Touch the key; say whether a command was waiting for it."""
        return self._ask("touch")["counted"] is True

    def deny(self) -> bool:
        """Refuse what the key waits for; say whether it did wait."""
        return self._ask("deny")["counted"] is True

    def plug(self) -> None:
        """Put the key in."""
        self._ask("plug")

    def unplug(self) -> None:
        """Pull the key out."""
        self._ask("unplug")

    def script(self, **changes: object) -> dict[str, object]:
        """Change settings of the script (see `Script`); return all of them."""
        settings = self._ask("script", set=changes)["script"]
        return settings if isinstance(settings, dict) else {}

    def state(self) -> dict[str, object]:
        """Describe the key."""
        return self._ask("state")

    def set_pin(self, pin: str) -> None:
        """Set the PIN without the old one."""
        self._ask("set_pin", pin=pin)

    def wait_for_blink(self, timeout: float = 5.0) -> bool:
        """Wait until a touch is awaited, at most `timeout` seconds; say whether it is."""
        return self._wait("blink", timeout)

    def wait_for_idle(self, timeout: float = 5.0) -> bool:
        """Wait until no command runs, at most `timeout` seconds; say whether none does."""
        return self._wait("idle", timeout)

    def _wait(self, state: str, timeout: float) -> bool:
        fields = {"for": state, "timeout": timeout}
        return self._ask("wait", patience=timeout + _MARGIN_S, **fields)["reached"] is True

    def _ask(
        self, what: str, *, patience: float = _MARGIN_S, **fields: object
    ) -> dict[str, object]:
        request = json.dumps({"do": what, "key": self._key, **fields}).encode() + b"\n"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(patience)
            connection.connect(str(self._path))
            connection.sendall(request)
            with connection.makefile("rb") as lines:
                line = lines.readline()
        if not line:
            raise OSError("the simulated key hung up")
        reply: dict[str, object] = json.loads(line)
        if "error" in reply:
            raise RequestError(str(reply["error"]))
        return reply
