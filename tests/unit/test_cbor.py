"""The CBOR decoder: canonical values and nothing else. Oracle: python-fido2's encoder."""

import tracemalloc

import fido2.cbor
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core import cbor
from stepupd.core.errors import AuthenticatorError
from stepupd.core.model import Reason
from tests.vectors.refusal import reason_of

INTEGERS = st.integers(-(2**64), 2**64 - 1)
KEYS = INTEGERS | st.text(max_size=30) | st.binary(max_size=30)


def nested_in(leaves):
    """Values at most four levels deep, half of what is allowed."""
    for _ in range(4):
        items = st.lists(leaves, max_size=30) | st.dictionaries(KEYS, leaves, max_size=5)
        leaves = leaves | items
    return leaves


LEAVES = INTEGERS | st.text() | st.binary() | st.booleans()
VALUES = nested_in(LEAVES | st.none())
# python-fido2 has no null.
FIDO2_VALUES = nested_in(LEAVES)


def nest(depth, opener="81"):
    return bytes.fromhex(opener) * depth + b"\x00"


GOOD = {
    "00": 0,
    "17": 23,
    "1818": 24,
    "18ff": 255,
    "190100": 256,
    "1a00010000": 65536,
    "1b0000000100000000": 2**32,
    "1bffffffffffffffff": 2**64 - 1,
    "20": -1,
    "3818": -25,
    "3bffffffffffffffff": -(2**64),
    "40": b"",
    "4101": b"\x01",
    "60": "",
    "62c3a9": "é",
    "80": [],
    "820102": [1, 2],
    "a0": {},
    "a201022003": {1: 2, -1: 3},
    "f4": False,
    "f5": True,
    "f6": None,
}

BAD = {
    "nothing": "",
    "an array that lost its items": "82",
    "an array that lost an item": "8201",
    "a map that lost its value": "a101",
    "a map that lost a pair": "a20102",
    "a byte string that lost a byte": "4501020304",
    "a text that lost a byte": "6261",
    "a head that lost its number": "18",
    "a wide head that lost half its number": "1b00000000",
    "a byte after the end": "0000",
    "23 in two bytes": "1817",
    "255 in three bytes": "1900ff",
    "65535 in five bytes": "1a0000ffff",
    "2^32-1 in nine bytes": "1b00000000ffffffff",
    "-24 in two bytes": "3817",
    "a length in two bytes": "580101",
    "a count in two bytes": "980100",
    "a wide head that lost two bytes": "1bffffffffffff",
    "a reserved width of 16 bytes": "1c" + "ff" * 16,
    "a reserved width of 32 bytes": "1d" + "ff" * 32,
    "a reserved width of 64 bytes": "1e" + "ff" * 64,
    "a reserved width of 128 bytes": "1f" + "ff" * 128,
    "a reserved width alone": "5d",
    "an indefinite byte string": "5f4101ff",
    "an indefinite text": "7f6161ff",
    "an indefinite array": "9f01ff",
    "an indefinite map": "bf0101ff",
    "a lone break": "ff",
    "a tag": "c000",
    "a wide tag": "d81800",
    "a half float": "f93c00",
    "a float": "fa3f800000",
    "a double": "fb3ff0000000000000",
    "undefined": "f7",
    "simple value 0": "e0",
    "simple value 32": "f820",
    "false in two bytes": "f814",
    "a key twice": "a201000100",
    "keys unsorted": "a202000100",
    "a negative key before a positive one": "a220000000",
    "a longer key before a shorter one": "a2626161006162",
    "text keys unsorted": "a2616200616100",
    "a text key before a byte key": "a2616100416100",
    "true as a key": "a1f500",
    "null as a key": "a1f600",
    "an array as a key": "a18000",
    "a map as a key": "a1a000",
    "text that is not UTF-8": "61ff",
    "text with a surrogate": "63eda080",
    "text with an overlong slash": "62c0af",
}

CLAIMS = {
    "bytes": "5a3b9aca00",
    "2^64-1 bytes": "5bffffffffffffffff",
    "text": "7a3b9aca00",
    "items": "9a3b9aca00",
    "2^32 items": "9b0000000100000000",
    "2^64-1 items": "9bffffffffffffffff",
    "pairs": "ba3b9aca00",
    "2^64-1 pairs": "bbffffffffffffffff",
}


def assert_refused(data):
    assert reason_of(cbor.decode, data) == Reason.BAD_ENCODING


