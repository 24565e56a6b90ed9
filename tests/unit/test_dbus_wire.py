"""The stream from the bus, cut into frames: whole, byte by byte, too long, unknown, broken."""

from contextlib import nullcontext, suppress

import pytest
from dbus_fast import Message, MessageType, Variant
from hypothesis import given
from hypothesis import strategies as st

from stepupd.api.dbus_codec import decode, encode
from stepupd.api.dbus_message import Kind, Typed
from stepupd.api.dbus_message import Message as Ours
from stepupd.api.dbus_passed import Passed
from stepupd.api.dbus_wire import (
    BUS,
    MAX_FRAME,
    Wire,
    encode_bus_call,
    encode_string,
    find_socket,
    is_there,
)
from stepupd.core.errors import InternalError, RequestError

NAME = "org.stepupd1"


def pack(**parts):
    message = Message(**({"serial": 9, "destination": NAME} | parts))
    return bytes(message._marshall(False))


def bus_reply(serial, signature="", *body):
    return pack(
        message_type=MessageType.METHOD_RETURN,
        reply_serial=serial,
        signature=signature,
        body=list(body),
    )


HELLO = bus_reply(1, "s", ":1.7")
OWNER, TAKEN = bus_reply(2, "u", 1), bus_reply(2, "u", 3)
CALL = pack(path="/org/stepupd1", interface="org.stepupd1.Manager", member="Status")
GREETING = b"OK 0123456789abcdef0123456789abcdef\r\n"


class Pipe:
    """The other end, which only listens."""

    def __init__(self):
        self.sent = b""
        self.is_closed = False

    def write(self, data):
        self.sent += data

    def close(self):
        self.is_closed = True


def make_wire(*chunks, takes_descriptors=False):
    frames = []
    wire = Wire(NAME, lambda _, frame: frames.append(frame), takes_descriptors=takes_descriptors)
    pipe = Pipe()
    wire.begin(pipe)
    for chunk in chunks:
        wire.receive(chunk, Passed())
    return wire, pipe, frames


async def test_what_is_written_by_hand_is_what_the_library_writes():
    """The beginning of a connection does without the codec, and is the same to the byte."""
    for serial, member, signature, body in (
        (1, "Hello", "", []),
        (2, "RequestName", "su", [NAME, 4]),
    ):
        hand = encode_string(NAME) + (4).to_bytes(4, "little") if signature else b""
        library = Message(
            destination=BUS,
            path="/org/freedesktop/DBus",
            interface=BUS,
            member=member,
            signature=signature,
            body=body,
            serial=serial,
        )
        again = decode(encode_bus_call(serial, member, signature, hand))
        assert again == decode(bytes(library._marshall(False)))


async def test_the_beginning():
    wire, pipe, frames = make_wire(GREETING, HELLO, OWNER, CALL)

    assert pipe.sent.startswith(b"\0AUTH EXTERNAL ")
    assert b"BEGIN\r\n" in pipe.sent
    assert wire.is_open
    assert frames == [CALL]


async def test_calls_that_started_us_are_served_once_the_name_is_ours():
    """The bus sends them before it answers about the name. In their order, before later ones."""
    first, second = (pack(path="/a", member=name) for name in ("First", "Second"))
    wire, _, frames = make_wire(GREETING, HELLO, first, second)
    assert frames == []

    wire.receive(OWNER + CALL, Passed())

    assert frames == [first, second, CALL]


async def test_calls_before_a_name_that_is_not_ours_are_nobodys():
    wire, _, frames = make_wire(GREETING, HELLO, CALL, TAKEN)

    assert frames == []
    with pytest.raises(InternalError):
        await wire.ready


async def test_only_so_many_calls_wait_for_the_name():
    _, _, frames = make_wire(GREETING, HELLO, *[CALL] * 100, OWNER)

    assert len(frames) == 64


@pytest.mark.parametrize("answer", [b"AGREE_UNIX_FD\r\n", b"ERROR no\r\n"])
async def test_descriptors_are_asked_for_before_the_beginning(answer):
    """D-Bus specification, "NEGOTIATE_UNIX_FD Command"; a bus without goes on without."""
    wire, pipe, frames = make_wire(GREETING, takes_descriptors=True)
    assert pipe.sent.endswith(b"NEGOTIATE_UNIX_FD\r\n")

    for chunk in (answer, HELLO, OWNER, CALL):
        wire.receive(chunk, Passed())

    assert b"BEGIN\r\n" in pipe.sent
    assert frames == [CALL]


