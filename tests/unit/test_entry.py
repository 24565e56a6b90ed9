"""One record, one line, one spelling."""

import json
from enum import IntEnum, StrEnum
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.entry import (
    FIELD_LIMIT,
    ITEM_LIMIT,
    LINE_LIMIT,
    encode_line,
    encode_record,
    parse_line,
)
from stepupd.core.errors import InternalError

PREVIOUS = bytes(range(32))
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


def write(record, seq=7, wall=1_700_000_000.25):
    return encode_line(seq, PREVIOUS, wall, encode_record(record))


@given(st.dictionaries(ANY_TEXT.filter(lambda name: name not in {"seq", "prev", "time"}), VALUES))
def test_any_record_is_one_printable_line_and_comes_back(record):
    record = {**record, "kind": "test"}
    line = write(record)
    assert all(0x20 <= byte < 0x7F for byte in line)
    entry = parse_line(line)
    assert (entry.seq, entry.previous, entry.kind) == (7, PREVIOUS, "test")
    assert {name: entry.fields[name] for name in record} == record


@given(st.binary(max_size=200))
def test_any_bytes_are_an_entry_or_an_error(line):
    with pytest.raises(InternalError):
        parse_line(line)


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read_as_it_stands(at, byte):
    """No second spelling: what is accepted is written back as the same bytes."""
    line = bytearray(
        write({"kind": "test", "text": "h\u00e9\U0001f511", "number": 1.5, "list": []})
    )
    line[at % len(line)] = byte
    try:
        entry = parse_line(bytes(line))
    except InternalError:
        return
    again = json.dumps(entry.fields, separators=(",", ":")).encode()
    assert again == bytes(line) or json.loads(again) == json.loads(bytes(line))
    assert json.loads(bytes(line), object_pairs_hook=len) == len(entry.fields)


def test_time_is_rfc_3339_in_utc():
    assert parse_line(write({"kind": "x"})).time == "2023-11-14T22:13:20.250000Z"


@pytest.mark.parametrize("wall", [-1.0, 0.0, 1e18, float("inf")])
def test_no_clock_stops_the_log(wall):
    assert parse_line(write({"kind": "x"}, wall=wall)).time[-1] == "Z"


def test_enums_and_mappings_are_written_by_value():
    class Word(StrEnum):
        A = "a"

    class Number(IntEnum):
        TWO = 2

    record = {"kind": "x", "word": Word.A, "number": Number.TWO, "map": MappingProxyType({"a": 1})}
    fields = parse_line(write(record)).fields
    assert (fields["word"], fields["number"], fields["map"]) == ("a", 2, {"a": 1})


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": ""},
        {"kind": 1},
        {"kind": "x", "seq": 1},
        {"kind": "x", "prev": ""},
        {"kind": "x", "time": ""},
        {"kind": "x", "v": b"bytes"},
        {"kind": "x", "v": {1, 2}},
        {"kind": "x", "v": float("nan")},
        {"kind": "x", "v": float("inf")},
        {"kind": "x", "v": object()},
    ],
)
def test_what_is_no_record_is_refused(record):
    with pytest.raises(InternalError):
        encode_record(record)


def test_a_record_that_contains_itself_is_refused():
    record: dict[str, object] = {"kind": "x"}
    record["v"] = record
    with pytest.raises(InternalError):
        encode_record(record)


def test_long_text_is_cut_and_says_so():
    fields = parse_line(write({"kind": "x", "v": "a" * (FIELD_LIMIT + 5)})).fields
    assert fields["v"] == "a" * FIELD_LIMIT + "[+5]"


def test_long_lists_are_cut_and_say_so():
    fields = parse_line(write({"kind": "x", "v": ["a"] * (ITEM_LIMIT + 5)})).fields
    assert fields["v"] == ["a"] * ITEM_LIMIT + ["[+5]"]


def test_what_is_at_the_limits_is_not_touched():
    record = {"kind": "x", "text": "a" * FIELD_LIMIT, "list": [1] * ITEM_LIMIT}
    assert dict(parse_line(write(record)).fields).items() >= record.items()


def test_many_long_fields_are_squeezed_until_they_fit():
    record = {"kind": "x", "v": ["\U0001f511" * FIELD_LIMIT] * 30}
    line = write(record)
    assert len(line) <= LINE_LIMIT
    assert all(text.endswith("]") for text in parse_line(line).fields["v"])


def test_a_record_that_cannot_be_made_to_fit_is_refused():
    with pytest.raises(InternalError, match="too long"):
        encode_record({"kind": "x"} | {f"field {number}": "a" for number in range(LINE_LIMIT // 8)})


LINE = write({"kind": "x", "v": 1})


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace(b'"v":1', b'"v":1,"v":2'),
        LINE.replace(b'"seq":7', b'"seq":7,"seq":7'),
        LINE.replace(b'"v":1', b'"v": 1'),
        LINE.replace(b'"v":1', b'"v":1.50'),
        LINE.replace(b'"v":1', b'"v":"\\u0041"'),
        LINE.replace(b'"v":1', b'"v":NaN'),
        LINE.replace(b'"v":1', b'"v":"\xc3\xa9"'),
        LINE.replace(b'"seq":7', b'"seq":-7'),
        LINE.replace(b'"seq":7', b'"seq":true'),
        LINE.replace(b'"seq":7', b'"seq":7.0'),
        LINE.replace(b'"seq":7', b'"seq":"7"'),
        LINE.replace(b"Z", b"+00:00"),
        LINE.replace(b'"kind":"x"', b'"kind":""'),
        LINE.replace(b'"kind":"x"', b'"kind":null'),
        LINE.replace(b'"kind":"x",', b""),
        LINE.replace(b'"prev":"AA', b'"prev":"A'),
        LINE.replace(b'"prev"', b'"Prev"'),
        LINE + b"\n",
        b" " + LINE,
        b"[" * 100_000,
        b'{"seq":' + b"[" * 100_000,
        b'"' + b"a" * LINE_LIMIT + b'"',
        b"null",
        b"{}",
        b"",
    ],
)
def test_a_line_that_we_would_not_write_is_refused(line):
    with pytest.raises(InternalError) as refused:
        parse_line(line)
    assert refused.value.reason == "bad-entry"