@pytest.mark.parametrize(("encoded", "value"), GOOD.items())
def test_decodes_and_encodes_canonical_values(encoded, value):
    """Each kind, at the edges of each width, in both directions."""
    data = bytes.fromhex(encoded)

    assert (value, type(value)) == (cbor.decode(data), type(cbor.decode(data)))
    assert data == cbor.encode(value)


@pytest.mark.parametrize("encoded", BAD.values(), ids=BAD)
def test_refuses_whatever_is_not_canonical(encoded):
    """One error type and one reason for every way to be malformed."""
    assert_refused(bytes.fromhex(encoded))


@pytest.mark.parametrize("encoded", CLAIMS.values(), ids=CLAIMS)
def test_a_claim_beyond_the_data_allocates_nothing(encoded):
    """A header that claims more than is left is refused before memory is taken for it."""
    data = bytes.fromhex(encoded) + bytes(1000)
    assert_refused(data)

    tracemalloc.start()
    try:
        assert_refused(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 64 * 1024


@pytest.mark.parametrize("head", ["82", "a1"])
def test_a_claim_beyond_the_data_is_refused_before_anything_is_read(head):
    """The first item would be refused for itself; it is not looked at."""
    with pytest.raises(AuthenticatorError, match="cut short"):
        cbor.decode(bytes.fromhex(head + "f7"))


@pytest.mark.parametrize("opener", ["81", "a100", "a10081"])
def test_depth_is_limited_and_never_exhausts_the_stack(opener):
    """Eight levels are read, nine are refused, and so are a hundred thousand bytes of them."""
    levels = cbor.MAX_DEPTH // (2 if opener == "a10081" else 1)
    cbor.decode(nest(levels, opener))

    assert_refused(nest(levels + 1, opener))
    assert_refused(nest(cbor.MAX_SIZE // 4, opener))


def test_size_is_limited():
    """64 KiB are read, one byte more is refused."""
    fits = b"\x59" + (cbor.MAX_SIZE - 3).to_bytes(2, "big") + bytes(cbor.MAX_SIZE - 3)
    assert len(fits) == cbor.MAX_SIZE
    cbor.decode(fits)

    assert_refused(bytes.fromhex("59ffff") + bytes(65535))


def test_a_prefix_leaves_the_rest():
    """The bytes after the first value come back untouched."""
    assert cbor.decode_prefix(bytes.fromhex("8101ff00")) == ([1], b"\xff\x00")


def test_map_order_is_type_then_length_then_bytes():
    """CTAP 2.1 section 8: keys of a lower major type first, the shorter first within one."""
    keys = [0, 23, 24, 500, -1, -25, b"b", b"aa", "b", "aa"]
    encoded = cbor.encode(dict.fromkeys(reversed(keys), 0))

    assert keys == list(cbor.decode(encoded))


@given(VALUES)
def test_decode_inverts_encode(value):
    """Any value of ours comes back the same, and of the same types."""
    encoded = cbor.encode(value)
    decoded = cbor.decode(encoded)

    assert repr(value) == repr(sorted_like(decoded, value))
    assert encoded == cbor.encode(decoded)


def sorted_like(decoded, value):
    """Give maps the key order that `value` has: order is the encoder's, not the value's."""
    if isinstance(value, dict):
        assert set(value) == set(decoded)
        return {key: sorted_like(decoded[key], item) for key, item in value.items()}
    if isinstance(value, list):
        assert len(value) == len(decoded)
        return [sorted_like(*both) for both in zip(decoded, value, strict=True)]
    return decoded


@given(FIDO2_VALUES)
def test_encodes_as_python_fido2_does(value):
    """Two independent encoders agree on every value both can hold."""
    assert fido2.cbor.encode(value) == cbor.encode(value)


def check_any(data):
    reason = reason_of(cbor.decode, data)

    assert reason in {None, Reason.BAD_ENCODING}
    assert reason or data == cbor.encode(cbor.decode(data))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_canonical_value_or_one_error(data):
    """What is read encodes to the very same bytes: there is no second spelling."""
    check_any(data)


@given(VALUES, st.data())
def test_a_changed_value_is_canonical_or_one_error(value, data):
    """Mutants of well-formed values reach deeper than random bytes do."""
    encoded = bytearray(cbor.encode(value))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))

    check_any(bytes(encoded))
