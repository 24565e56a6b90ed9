"""Groups B and K at the D-Bus door: descriptors that come along, of any kind and number."""

import asyncio
import os
import socket
import struct
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

# The test folders are no packages; what the door tests share lives beside the integration tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from dbus_fast import Message, MessageFlag, MessageType, Variant
from dbus_support import ADA, PATIENCE, caller, error_of, open_door, run_as
from doors_support import count_descriptors

from stepupd.api.dbus_interface import CEREMONY, INTROSPECTABLE, MANAGER, NAME, PEER, ROOT_PATH
from stepupd.api.dbus_passed import MOST_CLOSING, Passed, find_closing
from stepupd.api.dbus_session import MOST_HELD
from stepupd.api.dbus_stream import Stream

CALL = "hsa{sv}"
GOOD = [0, "test:allow", {}]


async def count_settled():
    """Return how many descriptors are open once everything is closed that is being closed."""
    for thread in find_closing():
        await asyncio.to_thread(thread.join, PATIENCE)
    return count_descriptors()


async def settle_at(count):
    """Return once so many are open; a leak is waited for in vain."""
    async with asyncio.timeout(PATIENCE):
        while await count_settled() != count:  # noqa: ASYNC110 - descriptors tell nobody
            await asyncio.sleep(0)


def make_call(passed, member="CheckForProcess", signature=CALL, body=GOOD, **parts):
    fields = {"path": ROOT_PATH, "interface": MANAGER, "destination": NAME} | parts
    return Message(
        member=member, signature=signature, body=list(body), unix_fds=list(passed), **fields
    )


@pytest.fixture
def numbers():
    """Sixteen descriptors, as many as a bus lets through at once; the first is a pidfd of ours."""
    made = [os.pidfd_open(os.getpid()), *(os.open("/dev/null", os.O_RDONLY) for _ in range(15))]
    yield made
    for one in made:
        os.close(one)


# What may be done wrong with a descriptor: how many come, and with which call.
MISUSED = {
    "none": (0, {}),
    "two": (2, {}),
    "sixteen": (16, {}),
    "another-index": (1, {"body": [1, "test:allow", {}]}),
    "no-such-index": (1, {"body": [2**32 - 1, "test:allow", {}]}),
    "bad-option": (1, {"body": [0, "test:allow", {"subject": Variant("s", "root")}]}),
    "bad-action": (1, {"body": [0, "nothing", {}]}),
    "other-signature": (1, {"signature": "hs", "body": [0, "test:allow"]}),
    "method-that-takes-none": (
        1,
        {"member": "Check", "signature": "sa{sv}", "body": ["test:allow", {}]},
    ),
    "name-for-a-pidfd": (1, {"member": "CheckFor", "body": [0, "test:allow", {}]}),
    "nothing-declared": (16, {"member": "Status", "signature": "", "body": []}),
    "ping": (16, {"interface": PEER, "member": "Ping", "signature": "", "body": []}),
    "introspect": (
        1,
        {"interface": INTROSPECTABLE, "member": "Introspect", "signature": "h", "body": [0]},
    ),
    "no-such-ceremony": (
        1,
        {"interface": CEREMONY, "path": f"{ROOT_PATH}/ceremony/9", "member": "Cancel"},
    ),
    "unknown-method": (1, {"member": "Nothing"}),
    "unknown-object": (1, {"path": "/elsewhere"}),
    "in-a-variant": (1, {"body": [0, "test:allow", {"level": Variant("h", 0)}]}),
}
HARMLESS = {"method-that-takes-none", "nothing-declared", "ping"}


@pytest.mark.parametrize("misuse", MISUSED)
async def test_attack_136_a_misused_descriptor_is_closed(misuse, numbers):
    """A hundred times, with and without a reply: an answer each, and no descriptor is left."""
    count, parts = MISUSED[misuse]
    async with open_door() as setup, caller(setup.bus) as eve:
        await eve.call("Status")
        before = await count_settled()
        for _ in range(100):
            reply = await eve.send(make_call(numbers[:count], **parts))
            assert misuse in HARMLESS or reply.message_type is MessageType.ERROR
            quiet = make_call(numbers[:count], **parts, flags=MessageFlag.NO_REPLY_EXPECTED)
            await eve.bus.send(quiet)
        await eve.call("Status")

        await settle_at(before)
        assert {name for name, *_ in setup.service.calls} <= {"Status", "StepUp"}


