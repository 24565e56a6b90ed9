"""Whether a person is present and verified: the steps that registration and assertion share.

Law: UP and UV are set only by a touch and by a PIN token or a fingerprint, in the order of CTAP
2.1, 6.1.2 and 6.2.2. A flag is never set because the platform asked for it.
"""

from dataclasses import dataclass

from fido2.ctap import CtapError

from stepupd.devices.simulated.client_pin import ClientPin
from stepupd.devices.simulated.insertion import Call
from stepupd.devices.simulated.parts import Parts
from stepupd.devices.simulated.pin_token import Permission, PinToken

_ERR = CtapError.ERR


@dataclass(frozen=True, slots=True)
class Ask:
    """What a platform sends about the person, in registration and assertion alike."""

    permission: Permission
    rp_id: str
    client_data_hash: bytes
    options: dict[str, bool]
    code: bytes | None
    protocol: int | None


@dataclass(frozen=True, slots=True)
class Consent:
    """What is known of the person so far."""

    is_verified: bool = False
    is_present: bool = False
    token: PinToken | None = None


class Person:
    """Asks the person in front of the key, during one command."""

    def __init__(self, parts: Parts, pin: ClientPin, call: Call) -> None:
        self._parts = parts
        self._pin = pin
        self._call = call

    @property
    def is_protected(self) -> bool:
        """Whether the key can verify a person at all."""
        return self._parts.model.has_builtin_uv or self._parts.state.pin_hash is not None

    def verify(self, ask: Ask) -> Consent:
        """Check the PIN token, or the fingerprint if `uv` is asked for. CtapError: a refusal."""
        self._check_protocol(ask)
        wants_uv = ask.options.get("uv", False) and ask.code is None
        if wants_uv and not self._parts.model.has_builtin_uv:
            raise CtapError(_ERR.INVALID_OPTION)
        if self._needs_uv(ask) and ask.code is None and not wants_uv:
            if not self._parts.model.has_builtin_uv:
                raise CtapError(_ERR.PUAT_REQUIRED)
            wants_uv = True
        if wants_uv:
            return self._verify_builtin()
        if ask.code is None or not self.is_protected:
            return Consent()
        token = self._pin.check_code(ask.protocol or 0, ask.client_data_hash, ask.code)
        is_present = token.use(ask.permission, ask.rp_id, self._parts.clock())
        return Consent(is_verified=True, is_present=is_present, token=token)

    def be_present(self, consent: Consent) -> Consent:
        """Wait for a touch unless one was made already; then the token is spent."""
        if not consent.is_present:
            self._parts.insertion.await_touch(self._call)
        if consent.token is not None:
            consent.token.spend()
        return Consent(is_verified=consent.is_verified, is_present=True)

    def _needs_uv(self, ask: Ask) -> bool:
        """Whether the key insists on verification (CTAP 2.1, 6.1.2 steps 6 to 8, 6.2.2 step 5)."""
        model = self._parts.model
        if model.always_uv and ask.options.get("up", True):
            return True
        if ask.permission is Permission.GET_ASSERTION or not self.is_protected:
            return False
        return not model.registers_without_uv or ask.options.get("rk", False)

    def _check_protocol(self, ask: Ask) -> None:
        if ask.code is None:
            return
        if not ask.code:
            # The old way of letting a person select a key (CTAP 2.1, 6.1.2 step 1).
            self._parts.insertion.await_touch(self._call)
            is_set = self._parts.state.pin_hash is not None
            raise CtapError(_ERR.PIN_INVALID if is_set else _ERR.PIN_NOT_SET)
        if ask.protocol is None:
            raise CtapError(_ERR.MISSING_PARAMETER)
        if ask.protocol not in self._parts.model.pin_protocols:
            raise CtapError(_ERR.INVALID_PARAMETER)

    def _verify_builtin(self) -> Consent:
        try:
            self._pin.verify_builtin(self._call)
        except CtapError as error:
            if error.code == _ERR.UV_BLOCKED and self._parts.state.pin_hash is not None:
                raise CtapError(_ERR.PUAT_REQUIRED) from error
            if error.code in (_ERR.UV_BLOCKED, _ERR.UV_INVALID):
                raise CtapError(_ERR.OPERATION_DENIED) from error
            raise
        return Consent(is_verified=True, is_present=True)
