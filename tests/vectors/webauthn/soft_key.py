"""A security key and its maker, in plain `cryptography` and python-fido2's CBOR.

It shares no code with the verifier, and signs whatever it is told to: that is what a test of a
verifier needs.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from fido2 import cbor, cose

from stepupd.core.assertion import Expectation
from stepupd.core.client_data import ClientDataType, make_client_data
from stepupd.core.effects import Asserted, Registered
from stepupd.core.model import Credential

RP_ID = "host.example"
ORIGIN = f"stepup://{RP_ID}"
CHALLENGE = bytes(range(32))
UID = 1000
NOW = 1_780_000_000.0
UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
ES256, EDDSA = -7, -8

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def make_private_key(algorithm=ES256):
    if algorithm == EDDSA:
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def sign_with(key, message):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def hash_of(data):
    return hashlib.sha256(data).digest()


@dataclass(frozen=True)
class SoftKey:
    algorithm: int = ES256
    credential_id: bytes = b"credential of ada"
    aaguid: bytes = bytes(range(16))
    key: PrivateKey = None

    def __post_init__(self):
        if self.key is None:
            object.__setattr__(self, "key", make_private_key(self.algorithm))

    @property
    def cose(self):
        kind = cose.EdDSA if self.algorithm == EDDSA else cose.ES256
        return cbor.encode(dict(kind.from_cryptography_key(self.key.public_key())))

    def make_credential(self, **changes):
        own = Credential(
            id=self.credential_id,
            subject_uid=UID,
            name="blue key",
            rp_id=RP_ID,
            public_key=self.cose,
            aaguid=self.aaguid,
            sign_count=7,
        )
        return replace(own, **changes)

    def attested(self):
        size = len(self.credential_id).to_bytes(2, "big")
        return self.aaguid + size + self.credential_id + self.cose

    def make_assertion(
        self,
        *,
        flags=UP | UV,
        sign_count=8,
        rp_id=RP_ID,
        challenge=CHALLENGE,
        kind=ClientDataType.GET,
        origin=ORIGIN,
        tail=b"",
        client_data=None,
        authenticator_data=None,
    ):
        if client_data is None:
            client_data = make_client_data(kind, challenge, origin)
        if authenticator_data is None:
            authenticator_data = make_authenticator_data(flags, sign_count, rp_id) + tail
        signature = sign_with(self.key, authenticator_data + hash_of(client_data))
        return Asserted(self.credential_id, authenticator_data, signature, client_data)

    def make_registration(
        self,
        *,
        style="none",
        maker=None,
        flags=UP | UV | AT,
        sign_count=0,
        rp_id=RP_ID,
        challenge=CHALLENGE,
        kind=ClientDataType.CREATE,
        origin=ORIGIN,
        statement=None,
        members=None,
    ):
        client_data = make_client_data(kind, challenge, origin)
        raw = make_authenticator_data(flags, sign_count, rp_id)
        raw += self.attested() if flags & AT else b""
        if statement is None:
            statement = self.make_statement(style, maker, raw, hash_of(client_data))
        name = "packed" if style == "self" else style
        whole = {"fmt": name, "attStmt": statement, "authData": raw} | (members or {})
        return Registered(cbor.encode(whole), client_data, "simulated")

    def make_statement(self, style, maker, raw, client_data_hash):
        if style == "none":
            return {}
        if style == "self":
            return {"alg": self.algorithm, "sig": sign_with(self.key, raw + client_data_hash)}
        if style == "packed":
            signature = sign_with(maker.leaf_key, raw + client_data_hash)
            return {"alg": maker.algorithm, "sig": signature, "x5c": maker.chain}
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        signed = b"\0" + raw[:32] + client_data_hash + self.credential_id + point
        return {"sig": sign_with(maker.leaf_key, signed), "x5c": maker.chain}


def make_authenticator_data(flags=UP | UV, sign_count=8, rp_id=RP_ID):
    return hash_of(rp_id.encode()) + bytes([flags]) + sign_count.to_bytes(4, "big")


def make_expectation(*credentials, **changes):
    expected = Expectation(
        rp_id=RP_ID,
        challenge=CHALLENGE,
        subject_uid=UID,
        credentials=credentials,
        is_uv_required=False,
    )
    return replace(expected, **changes)


LEAF_SUBJECT = (
    (NameOID.COUNTRY_NAME, "AA"),
    (NameOID.ORGANIZATION_NAME, "Example Keys"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Authenticator Attestation"),
    (NameOID.COMMON_NAME, "Example Key 1"),
)
NO_CA = x509.BasicConstraints(ca=False, path_length=None)
CA = x509.BasicConstraints(ca=True, path_length=None)


def make_name(parts):
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


ROOT_SUBJECT = ((NameOID.COMMON_NAME, "Example Root"),)


def make_certificate(
    subject, key, issuer, issuer_key, extensions=(), *, start=(2020, 1, 1), end=(2050, 1, 1)
):
    builder = (
        x509.CertificateBuilder()
        .subject_name(make_name(subject))
        .issuer_name(make_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime(*start, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(*end, tzinfo=dt.UTC))
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    return certificate.public_bytes(Encoding.DER)


def make_key_usage(*, cert_sign):
    return x509.KeyUsage(
        digital_signature=not cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=cert_sign,
        crl_sign=cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def make_aaguid_extension(aaguid, header=b"\x04\x10"):
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
    return x509.UnrecognizedExtension(oid, header + aaguid)


@dataclass(frozen=True)
class Maker:
    """Who makes the keys: a root, and a leaf that signs statements."""

    algorithm: int = ES256
    subject: tuple = LEAF_SUBJECT
    extensions: tuple = ((NO_CA, True),)
    root_extensions: tuple = ((CA, True),)
    end: tuple = (2050, 1, 1)
    root_key: PrivateKey = field(default_factory=make_private_key)
    leaf_key: PrivateKey = None
    extra: tuple = ()

    def __post_init__(self):
        if self.leaf_key is None:
            object.__setattr__(self, "leaf_key", make_private_key(self.algorithm))

    @property
    def root(self):
        return make_certificate(
            ROOT_SUBJECT, self.root_key, ROOT_SUBJECT, self.root_key, self.root_extensions
        )

    @property
    def chain(self):
        leaf = make_certificate(
            self.subject,
            self.leaf_key,
            ROOT_SUBJECT,
            self.root_key,
            self.extensions,
            end=self.end,
        )
        return [leaf, *self.extra]
