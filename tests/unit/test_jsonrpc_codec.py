"""The JSON-RPC codec: golden lines, any bytes, whole and in pieces, exact encodings."""

import json
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.api.jsonrpc import (
    Call,
    Code,
    LineDecoder,
    Reply,
    RpcError,
    decode_answer,
    decode_message,
    decode_params,
    encode_call,
    encode_error,
    encode_result,
)
from stepupd.api.methods import METHODS
from stepupd.core.errors import RequestError

VECTORS = Path(__file__).parents[1] / "vectors" / "jsonrpc"
GOOD = {row["name"]: row for row in json.loads((VECTORS / "good.json").read_text())}
BAD = {row["name"]: row for row in json.loads((VECTORS / "bad.json").read_text())}
STEP_UP = METHODS["StepUp"].params
LIMIT = 64


@pytest.mark.parametrize("name", GOOD)
def test_golden_lines_are_read(name):
    row = GOOD[name]
    message = decode_message(row["line"].encode())
    if row["kind"] == "call":
        assert isinstance(message, Call)
        assert (message.id, message.method) == (row["id"], row["method"])
        assert json.loads(message.params) == row["params"]
    else:
        assert isinstance(message, Reply)
        assert message.id == row["id"]
        answer = None if message.result is None else decode_answer(message.result, 1024).reveal()
        assert answer == row["answer"]


@pytest.mark.parametrize("name", BAD)
def test_golden_errors_have_their_code(name):
    with pytest.raises(RpcError) as caught:
        decode_message(BAD[name]["line"].encode())
    assert caught.value.code == BAD[name]["code"]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_an_error(raw):
    """Pins promise 5 for one line of arbitrary bytes."""
    try:
        message = decode_message(raw)
    except RpcError:
        return
    assert isinstance(message, Call | Reply)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "more"])


@given(st.dictionaries(KEYS, JSON | st.sampled_from(["2.0", "StepUp", "d1", {"action": "a:b"}])))
def test_any_object_is_a_message_or_an_error(fields):
    """Pins the same for well-formed JSON of the right and the wrong shape."""
    try:
        message = decode_message(json.dumps({"jsonrpc": "2.0"} | fields).encode())
        if isinstance(message, Call):
            decode_params(message, STEP_UP)
    except RpcError as error:
        assert error.code in set(Code)  # noqa: PT017 - either end is fine


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("action", "level", "command"), JSON)))
def test_accepted_parameters_are_within_bounds(params):
    """Pins that what passes is a short, plain action and texts only."""
    call = Call(1, "StepUp", json.dumps(params).encode())
    try:
        found = decode_params(call, STEP_UP)
    except RpcError as error:
        assert (error.code, error.id) == (Code.INVALID_PARAMS, 1)  # noqa: PT017
        return
    assert found.action.isascii()
    assert len(found.action) <= 128
    assert all(isinstance(word, str) for word in found.command)


@given(st.lists(st.binary(max_size=90)), st.data())
def test_pieces_do_not_matter(lines, data):
    """Pins that lines come out the same whole, cut anywhere and byte by byte, errors too."""
    raw = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    pieces = [raw[start:end] for start, end in pairwise([0, *cuts, len(raw)])]
    whole = _feed([raw])
    assert _feed(pieces) == whole
    assert _feed([raw[at : at + 1] for at in range(len(raw))]) == whole


def _feed(pieces: list[bytes]) -> tuple[list[bytes], bool]:
    decoder, found = LineDecoder(LIMIT), []
    try:
        for piece in pieces:
            found.extend(decoder.feed(piece))
    except RpcError:
        with pytest.raises(RpcError):
            list(decoder.feed(b"\n"))
        return found, True
    return found, False


@given(st.text(max_size=2000))
def test_an_answer_is_bounded_in_bytes(text):
    raw = json.dumps({"answer": text}).encode()
    if len(text.encode(errors="surrogatepass")) <= 100 and text.isprintable():
        assert decode_answer(raw, 100).reveal() == text
    elif len(text) > 100:
        with pytest.raises(RpcError):
            decode_answer(raw, 100)


@pytest.mark.parametrize("raw", [b"{}", b"7", b'{"answer":1234}', b'{"answer":"1234","x":1}', b"{"])
def test_no_error_quotes_an_answer(raw):
    """Pins that text, cause and context of the error are free of what was typed."""
    with pytest.raises(RpcError) as caught:
        decode_answer(raw, 100)
    assert "1234" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_reply_and_a_call_do_not_print_their_contents():
    reply = decode_message(b'{"jsonrpc":"2.0","id":"d1","result":{"answer":"1234"}}')
    assert "1234" not in repr(reply)
    assert "1234" not in repr(Call(1, "StepUp", b"1234"))


def test_encodings_are_exact():
    """Pins the bytes that go out, and that each is one line."""
    refused = RequestError("line\nfeed", reason="busy", hint="Wait.")
    assert encode_result(1, {"a": "\n"}) == b'{"jsonrpc":"2.0","id":1,"result":{"a":"\\n"}}\n'
    assert encode_error(None, Code.REFUSED, refused) == (
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"line\\nfeed",'
        b'"data":{"reason":"busy","hint":"Wait."}}}\n'
    )
    assert encode_call("Show", {"text": "x", "is_error": False}) == (
        b'{"jsonrpc":"2.0","method":"Show","params":{"text":"x","is_error":false}}\n'
    )
    assert (
        encode_call("Ask", {}, "d1") == b'{"jsonrpc":"2.0","id":"d1","method":"Ask","params":{}}\n'
    )


def test_the_document_names_every_method_and_field():
    """Pins docs/protocol.md to the table of methods."""
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    for name, method in METHODS.items():
        assert f"`{name}`" in text
        for field in msgspec.structs.fields(method.params.type):
            assert f"`{field.name}`" in text


def test_a_refused_form_is_told_in_words():
    """The caller hears which parameter and what it looks like, not our pattern."""
    line = b'{"jsonrpc":"2.0","id":1,"method":"StepUp","params":{"action":"Deploy!"}}'

    with pytest.raises(RpcError) as refused:
        decode_params(decode_message(line), STEP_UP)

    assert str(refused.value) == "Expected `str` of another form such as cli:deploy - at `$.action`"
