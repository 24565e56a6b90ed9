"""What is done with one key: sign, make a credential, and whatever verification that takes.

The law of this file: user verification is read from the key each time, never remembered; a PIN is
sent only where it was asked for this key; a key that could only verify by PIN is touched first
when other keys are plugged in, so that no PIN goes to the wrong one.
"""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from threading import Event

from fido2.ctap import CtapDevice, CtapError

from stepupd.core import cbor
from stepupd.core.effects import (
    Asserted,
    AssertFido2,
    Operation,
    PinNeeded,
    Registered,
    RegisterFido2,
    Trouble,
    TroubleKind,
)
from stepupd.core.errors import AuthenticatorError
from stepupd.devices import ctap
from stepupd.devices.link import StoppableDevice
from stepupd.devices.plugged import Plugged
from stepupd.devices.verification import Permission, Verification, verify_person

_LIST_LENGTH = 8
"""Credentials per command: what common keys take, and within the 1,024 bytes all of them take."""

_CANNOT_SAY = frozenset(
    {
        CtapError.ERR.PUAT_REQUIRED,
        CtapError.ERR.UNSUPPORTED_OPTION,
        CtapError.ERR.INVALID_OPTION,
    }
)
"""Statuses of keys that do not tell without a touch or a PIN what they hold."""

Answer = Asserted | Registered | PinNeeded | Trouble


@dataclass(frozen=True, slots=True)
class Key:
    """An open key and the ceremony it works for."""

    device: CtapDevice
    plugged: Plugged
    stop: Event
    on_wait: Callable[[], None]
    is_alone: bool


def operate(
    plugged: Plugged,
    operation: Operation,
    stop: Event,
    on_wait: Callable[[], None],
    *,
    is_alone: bool,
) -> Answer:
    """Open a key, run one operation, close it. Never raises."""
    try:
        with closing(StoppableDevice(plugged.open(), stop)) as device:
            key = Key(device, plugged, stop, on_wait, is_alone)
            if isinstance(operation, AssertFido2):
                return sign(key, operation)
            return make(key, operation)
    except Exception as error:  # noqa: BLE001 - the boundary: all of it gets a name
        return ctap.explain(error, plugged.identity)


def sign(key: Key, operation: AssertFido2) -> Answer:
    """CTAP 2.1 section 6.2: get an assertion by one of the allowed credentials."""
    digest = hashlib.sha256(operation.client_data_json).digest()
    allow = choose_list(key, operation)
    is_uv = operation.is_uv or operation.pin is not None
    try:
        return _sign(key, operation, digest, allow, is_uv=is_uv)
    except CtapError as error:
        if is_uv or error.code != CtapError.ERR.PUAT_REQUIRED:
            raise
        # The key always verifies (alwaysUv), whether we ask or not.
        return _sign(key, operation, digest, allow, is_uv=True)


def _sign(
    key: Key, operation: AssertFido2, digest: bytes, allow: tuple[bytes, ...], *, is_uv: bool
) -> Answer:
    fields = _assertion_fields(operation.rp_id, digest, allow)
    if is_uv:
        if operation.pin is None and not _holds_any(key, operation.rp_id, allow):
            return Trouble(TroubleKind.NO_CREDENTIALS, key.plugged.identity)
        verified = verify_person(
            key.device, operation, digest, Permission.GET_ASSERTION, key.stop, key.on_wait
        )
        if not isinstance(verified, Verification):
            return _ask_for_pin(key, verified)
        fields |= verified.as_fields(options=5, param=6, protocol=7)
    reply = ctap.run_command(key.device, ctap.GET_ASSERTION, fields, key.stop, key.on_wait)
    return Asserted(
        credential_id=_read_credential_id(reply, allow),
        authenticator_data=_read_bytes(reply, 2),
        signature=_read_bytes(reply, 3),
        client_data_json=operation.client_data_json,
        is_simulated=key.plugged.is_simulated,
        authenticator=key.plugged.identity,
    )