async def test_attack_136_a_good_one_is_closed_too(numbers):
    async with open_door() as setup, caller(setup.bus) as root:
        await root.call("Status")
        before = await count_settled()
        for _ in range(100):
            reply = await root.send(make_call(numbers[:1]))
            assert reply.body[0] == "allow"

        await settle_at(before)


async def test_attack_136_a_call_that_is_too_long_leaves_none(numbers):
    """What is thrown away unread takes its descriptors along, and the next call has its own."""
    async with open_door() as setup, caller(setup.bus) as root:
        await root.call("Status")
        before = await count_settled()
        for _ in range(20):
            await root.bus.send(make_call(numbers, body=[0, "x" * 200_000, {}]))
            reply = await root.send(make_call(numbers[:1]))
            assert reply.body[0] == "allow"

        await settle_at(before)


FLOOD = r"""
import socket
path = address.partition('=')[2]
raw = socket.socket(socket.AF_UNIX)
raw.connect(path)
raw.sendall(b'\0AUTH EXTERNAL %b\r\n' % str(uid).encode().hex().encode())
raw.recv(1000)
raw.sendall(b'NEGOTIATE_UNIX_FD\r\n')
raw.recv(1000)
def make(number, destination, path, interface, member, signature='', body=(), passed=(), flags=0):
    return bytes(Message(destination=destination, path=path, interface=interface, member=member,
        signature=signature, body=list(body), unix_fds=list(passed), serial=number,
        flags=MessageFlag(flags))._marshall(True))
def wait_for(number):
    said = b''
    while b'\x05\x01u\x00' + number.to_bytes(4, 'little') not in said:
        said += raw.recv(100_000)
bus_itself = ('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus')
raw.sendall(b'BEGIN\r\n' + make(1, *bus_itself, 'Hello'))
wait_for(1)
here, there = socket.socketpair()
kinds = [os.pidfd_open(os.getppid()), here.fileno(), os.open('/dev/null', os.O_RDONLY)]
for number in range(2, 3002):
    few = kinds[:number % 4]
    frame = make(number, 'org.stepupd1', *manager, 'CheckForProcess', 'hsa{sv}',
        [0, 'test:allow', {}], few, flags=1)
    socket.send_fds(raw, [frame], few)
    if number % 100 == 1:  # the bus would keep no more than some for the door
        raw.sendall(make(number + 10_000, 'org.stepupd1', '/', 'org.freedesktop.DBus.Peer', 'Ping'))
        wait_for(number + 10_000)
"""


async def test_attack_136_a_flood_leaves_none_and_the_door_open():
    """Another account sends what it can, of all kinds, and waits for no answer."""
    async with open_door() as setup, caller(setup.bus) as root:
        await root.call("Status")
        before = await count_settled()
        await run_as(ADA, setup.bus, FLOOD)
        reply = await root.call("Status")

        assert reply.message_type is MessageType.METHOD_RETURN
        await settle_at(before)
        assert {subject for _, _, subject, *_ in setup.service.calls} <= {"", "root"}


async def test_attack_136_callers_that_vanish_leave_none(numbers):
    async with open_door() as setup, caller(setup.bus) as root:
        await root.call("Status")
        before = await count_settled()
        for _ in range(50):
            async with caller(setup.bus) as eve:
                await eve.bus.send(make_call(numbers[:1], body=[0, "test:wait", {}]))
        async with asyncio.timeout(PATIENCE):
            while setup.admission.connections > 1 or setup.service.running:
                await root.call("Status")

        await settle_at(before)


