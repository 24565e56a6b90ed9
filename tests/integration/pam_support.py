"""What the PAM tests share: the built module, a scripted daemon, service files, two host programs.

`harness` (pam/test/harness.c) prints every message and return code; `pamtester` under
libpam-wrapper is the independent second opinion. A missing tool fails, it never skips.
"""

import fcntl
import functools
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from stepupd.api.relay_frames import (
    Frame,
    FrameDecoder,
    Kind,
    RelayRequest,
    VerdictCode,
    encode_text,
    encode_verdict,
)

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "pam"
BUILD = ROOT / "build" / "pam"
PATIENCE = 20.0
"""Seconds after which something that ought to happen has not."""

SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
SUCCESS, PERM_DENIED, AUTH_ERR, AUTHINFO_UNAVAIL, MAXTRIES = 0, 6, 7, 9, 11
CRED_UNAVAIL, IGNORE = 15, 25


@functools.cache
def build() -> Path:
    """Build every variant once, under a lock: test processes may run side by side."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD.parent / "pam.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(
            ["make", "-C", SOURCE, "all", "asan", "tsan", "ndebug", "harness"],
            capture_output=True,
            text=True,
            check=False,
        )
    if made.returncode != 0:
        raise AssertionError(made.stdout + made.stderr)
    return BUILD


@dataclass
class Connection:
    """The daemon's end of one relay connection."""

    sock: socket.socket
    decoder: FrameDecoder = field(default_factory=FrameDecoder)
    received: bytes = b""

    def read_frame(self) -> Frame:
        while True:
            chunk = self.sock.recv(65536)
            if not chunk:
                raise EOFError
            self.received += chunk
            if frames := self.decoder.feed(chunk):
                (frame,) = frames
                return frame

    def read_request(self) -> RelayRequest:
        return RelayRequest.parse(self.read_frame().payload)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait_for_end(self) -> bool:
        """Whether the module closes within our patience, saying nothing more."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:  # it closed before it had read all that we said
            return True


Script = Callable[[Connection], None]


def reply(*data: bytes) -> Script:
    """Read the request, then send `data` and close."""

    def run(connection: Connection) -> None:
        connection.read_request()
        for part in data:
            connection.send(part)

    return run


def ask_then(verdict: bytes) -> Script:
    """Show a text, ask for a PIN, then send `verdict`."""

    def run(connection: Connection) -> None:
        connection.read_request()
        connection.send(encode_text(Kind.INFO, "Touch your key") + QUESTION)
        connection.read_frame()
        connection.send(verdict)

    return run


def read_code() -> str:
    """Return the module's C source without its comments."""
    source = "".join(path.read_text() for path in sorted(SOURCE.glob("*.[ch]")))
    return re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)


QUESTION = encode_text(Kind.ASK_HIDDEN, "PIN: ")
ALLOW = encode_verdict(VerdictCode.ALLOW)
DENY = encode_verdict(VerdictCode.DENY)


