"""Check a registration: what a new credential is, and whether its maker vouches for it.

Law: a statement that is there must hold, or the registration is refused; only a chain to a
configured root makes a credential attested. Whatever fails inside is a refusal.

Not done here: whether the credential is enrolled already, and single use of the challenge. The
AAGUID of a credential that is not attested is a mere claim.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509

from stepupd.core import cbor
from stepupd.core.authenticator_data import (
    AttestedCredential,
    AuthenticatorData,
    check_presence,
    check_rp_id,
    parse_authenticator_data,
)
from stepupd.core.certificate import (
    MAX_CHAIN,
    check_chain,
    check_packed_leaf,
    load_roots,
    refuse,
)
from stepupd.core.client_data import ClientDataType, check_client_data, origin_of
from stepupd.core.cose import ES256, PublicKey, adopt_key, parse_public_key
from stepupd.core.effects import Registered
from stepupd.core.errors import AuthenticatorError, StepUpError
from stepupd.core.model import Reason

_NO_AAGUID = bytes(16)
_U2F = "fido-u2f"


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A registration that was checked. `public_key` is the COSE_Key as sent, canonical CBOR."""

    id: bytes
    public_key: bytes
    algorithm: int
    aaguid: bytes
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    is_uv: bool
    is_attested: bool
    format: str


@dataclass(frozen=True, slots=True)
class _Statement:
    """An attestation statement and what it speaks of."""

    fields: dict[cbor.Key, cbor.Value]
    data: AuthenticatorData
    attested: AttestedCredential
    public_key: PublicKey
    authenticator_data: bytes
    client_data_hash: bytes


_Chain = list[x509.Certificate]


def check_registration(
    reply: Registered,
    *,
    rp_id: str,
    challenge: bytes,
    roots: tuple[bytes, ...],
    now_wall: float,
    is_uv_required: bool,
) -> NewCredential:
    """Return the credential that `reply` registers. WebAuthn Level 3 section 7.1.

    1. Client data: a `webauthn.create` for this challenge from our own origin.
    2. The attestation object is canonical CBOR with exactly its three members.
    3. Authenticator data: well formed, made for our RP ID, with a credential in it.
    4. A person was present, and verified if that was required.
    5. The key is whole and its algorithm is one we offer.
    6. The statement holds, in a format we know: `none`, `packed` or `fido-u2f`.
    7. Where the statement has certificates and `roots` (DER) are configured, it leads to one.

    Raises AuthenticatorError whose reason names what fails; ConfigError for a root that is none.
    """
    trusted = load_roots(roots)
    check_client_data(  # 1
        reply.client_data_json,
        type=ClientDataType.CREATE,
        challenge=challenge,
        origin=origin_of(rp_id),
    )
    name, fields, raw = _open_object(reply.attestation_object)  # 2
    data = parse_authenticator_data(raw)  # 3
    check_rp_id(data, rp_id)
    if data.attested is None:
        raise AuthenticatorError("no credential in it", reason=Reason.BAD_ENCODING)
    check_presence(data, is_uv_required=is_uv_required)  # 4
    public_key = parse_public_key(data.attested.public_key)  # 5
    client_data_hash = hashlib.sha256(reply.client_data_json).digest()
    statement = _Statement(fields, data, data.attested, public_key, raw, client_data_hash)
    is_attested = _check_statement(name, statement, trusted, now_wall)  # 6, 7
    return _conclude(name, statement, is_attested=is_attested)


def _open_object(encoded: bytes) -> tuple[str, dict[cbor.Key, cbor.Value], bytes]:
    """Return format, statement and authenticator data. WebAuthn Level 3 section 6.5.4."""
    match cbor.decode(encoded):
        case {"fmt": str(name), "attStmt": dict(fields), "authData": bytes(raw), **rest}:
            if not rest:
                return name, fields, raw
    raise AuthenticatorError("not an attestation object", reason=Reason.BAD_ENCODING)


