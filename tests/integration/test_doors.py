"""Both doors over real sockets: what is served, what is refused, and how it ends."""

import asyncio
import json
import os
import socket
import stat
from contextlib import AsyncExitStack

import pytest
from doors_support import (
    PATIENCE,
    PRIVATE_PATH,
    answer_frame,
    count_descriptors,
    open_doors,
    read_verdict,
    relay_client,
    request_frame,
    rpc_client,
    run_child,
    step_up,
)

from stepupd.api.admission import Admission
from stepupd.api.limits import Limits
from stepupd.api.listener import adopt_socket, bind_socket
from stepupd.api.relay_frames import Frame, Kind, encode
from stepupd.core.effects import TroubleKind
from stepupd.core.errors import ConfigError, RequestError
from stepupd.core.model import Door, Session


async def test_requests_work_byte_by_byte():
    """Pins that the pieces in which bytes come do not matter, at either door."""
    async with open_doors() as doors:
        async with rpc_client(doors.rpc_path) as client:
            for byte in json.dumps(step_up()).encode() + b"\n":
                await client.send(bytes([byte]))
            assert "result" in await client.receive()
        async with relay_client(doors.relay_path) as client:
            for byte in request_frame():
                await client.send(bytes([byte]))
            assert read_verdict(await client.receive()) == ("A", "grant")


FAULTS = {
    "internal": ("internal", "stepupd failed"),
    "config": ("config", "stepupd failed"),
    "bug": ("internal", "stepupd failed"),
    "unrecorded": ("internal", "stepupd failed"),
    "authenticator": ("authenticator", "the key is full"),
    "request": ("not-found", "no such thing"),
}


@pytest.mark.parametrize("word", FAULTS)
async def test_a_failure_of_ours_is_told_but_not_how(word):
    """Pins that internal texts stay inside, and that no failure ever reads as an allow."""
    async with open_doors() as doors:
        async with rpc_client(doors.rpc_path) as client:
            await client.send(step_up(f"test:{word}"))
            line = await client.receive_line()
        async with relay_client(doors.relay_path) as client:
            await client.send(request_frame(service=word))
            verdict = read_verdict(await client.receive())
    error = json.loads(line)["error"]
    assert (error["code"], error["data"]["reason"], error["message"]) == (-32000, *FAULTS[word])
    assert PRIVATE_PATH.encode() not in line
    assert verdict == ("U", FAULTS[word][0])


async def test_an_answer_to_an_earlier_question_is_dropped():
    """Pins that each answer belongs to its own question, by id and over the relay by turn."""
    async with open_doors() as doors:
        async with rpc_client(doors.rpc_path) as client:
            await client.send(step_up("test:ask-late"))
            assert [(await client.receive())["id"] for _ in range(2)] == ["d1", "d2"]
            for ident, typed in (("d1", "late"), ("d3", "early"), ("d2", "1234")):
                await client.send({"jsonrpc": "2.0", "id": ident, "result": {"answer": typed}})
            assert (await client.receive())["result"]["verdict"] == "allow"
            await client.send({"jsonrpc": "2.0", "id": "d2", "result": {"answer": "again"}})
            assert "result" in await client.call("Status")
        async with relay_client(doors.relay_path) as client:
            await client.send(request_frame(service="ask-late"))
            assert [(await client.receive()).kind for _ in range(2)] == [Kind.ASK_HIDDEN] * 2
            await client.send(answer_frame("late") + answer_frame("1234"))
            assert read_verdict(await client.receive()) == ("A", "proved")


async def test_closing_the_socket_hangs_up():
    """Pins that Ctrl-C (a closed socket) ends the ceremony at both doors."""
    async with open_doors() as doors:
        async with rpc_client(doors.rpc_path) as client:
            await client.send(step_up("test:wait"))
            await doors.service.asked.get()
        assert await doors.service.ended.get() is TroubleKind.HANG_UP
        async with relay_client(doors.relay_path) as client:
            await client.send(request_frame(service="wait"))
            await doors.service.asked.get()
        assert await doors.service.ended.get() is TroubleKind.HANG_UP


async def test_a_half_close_hangs_up_at_the_relay():
    """Pins that the module needs both halves: its program may just have died."""
    async with open_doors() as doors, relay_client(doors.relay_path) as client:
        await client.send(request_frame(service="wait"))
        await doors.service.asked.get()
        client.writer.write_eof()
        assert await doors.service.ended.get() is TroubleKind.HANG_UP