def make(key: Key, operation: RegisterFido2) -> Answer:
    """CTAP 2.1 section 6.1: make a credential that is not stored on the key."""
    digest = hashlib.sha256(operation.client_data_json).digest()
    fields: ctap.Fields = {
        1: digest,
        2: {"id": operation.rp_id, "name": operation.rp_id},
        3: {
            "id": operation.user_id,
            "name": operation.user_name,
            "displayName": operation.user_name,
        },
        4: [{"alg": algorithm, "type": "public-key"} for algorithm in operation.algorithms],
    }
    if operation.exclude:
        fields[5] = _describe(_choose_exclusion(key, operation))
    if operation.pin is not None or _must_verify_to_make(key):
        verified = verify_person(
            key.device, operation, digest, Permission.MAKE_CREDENTIAL, key.stop, key.on_wait
        )
        if not isinstance(verified, Verification):
            return _ask_for_pin(key, verified)
        fields |= verified.as_fields(options=7, param=8, protocol=9)
    reply = ctap.run_command(key.device, ctap.MAKE_CREDENTIAL, fields, key.stop, key.on_wait)
    attestation: ctap.Fields = {
        "fmt": reply.get(1),
        "attStmt": reply.get(3),
        "authData": reply.get(2),
    }
    return Registered(
        attestation_object=cbor.encode(attestation),
        client_data_json=operation.client_data_json,
        authenticator=key.plugged.identity,
        is_simulated=key.plugged.is_simulated,
    )


def choose_list(key: Key, operation: AssertFido2) -> tuple[bytes, ...]:
    """Return credentials that fit one command: all of them, or the part this key knows."""
    parts = list(_split(operation.allow))
    if len(parts) == 1:
        return parts[0]
    for part in parts:
        if _holds_any(key, operation.rp_id, part):
            return part
    raise CtapError(CtapError.ERR.NO_CREDENTIALS)


def _holds_any(key: Key, rp_id: str, allow: tuple[bytes, ...]) -> bool:
    """Ask without a touch whether the key knows one of the credentials (section 6.2.2)."""
    fields = _assertion_fields(rp_id, bytes(32), allow) | {5: {"up": False}}
    try:
        ctap.run_command(key.device, ctap.GET_ASSERTION, fields, key.stop)
    except CtapError as error:
        if error.code in _CANNOT_SAY:
            return True
        if error.code in (CtapError.ERR.NO_CREDENTIALS, CtapError.ERR.INVALID_CREDENTIAL):
            return False
        raise
    return True


def _choose_exclusion(key: Key, operation: RegisterFido2) -> tuple[bytes, ...]:
    """Return credentials that fit one command, those that this key knows before all others."""
    first, *others = _split(operation.exclude)
    for part in others:
        if _holds_any(key, operation.rp_id, part):
            return part
    return first


def _ask_for_pin(key: Key, retries: int) -> Answer:
    if not key.is_alone:
        ctap.run_command(key.device, ctap.SELECTION, {}, key.stop, key.on_wait)
    return PinNeeded(key.plugged.identity, key.plugged.name, retries)


def _must_verify_to_make(key: Key) -> bool:
    options = ctap.run_command(key.device, ctap.GET_INFO, {}, key.stop).get(4)
    if not isinstance(options, dict):
        return False
    is_protected = options.get("clientPin") is True or options.get("uv") is True
    return is_protected and options.get("makeCredUvNotRqd") is not True


def _assertion_fields(rp_id: str, digest: bytes, allow: tuple[bytes, ...]) -> ctap.Fields:
    return {1: rp_id, 2: digest, 3: _describe(allow)}


def _describe(credential_ids: Iterable[bytes]) -> list[cbor.Value]:
    return [{"id": credential_id, "type": "public-key"} for credential_id in credential_ids]


def _split(allow: tuple[bytes, ...]) -> Iterable[tuple[bytes, ...]]:
    for start in range(0, len(allow), _LIST_LENGTH):
        yield allow[start : start + _LIST_LENGTH]


def _read_bytes(reply: ctap.Fields, name: int | str) -> bytes:
    value = reply.get(name)
    if not isinstance(value, bytes):
        raise AuthenticatorError("the key's answer lacks a part")
    return value


def _read_credential_id(reply: ctap.Fields, allow: tuple[bytes, ...]) -> bytes:
    """Return who signed; a key may leave it out when only one credential was allowed."""
    described = reply.get(1)
    if isinstance(described, dict):
        return _read_bytes(described, "id")
    if described is None and len(allow) == 1:
        return allow[0]
    raise AuthenticatorError("the key does not say which credential it used")
