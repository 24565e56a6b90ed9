"""What the audit log keeps of a touch convinces somebody else's verifier, years later."""

import base64
import hashlib
import json
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stepupd.core import cbor

PATIENCE = 10


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture
def entries(running):
    """Return the entries of an enrolment and of one step-up with a touch."""
    running.key().script(touch_after_ms=0)
    with running.client() as client:
        assert client.step_up("deploy:production", reason="version 2").is_allowed
    return running.read_entries()


def write_public_key(entries, path):
    cose = cbor.decode(decode(entries[-2]["credential"]["public_key"]))
    x, y = (int.from_bytes(cose[label], "big") for label in (-2, -3))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def ask_libfido2(entry, public_key, *, spoil=False):
    """Return whether `fido2-assert -V` accepts an entry's evidence."""
    evidence, request = entry["evidence"], json.loads(entry["challenge"]["request"])
    client_data = evidence["client_data_json"].encode() + b" " * spoil
    lines = (
        base64.b64encode(hashlib.sha256(client_data).digest()).decode(),
        request["rp_id"],
        base64.b64encode(cbor.encode(decode(evidence["authenticator_data"]))).decode(),
        base64.b64encode(decode(evidence["signature"])).decode(),
    )
    done = subprocess.run(
        ["fido2-assert", "-V", "-p", public_key, "es256"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0


def test_libfido2_accepts_the_stored_evidence(entries, tmp_path):
    """An independent verifier agrees, from the log alone; and not when one byte is added."""
    enrolled, proved = entries[-2:]
    key = write_public_key(entries, tmp_path / "key.pem")

    assert proved["verdict"] == {"answer": "allow", "reason": "proved"}
    for entry in (enrolled, proved):
        assert ask_libfido2(entry, key)
        assert not ask_libfido2(entry, key, spoil=True)


def test_the_challenge_commits_to_what_the_entry_says(entries):
    """Anyone can compute the challenge again: nonce and canonical request, nothing else."""
    proved = entries[-1]
    challenge = proved["challenge"]
    digest = hashlib.sha256(
        b"stepup challenge v1\0" + decode(challenge["nonce"]) + challenge["request"].encode()
    ).digest()
    signed = json.loads(proved["evidence"]["client_data_json"])

    assert decode(signed["challenge"]) == digest
    assert json.loads(challenge["request"])["action"] == proved["request"]["action"]