async def test_stopping_the_daemon_ends_every_ceremony():
    """Pins that closing a listener hangs up, waits for the calls and leaks no descriptor."""
    before = count_descriptors()
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(step_up("test:wait"))
        await doors.service.asked.get()
        await doors.rpc.close()
        assert doors.service.running == 0
        assert await doors.service.ended.get() is TroubleKind.HANG_UP
    assert count_descriptors() <= before


CODES = {
    "allow": ("A", "grant"),
    "no-rule": ("P", "no-rule"),
    "rule-denies": ("P", "rule-denies"),
    "risk-denies": ("P", "risk-denies"),
    "too-many-tries": ("M", "too-many-tries"),
    "bad-signature": ("D", "bad-signature"),
    "timeout": ("D", "timeout"),
}


@pytest.mark.parametrize("word", CODES)
async def test_the_relay_turns_verdicts_into_bytes(word):
    """Pins the table of verdict codes, and that a refusal's text comes before it."""
    async with open_doors() as doors, relay_client(doors.relay_path) as client:
        await client.send(request_frame(service=word))
        frame = await client.receive()
        if word != "allow":
            assert (frame.kind, frame.payload) == (Kind.ERROR, b"Says why.")
            frame = await client.receive()
        assert read_verdict(frame) == CODES[word]
        assert await client.receive() is None


async def test_the_relay_asks_and_hears():
    """Pins a question and its answer over the relay."""
    async with open_doors() as doors, relay_client(doors.relay_path) as client:
        await client.send(request_frame(service="ask-visible"))
        assert (await client.receive()) == Frame(Kind.ASK_VISIBLE, b"PIN: ")
        await client.send(answer_frame("1234"))
        assert read_verdict(await client.receive()) == ("A", "proved")


async def test_a_root_peer_is_taken_at_its_word():
    """Pins action, session and claim of a request that sudo, as root, relays."""
    frame = request_frame(
        subject="bob",
        tty="/dev/pts/9",
        leader="77",
        leader_start="1234",
        ruser="ada",
        rhost="h.example",
        command="ls\x1f-l",
    )
    async with open_doors() as doors, relay_client(doors.relay_path) as client:
        await client.send(frame)
        assert read_verdict(await client.receive())[0] == "A"
    (_, caller, subject, call) = doors.service.calls[0]
    assert (caller.uid, caller.door, subject, call.action) == (0, Door.RELAY, "bob", "pam:sudo")
    assert call.session == Session(77, 1234, "pts/9")
    assert (call.claim.command, call.claim.ruser, call.claim.rhost) == (
        ("ls", "-l"),
        "ada",
        "h.example",
    )


