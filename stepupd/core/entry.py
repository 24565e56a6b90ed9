"""One audit record as one line of JSON.

Law: a line is printable ASCII, so whatever a caller puts into a field stays inside its field and
its line. A line has one spelling: read and written again it is the same bytes, hence no key can
stand in it twice. No text of a caller makes a record too long to be written; it is cut, visibly.

Not done here: deciding what is recorded, and keeping secrets out of it.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from stepupd.core.errors import InternalError
from stepupd.core.merkle import HASH_SIZE

FIELD_LIMIT = 8 * 1024
"""Characters of one text. What a signature covers takes a few hundred."""

ITEM_LIMIT = 256
"""Items of one list: more arguments than anybody reads."""

LINE_LIMIT = 256 * 1024
"""Bytes of one line without its newline; a bound for whoever reads the log."""

_SQUEEZE = ((FIELD_LIMIT, ITEM_LIMIT), (1024, 64), (1024, 8))
"""Limits tried in turn, of texts and of lists; the last leave what a signature covers whole."""

_HEAD_ROOM = 256
"""Bytes for seq, prev and time."""

_HEAD = ("seq", "prev", "time", "kind")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_LATEST = 253402300799.0
"""The last second of the year 9999, which is as far as RFC 3339 goes."""


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


_encode_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode
_decode_fast = msgspec.json.Decoder().decode
_encode_fast = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Entry:
    """One line, read. `previous` is the leaf hash of the line before; `fields` has all of it."""

    seq: int
    previous: bytes
    time: str
    kind: str
    fields: Mapping[str, Any]


def encode_record(record: Mapping[str, object]) -> bytes:
    """Return the part of a line that does not depend on its place in the log.

    `record` has a `kind`, none of `seq`, `prev`, `time`, and nothing but texts, finite numbers,
    booleans, None, lists and mappings; else InternalError.
    """
    if not isinstance(record.get("kind"), str) or not record["kind"]:
        raise InternalError("an audit record needs a kind")
    if any(name in record for name in _HEAD[:3]):
        raise InternalError("the audit log itself numbers and dates its entries")
    ordered = {"kind": record["kind"], **record}
    body = _encode(ordered)
    # Nothing in a short body can be over a limit, and nearly all are short.
    if len(body) <= FIELD_LIMIT and body.count(b",") <= ITEM_LIMIT:
        return body[1:]
    for longest, most in _SQUEEZE:
        body = _encode(_cut(ordered, longest, most))
        if len(body) <= LINE_LIMIT - _HEAD_ROOM:
            return body[1:]
    raise InternalError("an audit record is too long")


def encode_line(seq: int, previous: bytes, wall: float, body: bytes) -> bytes:
    """Return the whole line, without newline.

    `previous` is the leaf hash of the line before, `wall` seconds since the epoch, `body` what
    `encode_record` returned.
    """
    moment = datetime.fromtimestamp(min(max(wall, 0.0), _LATEST), UTC)
    time = moment.isoformat(timespec="microseconds").removesuffix("+00:00")
    link = b64encode(previous).decode()
    return f'{{"seq":{seq},"prev":"{link}","time":"{time}Z",'.encode() + body


def parse_line(line: bytes) -> Entry:
    """Read one line, without newline. Raises InternalError (`bad-entry`)."""
    if len(line) > LINE_LIMIT:
        raise _refuse("too long")
    fields = _decode(line)
    if tuple(fields)[: len(_HEAD)] != _HEAD:
        raise _refuse("it does not begin with seq, prev, time and kind")
    seq, link, time, kind = fields["seq"], fields["prev"], fields["time"], fields["kind"]
    if type(seq) is not int or seq < 0:
        raise _refuse("seq is no number")
    if not isinstance(time, str) or not _TIME.fullmatch(time):
        raise _refuse("time is no time")
    if not isinstance(kind, str) or not kind:
        raise _refuse("kind is missing")
    return Entry(seq, _decode_link(link), time, kind, fields)


def _encode(value: object) -> bytes:
    try:
        text = _encode_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InternalError(f"an audit record cannot be written as JSON: {error}") from None
    return text.encode("ascii")


def _cut(value: object, longest: int, most: int) -> object:
    if isinstance(value, str):
        rest = len(value) - longest
        return value if rest <= 0 else f"{value[:longest]}[+{rest}]"
    if isinstance(value, Mapping):
        return {name: _cut(item, longest, most) for name, item in value.items()}
    if isinstance(value, list | tuple):
        rest = len(value) - most
        items = [_cut(item, longest, most) for item in value[:most]]
        return items if rest <= 0 else [*items, f"[+{rest}]"]
    return value


def _decode(line: bytes) -> dict[str, Any]:
    if not line.isascii():
        raise _refuse("not ASCII")
    # msgspec is four times as fast, but it knows only part of what `_encode` may write.
    try:
        fields = _decode_fast(line)
        if isinstance(fields, dict) and _encode_fast(fields) == line:
            return fields
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        pass
    try:
        fields = json.loads(line)
        is_canonical = _encode(fields) == line
    except (ValueError, RecursionError, InternalError):
        raise _refuse("not JSON") from None
    if not isinstance(fields, dict) or not is_canonical:
        raise _refuse("not the one way to write it")
    return fields


def _decode_link(link: object) -> bytes:
    try:
        previous = b64decode(link, validate=True) if isinstance(link, str) else b""
    except ValueError:
        previous = b""
    if len(previous) != HASH_SIZE:
        raise _refuse("prev is no SHA-256")
    return previous


def _refuse(what: str) -> InternalError:
    return InternalError(f"not an audit entry: {what}", reason="bad-entry")
