"""libfido2's `fido2-assert -V` and our verifier, over the same bytes: two opinions, one verdict."""

import base64
import shutil
import subprocess
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2 import cbor

from stepupd.core.assertion import check_assertion
from tests.vectors.refusal import reason_of
from tests.vectors.signatures import P256_ORDER
from tests.vectors.webauthn.soft_key import (
    BE,
    EDDSA,
    ES256,
    RP_ID,
    UP,
    UV,
    SoftKey,
    hash_of,
    make_expectation,
)

KEYS = {"es256": SoftKey(ES256), "eddsa": SoftKey(EDDSA)}
kinds = pytest.mark.parametrize("kind", KEYS)


@pytest.fixture
def ask_fido2_assert(tmp_path):
    """Return a function: whether libfido2 accepts an assertion of the key of this kind."""
    program = shutil.which("fido2-assert")
    if program is None:
        pytest.fail("fido2-assert is missing: install Debian's fido2-tools")
    for kind, key in KEYS.items():
        pem = key.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / kind).write_bytes(pem)

    def ask(kind, reply, *, is_uv_required=False):
        fields = (
            hash_of(reply.client_data_json),
            RP_ID.encode(),
            cbor.encode(reply.authenticator_data),
            reply.signature,
        )
        lines = [base64.b64encode(field) for field in fields]
        lines[1] = fields[1]
        options = ["-V", "-p", *(["-v"] if is_uv_required else [])]
        done = subprocess.run(
            [program, *options, str(tmp_path / kind), kind],
            input=b"\n".join(lines) + b"\n",
            capture_output=True,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stderr
        return done.returncode == 0

    return ask


def we_accept(kind, reply, *, is_uv_required=False):
    # libfido2 sees neither counter nor backup history: give ours none to compare with.
    eligible = len(reply.authenticator_data) > 32 and bool(reply.authenticator_data[32] & BE)
    credential = KEYS[kind].make_credential(sign_count=0, backup_eligible=eligible)
    expected = make_expectation(credential, is_uv_required=is_uv_required)
    return reason_of(check_assertion, reply, expected) is None


@kinds
@pytest.mark.parametrize("is_uv_required", [False, True])
@pytest.mark.parametrize("flags", [0, UP, UV, UP | UV, UP | BE])
def test_flags_are_judged_alike(ask_fido2_assert, kind, flags, is_uv_required):
    """Presence always, verification when it is required."""
    reply = KEYS[kind].make_assertion(flags=flags)
    ours = we_accept(kind, reply, is_uv_required=is_uv_required)

    assert ours is ask_fido2_assert(kind, reply, is_uv_required=is_uv_required)
    assert ours is bool(flags & UP and (flags & UV or not is_uv_required))


@kinds
def test_another_relying_party_is_judged_alike(ask_fido2_assert, kind):
    """Signed by the key, for somebody else."""
    reply = KEYS[kind].make_assertion(rp_id="other.example")

    assert not ask_fido2_assert(kind, reply)
    assert not we_accept(kind, reply)


@kinds
def test_changed_bits_are_judged_alike(ask_fido2_assert, kind):
    """A hundred bits each, spread over authenticator data, client data and signature."""
    reply = KEYS[kind].make_assertion()
    assert ask_fido2_assert(kind, reply)
    assert we_accept(kind, reply)

    bits = [
        (part, bit)
        for part in ("authenticator_data", "client_data_json", "signature")
        for bit in range(8 * len(getattr(reply, part)))
    ]
    for part, bit in bits[:: len(bits) // 100]:
        changed = bytearray(getattr(reply, part))
        changed[bit // 8] ^= 1 << bit % 8
        mutant = replace(reply, **{part: bytes(changed)})
        assert we_accept(kind, mutant) is ask_fido2_assert(kind, mutant) is False, (part, bit)


def test_the_mirrored_signature_is_judged_alike(ask_fido2_assert):
    """FIDO has no low-s rule: libfido2 accepts (r, n - s), and so do we."""
    reply = KEYS["es256"].make_assertion()
    r, s = decode_dss_signature(reply.signature)
    mirrored = replace(reply, signature=encode_dss_signature(r, P256_ORDER - s))

    assert ask_fido2_assert("es256", mirrored)
    assert we_accept("es256", mirrored)