async def test_no_more_is_read_than_one_frame():
    """A descriptor belongs to the frame that was read with it, so no read goes past an end."""
    wire, _, frames = make_wire(GREETING, HELLO, OWNER)
    stream, at = CALL * 3, 0
    while at < len(stream):
        assert 0 < wire.wanted <= len(CALL) - at % len(CALL)
        at, chunk = at + wire.wanted, stream[at : at + wire.wanted]
        wire.receive(chunk, Passed())

    assert frames == [CALL] * 3


@pytest.mark.parametrize("size", [1, 7, 16])
async def test_a_stream_in_pieces_gives_the_same_frames(size):
    stream = GREETING + HELLO + OWNER + CALL + CALL
    wire, _, frames = make_wire(*(stream[at : at + size] for at in range(0, len(stream), size)))

    assert wire.is_open
    assert frames == [CALL, CALL]


async def test_a_frame_that_is_too_long_is_dropped_and_the_next_one_is_served():
    """Attack 141: what a caller sends costs no more memory than one frame may have."""
    long = pack(path="/a", member="B", signature="s", body=["x" * (MAX_FRAME + 1)])
    wire, _, frames = make_wire(GREETING, HELLO, OWNER, long[:50_000], long[50_000:], CALL)

    assert frames == [CALL]
    assert len(wire._buffer) == 0


async def test_a_frame_that_claims_to_be_endless_keeps_nothing():
    head = b"l\1\0\1" + b"\xff\xff\xff\x7f" + b"\1\0\0\0" + b"\0\0\0\0"
    wire, _, frames = make_wire(GREETING, HELLO, OWNER, head, *[b"x" * 65536] * 20)

    assert frames == []
    assert len(wire._buffer) == 0


async def test_unknown_message_types_are_ignored():
    """D-Bus specification, "Message Types": unknown types must be ignored."""
    unknown = bytearray(CALL)
    unknown[1] = 5
    _, _, frames = make_wire(GREETING, HELLO, OWNER, bytes(unknown), CALL)

    assert frames == [CALL]


@pytest.mark.parametrize(
    "replies",
    [
        (HELLO, TAKEN),
        (pack(message_type=MessageType.ERROR, error_name="a.b", reply_serial=1),),
        (b"REJECTED X\r\n",),
    ],
)
async def test_a_bus_that_does_not_take_us_is_hung_up_on(replies):
    first = () if replies[0].startswith(b"REJ") else (GREETING,)
    wire, pipe, _ = make_wire(*first, *replies)

    assert isinstance(wire.ready.exception(), InternalError)
    assert pipe.is_closed


async def test_a_greeting_without_end_is_no_bus():
    wire, pipe, _ = make_wire(b"OK" + b"x" * 2000)

    assert isinstance(wire.ready.exception(), InternalError)
    assert pipe.is_closed


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("unix:path=/run/a,guid=1", "/run/a"),
        ("unix:path=/run/a%20b", "/run/a b"),
        ("tcp:host=a,port=1;unix:abstract=/x", "\0/x"),
    ],
)
def test_bus_addresses(address, path):
    assert find_socket(address) == path


@pytest.mark.parametrize("address", ["", "tcp:host=a,port=1", "unix:", "nonce", "unix:dir=/tmp"])
def test_an_address_without_a_unix_socket_is_no_bus(address):
    assert not is_there(address)


def test_values_keep_their_types_both_ways():
    message = Ours(
        Kind.CALL,
        serial=3,
        path="/a",
        interface="a.b",
        member="C",
        signature="sa{sv}u",
        body=("x", {"d": Typed("d", 1.5), "as": Typed("as", ["a"])}, 7),
    )

    assert decode(encode(message)) == message


def test_text_that_d_bus_has_no_room_for_is_replaced():
    message = Ours(Kind.ERROR, 1, reply_serial=1, error="a.b", signature="s", body=("a\0b\udc80",))

    assert decode(encode(message)).body == ("a�b?",)


@given(st.binary(max_size=200), st.integers(0, len(CALL) - 1))
def test_any_frame_is_a_message_or_a_refusal(junk, at):
    """Promise 5, for bytes anywhere in a frame."""
    for frame in (junk, CALL[:at] + junk + CALL[at:], CALL[:at] + junk):
        with suppress(RequestError):
            assert isinstance(decode(frame), Ours)


@pytest.mark.parametrize("levels", [30, 64, 65, 1000, 30_000])
def test_deep_nesting_never_breaks_the_decoder(levels):
    """A bus daemon lets 64 levels pass; a variant in a variant costs three bytes."""
    frame = bytearray(pack(path="/a", member="B", signature="v", body=[Variant("y", 5)]))
    body = b"\1v\0" * levels + b"\1y\0\5"
    frame[-4:] = body
    frame[4:8] = len(body).to_bytes(4, "little")

    with nullcontext() if levels == 30 else suppress(RequestError):
        assert isinstance(decode(bytes(frame)), Ours)
