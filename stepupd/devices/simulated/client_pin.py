"""authenticatorClientPIN (CTAP 2.1, 6.5.5).

Law: a try is written down before the PIN is compared; three wrong ones in a row need a power
cycle, eight a reset. The PIN itself is never kept, only the hash that CTAP prescribes.
"""

import hashlib
import hmac
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from fido2.ctap import CtapError

from stepupd.devices.simulated.insertion import Call
from stepupd.devices.simulated.model import MIN_PIN_LENGTH, PIN_RETRIES, UV_RETRIES
from stepupd.devices.simulated.parts import Parts
from stepupd.devices.simulated.pin_protocol import Agreement, Secret
from stepupd.devices.simulated.pin_token import Permission, PinToken
from stepupd.devices.simulated.request import Fields
from stepupd.devices.simulated.script import Step

_TRIES_IN_A_ROW: Final = 3
_PADDED_PIN: Final = 64
_ERR = CtapError.ERR


class _Sub(IntEnum):
    GET_PIN_RETRIES = 0x01
    GET_KEY_AGREEMENT = 0x02
    SET_PIN = 0x03
    CHANGE_PIN = 0x04
    GET_PIN_TOKEN = 0x05
    GET_TOKEN_USING_UV = 0x06
    GET_UV_RETRIES = 0x07
    GET_TOKEN_USING_PIN = 0x09


class _Key(IntEnum):
    PROTOCOL = 0x01
    SUB_COMMAND = 0x02
    KEY_AGREEMENT = 0x03
    CODE = 0x04
    NEW_PIN = 0x05
    PIN_HASH = 0x06
    PERMISSIONS = 0x09
    RP_ID = 0x0A