async def test_attack_136_processes_that_are_held_are_counted(numbers):
    """Root may have many at once; beyond the bound it is told to wait, and nothing is lost."""
    wait = make_call(numbers[:1], "StepUpForProcess", body=[0, "test:wait", {}])
    async with open_door() as setup, AsyncExitStack() as callers:
        answers = []
        for _ in range(MOST_HELD // 8 + 1):
            one = await callers.enter_async_context(caller(setup.bus))
            answers += [await one.send(wait) for _ in range(8)]
        errors = [error_of(one) for one in answers if one.message_type is MessageType.ERROR]
        held = await count_settled()
        await setup.door.close()

        assert errors == ["Busy"] * 8
        assert await count_settled() <= held - MOST_HELD


@pytest.mark.parametrize("kind", ["socket", "file", "pipe", "directory"])
async def test_attack_030_another_kind_of_descriptor_names_nobody(kind):
    with ExitStack() as stack:
        if kind == "socket":
            pair = socket.socketpair()
            number = stack.enter_context(pair[0]).fileno()
            stack.enter_context(pair[1])
        elif kind == "pipe":
            number, other = os.pipe()
            stack.callback(os.close, number)
            stack.callback(os.close, other)
        else:
            number = os.open("/proc/self" if kind == "directory" else "/proc/self/status", 0)
            stack.callback(os.close, number)
        async with open_door() as setup, caller(setup.bus) as root:
            assert error_of(await root.send(make_call([number]))) == "BadRequest"
            assert setup.service.calls == []


def make_lingering(stack):
    """Return a socket whose last close waits until the other end reads, or is gone."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    here = socket.create_connection(listener.getsockname())
    there = stack.enter_context(listener.accept()[0])
    here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
    here.setblocking(False)
    try:
        while True:
            here.send(bytes(65536))
    except BlockingIOError:
        return here.detach(), there


async def test_attack_136_what_closes_slowly_makes_nobody_wait():
    """The thread that closes it waits; whoever let go of it does not."""
    with ExitStack() as stack:
        number, there = make_lingering(stack)
        Passed([number]).close()
        (thread,) = find_closing()
        assert thread.is_alive()
        there.close()
        await asyncio.to_thread(thread.join, PATIENCE)

        assert not thread.is_alive()


class Reader:
    """Takes what comes and closes it."""

    wanted = 1

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.chunks = asyncio.Queue()
        self.lost = self.loop.create_future()

    def receive(self, chunk, passed):
        self.chunks.put_nowait((chunk, len(passed)))
        passed.close()

    def lose(self):
        self.lost.set_result(None)


async def test_attack_136_where_closing_is_stuck_nothing_more_is_taken():
    """Then the connection ends, and comes back without descriptors until they are closed."""
    with ExitStack() as stack:
        here, there = socket.socketpair()
        stack.enter_context(there)
        here.setblocking(False)
        reader = Reader()
        stream = Stream(here, reader)
        stream.start()
        stuck = [make_lingering(stack) for _ in range(MOST_CLOSING)]
        for number, _ in stuck:
            socket.send_fds(there, [b"x"], [number])
            os.close(number)  # not the last: the message holds it
            async with asyncio.timeout(PATIENCE):
                assert await reader.chunks.get() == (b"x", 1)
        with open(os.devnull) as file:  # noqa: ASYNC230, PTH123 - any descriptor
            socket.send_fds(there, [b"x"], [file.fileno()])
            async with asyncio.timeout(PATIENCE):
                await reader.lost
        assert reader.chunks.empty()
        for _, other in stuck:
            other.close()
        for thread in find_closing():
            await asyncio.to_thread(thread.join, PATIENCE)
        assert find_closing() == []


async def test_attack_136_descriptors_are_closed_on_exec():
    """A program that the daemon starts (an adviser) inherits none."""
    here, there = socket.socketpair()
    here.setblocking(False)
    reader = Reader()
    found = asyncio.get_running_loop().create_future()

    def receive(_chunk, passed):
        found.set_result(os.get_inheritable(passed.pick(0)))
        passed.close()

    reader.receive = receive
    stream = Stream(here, reader)
    stream.start()
    with there, open(os.devnull) as file:  # noqa: ASYNC230, PTH123 - any descriptor
        socket.send_fds(there, [b"x"], [file.fileno()])
        async with asyncio.timeout(PATIENCE):
            assert await found is False
        stream.close()
