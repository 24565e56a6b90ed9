"""One account may flood its own connections; the others do not wait for it."""

import asyncio
import json
import socket
import sys
from dataclasses import dataclass, field

from doors_support import PATIENCE, PRELUDE, open_doors, rpc_client, run_child, step_up

from stepupd.api.connection import Connection
from stepupd.api.limits import Limits

CALL = json.dumps(step_up()) + "\n"


class AnyPeer:
    """Whoever is at the other end of a socket pair."""

    def is_sender(self, _pid):
        return True

    def close(self):
        pass


@dataclass
class Counting:
    """A dialogue whose every byte is a message; `turns` tells in which turn each was handled."""

    clock: list[int]
    turns: list[int] = field(default_factory=list)

    def receive(self, chunk):
        for _ in chunk:
            self.turns.append(self.clock[0])
            yield

    def end_input(self):
        return False

    def lose(self):
        pass


async def test_a_few_messages_of_a_connection_are_handled_in_a_turn():
    """Two connections with a thousand waiting messages each: neither keeps the loop."""
    clock, messages, limits = [0], 1000, Limits(messages_per_turn=3)
    dialogues, far_ends, connections = [], [], []
    for _ in range(2):
        near, far = socket.socketpair()
        near.setblocking(False)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        far.sendall(bytes(messages))
        connection = Connection(
            near,
            AnyPeer(),
            limits,
            refusal=lambda _error: b"",
            spawn=asyncio.ensure_future,
            on_closed=lambda _connection: None,
        )
        dialogues.append(Counting(clock))
        connection.start(dialogues[-1])
        far_ends.append(far)
        connections.append(connection)
    async with asyncio.timeout(PATIENCE):
        while any(len(dialogue.turns) < messages for dialogue in dialogues):
            clock[0] += 1
            await asyncio.sleep(0)
    for connection, far in zip(connections, far_ends, strict=True):
        connection.cut()
        far.close()

    for dialogue in dialogues:
        assert max(dialogue.turns.count(turn) for turn in set(dialogue.turns)) <= 3
    first, last = (sorted(dialogue.turns[:: messages - 1]) for dialogue in dialogues)
    assert first[0] < last[1]
    assert last[0] < first[1]


async def test_a_client_of_malformed_lines_is_cut_off():
    """Sixteen lines are answered, then the connection ends, whatever else was sent."""
    async with open_doors() as doors, rpc_client(doors.rpc_path) as client:
        await client.send(b"\n" * 100 + CALL.encode())
        lines = []
        while line := await client.receive_line():
            lines.append(json.loads(line))
    assert [line["error"]["code"] for line in lines] == [-32700] * 16
    assert doors.service.calls == []


FLOOD = """
become(1000)
print("flood", flush=True)
held = {}
while not select.select([sys.stdin], [], [], 0)[0]:
    while len(held) < 15:
        sock = connect(sys.argv[1])
        sock.setblocking(False)
        held[sock.fileno()] = sock
    for sock in list(held.values()):
        try:
            sock.send(b"\\n" * 60000)
        except BlockingIOError:
            pass
        except OSError:
            held.pop(sock.fileno()).close()
            continue
        try:
            sock.recv(1 << 20)
        except BlockingIOError:
            pass
        except OSError:
            held.pop(sock.fileno()).close()
"""
HONEST = """
become(1001)
sock = connect(sys.argv[1])
for _ in range(20):
    sock.sendall(sys.argv[2].encode())
    print(json.loads(read_line(sock))["result"]["verdict"])
"""


async def test_a_flood_of_empty_lines_leaves_an_honest_caller_served():
    """Fifteen connections of one account send nothing but line feeds; another account's calls."""
    async with open_doors() as doors:
        flood = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", PRELUDE + FLOOD, doors.rpc_path, stdin=-1, stdout=-1
        )
        assert await flood.stdout.readline() == b"flood\n"
        served = await run_child(HONEST, doors.rpc_path, CALL)
        await flood.communicate(b"\n")
    assert served.split() == ["allow"] * 20
    assert flood.returncode == 0


EAGER = """
become(1000)
answers = []
for _ in range(5):
    sock = connect(sys.argv[1])
    sock.sendall(sys.argv[2].encode())
    answer = json.loads(read_line(sock))
    answers.append(answer.get("result", answer.get("error", {}).get("data"))["reason"])
sock = connect(sys.argv[3])
sock.sendall(bytes.fromhex(sys.argv[4]))
answers.append(read_all(sock)[5:].decode())
print(*answers)
"""


async def test_an_account_that_asks_too_often_is_refused_before_anything_else():
    """At both doors: nothing is looked up and no entry is written; root goes on as before."""
    slow = Limits(burst=3, calls_per_second=1e-6)
    frame = b"version=1\0service=xlock\0subject=ada"
    raw = (len(frame) + 1).to_bytes(4, "big") + b"\x01" + frame
    async with open_doors(slow) as doors:
        output = await run_child(EAGER, doors.rpc_path, CALL, doors.relay_path, raw.hex())
        assert output.split() == ["grant"] * 3 + ["busy"] * 2 + ["Ubusy"]
        assert len(doors.service.calls) == 3
        async with rpc_client(doors.rpc_path) as client:
            for _ in range(10):
                assert "result" in await client.call("Status")
