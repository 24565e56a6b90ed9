"""The JSON-RPC door over real sockets: what is served, what is refused, and in which bytes."""

import asyncio
import json
import os

import pytest
from doors_support import (
    ScriptedService,
    open_doors,
    rpc_client,
    run_child,
    step_up,
)

from stepupd.api.limits import Limits
from stepupd.api.methods import COMMAND_CHARACTERS, COMMAND_WORDS, METHODS, cut_command
from stepupd.core.effects import TroubleKind
from stepupd.core.model import Door
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
    "MakeRecoveryCodes": ({}, "verdict"),
    "ListGrants": ({}, "grants"),
    "ShowProfile": ({}, "requests"),
    "ForgetProfile": ({}, "verdict"),
    "Revoke": ({}, "revoked"),
    "PushEvent": ({"subject": "ada", "event": "session-revoked"}, "entry"),
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


async def test_an_endless_line_ends_the_connection():
    """Pins the bound on one line."""
    async with open_doors(Limits(line=1000)) as doors, rpc_client(doors.rpc_path) as client:
        await client.send(b"x" * 1001)
        assert (await client.receive())["error"]["code"] == -32600
        assert await client.receive_line() == b""


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


LONG_COMMANDS = {
    "at both limits": (("xy" * 8,) * 256, False),
    "one word more": (("x",) * 257, True),
    "one character more": (("x" * 4000, "y" * 97), True),
    "one long word": (("x" * 50_000,), True),
    "empty words": (("",) * 256, False),
    "empty words more": (("",) * 300, True),
}


@pytest.mark.parametrize("name", LONG_COMMANDS)
async def test_a_long_claimed_command_is_cut_and_says_so(name):
    """Pins the bounds on what is shown and logged of a claim: its beginning, marked as cut."""
    command, is_cut = LONG_COMMANDS[name]
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(step_up(command=command))
        assert "result" in await client.receive()
    claim = doors.service.calls[0][3].claim
    assert claim.command_is_cut is is_cut
    assert len(claim.command) <= COMMAND_WORDS
    assert sum(map(len, claim.command)) <= COMMAND_CHARACTERS
    assert " ".join(command).startswith(" ".join(claim.command))
    assert (claim.command == command) is not is_cut
    assert cut_command(claim.command) == (claim.command, False)


async def test_a_client_that_has_said_all_is_still_answered():
    """Pins the half-close of `printf ... | nc -NU`: calls end, responses come, then the end."""

    class Slow(ScriptedService):
        async def get_status(self, caller):
            for _ in range(100):
                await asyncio.sleep(0)
            return await super().get_status(caller)

    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        doors.service.__class__ = Slow
        for call_id in (1, 2):
            await client.send({"jsonrpc": "2.0", "id": call_id, "method": "Status"})
        client.writer.write_eof()
        replies = [await client.receive() for _ in range(2)]
        assert [reply["id"] for reply in replies] == [1, 2]
        assert await client.receive_line() == b""


async def test_a_ceremony_outlives_a_half_close_but_not_the_client():
    """Pins that shutting down one half is no hang-up, and that closing the socket then is one."""
    async with open_doors(Limits(hang_up_seconds=0.01)) as doors:
        async with rpc_client(doors.rpc_path) as client:
            await client.send(step_up("test:wait"))
            client.writer.write_eof()
            assert (await client.receive())["method"] == "Show"
            async with rpc_client(doors.rpc_path) as other:
                for _ in range(20):
                    await other.call("Status")
            assert doors.service.running == 1
        assert await doors.service.ended.get() is TroubleKind.HANG_UP


@pytest.mark.parametrize("is_asked_first", [True, False])
async def test_after_a_half_close_questions_are_declined(is_asked_first):
    """Pins that nobody waits for an answer that cannot come, and that it is a no."""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(step_up("test:ask"))
        if is_asked_first:
            assert (await client.receive())["method"] == "Ask"
        client.writer.write_eof()
        reply = await client.receive()
        while "method" in reply:
            reply = await client.receive()
        assert reply["result"]["reason"] == "declined"
        assert await client.receive_line() == b""


async def test_a_shell_one_liner_is_answered():
    """Pins it for another process, which shuts down its sending half and reads to the end."""
    code = """
sock = connect(sys.argv[1])
sock.sendall(b'{"jsonrpc":"2.0","id":1,"method":"Status"}\\n')
sock.shutdown(socket.SHUT_WR)
print(read_all(sock).decode())
"""
    async with open_doors() as doors:
        assert '"result"' in await run_child(code, doors.rpc_path)
