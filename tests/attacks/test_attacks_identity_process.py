"""Attacks on which process is asking: recycled ids, passed sockets, names like `stat` lines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# The test folders are no packages; what the door tests share lives beside the integration tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from doors_support import (
    PATIENCE,
    PRELUDE,
    open_doors,
    request_frame,
    run_child,
    step_up,
)

from stepupd.core.model import (
    Caller,
    Door,
)
from stepupd.host.peer import Peer
from stepupd.host.process import find_session, parse_stat

CALL = json.dumps(step_up()) + "\n"

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
