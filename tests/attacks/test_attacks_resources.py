"""Attacks on what the doors can hold: connections, descriptors, time, memory, queues."""

import asyncio
import json
import random
import socket
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

# The test folders are no packages; what the door tests share lives beside the integration tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from doors_support import (
    PATIENCE,
    PRELUDE,
    ScriptedService,
    count_descriptors,
    open_doors,
    read_verdict,
    relay_client,
    request_frame,
    rpc_client,
    run_child,
    step_up,
)

from stepupd.api.jsonrpc import LineDecoder, RpcError, decode_message, decode_params
from stepupd.api.limits import Limits
from stepupd.api.methods import METHODS
from stepupd.api.relay_frames import FrameDecoder, RelayRequest
from stepupd.core.errors import RequestError

SUPPORT = Path(__file__).parents[1] / "integration"
CALL = json.dumps(step_up()) + "\n"


async def until(condition) -> None:
    """Let the loop run until the condition holds, or fail."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a turn of the loop, not a sleep
            await asyncio.sleep(0)


async def test_attack_135_one_account_cannot_take_all_connections():
    """Of 300 connections one uid keeps 16; root and another uid are served meanwhile."""
    hog = """
become(1000)
resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
held, refused = [], 0
for _ in range(300):
    sock = connect(sys.argv[1])
    sock.setblocking(True)
    held.append(sock)
print("full", flush=True)
sys.stdin.readline()
for sock in held:
    sock.setblocking(False)
    try:
        refused += b'"busy"' in sock.recv(1000)
    except BlockingIOError:
        pass
print(refused)
"""
    honest = """
become(1001)
sock = connect(sys.argv[1])
sock.sendall(sys.argv[2].encode())
print(json.loads(read_line(sock))["result"]["verdict"])
"""
    async with open_doors(Limits(message_seconds=PATIENCE)) as doors:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", PRELUDE + hog, doors.rpc_path, stdin=-1, stdout=-1
        )
        assert await child.stdout.readline() == b"full\n"
        assert (await run_child(honest, doors.rpc_path, CALL)).strip() == "allow"
        async with rpc_client(doors.rpc_path) as client:
            assert "result" in await client.call("Status")
        assert doors.admission.connections <= 16 + 1
        output, _ = await child.communicate(b"\n")
        assert int(output) == 300 - 16
        await until(lambda: doors.admission.connections == 0)


async def test_attack_135_the_cap_counts_both_doors_and_comes_back():
    """The cap is per account, not per door, and closed connections make room again."""
    code = """
become(1000)
held = [connect(path) for path in sys.argv[1:] for _ in range(10)]
refused = []
while len(refused) < 4:
    ended = select.select(held, [], [])[0]
    refused += [read_all(sock) for sock in ended]
    held = [sock for sock in held if sock not in ended]
print(len(held), sum(b"busy" in answer for answer in refused))
"""
    async with open_doors(Limits(message_seconds=PATIENCE)) as doors:
        for _ in range(2):
            output = await run_child(code, doors.rpc_path, doors.relay_path)
            assert output.split() == ["16", "4"]
            await until(lambda: doors.admission.connections == 0)


async def test_attack_135_a_connection_storm_leaves_an_open_connection_served():
    """Two processes open and close as fast as they can; calls on an open connection go on."""
    storm = """
become(int(sys.argv[2]))
for _ in range(2000):
    try:
        connect(sys.argv[1]).close()
    except OSError:
        pass
"""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.call("Status")
        storms = [
            asyncio.ensure_future(run_child(storm, doors.rpc_path, uid)) for uid in (1000, 1001)
        ]
        served = 0
        while not all(storm.done() for storm in storms):
            assert "result" in await client.call("Status")
            served += 1
        await asyncio.gather(*storms)
        assert served > 10
        await until(lambda: doors.admission.connections == 1)


FULL_HOUSE = """
import asyncio, os, resource, sys
sys.path.insert(0, sys.argv[1])
from doors_support import ScriptedService, allow, open_doors
from stepupd.api.limits import Limits

class Opener(ScriptedService):
    # A key, the audit log, /proc: eight more descriptors while the house is full.
    async def step_up(self, caller, call, conversation):
        for fd in [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]:
            os.close(fd)
        return allow()

