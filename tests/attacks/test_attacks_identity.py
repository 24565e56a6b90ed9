"""Attacks on "who is asking": identity at both doors, process ids, terminals."""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

# The test folders are no packages; what the door tests share lives beside the integration tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from doors_support import (
    PATIENCE,
    PRELUDE,
    open_doors,
    read_verdict,
    relay_client,
    request_frame,
    rpc_client,
    run_child,
    step_up,
)

import stepupd
from stepupd.api import methods
from stepupd.api.listener import bind_socket
from stepupd.core.errors import RequestError
from stepupd.core.grants import covers
from stepupd.core.model import (
    Caller,
    Door,
    Grant,
    Level,
    Method,
    Moment,
    Requirement,
    Scope,
    Session,
    StepUpRequest,
    Subject,
)
from stepupd.host.accounts import find_subject, find_subject_by_uid
from stepupd.host.hardening import maps_all_uids
from stepupd.host.peer import identify

CALL = json.dumps(step_up()) + "\n"


async def test_attack_019_a_caller_that_is_gone_gets_nothing():
    """A process that sent its request and ended before anyone looked never reaches the service."""
    code = """
become(1000)
sock = connect(sys.argv[1])
sock.sendall(sys.argv[2].encode())
os._exit(0)
"""
    async with open_doors() as doors:
        before = len(doors.service.calls)
        # Synchronous on purpose: the event loop, and so the daemon, looks only afterwards.
        subprocess.run(  # noqa: ASYNC221
            [sys.executable, "-I", "-c", PRELUDE + code, doors.rpc_path, CALL], check=True
        )
        async with rpc_client(doors.rpc_path) as client:
            await client.call("Status")
        callers = [call[1].uid for call in doors.service.calls[before:]]
    assert callers == [0]  # the Status call of this process, nothing else


async def test_attack_019_a_disconnect_at_any_moment_never_becomes_another_uid():
    """300 callers that hang up at once: whoever is heard is heard as uid 1000."""
    code = """
become(1000)
for turn in range(300):
    sock = connect(sys.argv[1])
    try:
        sock.sendall(sys.argv[2].encode()[: None if turn % 2 else turn])
    except BrokenPipeError:
        pass  # one connection too many at once: it was refused, and told so
    sock.close()
"""
    async with open_doors() as doors:
        await run_child(code, doors.rpc_path, CALL)
        assert {call[1].uid for call in doors.service.calls} <= {1000}


def test_attack_019_no_default_uid_in_the_source():
    """No file of the daemon falls back to a uid: no `or 0`, no `uid=0`, no `.get(…, 0)`."""
    fallback = re.compile(r"uid\b.{0,40}(\bor 0\b|, 0\))|\buid: int = |\buid = 0")
    root = Path(stepupd.__file__).parent
    found = [
        f"{file}:{number}"
        for folder in ("host", "api")
        for file in (root / folder).glob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if fallback.search(line)
    ]
    assert found == []


NAMING = {
    "StepUp": {"action": "test:allow"},
    "Status": None,  # names nobody: it tells the caller about itself
    "Enroll": {"name": "blue"},
    "ListCredentials": {},
    "RenameCredential": {"credential": "blue", "name": "red"},
    "RemoveCredential": {"credential": "blue"},
    "MakeRecoveryCodes": {},
    "ListGrants": {},
    "ShowProfile": {},
    "ForgetProfile": {},
    "Revoke": {"grant": ""},
    "PushEvent": {"event": "session-revoked"},
}


def test_attack_023_every_method_is_in_the_table_and_none_takes_an_identity():
    """A new method without an entry fails here; so does a parameter that says who is asking."""
    assert NAMING.keys() == methods.METHODS.keys()
    for name, method in methods.METHODS.items():
        fields = {field.name for field in msgspec.structs.fields(method.params.type)}
        assert not fields & {"uid", "gid", "pid", "user", "caller", "peer", "session", "tty"}
        assert ("subject" in fields) == (NAMING[name] is not None)


async def test_attack_023_nobody_acts_for_another_account():
    """The user ada names root and bob in every method: refused, and seen as uid 1000 throughout."""
    code = """
become(1000)
sock = connect(sys.argv[1])
for line in json.loads(sys.argv[2]):
    sock.sendall(json.dumps(line).encode() + b"\\n")
    print(json.loads(read_line(sock))["error"]["data"]["reason"])
"""
    calls = [
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"subject": subject}}
        for method, params in NAMING.items()
        for subject in ("root", "bob", "nobody-there")
        if params is not None
    ]
    async with open_doors() as doors:
        output = await run_child(code, doors.rpc_path, json.dumps(calls))
    assert output.split() == ["not-permitted"] * len(calls)
    assert [call[1].uid for call in doors.service.calls] == [1000] * len(calls)


SUBJECTS = ["-1", "4294967295", "4294967296", "0", "#0", "#-1", "65534", "+", "ada\u2028"]


async def test_attack_024_far_uids_stay_what_they_are():
    """An account with uid 4,000,000,000 is heard as such; numbers written as names are nobody's."""
    code = """
become(4_000_000_000)
sock = connect(sys.argv[1])
for subject in json.loads(sys.argv[2]):
    call = {"jsonrpc": "2.0", "id": 1, "method": "ListGrants", "params": {"subject": subject}}
    sock.sendall(json.dumps(call).encode() + b"\\n")
    print("error" in json.loads(read_line(sock)))
"""
    async with open_doors() as doors:
        output = await run_child(code, doors.rpc_path, json.dumps([*SUBJECTS, "", "far"]))
    assert output.split() == ["True"] * len(SUBJECTS) + ["False", "False"]
    assert {call[1].uid for call in doors.service.calls} == {4_000_000_000}


