"""libfido2, which shares no code with us or python-fido2, verifies what the key signs."""

import base64
import shutil
import subprocess

import pytest
from fido2 import cbor
from fido2.ctap2 import Ctap2
from simulated_support import HASH, RP_ID, USER, assertion, make_key

from stepupd.devices.simulated import Algorithm, SimulatedDevice

pytestmark = pytest.mark.skipif(
    shutil.which("fido2-cred") is None or shutil.which("fido2-assert") is None,
    reason="needs fido2-tools",
)

TYPES = {Algorithm.ES256: "es256", Algorithm.EDDSA: "eddsa"}


def run(program, arguments, *lines):
    """Run a verifier; return its exit code and output."""
    text = "\n".join(
        line if isinstance(line, str) else base64.b64encode(line).decode() for line in lines
    )
    done = subprocess.run(
        [program, *arguments], input=text + "\n", capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def make(key, algorithm):
    parameters = [{"type": "public-key", "alg": algorithm}]
    rp = {"id": RP_ID, "name": "host"}
    return Ctap2(SimulatedDevice(key)).make_credential(HASH, rp, USER, parameters)


def verify_credential(made, signature):
    return run(
        "fido2-cred",
        ["-V", TYPES[made.auth_data.credential_data.public_key[3]]],
        HASH,
        RP_ID,
        made.fmt,
        cbor.encode(bytes(made.auth_data)),
        made.auth_data.credential_data.credential_id,
        signature,
        *made.att_stmt["x5c"],
    )


@pytest.mark.parametrize("algorithm", Algorithm)
def test_libfido2_verifies_credential_and_assertion(tmp_path, algorithm):
    key = make_key()
    made = make(key, algorithm)

    code, output = verify_credential(made, made.att_stmt["sig"])
    assert code == 0
    public = tmp_path / "public.pem"
    public.write_text(output.split("\n", 1)[1])
    reply = assertion(SimulatedDevice(key), made.auth_data.credential_data)

    def verify(signature):
        data = cbor.encode(bytes(reply.auth_data))
        arguments = ["-V", "-p", str(public), TYPES[algorithm]]
        return run("fido2-assert", arguments, HASH, RP_ID, data, signature)[0]

    assert verify(reply.signature) == 0
    assert verify(reply.signature[:-1] + bytes([reply.signature[-1] ^ 1])) != 0


def test_libfido2_refuses_a_tampered_attestation():
    made = make(make_key(lie="badSignature"), Algorithm.ES256)

    assert verify_credential(made, made.att_stmt["sig"])[0] != 0
