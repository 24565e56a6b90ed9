"""Authenticator data (WebAuthn 6.1), built byte by byte."""

import hashlib
from dataclasses import dataclass
from enum import IntFlag

from fido2 import cbor

from stepupd.devices.simulated.credentials import Credential
from stepupd.devices.simulated.model import AAGUID, Model
from stepupd.devices.simulated.signing import public_key


class Flag(IntFlag):
    """The flags of authenticator data."""

    UP = 0x01
    UV = 0x04
    BE = 0x08
    BS = 0x10
    AT = 0x40


@dataclass(frozen=True, slots=True)
class AuthData:
    """Authenticator data before it is encoded; `attested` is empty in an assertion."""

    rp_id: str
    flags: Flag
    counter: int
    attested: bytes = b""

    def encode(self) -> bytes:
        """Give the bytes that are signed, before the client data hash."""
        rp_id_hash = hashlib.sha256(self.rp_id.encode()).digest()
        flags = self.flags | (Flag.AT if self.attested else Flag(0))
        return rp_id_hash + bytes([flags]) + self.counter.to_bytes(4) + self.attested


def choose_flags(
    model: Model, credential: Credential, *, is_present: bool, is_verified: bool
) -> Flag:
    """Set the flags that hold."""
    flags = {
        Flag.UP: is_present,
        Flag.UV: is_verified,
        Flag.BE: credential.backup_eligible,
        Flag.BS: model.backed_up,
    }
    chosen = Flag(0)
    for flag, holds in flags.items():
        chosen |= flag if holds else Flag(0)
    return chosen


def describe_credential(credential: Credential) -> bytes:
    """Give the attested credential data of a new credential (WebAuthn 6.5.2)."""
    key = cbor.encode(public_key(credential.algorithm, credential.private))
    return AAGUID + len(credential.id).to_bytes(2) + credential.id + key