class ClientPin:
    """PIN, built-in user verification and the token they give; lives from power-up on."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._agreement = Agreement(parts.entropy)
        self._wrong_in_a_row = 0
        self.token: PinToken | None = None

    def run(self, fields: Fields, call: Call) -> dict[int, object]:
        """Run one subcommand and return its reply. CtapError with the status of a refusal."""
        actions: dict[int, Callable[[Fields, Call], dict[int, object]]] = {
            _Sub.GET_PIN_RETRIES: self._get_pin_retries,
            _Sub.GET_KEY_AGREEMENT: self._get_key_agreement,
            _Sub.SET_PIN: self._set_pin,
            _Sub.CHANGE_PIN: self._change_pin,
            _Sub.GET_PIN_TOKEN: self._get_pin_token,
            _Sub.GET_TOKEN_USING_UV: self._get_token_using_uv,
            _Sub.GET_UV_RETRIES: self._get_uv_retries,
            _Sub.GET_TOKEN_USING_PIN: self._get_token_using_pin,
        }
        if not self._parts.model.pin_protocols:
            raise CtapError(_ERR.INVALID_COMMAND)
        action = actions.get(fields.require(_Key.SUB_COMMAND, int))
        if action is None:
            raise CtapError(_ERR.INVALID_SUBCOMMAND)
        return action(fields, call)

    def check_code(self, protocol: int, message: bytes, code: bytes) -> PinToken:
        """Return the token `code` was made with. CtapError PIN_AUTH_INVALID if it was not."""
        if self.token is None:
            raise CtapError(_ERR.PIN_AUTH_INVALID)
        self.token.check(protocol, message, code, self._parts.clock())
        return self.token

    def verify_builtin(self, call: Call) -> None:
        """Verify the person by the key itself, with the same touch.

        CtapError: UV_BLOCKED without tries left, UV_INVALID for a stranger, or what the touch gave.
        """
        state = self._parts.state
        if state.uv_retries == 0:
            raise CtapError(_ERR.UV_BLOCKED)
        self._parts.insertion.await_touch(call)
        state.uv_retries = UV_RETRIES if self._parts.script.verifies else state.uv_retries - 1
        self._parts.save()
        if not self._parts.script.verifies:
            raise CtapError(_ERR.UV_INVALID if state.uv_retries else _ERR.UV_BLOCKED)

    def replace_pin(self, pin: bytes) -> None:
        """Set the PIN to UTF-8 `pin`. CtapError PIN_POLICY_VIOLATION."""
        try:
            length = len(pin.decode())
        except UnicodeDecodeError as error:
            raise CtapError(_ERR.PIN_POLICY_VIOLATION) from error
        if length < MIN_PIN_LENGTH or len(pin) >= _PADDED_PIN:
            raise CtapError(_ERR.PIN_POLICY_VIOLATION)
        state = self._parts.state
        state.pin_hash, state.pin_retries = hash_pin(pin), PIN_RETRIES
        self._parts.save()
        self.token, self._wrong_in_a_row = None, 0

    def _get_pin_retries(self, _fields: Fields, _call: Call) -> dict[int, object]:
        is_blocked = self._wrong_in_a_row >= _TRIES_IN_A_ROW
        return {3: self._parts.state.pin_retries, 4: is_blocked}

    def _get_uv_retries(self, _fields: Fields, _call: Call) -> dict[int, object]:
        if not self._parts.model.has_builtin_uv:
            raise CtapError(_ERR.INVALID_SUBCOMMAND)
        return {5: self._parts.state.uv_retries}

    def _get_key_agreement(self, fields: Fields, _call: Call) -> dict[int, object]:
        self._read_protocol(fields)
        return {1: self._agreement.public()}

    def _set_pin(self, fields: Fields, _call: Call) -> dict[int, object]:
        code, new_pin = fields.require(_Key.CODE, bytes), fields.require(_Key.NEW_PIN, bytes)
        secret = self._agree(fields)
        if self._parts.state.pin_hash is not None:
            raise CtapError(_ERR.PIN_AUTH_INVALID)
        secret.check(new_pin, code)
        self.replace_pin(_unpad(secret.decrypt(new_pin)))
        return {}

    def _change_pin(self, fields: Fields, _call: Call) -> dict[int, object]:
        code, new_pin = fields.require(_Key.CODE, bytes), fields.require(_Key.NEW_PIN, bytes)
        pin_hash = fields.require(_Key.PIN_HASH, bytes)
        secret = self._agree(fields)
        self._check_tries()
        secret.check(new_pin + pin_hash, code)
        self._try_pin(secret, pin_hash)
        self.replace_pin(_unpad(secret.decrypt(new_pin)))
        return {}

    def _get_pin_token(self, fields: Fields, _call: Call) -> dict[int, object]:
        if (
            fields.find(_Key.PERMISSIONS, int) is not None
            or fields.find(_Key.RP_ID, str) is not None
        ):
            raise CtapError(_ERR.INVALID_PARAMETER)
        both = Permission.MAKE_CREDENTIAL | Permission.GET_ASSERTION
        return self._issue_for_pin(fields, both, None)

    def _get_token_using_pin(self, fields: Fields, _call: Call) -> dict[int, object]:
        permissions, rp_id = _read_permissions(fields)
        return self._issue_for_pin(fields, permissions, rp_id)

    def _get_token_using_uv(self, fields: Fields, call: Call) -> dict[int, object]:
        if not self._parts.model.has_builtin_uv:
            raise CtapError(_ERR.INVALID_SUBCOMMAND)
        permissions, rp_id = _read_permissions(fields)
        secret = self._agree(fields)
        self._parts.insertion.reach(Step.PIN_TOKEN)
        self.verify_builtin(call)
        return self._issue(fields, secret, permissions, rp_id, is_present=True)

    def _issue_for_pin(
        self, fields: Fields, permissions: Permission, rp_id: str | None
    ) -> dict[int, object]:
        pin_hash = fields.require(_Key.PIN_HASH, bytes)
        secret = self._agree(fields)
        self._parts.insertion.reach(Step.PIN_TOKEN)
        self._check_tries()
        self._try_pin(secret, pin_hash)
        return self._issue(fields, secret, permissions, rp_id, is_present=False)

    def _issue(
        self,
        fields: Fields,
        secret: Secret,
        permissions: Permission,
        rp_id: str | None,
        *,
        is_present: bool,
    ) -> dict[int, object]:
        entropy = self._parts.entropy
        self.token = PinToken(
            protocol=self._read_protocol(fields),
            value=entropy.take(32),
            permissions=permissions,
            rp_id=rp_id,
            is_present=is_present,
            issued=self._parts.clock(),
        )
        return {2: secret.encrypt(self.token.value, entropy)}

    def _read_protocol(self, fields: Fields) -> int:
        protocol = fields.require(_Key.PROTOCOL, int)
        if protocol not in self._parts.model.pin_protocols:
            raise CtapError(_ERR.INVALID_PARAMETER)
        return protocol

    def _agree(self, fields: Fields) -> Secret:
        peer = fields.require_map(_Key.KEY_AGREEMENT)
        return self._agreement.agree(self._read_protocol(fields), peer)

    def _check_tries(self) -> None:
        if self._parts.state.pin_hash is None:
            raise CtapError(_ERR.PIN_NOT_SET)
        if self._parts.state.pin_retries == 0:
            raise CtapError(_ERR.PIN_BLOCKED)
        if self._wrong_in_a_row >= _TRIES_IN_A_ROW:
            raise CtapError(_ERR.PIN_AUTH_BLOCKED)

    def _try_pin(self, secret: Secret, sealed_hash: bytes) -> None:
        state = self._parts.state
        given = secret.decrypt(sealed_hash)
        state.pin_retries -= 1
        self._parts.save()
        if hmac.compare_digest(given, state.pin_hash or b""):
            state.pin_retries, self._wrong_in_a_row = PIN_RETRIES, 0
            self._parts.save()
            return
        self._agreement = Agreement(self._parts.entropy)
        self._wrong_in_a_row += 1
        if state.pin_retries == 0:
            raise CtapError(_ERR.PIN_BLOCKED)
        if self._wrong_in_a_row >= _TRIES_IN_A_ROW:
            raise CtapError(_ERR.PIN_AUTH_BLOCKED)
        raise CtapError(_ERR.PIN_INVALID)


def hash_pin(pin: bytes) -> bytes:
    """Give LEFT(SHA-256(PIN), 16)."""
    return hashlib.sha256(pin).digest()[:16]


def _unpad(padded: bytes) -> bytes:
    if len(padded) != _PADDED_PIN:
        raise CtapError(_ERR.INVALID_PARAMETER)
    return padded.rstrip(b"\0")


def _read_permissions(fields: Fields) -> tuple[Permission, str]:
    asked = fields.require(_Key.PERMISSIONS, int)
    if asked <= 0:
        raise CtapError(_ERR.INVALID_PARAMETER)
    # As a number: the complement of a flag knows no other flags.
    if asked & ~int(Permission.MAKE_CREDENTIAL | Permission.GET_ASSERTION):
        raise CtapError(_ERR.UNAUTHORIZED_PERMISSION)
    # Both permissions this key knows need an RP ID.
    return Permission(asked), fields.require(_Key.RP_ID, str)