def _check_statement(
    name: str, statement: _Statement, roots: list[x509.Certificate], now_wall: float
) -> bool:
    """Return whether a configured root vouches for the credential."""
    verify = _FORMATS.get(name)
    if verify is None:
        raise AuthenticatorError(
            "the attestation is of a format that is not supported", reason=Reason.UNSUPPORTED
        )
    try:
        chain = verify(statement)
        if not chain or not roots:
            return False
        check_chain(chain, roots, now_wall)
    except StepUpError:
        raise
    except Exception as error:  # foreign certificates make the library raise almost anything
        raise refuse("the certificates do not hold") from error
    return True


def _verify_none(statement: _Statement) -> _Chain:
    """WebAuthn Level 3 section 8.7."""
    if statement.fields:
        raise refuse("a statement where there should be none")
    return []


def _verify_packed(statement: _Statement) -> _Chain:
    """WebAuthn Level 3 section 8.2. No certificates: the key vouches for itself."""
    match statement.fields:
        case {"alg": int(algorithm), "sig": bytes(signature), **rest}:
            pass
        case _:
            raise refuse("not a packed statement")
    signed = statement.authenticator_data + statement.client_data_hash
    if not rest:
        if algorithm != statement.public_key.algorithm:
            raise refuse("signed with another algorithm than the key's")
        _check_signature(statement.public_key, signature, signed)
        return []
    chain = _load_chain(rest)
    _check_signature(_take_key(chain, algorithm), signature, signed)
    check_packed_leaf(chain[0], statement.attested.aaguid)
    return chain


def _verify_u2f(statement: _Statement) -> _Chain:
    """WebAuthn Level 3 section 8.6: one certificate, P-256 throughout, no authenticator data."""
    match statement.fields:
        case {"sig": bytes(signature), **rest}:
            pass
        case _:
            raise refuse("not a U2F statement")
    chain = _load_chain(rest)
    if len(chain) != 1 or statement.public_key.algorithm != ES256:
        raise refuse("not a U2F statement")
    signed = b"".join(
        (
            b"\0",
            statement.data.rp_id_hash,
            statement.client_data_hash,
            statement.attested.id,
            statement.public_key.encode_point(),
        )
    )
    _check_signature(_take_key(chain, ES256), signature, signed)
    return chain


_FORMATS: dict[str, Callable[[_Statement], _Chain]] = {
    "none": _verify_none,
    "packed": _verify_packed,
    _U2F: _verify_u2f,
}


def _load_chain(rest: dict[cbor.Key, cbor.Value]) -> _Chain:
    """Return the certificates, leaf first, of what else is in a statement: `x5c` and no more."""
    encoded = rest.get("x5c")
    if len(rest) != 1 or not isinstance(encoded, list) or not 1 <= len(encoded) <= MAX_CHAIN:
        raise refuse("certificates missing, too many, or something beside them")
    return [x509.load_der_x509_certificate(_take_bytes(item)) for item in encoded]


def _take_bytes(item: cbor.Value) -> bytes:
    if not isinstance(item, bytes):
        raise refuse("a certificate that is no byte string")
    return item


def _take_key(chain: _Chain, algorithm: int) -> PublicKey:
    return adopt_key(algorithm, chain[0].public_key())


def _check_signature(key: PublicKey, signature: bytes, signed: bytes) -> None:
    try:
        key.verify(signature, signed)
    except AuthenticatorError:
        raise refuse("the signature does not match") from None


def _conclude(name: str, statement: _Statement, *, is_attested: bool) -> NewCredential:
    data, attested = statement.data, statement.attested
    # A U2F statement does not cover the AAGUID: what nobody signed is not kept.
    aaguid = _NO_AAGUID if name == _U2F else attested.aaguid
    return NewCredential(
        id=attested.id,
        public_key=attested.public_key,
        algorithm=statement.public_key.algorithm,
        aaguid=aaguid,
        sign_count=data.sign_count,
        backup_eligible=data.backup_eligible,
        backed_up=data.backed_up,
        is_uv=data.is_uv,
        is_attested=is_attested,
        format=name,
    )
