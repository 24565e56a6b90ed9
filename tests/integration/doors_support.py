"""Both doors over real sockets, before a service that follows a script."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stepupd.api.admission import Admission
from stepupd.api.limits import Limits
from stepupd.api.listener import Listener, bind_socket
from stepupd.api.relay import relay_entrance
from stepupd.api.relay_frames import FROM_DAEMON, Frame, FrameDecoder, Kind, encode
from stepupd.api.rpc import rpc_entrance
from stepupd.core.call import Result, Status
from stepupd.core.effects import TroubleKind
from stepupd.core.errors import AuthenticatorError, ConfigError, InternalError, RequestError
from stepupd.core.management import Permission, Verb, permit
from stepupd.core.model import (
    Answer,
    Credential,
    Grant,
    Level,
    Method,
    Moment,
    Reason,
    Scope,
    Session,
    Verdict,
)
from stepupd.core.risk.alerts import Pushed, may_push
from stepupd.core.risk.profile import Feature, Profile, Sighting
from stepupd.host.peer import identify

PATIENCE = 60
"""Seconds after which a test gives up; never what is measured."""

DEFAULT_LIMITS = Limits()
NAMES = {0: "root", 1000: "ada", 1001: "bob", 4_000_000_000: "far"}
CREDENTIAL = Credential(b"\x01\xff", 1000, "blue", "host.example", b"", bytes(16), 7)
GRANT = Grant(
    id="0123456789abcdef",
    subject_uid=1000,
    action="cli:verify",
    scope=Scope.SESSION,
    session=Session(10, 20, "pts/3"),
    boot_id="boot",
    level=Level.TOUCH,
    method=Method.FIDO2,
    credential_id=b"\x01\xff",
    auth_time=100,
    expires=400,
    caller_uid=1000,
)
STATUS = Status("1", "system", "host.example", "00", 1, False, ("simulated",), 1, 1, 2, False)
PRIVATE_PATH = "/var/lib/stepupd/private"


PROFILE = Profile(
    1000,
    {Feature.SOURCE: {"203.0.113.9": Sighting(2.5, 1_790_000_000.0, 1_780_000_000.0)}},
    requests=3.0,
    at=1_790_000_000.0,
)


def allow(reason: Reason = Reason.GRANT) -> Result:
    return Result(
        Verdict(Answer.ALLOW, reason), 5, "rule", Level.TOUCH, ("hwk", "user"), 1.5, GRANT
    )


def refuse(reason: Reason, answer: Answer = Answer.DENY, text: str = "") -> Result:
    return Result(Verdict(answer, reason, text), 6)


FAULTS = {
    "internal": InternalError(f"cannot open {PRIVATE_PATH}"),
    "config": ConfigError("bad rule", file=PRIVATE_PATH, line=3, column=1),
    "bug": ZeroDivisionError(PRIVATE_PATH),
    "authenticator": AuthenticatorError("the key is full", hint="Use another."),
    "request": RequestError("no such thing", reason="not-found", hint="Look again."),
}


@dataclass
class ScriptedService:
    """Does what the action's last word says; obeys the real table of who may do what."""

    calls: list = field(default_factory=list)
    asked: asyncio.Queue = field(default_factory=asyncio.Queue)
    ended: asyncio.Queue = field(default_factory=asyncio.Queue)
    running: int = 0
    peak: int = 0

    def check(self, verb: Verb, caller, subject: str) -> None:
        names = {name: uid for uid, name in NAMES.items()}
        uid = caller.uid if subject == "" else names.get(subject, -1)
        may = permit(verb, caller, uid, has_credentials=True, is_first_key_open=False)
        if may is Permission.REFUSED:
            raise RequestError("not for that account", reason="not-permitted")

    async def step_up(self, caller, call, conversation) -> Result:
        self.calls.append(("StepUp", caller, call.subject, call))
        self.check(Verb.LIST, caller, call.subject)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            return await self.play(call.action.rpartition(":")[2], conversation)
        finally:
            self.running -= 1

    async def play(self, word: str, conversation) -> Result:
        if word in FAULTS:
            raise FAULTS[word]
        if word == "unrecorded":
            return Result(Verdict(Answer.ALLOW, Reason.GRANT), None)
        if word.startswith("flood"):
            for _ in range(10_000):
                await conversation.show("x" * 1000)
                await asyncio.sleep(0)
        if word.startswith("ask"):
            return await self.ask(word, conversation)
        if word.startswith("wait"):
            await conversation.show("Touch your key.")
            self.asked.put_nowait(None)
            kind = await conversation.gone
            self.ended.put_nowait(kind)
            reason = Reason.CANCELLED if kind is TroubleKind.CANCELLED else Reason.CALLER_GONE
            return refuse(reason)
        try:
            return refuse(Reason(word), text="Says why.")
        except ValueError:
            return allow()

    async def ask(self, word: str, conversation) -> Result:
        if word == "ask-late":
            await asyncio.wait(
                {first := asyncio.ensure_future(conversation.ask("first? "))}, timeout=0.01
            )
            first.cancel()
        typed = await conversation.ask("PIN: ", is_hidden=word != "ask-visible")
        self.asked.put_nowait(typed)
        if typed is None:
            return refuse(Reason.DECLINED)
        return allow(Reason.PROVED) if typed.reveal() == "1234" else refuse(Reason.TOO_MANY_TRIES)

    async def enroll(self, caller, subject, name, conversation) -> Result:
        self.calls.append(("Enroll", caller, subject, name))
        self.check(Verb.ENROLL, caller, subject)
        await conversation.show("Touch the new key.")
        return Result(Verdict(Answer.ALLOW, Reason.PROVED), 7, credential=CREDENTIAL)

    async def list_credentials(self, caller, subject) -> tuple:
        self.calls.append(("ListCredentials", caller, subject))
        self.check(Verb.LIST, caller, subject)
        return (CREDENTIAL,)

    async def rename_credential(self, caller, subject, which, name, _conversation) -> Result:
        self.calls.append(("RenameCredential", caller, subject, which, name))
        self.check(Verb.RENAME, caller, subject)
        return allow()

    async def remove_credential(self, caller, subject, which, _conversation) -> Result:
        self.calls.append(("RemoveCredential", caller, subject, which))
        self.check(Verb.REMOVE, caller, subject)
        return allow()

    async def make_recovery_codes(self, caller, subject, _conversation):
        self.calls.append(("MakeRecoveryCodes", caller, subject))
        self.check(Verb.MAKE_CODES, caller, subject)
        return allow(), ("01234-56789-ABCDE-FGHJK",)

    async def count_recovery_codes(self, caller, subject) -> int:
        self.check(Verb.LIST, caller, subject)
        return 1

    async def list_grants(self, caller, subject):
        self.calls.append(("ListGrants", caller, subject))
        self.check(Verb.LIST_GRANTS, caller, subject)
        return (GRANT,), Moment(0, 160, "boot")

    async def revoke(self, caller, subject, grant_id) -> int:
        self.calls.append(("Revoke", caller, subject, grant_id))
        self.check(Verb.REVOKE, caller, subject)
        return 2

    async def show_profile(self, caller, subject) -> tuple[Profile, Moment]:
        self.calls.append(("ShowProfile", caller, subject))
        self.check(Verb.SHOW_PROFILE, caller, subject)
        return PROFILE, Moment(0, 160, "boot")

    async def forget_profile(self, caller, subject, _conversation) -> Result:
        self.calls.append(("ForgetProfile", caller, subject))
        self.check(Verb.FORGET_PROFILE, caller, subject)
        return allow()

    async def push_event(self, caller, event) -> Pushed:
        self.calls.append(("PushEvent", caller, event.subject, event))
        if not may_push(caller, is_listed=False):
            raise RequestError("not for that account", reason="not-permitted")
        return Pushed(entry=6, revoked=2, lasts=event.lasts)

    async def get_status(self, caller) -> Status:
        self.calls.append(("Status", caller, ""))
        return STATUS