class FakeDaemon:
    """A socket in a private directory; one thread runs the script for each connection."""

    def __init__(
        self,
        script: Script,
        *,
        peer: int = 0,
        socket_owner: int = 0,
        directory_owner: int = 0,
        mode: int = 0o755,
    ) -> None:
        self._script = script
        self._directory = Path(tempfile.mkdtemp(prefix="stepup"))
        self.path = self._directory / "pam.sock"
        self.seen: list[Connection] = []
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listen_as(peer)
        os.chown(self.path, socket_owner, 0)
        os.chown(self._directory, directory_owner, 0)
        self._directory.chmod(mode)

    def _listen_as(self, uid: int) -> None:
        """Listen as `uid`: the kernel shows the client who called listen(2)."""
        if uid == 0:
            self._listener.listen(128)
            return
        descriptor = self._listener.fileno()
        program = f"import socket; socket.socket(fileno={descriptor}).listen(128)"
        subprocess.run(
            ["/usr/bin/env", "python3", "-I", "-c", program],
            pass_fds=[descriptor],
            user=uid,
            cwd="/",
            check=True,
        )

    def __enter__(self) -> Self:
        thread = threading.Thread(target=self._accept)
        self._threads.append(thread)
        thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()
        shutil.rmtree(self._directory)
        if self.errors:
            raise self.errors[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        connection = Connection(sock)
        self.seen.append(connection)
        try:
            self._script(connection)
        except (EOFError, ConnectionError):
            pass  # the module hung up: what it returned is the test's business
        except BaseException as error:  # noqa: BLE001  carried to the test's own thread
            self.errors.append(error)
        finally:
            sock.close()


@dataclass(frozen=True)
class Result:
    """What the host program saw."""

    steps: list[tuple[str, int]]
    messages: list[tuple[int, str]]
    seconds: float
    output: str

    @property
    def code(self) -> int:
        return self.steps[-1][1]


class Host:
    """A directory of service files, and programs that authenticate with them."""

    def __init__(self, directory: Path, build_directory: Path) -> None:
        self.directory = directory
        self.build = build_directory

    def line(self, *options: str, control: str = "required", variant: str = "") -> str:
        return f"auth {control} {self.build / variant / 'pam_stepup.so'} {' '.join(options)}"

    def write_service(self, *lines: str, name: str = "stepup") -> None:
        (self.directory / name).write_text("\n".join(lines) + "\n")

    def write_stacks(self, socket_path: Path) -> list[str]:
        """Write the four usual stacks; each fails unless the module says PAM_SUCCESS."""
        option = f"socket={socket_path}"
        permit, deny = "auth required pam_permit.so", "auth required pam_deny.so"
        self.write_service(self.line(option), permit, name="required")
        self.write_service(self.line(option, control="requisite"), permit, name="requisite")
        self.write_service(self.line(option, control="sufficient"), deny, name="sufficient")
        jump = self.line(option, control="[success=1 default=ignore]")
        self.write_service(jump, deny, permit, name="jump")
        return ["required", "requisite", "sufficient", "jump"]

    def environment(self, **settings: str) -> dict[str, str]:
        names = {f"HARNESS_{name.upper()}": value for name, value in settings.items()}
        return {"HARNESS_CONFDIR": str(self.directory), "LC_ALL": "C", **names}

    def start_harness(
        self,
        *,
        program: str = "harness",
        argv: tuple[str, ...] = ("host",),
        extra: dict[str, str] | None = None,
        **settings: str,
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            argv,
            executable=self.build / "test" / program,
            env={**self.environment(**settings), **(extra or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run_harness(self, **settings: object) -> Result:
        """Run to its end; a crash or a sanitizer's report is an AssertionError."""
        start = time.monotonic()
        process = self.start_harness(**settings)  # type: ignore[arg-type]  # passed through
        output, errors = process.communicate(timeout=90)
        if process.returncode != 0 or errors:
            raise AssertionError(f"exit {process.returncode}\n{output}\n{errors}")
        return parse_output(output, time.monotonic() - start)

    def start_pamtester(self, user: str = "ada", *operations: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pamtester", "stepup", user, *(operations or ("authenticate",))],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "LD_PRELOAD": "libpam_wrapper.so",
                "PAM_WRAPPER": "1",
                "PAM_WRAPPER_SERVICE_DIR": str(self.directory),
                "LC_ALL": "C",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run_pamtester(self, typed: str = "") -> tuple[int, str]:
        process = self.start_pamtester()
        output, _ = process.communicate(typed, timeout=90)
        return process.returncode, output


def parse_output(output: str, seconds: float) -> Result:
    steps, messages = [], []
    for line in output.splitlines():
        words = line.split(" ")
        if words[0] == "message":
            messages.append((int(words[1]), bytes.fromhex(words[2]).decode()))
        else:
            steps.append((words[0], int(words[1])))
    return Result(steps, messages, seconds, output)
