"""User verification on a key: built in where it can, by PIN where it must.

CTAP 2.1 sections 6.5.5 (PIN/UV auth tokens) and 6.2.1. The PIN protocols themselves are
python-fido2's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from threading import Event
from typing import TYPE_CHECKING

from fido2.ctap import CtapDevice, CtapError

from stepupd.core.effects import AssertFido2, RegisterFido2
from stepupd.devices import ctap

if TYPE_CHECKING:
    from fido2.ctap2.base import Ctap2


class Permission(IntFlag):
    """What a PIN/UV auth token may be used for (section 6.5.5.7)."""

    MAKE_CREDENTIAL = 0x01
    GET_ASSERTION = 0x02


@dataclass(frozen=True, slots=True)
class Verification:
    """Proof, to the key, that the person was verified. Without a token the key does it itself."""

    auth_param: bytes | None = None
    protocol: int = 0

    def as_fields(self, *, options: int, param: int, protocol: int) -> ctap.Fields:
        """Return the command's fields under the numbers that the command gives them."""
        if self.auth_param is None:
            return {options: {"uv": True}}
        return {param: self.auth_param, protocol: self.protocol}


def verify_person(
    device: CtapDevice,
    operation: AssertFido2 | RegisterFido2,
    digest: bytes,
    permission: Permission,
    stop: Event,
    on_wait: Callable[[], None],
) -> Verification | int:
    """Return the verification, or the number of PIN tries left where a PIN has to be asked first.

    Raises CtapError with PIN_NOT_SET where the key can verify nobody yet.
    """
    # Only here: the PIN protocols cost tens of milliseconds to import and few requests need them.
    from fido2.ctap2.base import Ctap2  # noqa: PLC0415
    from fido2.ctap2.pin import ClientPin  # noqa: PLC0415

    client = Ctap2(device)
    options = client.info.options
    if operation.pin is not None:
        pin = ClientPin(client)
        left, _ = pin.get_pin_retries()
        if left < operation.retries:
            # Somebody else spent tries since the person was asked: ask again, with the truth.
            return int(left)
        token = pin.get_pin_token(
            operation.pin.reveal(), ClientPin.PERMISSION(permission), operation.rp_id
        )
        return Verification(pin.protocol.authenticate(token, digest), pin.protocol.VERSION)
    if options.get("uv") is True:
        try:
            return _verify_built_in(client, operation.rp_id, digest, permission, stop, on_wait)
        except CtapError as error:
            if error.code != CtapError.ERR.UV_BLOCKED or options.get("clientPin") is not True:
                raise
    if options.get("clientPin") is not True:
        raise CtapError(CtapError.ERR.PIN_NOT_SET)
    retries, must_be_replugged = ClientPin(client).get_pin_retries()
    if must_be_replugged:
        raise CtapError(CtapError.ERR.PIN_AUTH_BLOCKED)
    return int(retries)


def _verify_built_in(
    client: "Ctap2",
    rp_id: str,
    digest: bytes,
    permission: Permission,
    stop: Event,
    on_wait: Callable[[], None],
) -> Verification:
    from fido2.ctap2.pin import ClientPin  # noqa: PLC0415 - as above

    if client.info.options.get("pinUvAuthToken") is not True:
        return Verification()
    pin = ClientPin(client)
    token = pin.get_uv_token(
        ClientPin.PERMISSION(permission), rp_id, stop, lambda _status: on_wait()
    )
    return Verification(pin.protocol.authenticate(token, digest), pin.protocol.VERSION)
