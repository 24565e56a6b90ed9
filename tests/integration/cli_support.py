"""A scripted daemon on a real Unix socket, and ways to run the command against it."""

import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stepup import __main__ as command

GRANTED = {
    "verdict": "allow",
    "reason": "grant",
    "text": "",
    "entry": 17,
    "rule": "deploys",
    "level": "touch",
    "amr": ["hwk", "user"],
    "auth_age": 125.5,
    "grant": None,
    "credential": None,
}
KEY = {
    "id": "q83vASNFZ4mrze8BI0VniQ",
    "name": "blue",
    "rp_id": "host.example",
    "aaguid": "2fc0579f811347eab116bb5a8db9202a",
    "sign_count": 7,
    "backup_eligible": False,
    "backed_up": False,
    "is_attested": True,
    "is_simulated": False,
    "created": 1700000000.0,
    "last_used": 0,
    "is_suspect": False,
}
GRANT = {
    "id": "3f9a0c11d2e4",
    "action": "sudo:command",
    "scope": "session",
    "tty": "pts/3",
    "level": "touch",
    "method": "fido2",
    "credential": KEY["id"],
    "age": 61.2,
    "expires_in": 540.0,
    "is_privileged": True,
}
STATUS = {
    "version": "0.1.0",
    "mode": "system",
    "rp_id": "host.example",
    "policy_digest": "ab" * 32,
    "rules": 4,
    "is_observed": False,
    "authenticators": ["YubiKey 5"],
    "credentials": 1,
    "grants": 2,
    "entries": 99,
    "is_simulated": False,
}

Script = object
"""A result, an "error", bytes sent as they are, `...` for nothing; or what returns one."""


@dataclass
class Talk:
    """One connection, as a script sees it."""

    connection: socket.socket
    lines: Iterator[bytes]

    def send(self, message: object) -> None:
        raw = message if isinstance(message, bytes) else encode(message)
        self.connection.sendall(raw)

    def show(self, text: str, *, is_error: bool = False) -> None:
        params = {"text": text, "is_error": is_error}
        self.send({"jsonrpc": "2.0", "method": "Show", "params": params})

    def ask(self, text: str, *, is_hidden: bool = True) -> dict:
        params = {"text": text, "is_hidden": is_hidden}
        self.send({"jsonrpc": "2.0", "id": "d1", "method": "Ask", "params": params})
        return json.loads(next(self.lines))


@dataclass
class Daemon:
    """What is listening; `calls` holds each method and its parameters."""

    path: Path
    scripts: Mapping[str, Script]
    calls: list[tuple[str, dict]] = field(default_factory=list)
    hang_ups: int = 0

    def serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            talk = Talk(connection, iter(stream))
            try:
                for line in talk.lines:
                    self._answer(talk, json.loads(line))
            except (OSError, StopIteration):
                pass  # the command hung up
        self.hang_ups += 1

    def _answer(self, talk: Talk, request: dict) -> None:
        if "method" not in request:
            return  # an answer to a question that no script waits for
        self.calls.append((request["method"], request["params"]))
        script = self.scripts[request["method"]]
        if isinstance(script, Callable):
            script = script(talk)
        if script is ...:
            return
        if isinstance(script, bytes):
            talk.send(script)
            talk.connection.shutdown(socket.SHUT_RDWR)
        elif isinstance(script, dict) and set(script) == {"error"}:
            talk.send({"jsonrpc": "2.0", "id": request["id"], **script})
        else:
            talk.send({"jsonrpc": "2.0", "id": request["id"], "result": script})


def encode(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def refusal(reason: str, message: str = "no", hint: str = "") -> dict:
    data = {"reason": reason, "hint": hint}
    return {"error": {"code": -32000, "message": message, "data": data}}


def verdict(word: str, reason: str, text: str = "A sentence.") -> dict:
    return GRANTED | {"verdict": word, "reason": reason, "text": text, "level": None, "amr": []}


@contextmanager
def listening(scripts: Mapping[str, Script] | None = None, **more: Script) -> Iterator[Daemon]:
    """Serve each connection in a thread of its own until the block ends."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        daemon = Daemon(Path(directory) / "s", {**(scripts or {}), **more})
        listener.bind(str(daemon.path))
        listener.listen()
        threads: list[threading.Thread] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=daemon.serve, args=(connection,)))
                threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield daemon
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join()


def make_environment(path: Path | str, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"STEPUP_SOCKET": str(path), "COLUMNS": "80", "TERM": "xterm"} | more


def run_stepup(
    *arguments: str | bytes, path: Path | str = "/nonexistent", stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a session of its own: it has no terminal at all."""
    return subprocess.run(
        [sys.executable, "-m", "stepup", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
        env=make_environment(path, **environment),
    )


Invoke = Callable[..., tuple[int, str, str]]
"""Takes a daemon or None, and arguments; returns status, stdout and stderr."""


def make_invoke(monkeypatch, capsys) -> Invoke:
    """Return what runs one command line in this process, as if it had no terminal."""
    monkeypatch.setattr("stepup.terminal._TTY", "/nonexistent/tty")
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def invoke(daemon: Daemon | None, *arguments: str) -> tuple[int, str, str]:
        path = daemon.path if daemon else "/nonexistent/socket"
        monkeypatch.setenv("STEPUP_SOCKET", str(path))
        capsys.readouterr()
        code = command._run(list(arguments))
        return code, *capsys.readouterr()

    return invoke
