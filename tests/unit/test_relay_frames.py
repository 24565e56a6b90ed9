"""The relay codec: golden frames, and any bytes become frames or a `RequestError`."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.api.relay_frames import (
    FROM_DAEMON,
    FROM_MODULE,
    MAX_FRAME,
    Frame,
    FrameDecoder,
    Kind,
    RelayRequest,
    VerdictCode,
    decode_answer,
    encode,
    encode_text,
    encode_verdict,
)
from stepupd.core.errors import InternalError, RequestError
from stepupd.core.secret import Secret

VECTORS = sorted((Path(__file__).parents[1] / "vectors" / "relay").glob("*.hex"))
SIDES = {"module": FROM_MODULE, "daemon": FROM_DAEMON}


def read_vector(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    head = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    return head, bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


def read_fully(frame):
    """Decode a frame as its receiver does."""
    if frame.kind is Kind.REQUEST:
        return RelayRequest.parse(frame.payload)
    if frame.kind is Kind.ANSWER:
        return decode_answer(frame.payload)
    return frame.payload


def feed_bytewise(decoder, data):
    return [frame for byte in data for frame in decoder.feed(bytes([byte]))]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_every_golden_frame_reads_as_it_says(path):
    """The files are the contract that the C module is tested against as well."""
    head, data = read_vector(path)
    decoder = FrameDecoder(SIDES[head["from"]])

    if "error" in head:
        with pytest.raises(RequestError) as caught:
            [read_fully(frame) for frame in decoder.feed(data)]
        assert caught.value.reason == head["error"]
    elif "kind" not in head:
        assert decoder.feed(data) == []
        assert not decoder.is_between_frames
    else:
        (frame,) = decoder.feed(data)
        assert frame.kind is Kind[head["kind"]]
        assert encode(frame) == data
        assert decoder.is_between_frames


@pytest.mark.parametrize(
    "path", [path for path in VECTORS if path.stem.startswith("request-")], ids=lambda p: p.stem
)
def test_golden_requests_have_these_fields(path):
    head, data = read_vector(path)
    fields = json.loads(head["fields"])
    if "command" in fields:
        fields["command"] = tuple(fields["command"])

    (frame,) = FrameDecoder().feed(data)

    assert RelayRequest.parse(frame.payload) == RelayRequest(**fields)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_golden_texts_are_what_we_encode(path):
    head, data = read_vector(path)
    text, kind = head.get("text"), Kind[head.get("kind", "REQUEST")]

    if kind is Kind.VERDICT and text[:1] in "ADPMU" and text:
        assert encode_verdict(VerdictCode(text[:1].encode()), text[1:]) == data
    elif kind in FROM_DAEMON - {Kind.VERDICT} and text is not None:
        assert encode_text(kind, text) == data
    elif kind is Kind.ANSWER:
        assert decode_answer(data[5:]) == Secret(text)


def test_every_kind_travels_one_way_only():
    assert frozenset(Kind) == FROM_MODULE | FROM_DAEMON
    assert not FROM_MODULE & FROM_DAEMON


FRAMES = st.builds(Frame, st.sampled_from(sorted(FROM_MODULE)), st.binary(max_size=600))


@given(st.lists(FRAMES, max_size=4), st.binary(max_size=3))
def test_frames_come_back_whole_and_byte_by_byte(frames, rest):
    """Framing is independent of how the bytes arrive; an unfinished frame is no frame."""
    data = b"".join(map(encode, frames)) + b"\0" * len(rest)

    assert FrameDecoder().feed(data) == frames
    assert feed_bytewise(FrameDecoder(), data) == frames


def outcome_of(feed, data):
    decoder = FrameDecoder()
    try:
        return [read_fully(frame) for frame in feed(decoder, data)]
    except RequestError as error:
        return error.reason


WIRE = st.one_of(
    st.binary(max_size=400),
    st.builds(
        lambda kind, payload: (1 + len(payload)).to_bytes(4, "big") + bytes([kind]) + payload,
        st.integers(0, 255),
        st.binary(max_size=400),
    ),
)


@given(WIRE)
def test_any_bytes_are_frames_or_a_request_error(data):
    """Nothing but `RequestError` comes out, and arrival byte by byte changes nothing."""
    whole = outcome_of(FrameDecoder.feed, data)

    assert whole == outcome_of(feed_bytewise, data)


PAIRS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "version",
                "service",
                "subject",
                "ruser",
                "tty",
                "rhost",
                "leader",
                "leader_start",
                "command",
                "command_cut",
                "ssh_auth",
                "ssh_auth_long",
            ]
        ),
        st.one_of(st.text(max_size=8), st.sampled_from(["1", "0", "", "ada", "4194304"])),
    ),
    max_size=9,
)


@given(PAIRS)
def test_any_pairs_are_a_request_or_a_request_error(pairs):
    """The parser never guesses: what it accepts says each thing once and says who and what."""
    payload = b"\0".join(f"{key}={value}".encode() for key, value in pairs)

    try:
        request = RelayRequest.parse(payload)
    except RequestError:
        return

    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys))
    assert dict(pairs)["subject"] == request.subject
    assert dict(pairs)["service"] == request.service
    assert dict(pairs)["version"] == "1"


def test_an_error_is_final():
    """A broken stream does not heal: what follows may be a payload read as a head."""
    decoder = FrameDecoder()
    with pytest.raises(RequestError):
        decoder.feed(b"\0\0\0\0")

    with pytest.raises(RequestError):
        decoder.feed(encode(Frame(Kind.ANSWER, b"")))


def test_a_bad_length_is_refused_before_its_payload_arrives():
    """Memory stays bounded by one frame: a length over the limit never waits."""
    with pytest.raises(RequestError):
        FrameDecoder().feed((MAX_FRAME + 1).to_bytes(4, "big"))


def test_a_wrong_kind_is_refused_before_its_payload_arrives():
    with pytest.raises(RequestError):
        FrameDecoder().feed(b"\0\0\x20\0\x20")


def test_the_largest_frame_is_carried():
    frame = Frame(Kind.ANSWER, b"x" * (MAX_FRAME - 1))

    assert FrameDecoder().feed(encode(frame)) == [frame]


def test_a_larger_frame_is_our_own_fault():
    with pytest.raises(InternalError):
        encode(Frame(Kind.INFO, b"x" * MAX_FRAME))


@given(st.text(min_size=1, max_size=4))
def test_long_text_is_cut_on_a_character(text):
    """A cut text is a beginning of the whole one and leaves no half character."""
    long = text * MAX_FRAME

    (frame,) = FrameDecoder(FROM_DAEMON).feed(encode_text(Kind.INFO, long))

    assert long.startswith(frame.payload.decode())
    assert MAX_FRAME - 4 <= len(frame.payload) + 1 <= MAX_FRAME


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.ANSWER, Kind.VERDICT])
def test_only_texts_are_sent_as_text(kind):
    """A verdict cannot be made by way of a text."""
    with pytest.raises(InternalError):
        encode_text(kind, "A")


def test_a_lone_surrogate_in_a_text_does_not_stop_the_prompt():
    assert encode_text(Kind.INFO, "a\udcffb")[5:] == b"a?b"


@pytest.mark.parametrize("typed", ["123456", "geheim"])
def test_an_answer_never_prints(typed):
    """Neither the frame nor the secret shows what was typed."""
    frame = Frame(Kind.ANSWER, typed.encode())

    assert typed not in repr(frame)
    assert typed not in repr(decode_answer(frame.payload))


@pytest.mark.parametrize("payload", [b"geheim\xff", b"geheim\0", b"geheim" * 1000])
def test_a_bad_answer_is_not_in_its_error(payload):
    with pytest.raises(RequestError) as caught:
        decode_answer(payload)

    assert "geheim" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_arguments_that_are_no_utf8_are_shown_escaped():
    """An old file name must not lock its owner out, and must encode everywhere afterwards."""
    request = RelayRequest.parse(
        b"version=1\0service=sudo\0subject=ada\0command=rm\x1fcaf\xe9\x1f\x1b[2J"
    )

    assert request.command == ("rm", "caf\\xe9", "\x1b[2J")
    assert all(argument.encode() for argument in request.command)
