"""Client data: exactly our type, challenge and origin, and no trick in the JSON."""

import json

import pytest
from fido2.webauthn import CollectedClientData
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.client_data import (
    MAX_SIZE,
    ClientDataType,
    check_client_data,
    make_client_data,
    origin_of,
)
from stepupd.core.errors import AuthenticatorError, InternalError
from stepupd.core.model import Reason
from tests.vectors.refusal import reason_of
from tests.vectors.webauthn.soft_key import CHALLENGE, ORIGIN, RP_ID

ENCODED = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
OURS = f'{{"type":"webauthn.get","challenge":"{ENCODED}","origin":"{ORIGIN}","crossOrigin":false}}'


def check(data, *, kind=ClientDataType.GET, challenge=CHALLENGE, origin=ORIGIN):
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    check_client_data(raw, type=kind, challenge=challenge, origin=origin)


def assert_refused(data, reason):
    assert reason == reason_of(check, data)


def with_member(text):
    return OURS[:-1] + "," + text + "}"


def test_serialises_as_the_specification_says():
    """WebAuthn Level 3 section 5.8.1.1, byte for byte; python-fido2 reads the same."""
    made = make_client_data(ClientDataType.GET, CHALLENGE, origin_of(RP_ID))
    other = CollectedClientData(made)

    assert OURS.encode() == made
    assert (other.challenge, other.origin, other.cross_origin) == (CHALLENGE, ORIGIN, False)


def test_the_largest_size_is_accepted():
    """8 KiB, and not one byte more."""
    largest = with_member('"x":""')
    largest = with_member(f'"x":"{"a" * (MAX_SIZE - len(largest))}"')
    assert len(largest) == MAX_SIZE

    check(largest)
    assert_refused(largest + " ", Reason.BAD_ENCODING)


def test_escapes_as_ccdtostring_says():
    r"""Only quote, backslash and control characters; those as \uXXXX in lower case."""
    made = make_client_data(ClientDataType.GET, CHALLENGE, 'a "\\\n\x1f\x7fé/\U0001f511')

    assert '"origin":"a \\"\\\\\\u000a\\u001f\x7fé/\U0001f511"'.encode() in made


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(min_size=16, max_size=64))
def test_what_we_make_we_accept(origin, challenge):
    """Any origin text and any challenge come through."""
    made = make_client_data(ClientDataType.CREATE, challenge, origin)
    if len(made) <= MAX_SIZE:
        check(made, kind=ClientDataType.CREATE, challenge=challenge, origin=origin)

    assert {"type", "challenge", "origin", "crossOrigin"} == set(json.loads(made))


@pytest.mark.parametrize(
    "text",
    [
        OURS,
        with_member('"extraData":"unknown members are tolerated"'),
        with_member('"tokenBinding":{"status":"supported"},"x":[1,2.5,null,{"y":{}}]'),
        OURS.replace(',"crossOrigin":false', ""),
        json.dumps(json.loads(OURS), indent=2, sort_keys=True),
    ],
    ids=["ours", "one more member", "nested members", "no crossOrigin", "other order and spaces"],
)
def test_accepts_every_honest_form(text):
    """Order, spaces and unknown members are not ours to judge (section 5.8.1)."""
    check(text)


@pytest.mark.parametrize(
    "kind", ["webauthn.create", "payment.get", "WEBAUTHN.GET", "webauthn.get ", ""]
)
def test_another_type_is_refused(kind):
    """A registration is no assertion, nor is a payment."""
    assert_refused(OURS.replace("webauthn.get", kind), Reason.TYPE_MISMATCH)


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        ENCODED[:-1],
        ENCODED + "=",
        ENCODED + "A",
        # The last character holds four bits that count and two that do not.
        ENCODED[:-1] + "9",
        ENCODED.lower(),
        " " + ENCODED,
        "\\ud800",
        "é",
    ],
)
def test_another_challenge_is_refused(challenge):
    """Compared as text: padding, spare bits and case make it another one."""
    assert_refused(OURS.replace(ENCODED, challenge), Reason.CHALLENGE_MISMATCH)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "https://host.example",
        "stepup://sub.host.example",
        "stepup://host.example/",
        "stepup://host.example:443",
        "stepup://host.example.evil.example",
        "stepup://HOST.example",
        "Stepup://host.example",
        "stepup://host.example\\u0000",
        "host.example",
    ],
)
def test_another_origin_is_refused(origin):
    """The origin is compared whole: no subdomain, no suffix, no normalisation."""
    assert_refused(OURS.replace(ORIGIN, origin), Reason.ORIGIN_MISMATCH)


@pytest.mark.parametrize("value", ["true", "0", "null", '"false"', "[]"])
def test_only_false_is_not_cross_origin(value):
    """What merely looks false is refused."""
    text = OURS.replace('"crossOrigin":false', f'"crossOrigin":{value}')

    assert_refused(text, Reason.ORIGIN_MISMATCH)


def test_a_page_around_ours_is_refused():
    """We are never framed: any topOrigin is a lie or an attack."""
    assert_refused(with_member(f'"topOrigin":"{ORIGIN}"'), Reason.ORIGIN_MISMATCH)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("type", Reason.TYPE_MISMATCH),
        ("challenge", Reason.CHALLENGE_MISMATCH),
        ("origin", Reason.ORIGIN_MISMATCH),
    ],
)
@pytest.mark.parametrize("value", [None, 0, True, [], ["webauthn.get"], {}, "absent"])
def test_a_member_absent_or_of_another_type_is_refused(name, reason, value):
    """Missing is as wrong as different."""
    members = json.loads(OURS) | {name: value}
    if value == "absent":
        del members[name]

    assert_refused(json.dumps(members), reason)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        OURS.encode()[:-1],
        OURS.encode() + b"x",
        OURS.encode() + OURS.encode(),
        b"\xef\xbb\xbf" + OURS.encode(),
        OURS.encode("utf-16"),
        OURS.replace("stepup", "st\udc80").encode("utf-8", "surrogatepass"),
        OURS.encode().replace(b"stepup", b"\xff"),
        OURS.replace('"', "'").encode(),
        with_member('"x":NaN').encode(),
        with_member('"x":-Infinity').encode(),
        with_member('"x":' + "1" * 5000).encode(),
        with_member('"x":"\x01"').encode(),
        b"[" * MAX_SIZE,
        b'{"a":' * 1600,
        with_member('"x":"' + "a" * MAX_SIZE + '"').encode(),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_whatever_is_no_json_object_is_refused(data):
    """One reason for every malformed input, however deep or long."""
    assert_refused(data, Reason.BAD_ENCODING)


@pytest.mark.parametrize(
    "text",
    [
        with_member('"type":"webauthn.get"'),
        with_member(f'"challenge":"{ENCODED}"'),
        with_member('"x":1,"x":1'),
        with_member('"x":{"y":1,"y":2}'),
        '{"origin":"https://evil.example",' + OURS[1:],
        with_member('"\\u006frigin":"https://evil.example"'),
    ],
)
def test_a_member_twice_is_refused(text):
    """Two readers must not see two things, at any depth, escaped or not."""
    assert_refused(text, Reason.BAD_ENCODING)


@pytest.mark.parametrize("size", [0, 1, 15])
def test_a_short_expected_challenge_is_our_fault(size):
    """An empty challenge would match an empty one."""
    made = make_client_data(ClientDataType.GET, bytes(size), ORIGIN)

    with pytest.raises(InternalError):
        check(made, challenge=bytes(size))


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_refused_with_a_reason(data):
    """Nothing but ours passes, and nothing but our error is raised."""
    with pytest.raises(AuthenticatorError):
        check(data)
