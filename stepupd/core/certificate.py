"""Attestation certificates: what the maker of an authenticator signs for it.

Law: a certificate vouches only if its chain ends in a root the administrator configured; the
leaf of a `packed` statement also meets WebAuthn Level 3 section 8.2.1. Chains are built by
`cryptography.x509.verification`, never by hand.

Not done here: revocation, which is a matter of metadata, and who signed the statement.
"""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
)

from stepupd.core.errors import AuthenticatorError, ConfigError
from stepupd.core.model import Reason

MAX_CHAIN = 4
"""Certificates in a statement. Makers send one or two."""

AAGUID_EXTENSION = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
"""id-fido-gen-ce-aaguid."""

_AAGUID_HEADER = b"\x04\x10"
_UNIT = "Authenticator Attestation"


def load_roots(roots: tuple[bytes, ...]) -> list[x509.Certificate]:
    """Read the configured roots, each one certificate in DER. Raises ConfigError."""
    try:
        return [x509.load_der_x509_certificate(root) for root in roots]
    except ValueError:
        raise ConfigError("an attestation root is not a DER certificate") from None


def check_chain(
    chain: list[x509.Certificate], roots: list[x509.Certificate], now_wall: float
) -> None:
    """Check that `chain`, leaf first, ends in one of `roots`. Raises AuthenticatorError.

    Whatever the leaf is for is left open: attestation leaves carry no key usage.
    """
    authorities = (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_key_usage)
    )
    verifier = (
        PolicyBuilder()
        .store(Store(roots))
        .time(datetime.fromtimestamp(now_wall, UTC))
        .extension_policies(ca_policy=authorities, ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    leaf, *intermediates = chain
    verifier.verify(leaf, intermediates)


def check_packed_leaf(leaf: x509.Certificate, aaguid: bytes) -> None:
    """Check WebAuthn Level 3 section 8.2.1, and that a stated AAGUID is `aaguid`.

    Raises AuthenticatorError (`bad-attestation`), or what `cryptography` raises for an extension
    that is missing or malformed.
    """
    if leaf.version is not x509.Version.v3:
        raise refuse("not an X.509 version 3 certificate")
    _check_subject(leaf.subject)
    if leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise refuse("a certificate authority signs no statements")
    _check_aaguid(leaf, aaguid)


def _check_subject(subject: x509.Name) -> None:
    fields = {
        oid: [attribute.value for attribute in subject.get_attributes_for_oid(oid)]
        for oid in (
            NameOID.COUNTRY_NAME,
            NameOID.ORGANIZATION_NAME,
            NameOID.ORGANIZATIONAL_UNIT_NAME,
            NameOID.COMMON_NAME,
        )
    }
    if any(len(values) != 1 for values in fields.values()):
        raise refuse("the subject lacks a field, or has it twice")
    if fields[NameOID.ORGANIZATIONAL_UNIT_NAME] != [_UNIT]:
        raise refuse("the subject is no authenticator attestation")


def _check_aaguid(leaf: x509.Certificate, aaguid: bytes) -> None:
    for extension in leaf.extensions:
        if extension.oid != AAGUID_EXTENSION:
            continue
        if extension.critical or extension.value.public_bytes() != _AAGUID_HEADER + aaguid:
            raise refuse("the certificate is for another model")


def _check_key_usage(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise refuse("an issuer that must not issue")


def refuse(what: str) -> AuthenticatorError:
    """Return the error for an attestation that does not hold."""
    return AuthenticatorError(f"attestation: {what}", reason=Reason.BAD_ATTESTATION)
