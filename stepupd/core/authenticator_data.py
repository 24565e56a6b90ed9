"""Authenticator data: what an authenticator signs about itself (WebAuthn Level 3 section 6.1).

Law: every byte is accounted for. Reserved flags, a backup state without eligibility, missing or
trailing bytes are refused here, so that nothing later has to doubt the layout.

Not done here: whether anything signed it, and what the ceremony expects beyond the RP ID and the
person.
"""

import hashlib
from dataclasses import dataclass
from enum import IntFlag, unique

from stepupd.core.cbor import decode_prefix
from stepupd.core.errors import AuthenticatorError
from stepupd.core.model import Reason

MAX_CREDENTIAL_ID_SIZE = 1023
"""Bytes. WebAuthn Level 3 section 4, "Credential ID"."""

_HEADER_SIZE = 37
_HASH_SIZE = 32
_AAGUID_SIZE = 16


@unique
class Flag(IntFlag):
    """The flags byte; bits 1 and 5 are reserved."""

    UP = 0x01
    UV = 0x04
    BE = 0x08
    BS = 0x10
    AT = 0x40
    ED = 0x80


_RESERVED = 0x22


@dataclass(frozen=True, slots=True)
class AttestedCredential:
    """WebAuthn Level 3 section 6.5.2. `public_key` is the COSE_Key as sent, canonical CBOR."""

    aaguid: bytes
    id: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class AuthenticatorData:
    """The parts. `extensions` is the map as sent, canonical CBOR; empty when there is none."""

    rp_id_hash: bytes
    flags: Flag
    sign_count: int
    attested: AttestedCredential | None = None
    extensions: bytes = b""

    @property
    def is_up(self) -> bool:
        """User present."""
        return Flag.UP in self.flags

    @property
    def is_uv(self) -> bool:
        """User verified."""
        return Flag.UV in self.flags

    @property
    def backup_eligible(self) -> bool:
        """The credential may be copied to other devices."""
        return Flag.BE in self.flags

    @property
    def backed_up(self) -> bool:
        """The credential has been copied."""
        return Flag.BS in self.flags


def parse_authenticator_data(data: bytes) -> AuthenticatorData:
    """Take authenticator data apart.

    Raises AuthenticatorError: `bad-encoding`, `reserved-flags`, `backup-state`.
    """
    if len(data) < _HEADER_SIZE:
        raise _refuse("cut short")
    flags = _parse_flags(data[_HASH_SIZE])
    attested, extensions, rest = None, b"", data[_HEADER_SIZE:]
    if Flag.AT in flags:
        attested, rest = _parse_attested(rest)
    if Flag.ED in flags:
        extensions, rest = _split_map(rest)
    if rest:
        raise _refuse("bytes after the end")
    return AuthenticatorData(
        rp_id_hash=data[:_HASH_SIZE],
        flags=flags,
        sign_count=int.from_bytes(data[_HASH_SIZE + 1 : _HEADER_SIZE], "big"),
        attested=attested,
        extensions=extensions,
    )


def check_rp_id(data: AuthenticatorData, rp_id: str) -> None:
    """Raise AuthenticatorError (`rp-id-mismatch`) unless the data was made for `rp_id`."""
    if data.rp_id_hash != hashlib.sha256(rp_id.encode()).digest():
        raise AuthenticatorError("made for another relying party", reason=Reason.RP_ID_MISMATCH)


def check_presence(data: AuthenticatorData, *, is_uv_required: bool) -> None:
    """Raise AuthenticatorError (`up-missing`, `uv-missing`) unless the person was there."""
    if not data.is_up:
        raise AuthenticatorError("nobody touched the authenticator", reason=Reason.UP_MISSING)
    if is_uv_required and not data.is_uv:
        raise AuthenticatorError("the person was not verified", reason=Reason.UV_MISSING)


def _parse_flags(byte: int) -> Flag:
    if byte & _RESERVED:
        raise AuthenticatorError("reserved flags are set", reason=Reason.RESERVED_FLAGS)
    flags = Flag(byte)
    if Flag.BS in flags and Flag.BE not in flags:
        raise AuthenticatorError(
            "backed up, yet not eligible for backup", reason=Reason.BACKUP_STATE
        )
    return flags


def _parse_attested(data: bytes) -> tuple[AttestedCredential, bytes]:
    start = _AAGUID_SIZE + 2
    size = int.from_bytes(data[_AAGUID_SIZE:start], "big")
    if not 1 <= size <= MAX_CREDENTIAL_ID_SIZE:
        raise _refuse("a credential id that is empty or too long")
    # Where the id is cut short, the key that must follow is missing.
    public_key, rest = _split_map(data[start + size :])
    return AttestedCredential(data[:_AAGUID_SIZE], data[start : start + size], public_key), rest


def _split_map(data: bytes) -> tuple[bytes, bytes]:
    """Return the canonical CBOR map that `data` starts with, undecoded, and what follows it."""
    value, rest = decode_prefix(data)
    if not isinstance(value, dict):
        raise _refuse("a CBOR map is missing")
    return data[: len(data) - len(rest)], rest


def _refuse(what: str) -> AuthenticatorError:
    return AuthenticatorError(f"malformed authenticator data: {what}", reason=Reason.BAD_ENCODING)