BAD_FRAMES = {
    "no frame": b"\xff\xff\xff\xff",
    "empty frame": b"\0\0\0\0",
    "unknown kind": b"\0\0\0\x01\x77",
    "our own kind": encode(Frame(Kind.VERDICT, b"A")),
    "answer first": answer_frame("1234"),
    "no pairs": encode(Frame(Kind.REQUEST, b"hello")),
    "no subject": encode(Frame(Kind.REQUEST, b"version=1\0service=sudo")),
    "two requests": request_frame(service="wait") + request_frame(),
    "answer unasked": request_frame(service="wait") + answer_frame("1234"),
    "long answer": request_frame(service="ask") + answer_frame("1" * 1025),
    "service path": request_frame(service="../sudo"),
    "service space": request_frame(service="su do"),
    "service line": request_frame(service="sudo\n"),
    "service long": request_frame(service="s" * 65),
    "service letters": request_frame(service="sudö"),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
async def test_bad_frames_are_answered_unavailable(name):
    """Pins that anything unexpected ends in "unavailable" and a closed connection, nothing else."""
    async with open_doors() as doors, relay_client(doors.relay_path) as client:
        await client.send(BAD_FRAMES[name])
        frames = []
        while (frame := await client.receive()) is not None:
            frames.append(frame)
    assert [frame.kind for frame in frames].count(Kind.VERDICT) == 1
    code, reason = read_verdict(frames[-1])
    assert code == "U"
    assert reason.startswith("bad-")
    assert doors.service.running == 0


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_the_socket_is_born_with_its_mode(tmp_path, mode):
    path = tmp_path / "s"
    with bind_socket(path, mode):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_only_a_dead_socket_of_ours_is_replaced(tmp_path):
    """Pins that no file, link or living socket is ever unlinked."""
    path, link, plain = tmp_path / "s", tmp_path / "link", tmp_path / "plain"
    plain.write_text("precious")
    link.symlink_to(plain)
    with bind_socket(path, 0o600):
        for taken in (path, link, plain):
            with pytest.raises(ConfigError):
                bind_socket(taken, 0o600)
    with bind_socket(path, 0o600):
        pass
    os.chown(path, 1000, 1000)
    with pytest.raises(ConfigError):
        bind_socket(path, 0o600)
    assert plain.read_text() == "precious"
    assert link.is_symlink()


def test_only_a_listening_unix_socket_is_adopted(tmp_path):
    with bind_socket(tmp_path / "s", 0o600) as sock:
        with pytest.raises(ConfigError, match="credentials"):
            adopt_socket(os.dup(sock.fileno()))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        adopted = adopt_socket(os.dup(sock.fileno()))
        assert adopted.getsockname() == str(tmp_path / "s")
        adopted.close()
    one, other = socket.socketpair()
    with one, other, pytest.raises(ConfigError):
        adopt_socket(os.dup(one.fileno()))


def test_admission_keeps_root_and_the_others_apart():
    """Pins the pools: what others use up, root still has; and counts return to nothing."""
    admission = Admission(
        Limits(connections_per_uid=2, connections_of_others=3, connections_of_root=4)
    )
    for uid in (1, 1, 2):
        admission.enter(uid)
    for uid in (1, 3):
        with pytest.raises(RequestError):
            admission.enter(uid)
    for _ in range(4):
        admission.enter(0)
    with pytest.raises(RequestError):
        admission.enter(0)
    admission.leave(1)
    admission.enter(3)
    for uid in (0, 0, 0, 0, 1, 2, 3):
        admission.leave(uid)
    assert admission.connections == 0


async def test_a_caller_that_vanishes_at_any_byte_leaves_nothing():
    """Pins that a request cut after any byte starts at most one ceremony, which then ends."""
    whole = json.dumps(step_up("test:wait")).encode() + b"\n"
    before = count_descriptors()
    async with open_doors() as doors:
        for cut in range(0, len(whole) + 1, 4):
            async with rpc_client(doors.rpc_path) as client:
                await client.send(whole[:cut])
        frame = request_frame(service="wait")
        for cut in range(len(frame) + 1):
            async with relay_client(doors.relay_path) as client:
                await client.send(frame[:cut])
        async with rpc_client(doors.rpc_path) as client:
            assert "result" in await client.call("Status")
        await doors.relay.close()
        await doors.rpc.close()
        assert doors.service.running == 0
        assert doors.admission.connections == 0
    assert count_descriptors() <= before


async def test_many_idle_connections_leave_room_for_an_honest_one():
    """Pins that 1,000 open connections of root do not keep another from being served."""
    async with open_doors(Limits(message_seconds=PATIENCE)) as doors, AsyncExitStack() as stack:
        for _ in range(1000):
            await stack.enter_async_context(relay_client(doors.relay_path))
        async with relay_client(doors.relay_path) as client:
            await client.send(request_frame())
            assert read_verdict(await client.receive()) == ("A", "grant")
        assert doors.admission.connections >= 1000


async def test_another_account_may_name_only_itself_at_the_relay():
    """Pins that a screen locker's user is served, anybody else not, and no session is believed."""
    code = """
become(1000)
for subject in ("ada", "root", "bob"):
    sock = connect(sys.argv[1])
    payload = f"version=1\\0service=xlock\\0subject={subject}\\0leader=1\\0leader_start=5".encode()
    sock.sendall(struct.pack(">IB", len(payload) + 1, 1) + payload)
    print(read_all(sock)[5:].decode())
"""
    async with open_doors() as doors:
        output = await run_child(code, doors.relay_path)
    assert output.split() == ["Agrant", "Pnot-permitted", "Pnot-permitted"]
    assert {call[1].uid for call in doors.service.calls} == {1000}
    assert Session(1, 5) not in {call[3].session for call in doors.service.calls}


async def test_the_client_of_a_closed_daemon_hears_nothing_more():
    """Pins that a closed listener's socket no longer answers."""
    async with open_doors() as doors:
        await doors.rpc.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_unix_connection(doors.rpc_path)
