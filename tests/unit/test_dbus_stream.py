"""The socket below the bus: whose a descriptor is, what waits, and what ends it."""

import asyncio
import os
import socket
from contextlib import contextmanager

import pytest
from test_dbus_wire import CALL, GREETING, HELLO, NAME, OWNER, pack

from stepupd.api.dbus_stream import Stream
from stepupd.api.dbus_wire import MAX_FRAME, Wire

PATIENCE = 60


class Taker:
    """Takes what comes with each frame, and says which file it is."""

    def __init__(self):
        self.found = asyncio.Queue()

    def take(self, wire, frame):
        passed = wire.take_passed()
        files = [os.fstat(number).st_ino for number in passed.release()]
        self.found.put_nowait((frame, files))

    async def next(self):
        async with asyncio.timeout(PATIENCE):
            return await self.found.get()


@contextmanager
def connection(taker, beginning=GREETING + HELLO + OWNER):
    """Give a bus's end of a connection that has begun."""
    here, there = socket.socketpair()
    here.setblocking(False)
    wire = Wire(NAME, taker.take)
    stream = Stream(here, wire)
    stream.start()
    wire.begin(stream)
    with there:
        there.sendall(beginning)
        yield wire, there
        wire.close()


@contextmanager
def files(count):
    """Give descriptors, and the numbers of what they are of."""
    made = [os.memfd_create("x") for _ in range(count)]
    yield made, [os.fstat(one).st_ino for one in made]
    for one in made:
        os.close(one)


async def test_each_frame_has_its_own_descriptors():
    """Three at once in the socket, and the middle one has none."""
    taker = Taker()
    with connection(taker) as (_, bus), files(3) as (numbers, names):
        socket.send_fds(bus, [CALL], numbers[:1])
        bus.sendall(CALL)
        socket.send_fds(bus, [CALL], numbers[1:])

        assert await taker.next() == (CALL, names[:1])
        assert await taker.next() == (CALL, [])
        assert await taker.next() == (CALL, names[1:])


async def test_a_call_that_waits_for_our_name_keeps_its_descriptors():
    taker = Taker()
    with connection(taker, GREETING + HELLO) as (_, bus), files(1) as (numbers, names):
        socket.send_fds(bus, [CALL], numbers)
        bus.sendall(OWNER + CALL)

        assert await taker.next() == (CALL, names)
        assert await taker.next() == (CALL, [])


def long():
    return pack(path="/a", member="B", signature="s", body=["x" * MAX_FRAME])


def unknown():
    return CALL[:1] + b"\5" + CALL[2:]


@pytest.mark.parametrize("make", [long, unknown])
async def test_a_frame_that_is_dropped_drops_its_descriptors(make):
    """Attack 136: the next frame does not get them."""
    taker = Taker()
    with connection(taker) as (_, bus), files(2) as (numbers, names):
        loop = asyncio.get_running_loop()
        socket.send_fds(bus, [make()[:100]], numbers[:1])
        bus.setblocking(False)
        await loop.sock_sendall(bus, make()[100:])
        socket.send_fds(bus, [CALL], numbers[1:])

        assert await taker.next() == (CALL, names[1:])


async def test_descriptors_of_a_frame_in_pieces_are_kept_until_it_is_whole():
    taker = Taker()
    with connection(taker) as (wire, bus), files(1) as (numbers, names):
        socket.send_fds(bus, [CALL[:1]], numbers)
        async with asyncio.timeout(PATIENCE):
            while wire.wanted != 15:  # noqa: ASYNC110 - half a frame is told to nobody
                await asyncio.sleep(0)
        bus.sendall(CALL[1:])

        assert await taker.next() == (CALL, names)


async def test_a_bus_that_does_not_read_is_not_read_from_until_it_does():
    """What is owed is bounded: no request comes in while replies pile up."""
    taker = Taker()
    loop = asyncio.get_running_loop()
    with connection(taker) as (wire, bus):
        bus.setblocking(False)
        bus.sendall(CALL)
        await taker.next()
        for _ in range(40):
            wire.send(bytes(64 * 1024))
        owed = len(wire._stream._out)
        bus.sendall(CALL)
        for _ in range(100):
            await asyncio.sleep(0)
        assert taker.found.empty()

        while taker.found.empty():
            async with asyncio.timeout(PATIENCE):
                await loop.sock_recv(bus, 64 * 1024)
        assert len(wire._stream._out) <= owed // 2


async def test_the_others_hanging_up_ends_it_once():
    taker = Taker()
    with connection(taker) as (wire, bus):
        bus.close()
        async with asyncio.timeout(PATIENCE):
            await wire.closed
        wire.send(CALL)
        wire.close()

        assert not wire.is_open
