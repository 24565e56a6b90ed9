"""WebAuthn Level 3 section 16: the specification's own registrations and assertions."""

import hashlib
from dataclasses import replace

import pytest

from stepupd.core import assertion, attestation
from stepupd.core.assertion import Expectation, check_assertion
from stepupd.core.attestation import check_registration
from stepupd.core.effects import Asserted, Registered
from stepupd.core.model import Credential, Level, Reason
from tests.vectors.refusal import reason_of
from tests.vectors.webauthn import level3

PUBLISHED = {
    "none.ES256": "5a0e96c72c8fb7e07a8aa1e1ebd0153cb4d1440384e43ff63a77bbdd3309d53c",
    "packed-self.ES256": "2d508397b0875d7006e1c71307333ca4fed5780bd46fe708146fc81dd87eeb75",
    "none.ES256.crossOrigin": "1295e8c4f9bd08db181210046efe1c50b523e697b074e65d064eca6d32948d7f",
    "none.ES256.topOrigin": "5001919cb7ad47e4057fc1dbee9e1a8af9e2f9ac68983e5527992bab1ab33c23",
    "none.ES256.long-credential-id": (
        "a5b47e7a35b8f3c0ae0703d7f231e119cde4debbbec0ed21f865c4fcfdaefb56"
    ),
    "packed.ES256": "7bea5a4ddbed415ba3d93068e810670b3161d56c504def48d8ab69c0625c4b94",
    "packed.EdDSA": "484b10c1ab8f77ec64fbdfe4e1c276e1e0ffd9ae09476052118e09798a544ef9",
    "fido-u2f.ES256": "b10ce71452e322b37308187ebcb405b1e2aa53f656ff381c18745400d3e73b30",
}
"""SHA-256 over the seven values of each example, in the order in which the specification shows
them: challenge, client data, attestation object; challenge, authenticator data, client data,
signature."""

PUBLISHED_ROOT = "68ff927708f5d229252ffe4a1c6842c11998d1e1fa2b46138bb5642eff9b161b"
FRAMED = ("none.ES256.crossOrigin", "none.ES256.topOrigin")
LEVELS = {
    "none.ES256": Level.TOUCH,
    "packed-self.ES256": Level.TOUCH,
    "none.ES256.long-credential-id": Level.VERIFY,
    "packed.ES256": Level.VERIFY,
    "packed.EdDSA": Level.TOUCH,
    "fido-u2f.ES256": Level.TOUCH,
}
ATTESTED = {"packed.ES256", "packed.EdDSA", "fido-u2f.ES256"}
ROOT = level3.make_root()
VECTORS = {name: level3.make_vector(name) for name in level3.NAMES}


@pytest.fixture(autouse=True)
def _web_origin(monkeypatch):
    """Stand for the web page of the examples: the origin is all that ours differ in."""
    for module in (assertion, attestation):
        monkeypatch.setattr(module, "origin_of", lambda rp_id: f"https://{rp_id}")


def register(vector, **changes):
    reply = Registered(vector.attestation_object, vector.client_data, "")
    return check_registration(
        replace(reply, **changes),
        rp_id=level3.RP_ID,
        challenge=vector.challenge,
        roots=(ROOT,),
        now_wall=1_800_000_000,
        is_uv_required=False,
    )


def make_case(vector):
    new = register(vector)
    credential = Credential(
        id=new.id,
        subject_uid=1000,
        name="",
        rp_id=level3.RP_ID,
        public_key=new.public_key,
        aaguid=new.aaguid,
        sign_count=new.sign_count,
        backup_eligible=new.backup_eligible,
        is_attested=new.is_attested,
    )
    reply = Asserted(new.id, vector.authenticator_data, vector.signature, vector.get_client_data)
    expected = Expectation(level3.RP_ID, vector.get_challenge, 1000, (credential,), False)
    return reply, expected


@pytest.mark.parametrize("name", level3.NAMES)
def test_the_vectors_are_the_published_ones(name):
    """Byte for byte, the root certificate included."""
    assert PUBLISHED[name] == VECTORS[name].digest
    assert hashlib.sha256(ROOT).hexdigest() == PUBLISHED_ROOT


@pytest.mark.parametrize("name", LEVELS)
def test_the_examples_verify(name):
    """Registration, then assertion with the key that was registered."""
    assert (name in ATTESTED) is register(VECTORS[name]).is_attested
    assert LEVELS[name] is check_assertion(*make_case(VECTORS[name])).level


@pytest.mark.parametrize("name", FRAMED)
def test_the_framed_examples_are_refused(name):
    """Nothing of ours is ever inside another page."""
    assert reason_of(register, VECTORS[name]) == Reason.ORIGIN_MISMATCH


@pytest.mark.parametrize("name", LEVELS)
def test_no_example_survives_a_changed_byte(name):
    """One bit of every byte of authenticator data, client data and signature."""
    reply, expected = make_case(VECTORS[name])
    for part in ("authenticator_data", "client_data_json", "signature"):
        whole = getattr(reply, part)
        for at in range(len(whole)):
            changed = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
            assert reason_of(check_assertion, replace(reply, **{part: changed}), expected)


@pytest.mark.parametrize("name", ["packed-self.ES256", "packed.ES256", "packed.EdDSA"])
def test_no_signed_registration_survives_a_changed_byte(name):
    """The same for attestation object and client data, where the statement signs both."""
    vector = VECTORS[name]
    for part, whole in (
        ("attestation_object", vector.attestation_object),
        ("client_data_json", vector.client_data),
    ):
        for at in range(len(whole)):
            changed = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
            assert reason_of(register, vector, **{part: changed}), (part, at)
