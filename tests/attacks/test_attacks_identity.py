"""Attacks on "who is asking": identity at both doors, process ids, terminals."""

import asyncio
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
    NAMES,
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
from stepupd.host.peer import Peer, identify
from stepupd.host.process import find_session, parse_stat

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
    sock.sendall(sys.argv[2].encode()[: None if turn % 2 else turn])
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


RECYCLE = """
import socket, sys
from stepupd.core.errors import RequestError
from stepupd.core.model import Door
from stepupd.host.peer import identify
def spawn(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid
server = socket.socket(socket.AF_UNIX)
server.bind("\\0stepupd-recycle")
server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
server.listen()
client = socket.socket(socket.AF_UNIX)
ready, go = os.pipe()
def authorised():
    client.connect("\\0stepupd-recycle")
    os.read(ready, 1)
first = spawn(authorised)
connection, _ = server.accept()
peer = identify(connection, Door.SOCKET)
assert peer.caller.pid == first and peer.is_sender(first)
os.write(go, b"x")
os.waitpid(first, 0)
with open("/proc/sys/kernel/ns_last_pid", "w") as file:
    file.write(str(first - 1))
def attacker():
    client.send(b"hello")
    os.read(ready, 1)
second = spawn(attacker)
message, control, _, _ = connection.recvmsg(100, 100)
sender = struct.unpack("iII", control[0][2])[0]
print(message, second == first == sender, peer.is_sender(sender), peer.find_session())
os.write(go, b"x")
os.waitpid(second, 0)
"""


def test_attack_020_a_recycled_process_id_is_not_the_process():
    """In its own pid namespace an attacker takes a dead caller's very number, and gets nothing."""
    if not Path("/proc/sys/kernel/ns_last_pid").exists():
        pytest.skip("the kernel was built without CONFIG_CHECKPOINT_RESTORE")
    found = subprocess.run(
        ["unshare", "-p", "-f", "--mount-proc", sys.executable, "-c", PRELUDE + RECYCLE],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert found.stdout.split() == ["b'hello'", "True", "False", "None"], found.stderr


def test_attack_020_identity_is_the_pidfd_not_the_number():
    """With a dead process's pidfd, even our own living number is nobody's."""
    child = subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE)
    pidfd = os.pidfd_open(child.pid)
    alive = Peer(Caller(1000, child.pid, Door.SOCKET), os.dup(pidfd))
    stale = Peer(Caller(1000, os.getpid(), Door.SOCKET), pidfd)
    assert alive.is_sender(child.pid)
    assert alive.find_session() is not None
    child.communicate(b"\n")
    for peer in (alive, stale):
        assert not peer.is_alive()
        assert not peer.is_sender(peer.caller.pid)
        assert peer.find_session() is None
        peer.close()


NAMING = {
    "StepUp": {"action": "test:allow"},
    "Status": None,  # names nobody: it tells the caller about itself
    "Enroll": {"name": "blue"},
    "ListCredentials": {},
    "RenameCredential": {"credential": "blue", "name": "red"},
    "RemoveCredential": {"credential": "blue"},
    "ListGrants": {},
    "Revoke": {"grant": ""},
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


PASSED_ON = """
here, there = socket.socketpair()
if os.fork():
    sock = connect(sys.argv[1])      # as root ...
    if sys.argv[3] == "ask":
        sock.sendall(sys.argv[2].encode())
        read_line(sock)
    socket.send_fds(there, [b"x"], [sock.fileno()])
    os.wait()
else:
    _, (fd,), _, _ = socket.recv_fds(here, 1, 1)
    become(1000)                     # ... used by somebody else
    sock = socket.socket(fileno=fd)
    if sys.argv[3] == "ask":
        sock.sendall(b'{"jsonrpc":"2.0","id":"d1","result":{"answer":"1234"}}\\n')
    else:
        sock.sendall(sys.argv[2].encode())
    print(read_all(sock).decode())
"""


async def test_attack_030_roots_socket_in_other_hands_says_nothing():
    """A connection made by root and passed to uid 1000: the sender decides, nothing is called."""
    async with open_doors() as doors:
        output = await run_child(PASSED_ON, doors.rpc_path, CALL, "call")
        assert doors.service.calls == []
    assert json.loads(output)["error"]["data"]["reason"] == "not-permitted"


async def test_attack_030_another_process_cannot_answer_the_question():
    """The ceremony of the process that connected ends when another one types for it."""
    ask = json.dumps(step_up("test:ask")) + "\n"
    async with open_doors() as doors:
        output = await run_child(PASSED_ON, doors.rpc_path, ask, "ask")
        assert await doors.service.asked.get() is None
    assert '"allow"' not in output


async def test_attack_030_the_relay_checks_the_sender_too():
    """The same at the relay, where root may name anybody."""
    code = """
sock = connect(sys.argv[1])
if os.fork():
    os.wait()
else:
    become(1000)
    sock.sendall(bytes.fromhex(sys.argv[2]))
    print(read_all(sock)[5:].decode())
"""
    async with open_doors() as doors:
        output = await run_child(code, doors.relay_path, request_frame(subject="root").hex())
        assert doors.service.calls == []
    assert output.strip() == "Pnot-permitted"


NAMES_OF_PROCESSES = ["a) 0 0 (b", "x\ny) S 1", ") R 1 1 1 1 1", "((((", "))))"]


@pytest.mark.parametrize("comm", NAMES_OF_PROCESSES)
def test_attack_096_a_process_cannot_name_itself_another_terminal(comm):
    """A process called like a line of `stat` has the session that the kernel says."""
    code = "import sys\nopen('/proc/self/comm', 'w').write(sys.argv[1])\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-I", "-c", code, comm],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        pidfd = os.pidfd_open(child.pid)
        try:
            session = find_session(child.pid, pidfd)
        finally:
            os.close(pidfd)
        child.communicate(b"\n")
    assert session is not None
    assert (session.leader, session.tty) == (child.pid, "")


def test_attack_096_the_line_is_split_at_its_last_parenthesis():
    rest = "S 1 2 33 34816 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"
    for comm in NAMES_OF_PROCESSES:
        found = parse_stat(f"9 ({comm}) {rest}".encode())
        assert found is not None
        assert (found.session, found.tty_number, found.start) == (33, 34816, 4711)
    for line in ("", "9 (x", f"9 x {rest}", "9 (x) S 1", f"9 (x) {rest.replace('33', 'z')}"):
        assert parse_stat(line.encode()) is None


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
        500, is_privileged=caller.is_privileged,
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


def test_the_scripts_accounts_are_distinct():
    """The table of accounts in the tests must not hide a wrap: 4,000,000,000 is not a small uid."""
    assert len({uid % 2**31 for uid in NAMES}) == len(NAMES)


async def test_the_doors_survive_all_this():
    """One honest call after one of each refusal is served."""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        async with asyncio.timeout(PATIENCE):
            assert "result" in await client.call("Status")
