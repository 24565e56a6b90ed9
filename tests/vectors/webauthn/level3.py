"""The test vectors of WebAuthn Level 3 section 16, for the algorithms and formats that are ours.

The specification says how each was derived (HKDF-SHA-256 from one phrase, RFC 6979 nonces), so they
are derived again here. `test_w3c_vectors.py` compares each with the digest of the published bytes.
"""

import base64
import datetime as dt
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from fido2 import cbor, cose

RP_ID = "example.org"
ORIGIN = "https://example.org"
TOP_ORIGIN = "https://example.com"
PHRASE = b"WebAuthn test vectors"
NAMES = (
    "none.ES256",
    "packed-self.ES256",
    "none.ES256.crossOrigin",
    "none.ES256.topOrigin",
    "none.ES256.long-credential-id",
    "packed.ES256",
    "packed.EdDSA",
    "fido-u2f.ES256",
)


@dataclass(frozen=True)
class Vector:
    name: str
    challenge: bytes
    attestation_object: bytes
    client_data: bytes
    get_challenge: bytes
    authenticator_data: bytes
    get_client_data: bytes
    signature: bytes

    @property
    def digest(self):
        parts = (
            self.challenge,
            self.client_data,
            self.attestation_object,
            self.get_challenge,
            self.authenticator_data,
            self.get_client_data,
            self.signature,
        )
        return hashlib.sha256(b"".join(parts)).hexdigest()


class Source:
    """The random values of one example, in the order the specification draws them."""

    def __init__(self, info):
        self.info, self.count = info.encode(), 0

    def draw(self, size):
        salt = bytes([self.count])
        self.count += 1
        return HKDF(hashes.SHA256(), size, salt, self.info).derive(PHRASE)


def make_signer(name, seed):
    if name.endswith("EdDSA"):
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    return ec.derive_private_key(int.from_bytes(seed, "big"), ec.SECP256R1())


def sign(key, message):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_client_data(name, kind, challenge, source):
    is_cross = name.endswith(("crossOrigin", "topOrigin"))
    text = f'{{"type":"webauthn.{kind}","challenge":"{base64url(challenge)}","origin":"{ORIGIN}"'
    text += f',"crossOrigin":{"true" if is_cross else "false"}'
    if name.endswith("topOrigin"):
        text += f',"topOrigin":"{TOP_ORIGIN}"'
    if source.draw(1)[0] & 1:
        note = "clientDataJSON may be extended with additional fields in the future, such as this: "
        text += f',"extraData":"{note}{base64url(source.draw(16))}"'
    return (text + "}").encode()


def make_vector(name):
    source = Source(name)
    challenge = source.draw(32)
    key = make_signer(name, source.draw(32))
    client_data = make_client_data(name, "create", challenge, source)
    aaguid = source.draw(16)
    credential_id = source.draw(1023 if "long" in name else 32)
    flags = 0 if name.startswith("fido-u2f") else source.draw(1)[0] & 0x1C
    flags &= 0x1C if flags & 0x08 else 0x0C
    kind = cose.EdDSA if name.endswith("EdDSA") else cose.ES256
    public_key = cbor.encode(dict(kind.from_cryptography_key(key.public_key())))
    data = make_authenticator_data(0x41 | flags)
    data += aaguid + len(credential_id).to_bytes(2, "big") + credential_id + public_key
    statement = make_statement(name, key, data, client_data, credential_id, source)
    format_name = "packed" if name.startswith("packed") else name.split(".")[0]
    get_challenge = source.draw(32)
    get_client_data = make_client_data(name, "get", get_challenge, source)
    get_flags = source.draw(1)[0] & (0x14 if flags & 0x08 else 0x04)
    get_data = make_authenticator_data(0x01 | flags & 0x08 | get_flags)
    return Vector(
        name,
        challenge,
        cbor.encode({"fmt": format_name, "attStmt": statement, "authData": data}),
        client_data,
        get_challenge,
        get_data,
        get_client_data,
        sign(key, get_data + hashlib.sha256(get_client_data).digest()),
    )


def make_authenticator_data(flags):
    return hashlib.sha256(RP_ID.encode()).digest() + bytes([flags]) + bytes(4)


def make_statement(name, key, data, client_data, credential_id, source):
    client_data_hash = hashlib.sha256(client_data).digest()
    if name.startswith("none"):
        return {}
    if name.startswith("packed-self"):
        return {"alg": -7, "sig": sign(key, data + client_data_hash)}
    leaf_key = make_signer("", source.draw(32))
    leaf = make_leaf(leaf_key, source.draw(16))
    if name.startswith("packed"):
        return {"alg": -7, "sig": sign(leaf_key, data + client_data_hash), "x5c": [leaf]}
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    signed = b"\0" + data[:32] + client_data_hash + credential_id + point
    return {"sig": sign(leaf_key, signed), "x5c": [leaf]}


def make_name(unit):
    parts = (
        (NameOID.COMMON_NAME, PHRASE.decode()),
        (NameOID.ORGANIZATION_NAME, "W3C"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COUNTRY_NAME, "AA"),
    )
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


ROOT_NAME = make_name("Authenticator Attestation CA")


def make_root_key():
    return make_signer("", Source("Attestation CA").draw(32))


def make_root():
    source = Source("Attestation CA")
    key, serial = make_signer("", source.draw(32)), source.draw(16)
    return sign_certificate(ROOT_NAME, key, serial, key, is_ca=True)


def make_leaf(key, serial):
    name = make_name("Authenticator Attestation")
    return sign_certificate(name, key, serial, make_root_key(), is_ca=False)


def sign_certificate(subject, key, serial, issuer_key, *, is_ca):
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ROOT_NAME)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(serial, "big"))
        .not_valid_before(dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(3024, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca, **usage
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not is_ca:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(authority, critical=False)
    signed = builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(Encoding.DER)
