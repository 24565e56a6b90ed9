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
from stepupd.api.methods import METHODS
from stepupd.api.relay_frames import Frame, Kind, encode
from stepupd.core.effects import TroubleKind
from stepupd.core.errors import ConfigError, RequestError
from stepupd.core.model import Door, Session
from stepupd.core.secret import Secret

GRANTED = (
    b'{"jsonrpc":"2.0","id":1,"result":{"verdict":"allow","reason":"grant","text":"","entry":5,'
    b'"rule":"rule","level":"touch","amr":["hwk","user"],"auth_age":1.5,'
    b'"grant":"0123456789abcdef","credential":null}}\n'
)


async def test_a_granted_step_up_has_fixed_bytes():
    """Pins the response that programs compare byte by byte."""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(step_up())
        assert await client.receive_line() == GRANTED


async def test_a_call_carries_all_that_was_said():
    """Pins the way from parameters to the service's call, and the caller from the kernel."""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(
            step_up(subject="bob", level="verify", max_age=60, command=["a", "b c"], reason="why")
        )
        await client.receive()
        (_, caller, subject, call) = doors.service.calls[0]
    assert (caller.uid, caller.pid, caller.door) == (0, os.getpid(), Door.SOCKET)
    assert (subject, call.action, call.level.word, call.max_age) == (
        "bob",
        "test:allow",
        "verify",
        60,
    )
    assert (call.claim.command, call.claim.reason) == (("a", "b c"), "why")


RESULTS = {
    "Status": ({}, "version"),
    "Enroll": ({"name": "blue"}, "verdict"),
    "ListCredentials": ({}, "credentials"),
    "RenameCredential": ({"credential": "blue", "name": "red"}, "verdict"),
    "RemoveCredential": ({"credential": "blue"}, "verdict"),
    "ListGrants": ({}, "grants"),
    "Revoke": ({}, "revoked"),
    "StepUp": ({"action": "test:allow"}, "verdict"),
}


def test_every_method_has_a_row():
    assert RESULTS.keys() == METHODS.keys()


@pytest.mark.parametrize("method", RESULTS)
async def test_each_method_answers(method):
    """Pins each method's first result field."""
    params, first = RESULTS[method]
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        reply = await client.call(method, params)
        while reply.get("method") == "Show":
            reply = await client.receive()
    assert next(iter(reply["result"])) == first


async def test_views_hold_no_key_material():
    """Pins the fields of a key and a grant as clients see them."""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        (key,) = (await client.call("ListCredentials"))["result"]["credentials"]
        (grant,) = (await client.call("ListGrants"))["result"]["grants"]
    assert key["id"] == "Af8"
    assert "public_key" not in key
    assert (grant["age"], grant["expires_in"], grant["tty"]) == (60, 240, "pts/3")