async def main():
    async with open_doors(Limits(message_seconds=60, idle_seconds=60)) as doors:
        doors.service.__class__ = Opener
        print(doors.folder, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
asyncio.run(main())
"""


async def test_attack_136_running_out_of_descriptors_pauses_and_recovers():
    """With 64 descriptors and 200 clients: no crash, what is open is served, later ones again."""
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FULL_HOUSE, SUPPORT, stdin=-1, stdout=-1, stderr=-1
    )
    path = Path((await daemon.stdout.readline()).decode().strip()) / "stepupd.sock"
    async with rpc_client(path) as client:
        await client.send(step_up())
        assert "result" in await client.receive()
        async with AsyncExitStack() as stack:
            for _ in range(200):
                await stack.enter_async_context(rpc_client(path))
            for _ in range(20):
                await client.send(step_up())
                assert (await client.receive())["result"]["verdict"] == "allow"
        async with rpc_client(path) as later:
            await later.send(step_up())
            assert (await later.receive())["result"]["verdict"] == "allow"
    _, errors = await daemon.communicate(b"\n")
    assert daemon.returncode == 0
    assert b"pauses" in errors
    assert b"Traceback" not in errors


async def test_attack_136_passed_descriptors_are_never_received():
    """A flood of SCM_RIGHTS leaves not one descriptor behind."""
    async with open_doors() as doors:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(doors.rpc_path))
            sock.setblocking(False)
            async with rpc_client(doors.rpc_path) as other:
                await other.call("Status")
                before = count_descriptors()
                for byte in CALL.encode():
                    socket.send_fds(sock, [bytes([byte])], [sock.fileno()] * 50)
                    await other.call("Status")
                    assert count_descriptors() == before
            assert b'"allow"' in await asyncio.get_running_loop().sock_recv(sock, 1000)


async def test_attack_137_slow_and_silent_callers_are_cut():
    """Silence, half a message, and a byte now and then: all end, at both doors."""

    async def starve(client, first: bytes, more: bytes) -> None:
        with suppress(ConnectionError):  # on a busy machine it is cut before it has begun
            await client.send(first)
            while not client.reader.at_eof():
                with suppress(TimeoutError):
                    await asyncio.wait_for(client.reader.read(1), 0.02)
                await client.send(more)

    async with open_doors(Limits(message_seconds=0.2)) as doors, AsyncExitStack() as stack:
        work = []
        for _ in range(20):
            for path, opens in ((doors.rpc_path, rpc_client), (doors.relay_path, relay_client)):
                start = b'{"jsonrpc' if opens is rpc_client else request_frame()[:30]
                more = b" " if opens is rpc_client else b"x"
                for first, rest in ((b"", b""), (start, b""), (start, more)):
                    client = await stack.enter_async_context(opens(path))
                    work.append(starve(client, first, rest))
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*work)
        assert doors.service.calls == []
        await until(lambda: doors.admission.connections == 0)


async def test_attack_137_an_idle_connection_ends_but_a_ceremony_is_waited_for():
    """Idle time counts between messages only: a person may take longer than that to touch."""
    limits = Limits(message_seconds=0.05, idle_seconds=0.05)
    async with open_doors(limits) as doors, rpc_client(doors.rpc_path) as client:
        async with rpc_client(doors.rpc_path) as idle:
            await client.send(step_up("test:wait"))
            await idle.call("Status")
            assert await idle.receive_line() == b""
        assert doors.service.running == 1
        await client.receive()
        await client.send({"jsonrpc": "2.0", "method": "Cancel"})
        assert (await client.receive())["result"]["reason"] == "cancelled"
        assert await client.receive_line() == b""


@pytest.mark.parametrize("word", ["flood", "flood-wait"])
async def test_attack_137_a_caller_that_never_reads_is_cut(word):
    """Ten megabytes for a peer that reads nothing: at the limit the connection and its call end."""
    async with open_doors(Limits(unread=10_000)) as doors, rpc_client(doors.rpc_path) as client:
        client.writer.transport.pause_reading()
        await client.send(step_up(f"test:{word}"))
        await until(lambda: doors.service.calls and not doors.service.running)
        await until(lambda: doors.admission.connections == 0)


async def test_attack_137_a_slow_reader_gets_everything_in_order():
    """A peer that reads late, but within bounds, misses nothing."""
    limits = Limits(unread=20_000_000)
    async with open_doors(limits) as doors, rpc_client(doors.rpc_path) as client:
        client.writer.transport.pause_reading()
        await client.send(step_up("test:flood"))
        await until(lambda: doors.service.calls and not doors.service.running)
        client.writer.transport.resume_reading()
        for _ in range(10_000):
            assert (await client.receive())["method"] == "Show"
        assert (await client.receive())["result"]["verdict"] == "allow"


def test_attack_141_mutated_messages_are_typed_errors():
    """Twenty thousand broken messages: each is decoded or a `RequestError`, nothing else."""
    rng = random.Random(141)  # noqa: S311 - repeatable on purpose
    frame, line = request_frame(command="a\x1fb", tty="pts/1"), CALL.encode()
    for _ in range(10_000):
        with suppress(RequestError):
            for found in FrameDecoder().feed(_mutate(rng, frame)):
                RelayRequest.parse(found.payload)
        with suppress(RpcError):
            for piece in LineDecoder(65536).feed(_mutate(rng, line)):
                decode_params(decode_message(piece), METHODS["StepUp"].params)


def _mutate(rng: random.Random, raw: bytes) -> bytes:
    broken = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(broken))
        match rng.randrange(4):
            case 0:
                broken[at] = rng.randrange(256)
            case 1:
                del broken[at : at + rng.randint(1, 8)]
            case 2:
                broken[at:at] = rng.choice([b"{", b"[", b"\0", b"\n", b'"', b"\xff", b"9" * 400])
            case _:
                broken += broken[:at]
        broken = broken or bytearray(b"x")
    return bytes(broken)


async def test_attack_141_mutated_messages_leave_the_doors_alive():
    """A thousand broken messages over real sockets, then one honest call at each door."""
    rng = random.Random(142)  # noqa: S311 - repeatable on purpose
    async with open_doors() as doors:
        for _ in range(500):
            async with rpc_client(doors.rpc_path) as client:
                await client.send(_mutate(rng, CALL.encode()))
            async with relay_client(doors.relay_path) as client:
                await client.send(_mutate(rng, request_frame()))
        async with rpc_client(doors.rpc_path) as client:
            assert "result" in await client.call("Status")
        async with relay_client(doors.relay_path) as client:
            await client.send(request_frame())
            assert read_verdict(await client.receive()) == ("A", "grant")


HOSTILE = {
    "deep": b'{"jsonrpc":"2.0","id":1,"method":"StepUp","params":' + b"[" * 65_000,
    "deep and closed": b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
    "many keys": b"{" + b",".join(b'"%d":1' % n for n in range(6_000)) + b"}",
    "same keys": b"{" + b",".join([b'"jsonrpc":"2.0"'] * 3_500) + b"}",
    "long number": b'{"jsonrpc":"2.0","id":' + b"9" * 65_000 + b"}",
    "exponent": b'{"jsonrpc":"2.0","id":1e999999999}',
    "escapes": b'{"jsonrpc":"' + b"\\u0041" * 10_000 + b'"}',
    "long action": step_up("a" * 60_000),
    "near action": step_up("a:" + "a" * 60_000 + " "),
    "stars": step_up("a:" + "*" * 60_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_attack_142_no_line_costs_more_than_its_length(name):
    """64 KiB of the worst JSON, 20 times: refused, and well within a second each."""
    line = HOSTILE[name]
    raw = line if isinstance(line, bytes) else json.dumps(line).encode()
    clock = asyncio.new_event_loop()
    started = clock.time()
    for _ in range(20):
        with pytest.raises(RpcError):
            decode_params(decode_message(raw), METHODS["StepUp"].params)
    spent = clock.time() - started
    clock.close()
    assert spent < 20


def test_attack_142_a_line_byte_by_byte_is_searched_once():
    """The longest line in single bytes: its bytes are looked at once, not once per byte."""
    looked_at = 0

    class Counting(bytearray):
        def find(self, what: bytes, start: int = 0) -> int:
            nonlocal looked_at
            looked_at += len(self) - start
            return super().find(what, start)

    decoder = LineDecoder(65536)
    decoder._buffer = Counting()
    lines = [line for _ in range(65536) for line in decoder.feed(b"x")]
    lines += decoder.feed(b"\n")
    assert [len(line) for line in lines] == [65536]
    assert looked_at <= 2 * 65537


async def test_attack_144_waiting_ceremonies_are_counted_per_account():
    """Twelve connections of one uid: four ceremonies wait, the rest hears "busy" at once."""
    code = """
become(1000)
socks = [connect(sys.argv[1]) for _ in range(12)]
for sock in socks:
    sock.sendall(sys.argv[2].encode())
first = [json.loads(read_line(sock)) for sock in socks]
print(sum(line.get("error", {}).get("data", {}).get("reason") == "busy" for line in first))
print(sum(line.get("method") == "Show" for line in first))
"""
    wait = json.dumps(step_up("test:wait")) + "\n"
    async with open_doors() as doors:
        assert (await run_child(code, doors.rpc_path, wait)).split() == ["8", "4"]
        assert doors.service.peak == 4
        async with rpc_client(doors.rpc_path) as client:
            await client.send(step_up())
            assert (await client.receive())["result"]["verdict"] == "allow"
        await until(lambda: doors.service.running == 0)
        assert (await run_child(code, doors.rpc_path, wait)).split() == ["8", "4"]


async def test_attack_144_calls_in_flight_on_one_connection_are_bounded():
    """A pipeline of 1,000 calls is answered in full, the excess at once with "busy"."""
    may_go_on = asyncio.Event()

    class Slow(ScriptedService):
        async def get_status(self, caller):
            await may_go_on.wait()
            return await super().get_status(caller)

    async with open_doors(Limits(unread=1_000_000)) as doors, rpc_client(doors.rpc_path) as client:
        doors.service.__class__ = Slow
        lines = [
            json.dumps({"jsonrpc": "2.0", "id": n, "method": "Status", "params": {}}) + "\n"
            for n in range(1000)
        ]
        await client.send("".join(lines).encode())
        replies = [await client.receive() for _ in range(1000 - 8)]
        may_go_on.set()
        replies += [await client.receive() for _ in range(8)]
    assert {reply["id"] for reply in replies} == set(range(1000))
    reasons = [reply["error"]["data"]["reason"] for reply in replies if "error" in reply]
    assert set(reasons) == {"busy"}
    assert len(doors.service.calls) == 1000 - len(reasons) == 8
