"""CTAP commands in, closed answers out: the boundary where every device failure is named.

The law of this file: whatever a key or its driver does, the caller of `explain` gets a `Trouble`.
Replies are decoded by our own strict decoder; python-fido2 carries the bytes (CTAP 2.1 section 6).
"""

from collections.abc import Callable
from threading import Event

from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.hid import CTAPHID, ConnectionFailure

from stepupd.core import cbor
from stepupd.core.effects import Trouble, TroubleKind
from stepupd.core.errors import AuthenticatorError

MAKE_CREDENTIAL = 0x01
GET_ASSERTION = 0x02
GET_INFO = 0x04
SELECTION = 0x0B

Fields = dict[cbor.Key, cbor.Value]

_KIND_OF = {
    CtapError.ERR.INVALID_COMMAND: TroubleKind.UNSUPPORTED,
    CtapError.ERR.CHANNEL_BUSY: TroubleKind.BUSY,
    CtapError.ERR.TIMEOUT: TroubleKind.TIMEOUT,
    CtapError.ERR.USER_ACTION_TIMEOUT: TroubleKind.TIMEOUT,
    CtapError.ERR.ACTION_TIMEOUT: TroubleKind.TIMEOUT,
    CtapError.ERR.KEEPALIVE_CANCEL: TroubleKind.CANCELLED,
    CtapError.ERR.OPERATION_DENIED: TroubleKind.DECLINED,
    CtapError.ERR.NO_CREDENTIALS: TroubleKind.NO_CREDENTIALS,
    CtapError.ERR.INVALID_CREDENTIAL: TroubleKind.NO_CREDENTIALS,
    CtapError.ERR.CREDENTIAL_EXCLUDED: TroubleKind.EXCLUDED,
    CtapError.ERR.UNSUPPORTED_ALGORITHM: TroubleKind.UNSUPPORTED,
    CtapError.ERR.UNSUPPORTED_OPTION: TroubleKind.UNSUPPORTED,
    CtapError.ERR.INVALID_OPTION: TroubleKind.UNSUPPORTED,
    CtapError.ERR.KEY_STORE_FULL: TroubleKind.UNSUPPORTED,
    CtapError.ERR.PIN_INVALID: TroubleKind.PIN_INVALID,
    CtapError.ERR.PIN_AUTH_INVALID: TroubleKind.PIN_INVALID,
    CtapError.ERR.PIN_POLICY_VIOLATION: TroubleKind.PIN_INVALID,
    CtapError.ERR.PIN_AUTH_BLOCKED: TroubleKind.PIN_AUTH_BLOCKED,
    CtapError.ERR.PIN_BLOCKED: TroubleKind.PIN_BLOCKED,
    CtapError.ERR.PIN_NOT_SET: TroubleKind.PIN_NOT_SET,
    # The key insists on a verification for which it has neither a PIN nor a reader.
    CtapError.ERR.PUAT_REQUIRED: TroubleKind.PIN_NOT_SET,
    CtapError.ERR.UV_INVALID: TroubleKind.UV_INVALID,
    CtapError.ERR.UV_BLOCKED: TroubleKind.UV_BLOCKED,
}


def run_command(
    device: CtapDevice,
    command: int,
    fields: Fields,
    stop: Event,
    on_wait: Callable[[], None] | None = None,
) -> Fields:
    """Send one CTAP2 command and return the decoded reply map, empty where there is none.

    `on_wait` is called when the key waits for the person. Raises CtapError for a status, OSError
    for a link that broke, AuthenticatorError for bytes that are no reply.
    """

    def on_keepalive(status: STATUS) -> None:
        if on_wait is not None and status == STATUS.UPNEEDED:
            on_wait()

    request = bytes([command]) + (cbor.encode(fields) if fields else b"")
    reply = device.call(CTAPHID.CBOR, request, stop, on_keepalive)
    if not reply:
        raise AuthenticatorError("the key answered nothing")
    if reply[0] != CtapError.ERR.SUCCESS:
        raise CtapError(reply[0])
    if len(reply) == 1:
        return {}
    decoded = cbor.decode(reply[1:])
    if not isinstance(decoded, dict):
        raise AuthenticatorError("the key answered something that is no map")
    return decoded


def explain(error: BaseException, authenticator: str = "") -> Trouble:
    """Return what an exception from a device means. Nothing else crosses this boundary."""
    return Trouble(_find_kind(error), authenticator)


def _find_kind(error: BaseException) -> TroubleKind:
    match error:
        case CtapError():
            return _KIND_OF.get(error.code, TroubleKind.GARBLED)
        case TimeoutError():
            return TroubleKind.SILENT
        case OSError():
            return TroubleKind.GONE
        case ConnectionFailure() | AuthenticatorError():
            return TroubleKind.GARBLED
        case _:
            # A parser of the library stumbled over what the key said: the key's fault all the same.
            return TroubleKind.GARBLED
