"""Canonical CBOR as CTAP 2.1 section 8 defines it, and nothing else.

Law: one value has one encoding. Whatever is cut short, longer than needed, unsorted, repeated,
nested too deep, or of a kind CTAP2 forbids (floats, tags, indefinite lengths, undefined) is
refused with one error, before anything is allocated for it.

Not done here: what the values mean.
"""

from collections.abc import Callable

from stepupd.core.errors import AuthenticatorError
from stepupd.core.model import Reason

Key = int | bytes | str
Value = int | bytes | str | bool | list["Value"] | dict[Key, "Value"] | None

MAX_SIZE = 64 * 1024
"""Bytes. CTAPHID carries at most 7609, and nothing we store is larger."""

MAX_DEPTH = 8
"""Levels of arrays and maps. CTAP2 allows 4; a few more leave room for stored records."""

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_SIMPLE_VALUES = {20: False, 21: True, 22: None}
_SIMPLE_HEADS = {False: b"\xf4", True: b"\xf5", None: b"\xf6"}
_LONGEST_IMMEDIATE = 23


def decode(data: bytes) -> Value:
    """Return the one value that `data` holds.

    Raises AuthenticatorError (`bad-encoding`) for anything that is not exactly that.
    """
    value, rest = decode_prefix(data)
    if rest:
        raise _refuse("bytes after the end")
    return value


def decode_prefix(data: bytes) -> tuple[Value, bytes]:
    """Return the value that `data` starts with, and the bytes after it.

    Raises AuthenticatorError (`bad-encoding`).
    """
    if len(data) > MAX_SIZE:
        raise _refuse("too large")
    value, end = _read(data, 0, MAX_DEPTH)
    return value, data[end:]


def encode(value: Value) -> bytes:
    """Return the canonical encoding. The inverse of `decode`; for values we made ourselves."""
    match value:
        case bool() | None:
            return _SIMPLE_HEADS[value]
        case int():
            return _head(_UINT, value) if value >= 0 else _head(_NINT, -1 - value)
        case bytes():
            return _head(_BYTES, len(value)) + value
        case str():
            text = value.encode()
            return _head(_TEXT, len(text)) + text
        case list():
            return _head(_ARRAY, len(value)) + b"".join(map(encode, value))
        case _:
            pairs = sorted(((encode(key), item) for key, item in value.items()), key=_order_pair)
            return _head(_MAP, len(value)) + b"".join(key + encode(item) for key, item in pairs)


def _head(major: int, number: int) -> bytes:
    if number <= _LONGEST_IMMEDIATE:
        return bytes([major << 5 | number])
    width = 1 if number < 1 << 8 else 2 if number < 1 << 16 else 4 if number < 1 << 32 else 8
    return bytes([major << 5 | 23 + width.bit_length()]) + number.to_bytes(width, "big")


def _order_pair(pair: tuple[bytes, Value]) -> tuple[int, int, bytes]:
    return _order(pair[0])


def _order(key: bytes) -> tuple[int, int, bytes]:
    """CTAP 2.1 section 8: by major type, then the shorter first, then bytewise."""
    return key[0] >> 5, len(key), key


def _read(data: bytes, start: int, depth: int) -> tuple[Value, int]:
    """Return the value at `start` and where it ends. `depth` is how many levels may still open."""
    major, number, at = _read_head(data, start)
    if major == _UINT:
        return number, at
    if major == _NINT:
        return -1 - number, at
    reader = _READERS.get(major)
    if reader is None:
        raise _refuse("a tag")
    return reader(data, at, number, depth)


def _read_head(data: bytes, start: int) -> tuple[int, int, int]:
    """Return the major type, its number, and where its content starts."""
    if start >= len(data):
        raise _refuse("cut short")
    major, number = data[start] >> 5, data[start] & 0x1F
    at = start + 1
    if number <= _LONGEST_IMMEDIATE:
        return major, number, at
    if number > _LONGEST_IMMEDIATE + 4:
        raise _refuse("an indefinite length")
    width = 1 << (number - _LONGEST_IMMEDIATE - 1)
    end = at + width
    if end > len(data):
        raise _refuse("cut short")
    number = int.from_bytes(data[at:end], "big")
    least = _LONGEST_IMMEDIATE + 1 if width == 1 else 1 << 4 * width
    if number < least:
        raise _refuse("a number longer than needed")
    return major, number, end


def _read_bytes(data: bytes, at: int, size: int, _depth: int) -> tuple[bytes, int]:
    end = at + size
    if end > len(data):
        raise _refuse("cut short")
    return data[at:end], end


def _read_text(data: bytes, at: int, size: int, depth: int) -> tuple[str, int]:
    raw, end = _read_bytes(data, at, size, depth)
    try:
        return raw.decode(), end
    except UnicodeDecodeError:
        raise _refuse("text that is not UTF-8") from None


def _read_array(data: bytes, at: int, count: int, depth: int) -> tuple[list[Value], int]:
    _check_room(data, at, count, depth)
    items: list[Value] = []
    for _ in range(count):
        item, at = _read(data, at, depth - 1)
        items.append(item)
    return items, at


def _read_map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[Key, Value], int]:
    _check_room(data, at, 2 * count, depth)
    items: dict[Key, Value] = {}
    last = (-1, 0, b"")
    for _ in range(count):
        start = at
        key, at = _read(data, start, depth - 1)
        # True and 1 are one key to Python; no CTAP2 map uses anything but these three.
        if isinstance(key, bool) or not isinstance(key, int | bytes | str):
            raise _refuse("a map key of a kind CTAP2 does not use")
        order = _order(data[start:at])
        if order <= last:
            raise _refuse("map keys unsorted or repeated")
        last = order
        items[key], at = _read(data, at, depth - 1)
    return items, at


def _read_simple(_data: bytes, at: int, number: int, _depth: int) -> tuple[bool | None, int]:
    if number not in _SIMPLE_VALUES:
        raise _refuse("a float, undefined, or a simple value that CTAP2 does not use")
    return _SIMPLE_VALUES[number], at


def _check_room(data: bytes, at: int, items: int, depth: int) -> None:
    """Refuse a header that claims more items than there are bytes left (one byte is the least)."""
    if depth <= 0:
        raise _refuse("nested too deep")
    if items > len(data) - at:
        raise _refuse("cut short")


_READERS: dict[int, Callable[[bytes, int, int, int], tuple[Value, int]]] = {
    _BYTES: _read_bytes,
    _TEXT: _read_text,
    _ARRAY: _read_array,
    _MAP: _read_map,
    _SIMPLE: _read_simple,
}


def _refuse(what: str) -> AuthenticatorError:
    return AuthenticatorError(f"malformed CBOR: {what}", reason=Reason.BAD_ENCODING)