@pytest.mark.parametrize("name", [*SUBJECTS, "", "a\0b", "a:b", "x" * 300])
def test_attack_024_a_number_is_no_account_name(name):
    assert find_subject(name) is None


@pytest.mark.parametrize("uid", [-1, 2**32 - 1, 2**32, -(2**31), 2**64])
def test_attack_024_impossible_uids_have_no_account(uid):
    assert find_subject_by_uid(uid) is None


async def test_attack_026_the_peers_address_is_not_read():
    """A client bound to `;uid=0;`, an abstract name, a long path or a line feed stays uid 1000."""
    code = """
become(1000)
os.chdir(sys.argv[2])
for name in ("x;uid=0;", "\\0uid=0", "l" * 107, "a\\nuid=0", "uid=0 pid=1"):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(name)
    sock.connect(sys.argv[1])
    sock.sendall(sys.argv[3].encode())
    print(json.loads(read_line(sock))["result"]["verdict"])
"""
    async with open_doors() as doors:
        (doors.folder / "own").mkdir()
        os.chown(doors.folder / "own", 1000, 1000)
        output = await run_child(code, doors.rpc_path, doors.folder / "own", CALL)
        callers = [(call[1].uid, call[2]) for call in doors.service.calls]
    assert output.split() == ["allow"] * 5
    assert callers == [(1000, "")] * 5


@pytest.fixture
def open_folder():
    """Make a folder that other accounts can reach, as pytest's own cannot be."""
    folder = Path(tempfile.mkdtemp(prefix="stepupd-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_attack_028_a_private_socket_is_never_wider(open_folder):
    """While a 0600 socket is made 300 times, another account never connects, whenever it tries."""
    code = """
become(1000)
print("ready", flush=True)
wide = got_in = 0
while os.path.exists(sys.argv[2]):
    try:
        wide += bool(os.stat(sys.argv[1]).st_mode & 0o077)
        connect(sys.argv[1])
        got_in += 1
    except OSError:
        pass
print(wide, got_in)
"""
    path, running = open_folder / "s", open_folder / "running"
    running.touch()
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", PRELUDE + code, path, running],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    for _ in range(300):
        with bind_socket(path, 0o600):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    running.unlink()
    output, _ = child.communicate(timeout=PATIENCE)
    assert output.split() == ["0", "0"]


NAMESPACE = """
from stepupd.core.errors import ConfigError
from stepupd.host.hardening import refuse_user_namespace
try:
    refuse_user_namespace()
except ConfigError as error:
    print(f"{error}\\n{error.hint}")
"""


def test_attack_029_no_start_in_a_user_namespace():
    """Where the kernel would call everybody 65534, the daemon says so and does not start."""
    found = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", NAMESPACE],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "user namespace" in found.stdout
    assert "PrivateUsers" in found.stdout


def test_attack_029_only_the_full_map_counts():
    assert maps_all_uids("         0          0 4294967295\n")
    assert not maps_all_uids("0 0 65536\n")
    assert not maps_all_uids("0 1000 1\n")
    assert not maps_all_uids("")


async def test_attack_029_the_overflow_uid_is_nobody():
    """A request from uid 65534 is refused before a byte of it is read, at both doors."""
    code = """
become(65534)
for path in sys.argv[1:]:
    print(read_all(connect(path)))
"""
    async with open_doors() as doors:
        output = (await run_child(code, doors.rpc_path, doors.relay_path)).splitlines()
    assert "unauthenticated" in output[0]
    assert output[1].endswith("Uunauthenticated'")
    assert doors.service.calls == []


async def test_attack_109_a_claimed_service_buys_nothing():
    """A user who claims to be sudo is heard as himself, and what he earns never serves sudo."""
    code = """
become(1000)
sock = connect(sys.argv[1])
sock.sendall(bytes.fromhex(sys.argv[2]))
print(read_all(sock)[5:].decode())
"""
    frame = request_frame(service="sudo", rhost="trusted.example", ruser="root")
    async with open_doors() as doors:
        assert (await run_child(code, doors.relay_path, frame.hex())).strip() == "Agrant"
        (_, caller, _, call) = doors.service.calls[0]
    assert (caller.uid, caller.is_privileged, call.action) == (1000, False, "pam:sudo")
    ada, session, now = Subject(1000, "ada"), Session(5, 6), Moment(0, 100, "boot")
    earned = Grant(
        "g", 1000, call.action, Scope.SESSION, session, "boot", Level.VERIFY, Method.FIDO2, b"", 90,
        500, caller_uid=caller.uid,
    )  # fmt: skip
    requirement = Requirement(Level.TOUCH, max_age=300, scope=Scope.SESSION)
    by_root = StepUpRequest(ada, Caller(0, 1, Door.RELAY), call.action, session)
    by_ada = StepUpRequest(ada, caller, call.action, session)
    assert covers(earned, by_ada, requirement, now)
    assert not covers(earned, by_root, requirement, now)


async def test_attack_109_an_odd_service_name_is_no_action():
    """Names that could become another action, a path or a pattern never reach policy."""
    async with open_doors() as doors:
        for service in ("su:command", "*", "../sudo", "sudo/", "sudo sudo", "s" * 65):
            async with relay_client(doors.relay_path) as client:
                await client.send(request_frame(service=service))
                assert read_verdict(await client.receive()) == ("U", "bad-request")
    assert doors.service.calls == []


def test_a_socket_without_a_peer_is_refused():
    """A socket that nobody connected has no credentials, and no default takes their place."""
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(RequestError):
        identify(sock, Door.SOCKET)
