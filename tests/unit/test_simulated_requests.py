"""What the firmware does with bytes that are no good request."""

from threading import Event

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_support import HASH, RP_ID, make_key

from stepupd.devices.simulated import SimulatedDevice

ERR = CtapError.ERR
PARAMETERS = [{"type": "public-key", "alg": -7}]
RP = {"id": RP_ID, "name": "host"}
USER = {"id": b"a", "name": "a"}


def status_of(data, key=None):
    return SimulatedDevice(key or make_key()).call(0x10, data)[0]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", ERR.INVALID_LENGTH),
        (b"\x7f", ERR.INVALID_COMMAND),
        (b"\x01\xff", ERR.INVALID_CBOR),
        (b"\x01\x80", ERR.CBOR_UNEXPECTED_TYPE),
        (b"\x01\xa0", ERR.MISSING_PARAMETER),
        (b"\x01" + bytes(7609), ERR.REQUEST_TOO_LARGE),
        (b"\x02\xa2\x01\x61a\x01\x61b", ERR.INVALID_CBOR),
        (b"\x02\xa2\x02\x61a\x01\x61b", ERR.INVALID_CBOR),
        (b"\x02\xa1\x01\x45ab", ERR.INVALID_CBOR),
        (b"\x02\xb8\x01\x01\x61a", ERR.INVALID_CBOR),
        (b"\x02" + b"\x81" * 3000 + b"\x80", ERR.INVALID_CBOR),
        (b"\x02\xbb" + b"\xff" * 8, ERR.INVALID_CBOR),
        (b"\x06\xa2\x01\x02\x02\x18\x63", ERR.INVALID_SUBCOMMAND),
    ],
)
def test_a_bad_request_gets_the_status_of_the_standard(data, status):
    assert status_of(data) == status


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({1: "not bytes"}, ERR.CBOR_UNEXPECTED_TYPE),
        ({2: {"name": "no id"}}, ERR.MISSING_PARAMETER),
        ({3: {"id": b"a", "name": 5}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({3: {"id": "text"}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({4: []}, ERR.UNSUPPORTED_ALGORITHM),
        ({4: [{"type": "public-key", "alg": True}]}, ERR.CBOR_UNEXPECTED_TYPE),
        ({4: ["es256"]}, ERR.CBOR_UNEXPECTED_TYPE),
        ({5: 65 * [{"type": "public-key", "id": b"x"}]}, ERR.LIMIT_EXCEEDED),
        ({7: {"rk": 1}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({9: True}, ERR.CBOR_UNEXPECTED_TYPE),
    ],
)
def test_a_bad_registration_stores_nothing(change, status):
    key = make_key()
    fields = {1: HASH, 2: RP, 3: USER, 4: PARAMETERS, **change}

    assert status_of(b"\x01" + cbor.encode(fields), key) == status
    assert key.describe()["credentials"] == 0
    assert key.describe()["blinks"] == 0


@settings(deadline=None, max_examples=100)
@given(st.sampled_from([1, 2, 4, 6, 7, 8, 0x0B, 0x0C]), st.binary(max_size=200))
def test_any_bytes_end_in_a_status(command, data):
    """No request makes the firmware raise."""
    key = make_key()

    reply = SimulatedDevice(key).call(0x10, bytes([command]) + data, Event())

    assert reply[0] in {code.value for code in ERR}


values = st.recursive(
    st.booleans() | st.integers(-300, 300) | st.binary(max_size=40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(-4, 12), inner),
    max_leaves=12,
)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from([1, 2, 6]), st.dictionaries(st.integers(1, 12), values, max_size=10))
def test_any_well_formed_map_ends_in_a_status(command, fields):
    key = make_key()

    reply = SimulatedDevice(key).call(0x10, bytes([command]) + cbor.encode(fields), Event())

    assert reply[0] in {code.value for code in ERR}
