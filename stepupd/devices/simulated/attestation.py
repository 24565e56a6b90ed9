"""Attestation of new credentials: "packed" by certificate, "packed" by itself, or "none".

Law: every key makes its own root, so trusting one simulated key trusts no other one. The
certificates say in words that the key is simulated. WebAuthn 8.2.1 lists what they must hold.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from stepupd.devices.simulated.entropy import Entropy
from stepupd.devices.simulated.model import AAGUID, AttestationFormat
from stepupd.devices.simulated.signing import Algorithm, load_ec_private, make_private, sign

_OID_AAGUID = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
# Fixed dates: a key must not depend on the day it was made.
_NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
_NOT_AFTER = datetime(2099, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Batch:
    """An attestation key with its certificate and its issuer's, both DER."""

    root: bytes
    certificate: bytes
    private: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Statement:
    """An attestation statement: WebAuthn's `fmt` and `attStmt`."""

    format: str
    fields: dict[str, object]


def make_batch(entropy: Entropy) -> Batch:
    """Make a root, and an attestation key signed by it."""
    root_key = load_ec_private(make_private(Algorithm.ES256, entropy))
    private = make_private(Algorithm.ES256, entropy)
    root_name, leaf_name = _name("Root"), _name("Authenticator Attestation")
    root = (
        _builder(root_name, root_name, root_key.public_key(), entropy)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root_key, SHA256())
    )
    certificate = (
        _builder(leaf_name, root_name, load_ec_private(private).public_key(), entropy)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            # An OCTET STRING of 16 bytes in DER.
            x509.UnrecognizedExtension(_OID_AAGUID, b"\x04\x10" + AAGUID),
            critical=False,
        )
        .sign(root_key, SHA256())
    )
    return Batch(root.public_bytes(Encoding.DER), certificate.public_bytes(Encoding.DER), private)


def attest(
    kind: AttestationFormat, batch: Batch, algorithm: Algorithm, private: bytes, message: bytes
) -> Statement:
    """Attest `message` (authenticator data and client data hash) of a new credential.

    `algorithm` and `private` are the credential's own key, for self attestation.
    """
    if kind is AttestationFormat.NONE:
        return Statement("none", {})
    if kind is AttestationFormat.SELF:
        signature = sign(algorithm, private, message)
        return Statement("packed", {"alg": int(algorithm), "sig": signature})
    signature = sign(Algorithm.ES256, batch.private, message)
    fields = {"alg": int(Algorithm.ES256), "sig": signature, "x5c": [batch.certificate]}
    return Statement("packed", fields)


def _name(unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "ZZ"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "stepupd simulated key"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, f"stepupd simulated key {unit}"),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, entropy: Entropy
) -> x509.CertificateBuilder:
    # The top bit is cleared: a serial number is positive and has at most 20 octets (RFC 5280).
    serial = int.from_bytes(entropy.take(8)) >> 1 | 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
    )