@dataclass
class Doors:
    service: ScriptedService
    admission: Admission
    folder: Path
    relay: Listener
    rpc: Listener

    @property
    def relay_path(self) -> Path:
        return self.folder / "pam.sock"

    @property
    def rpc_path(self) -> Path:
        return self.folder / "stepupd.sock"


@asynccontextmanager
async def open_doors(limits: Limits = DEFAULT_LIMITS, find_peer=identify) -> AsyncIterator[Doors]:
    # Not pytest's tmp_path: other accounts must reach it.
    folder = Path(tempfile.mkdtemp(prefix="stepupd-doors-"))
    os.chmod(folder, 0o755)  # noqa: PTH101 - pathlib in a coroutine is ruff's ASYNC240
    service, admission = ScriptedService(), Admission(limits)
    listeners = [
        Listener(
            bind_socket(folder / name, 0o666),
            entrance(service, admission, limits),
            identify=find_peer,
            admission=admission,
            limits=limits,
        )
        for name, entrance in (("pam.sock", relay_entrance), ("stepupd.sock", rpc_entrance))
    ]
    try:
        for listener in listeners:
            listener.start()
        yield Doors(service, admission, folder, *listeners)
    finally:
        for listener in listeners:
            await listener.close()
        shutil.rmtree(folder)


