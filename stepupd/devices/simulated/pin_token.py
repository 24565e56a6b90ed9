"""The pinUvAuthToken: what a PIN or a fingerprint has allowed, for how long (CTAP 2.1, 6.5.2).

Law: one token at a time; getting one voids the one before. It allows only its permissions, for the
one RP ID it is bound to, and loses them with the first ceremony that a touch concluded.
"""

from dataclasses import dataclass, field
from enum import IntFlag

from fido2.ctap import CtapError

from stepupd.devices.simulated.pin_protocol import check_code

# CTAP 2.1, 6.5.5.7.1: the limits for USB.
_UNUSED_LIMIT_S = 30
_LIMIT_S = 600


class Permission(IntFlag):
    """Token permissions this key knows (CTAP 2.1, 6.5.5.7)."""

    MAKE_CREDENTIAL = 0x01
    GET_ASSERTION = 0x02


@dataclass(slots=True)
class PinToken:
    """A token in use. `is_present`: the touch that made it counts for the next ceremony."""

    protocol: int
    value: bytes = field(repr=False)
    permissions: Permission
    rp_id: str | None
    is_present: bool
    issued: float
    is_used: bool = False

    def check(self, protocol: int, message: bytes, code: bytes, now: float) -> None:
        """CtapError PIN_AUTH_INVALID unless `code` was made with this token and it still holds."""
        age = now - self.issued
        is_expired = age > _LIMIT_S or (not self.is_used and age > _UNUSED_LIMIT_S)
        if is_expired or protocol != self.protocol:
            raise CtapError(CtapError.ERR.PIN_AUTH_INVALID)
        check_code(protocol, self.value, message, code)
        self.is_used = True

    def use(self, permission: Permission, rp_id: str, now: float) -> bool:
        """Use a permission for an RP; say whether presence came with the token.

        CtapError PIN_AUTH_INVALID if it has no such permission or belongs to another RP.
        """
        if permission not in self.permissions or self.rp_id not in (None, rp_id):
            raise CtapError(CtapError.ERR.PIN_AUTH_INVALID)
        self.rp_id = rp_id
        return self.is_present and now - self.issued <= _UNUSED_LIMIT_S

    def spend(self) -> None:
        """Take the permissions away, after a ceremony with user presence."""
        self.permissions, self.is_present = Permission(0), False