BAD_LINES = {
    "no JSON": (b"{", -32700),
    "empty": (b"", -32700),
    "text after": (b'{"jsonrpc":"2.0","id":1,"method":"Status"} x', -32700),
    "bad UTF-8": (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700),
    "lone surrogate": (b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', -32700),
    "NaN": (
        b'{"jsonrpc":"2.0","id":1,"method":"StepUp","params":{"action":"a:b","max_age":NaN}}',
        -32700,
    ),
    "deep": (b'{"jsonrpc":"2.0","id":1,"method":"Status","params":' + b"[" * 60_000 + b"}", -32700),
    "batch": (b'[{"jsonrpc":"2.0","id":1,"method":"Status"}]', -32600),
    "version": (b'{"jsonrpc":"1.0","id":1,"method":"Status"}', -32600),
    "no version": (b'{"id":1,"method":"Status"}', -32600),
    "null id": (b'{"jsonrpc":"2.0","id":null,"method":"Status"}', -32600),
    "float id": (b'{"jsonrpc":"2.0","id":1.5,"method":"Status"}', -32600),
    "huge id": (b'{"jsonrpc":"2.0","id":99999999999999999999,"method":"Status"}', -32600),
    "unknown field": (b'{"jsonrpc":"2.0","id":1,"method":"Status","uid":0}', -32600),
    "same key": (b'{"jsonrpc":"2.0","id":1,"method":"Status","method":"Revoke"}', -32600),
    "same escaped key": (b'{"jsonrpc":"2.0","id":1,"method":"Status","i\\u0064":2}', -32600),
    "no id": (b'{"jsonrpc":"2.0","method":"Status"}', -32600),
    "nothing": (b'{"jsonrpc":"2.0","id":1}', -32600),
    "result too": (b'{"jsonrpc":"2.0","id":1,"method":"Status","result":1}', -32600),
    "method": (b'{"jsonrpc":"2.0","id":1,"method":"status"}', -32601),
    "params": (b'{"jsonrpc":"2.0","id":1,"method":"Status","params":[]}', -32602),
    "no answer": (b'{"jsonrpc":"2.0","id":"x1","result":{"answer":"1"}}', -32600),
    "cancel": (b'{"jsonrpc":"2.0","method":"Cancel","params":{"id":1}}', -32602),
}
BAD_PARAMS = {
    "no action": {},
    "no colon": {"action": "abc"},
    "no name": {"action": "abc:"},
    "upper": {"action": "Abc:d"},
    "space": {"action": "abc:d e"},
    "line feed": {"action": "abc:d\n"},
    "glob": {"action": "abc:*"},
    "long": {"action": "abc:" + "d" * 125},
    "number": {"action": 7},
    "unknown": {"action": "a:b", "uid": 0},
    "level": {"action": "a:b", "level": "none"},
    "level number": {"action": "a:b", "level": 4},
    "negative age": {"action": "a:b", "max_age": -1},
    "age text": {"action": "a:b", "max_age": "1"},
    "command text": {"action": "a:b", "command": "ls"},
    "command number": {"action": "a:b", "command": [1]},
    "many": {"action": "a:b", "command": ["x"] * 1025},
    "subject null": {"action": "a:b", "subject": None},
    "subject line": {"action": "a:b", "subject": "ada\n"},
    "subject nul": {"action": "a:b", "subject": "ada\0"},
    "subject long": {"action": "a:b", "subject": "a" * 257},
    "subject number": {"action": "a:b", "subject": 0},
}


@pytest.mark.parametrize("name", BAD_LINES)
async def test_a_bad_line_is_answered_and_the_next_one_served(name):
    """Pins each error code, and that a bad line does no more than fail."""
    line, code = BAD_LINES[name]
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(line + b"\n")
        error = (await client.receive())["error"]
        assert (error["code"], error["data"]["reason"]) == (code, "bad-request")
        assert "result" in await client.call("Status")
    assert [call[0] for call in doors.service.calls] == ["Status"]


@pytest.mark.parametrize("name", BAD_PARAMS)
async def test_bad_parameters_never_reach_the_service(name):
    """Pins that what is out of bounds is refused under the call's own id."""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        reply = await client.call("StepUp", BAD_PARAMS[name], "a")
    assert (reply["id"], reply["error"]["code"]) == ("a", -32602)
    assert doors.service.calls == []


async def test_duplicate_parameters_are_refused():
    """Pins that two parsers can never read two different requests from one line."""
    line = b'{"jsonrpc":"2.0","id":1,"method":"StepUp","params":{"action":"a:b","action":"c:d"}}\n'
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(line)
        assert (await client.receive())["error"]["code"] == -32600
    assert doors.service.calls == []


async def test_requests_work_byte_by_byte():
    """Pins that the pieces in which bytes come do not matter, at either door."""
    async with open_doors() as doors:
        async with rpc_client(doors.rpc_path) as client:
            for byte in json.dumps(step_up()).encode() + b"\n":
                await client.send(bytes([byte]))
            assert await client.receive_line() == GRANTED
        async with relay_client(doors.relay_path) as client:
            for byte in request_frame():
                await client.send(bytes([byte]))
            assert read_verdict(await client.receive()) == ("A", "grant")


async def test_an_endless_line_ends_the_connection():
    """Pins the bound on one line."""
    async with open_doors(Limits(line=1000)) as doors, rpc_client(doors.rpc_path) as client:
        await client.send(b"x" * 1001)
        assert (await client.receive())["error"]["code"] == -32600
        assert await client.receive_line() == b""


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


@pytest.mark.parametrize(("typed", "verdict"), [("1234", "allow"), ("0", "deny"), (None, "deny")])
async def test_a_question_travels_and_its_answer_comes_back(typed, verdict):
    """Pins `Ask` over JSON-RPC: the daemon's id, a hidden question, an answer or a refusal."""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(step_up("test:ask"))
        ask = await client.receive()
        assert (ask["method"], ask["id"]) == ("Ask", "d1")
        assert ask["params"] == {"text": "PIN: ", "is_hidden": True}
        reply = {"error": {"code": 1}} if typed is None else {"result": {"answer": typed}}
        await client.send({"jsonrpc": "2.0", "id": "d1", **reply})
        assert (await client.receive())["result"]["verdict"] == verdict
        assert await doors.service.asked.get() == (None if typed is None else Secret(typed))


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


@pytest.mark.parametrize("result", [{"answer": "x" * 1025}, {"answer": 7}, {"pin": "1234"}, []])
async def test_a_bad_answer_declines_and_is_never_repeated(result):
    """Pins that an answer out of bounds is a "no", and that no error quotes it."""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(step_up("test:ask"))
        await client.receive()
        await client.send({"jsonrpc": "2.0", "id": "d1", "result": result})
        lines = [await client.receive_line(), await client.receive_line()]
        assert await doors.service.asked.get() is None
    assert json.loads(lines[0])["error"]["code"] == -32602
    assert not any(word in line for line in lines for word in (b"xxx", b"1234"))


async def test_only_one_ceremony_runs_on_a_connection():
    """Pins that a second one is refused, other calls are served, and `Cancel` ends the first."""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(step_up("test:wait"))
        assert (await client.receive())["params"]["text"] == "Touch your key."
        await client.send(step_up(call_id=2))
        refused = await client.receive()
        assert (refused["id"], refused["error"]["data"]["reason"]) == (2, "busy")
        assert (await client.call("Status", call_id="s"))["id"] == "s"
        await client.send({"jsonrpc": "2.0", "method": "Cancel", "params": {}})
        ended = await client.receive()
        assert (ended["id"], ended["result"]["reason"]) == (1, "cancelled")
        await client.send(step_up())
        assert await client.receive_line() == GRANTED


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