class RpcClient:
    """A raw client: it may send anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, message: object) -> None:
        raw = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        self.writer.write(raw)
        await self.writer.drain()

    async def call(self, method: str, params: dict | None = None, call_id: object = 1) -> dict:
        await self.send({"jsonrpc": "2.0", "id": call_id, "method": method, "params": params or {}})
        return await self.receive()

    async def receive_line(self) -> bytes:
        """Return the next line, b"" at the end."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.readline()
            except ConnectionResetError:
                return b""

    async def receive(self) -> dict:
        line = await self.receive_line()
        assert line, "the daemon hung up"
        return json.loads(line)


@asynccontextmanager
async def rpc_client(path: Path) -> AsyncIterator[RpcClient]:
    reader, writer = await asyncio.open_unix_connection(path, limit=2**20)
    try:
        yield RpcClient(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


class RelayClient:
    """Plays the PAM module."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.decoder = FrameDecoder(FROM_DAEMON)
        self.frames: list[Frame] = []

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def receive(self) -> Frame | None:
        """Return the next frame, None at the end."""
        async with asyncio.timeout(PATIENCE):
            while not self.frames:
                try:
                    chunk = await self.reader.read(65536)
                except ConnectionResetError:
                    chunk = b""
                if not chunk:
                    return None
                self.frames += self.decoder.feed(chunk)
        return self.frames.pop(0)


@asynccontextmanager
async def relay_client(path: Path) -> AsyncIterator[RelayClient]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield RelayClient(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def request_frame(**changes: str) -> bytes:
    pairs = {"version": "1", "service": "sudo", "subject": "ada"} | changes
    payload = "\0".join(f"{key}={value}" for key, value in pairs.items() if value)
    return encode(Frame(Kind.REQUEST, payload.encode()))


def answer_frame(text: str) -> bytes:
    return encode(Frame(Kind.ANSWER, text.encode()))


def step_up(action: str = "test:allow", call_id: object = 1, **params: object) -> dict:
    params = {"action": action, **params}
    return {"jsonrpc": "2.0", "id": call_id, "method": "StepUp", "params": params}


PRELUDE = """
import json, os, resource, select, socket, struct, sys, time
def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return sock
def read_all(sock):
    found = b""
    try:
        while chunk := sock.recv(65536):
            found += chunk
    except OSError:
        pass
    return found
def read_line(sock):
    found = b""
    while not found.endswith(b"\\n"):
        chunk = sock.recv(1)
        if not chunk:
            break
        found += chunk
    return found
"""


async def run_child(code: str, *arguments: object) -> str:
    """Run code in a process of its own, which starts as root and may `become(uid)`."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", PRELUDE + code, *map(str, arguments), stdout=-1, stderr=-1
    )
    async with asyncio.timeout(PATIENCE):
        output, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    return output.decode()


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def read_verdict(frame: Frame | None) -> tuple[str, str]:
    assert frame is not None
    assert frame.kind is Kind.VERDICT
    return frame.payload[:1].decode(), frame.payload[1:].decode()
