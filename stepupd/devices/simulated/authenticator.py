"""A CTAP 2.1 authenticator: one command in, one reply out.

Law: any request ends in a reply whose first byte is a CTAP status; only a pulled plug raises
(OSError). It lives from power-up to power-down and takes one command at a time, which its key
ensures. Extensions are ignored, as the standard asks for unknown ones.
"""

from collections.abc import Callable
from threading import Event
from typing import Final

from fido2 import cbor
from fido2.ctap import CtapError

from stepupd.devices.simulated.client_pin import ClientPin
from stepupd.devices.simulated.consent import Person
from stepupd.devices.simulated.get_assertion import (
    Remaining,
    get_assertion,
    get_next_assertion,
)
from stepupd.devices.simulated.insertion import Call
from stepupd.devices.simulated.make_credential import make_credential
from stepupd.devices.simulated.model import (
    AAGUID,
    CREDENTIAL_ID_LENGTH,
    MAX_CREDENTIALS_IN_LIST,
    MAX_MESSAGE,
    MIN_PIN_LENGTH,
)
from stepupd.devices.simulated.parts import Parts
from stepupd.devices.simulated.request import Fields, read_fields
from stepupd.devices.simulated.script import Command

_RESET_WINDOW_S: Final = 10  # CTAP 2.1, 6.6: after power-up
_ERR = CtapError.ERR
_Reply = dict[int, object]

_COMMANDS = {
    0x01: Command.MAKE_CREDENTIAL,
    0x02: Command.GET_ASSERTION,
    0x04: Command.GET_INFO,
    0x06: Command.CLIENT_PIN,
    0x07: Command.RESET,
    0x08: Command.GET_NEXT_ASSERTION,
    0x0B: Command.SELECTION,
}


def name_command(data: bytes) -> Command:
    """Name the command of a request by its first byte."""
    return _COMMANDS.get(data[0], Command.UNKNOWN) if data else Command.UNKNOWN


class Authenticator:
    """The firmware of a key that has power."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._remaining: Remaining | None = None
        self._powered = parts.clock()
        self.pin = ClientPin(parts)

    def process(self, data: bytes, cancelled: Event, keepalive: Callable[[int], None]) -> bytes:
        """Answer one CTAP2 request: a status byte, then CBOR unless the map is empty."""
        try:
            reply = self._dispatch(data, Call(cancelled, keepalive))
        except CtapError as error:
            return bytes([int(error.code)])
        return bytes([_ERR.SUCCESS]) + (cbor.encode(reply) if reply else b"")

    def _dispatch(self, data: bytes, call: Call) -> _Reply:
        actions: dict[Command, Callable[[Fields, Call], _Reply]] = {
            Command.MAKE_CREDENTIAL: self._make_credential,
            Command.GET_ASSERTION: self._get_assertion,
            Command.GET_NEXT_ASSERTION: self._get_next_assertion,
            Command.GET_INFO: self._get_info,
            Command.CLIENT_PIN: self.pin.run,
            Command.SELECTION: self._select,
            Command.RESET: self._reset,
        }
        if not data:
            raise CtapError(_ERR.INVALID_LENGTH)
        if len(data) > MAX_MESSAGE:
            raise CtapError(_ERR.REQUEST_TOO_LARGE)
        command = name_command(data)
        if command not in actions:
            raise CtapError(_ERR.INVALID_COMMAND)
        if command is not Command.GET_NEXT_ASSERTION:
            self._remaining = None
        return actions[command](read_fields(data[1:]), call)

    def _make_credential(self, fields: Fields, call: Call) -> _Reply:
        return make_credential(self._parts, self._person(call), fields)

    def _get_assertion(self, fields: Fields, call: Call) -> _Reply:
        reply, self._remaining = get_assertion(self._parts, self._person(call), fields)
        return reply

    def _get_next_assertion(self, _fields: Fields, _call: Call) -> _Reply:
        remaining, self._remaining = self._remaining, None
        reply, self._remaining = get_next_assertion(self._parts, remaining)
        return reply

    def _select(self, _fields: Fields, call: Call) -> _Reply:
        self._parts.insertion.await_touch(call)
        return {}

    def _reset(self, _fields: Fields, call: Call) -> _Reply:
        if self._parts.clock() - self._powered > _RESET_WINDOW_S:
            raise CtapError(_ERR.NOT_ALLOWED)
        self._parts.insertion.await_touch(call)
        self._parts.state.forget()
        self._parts.save()
        self.pin = ClientPin(self._parts)
        return {}

    def _get_info(self, _fields: Fields, _call: Call) -> _Reply:
        model, state = self._parts.model, self._parts.state
        info: _Reply = {
            0x01: ["FIDO_2_0", "FIDO_2_1"],
            0x03: AAGUID,
            0x04: self._list_options(),
            0x05: MAX_MESSAGE,
            0x07: MAX_CREDENTIALS_IN_LIST,
            0x08: CREDENTIAL_ID_LENGTH,
            0x09: ["usb"],
            0x0A: [{"type": "public-key", "alg": int(item)} for item in model.algorithms],
            0x0D: MIN_PIN_LENGTH,
            0x0E: 1,
            0x14: max(0, model.capacity - len(state.credentials)),
        }
        if model.pin_protocols:
            info[0x06] = [*model.pin_protocols]
        return info

    def _list_options(self) -> dict[str, bool]:
        model = self._parts.model
        options = {
            "rk": True,
            "up": True,
            "plat": False,
            "alwaysUv": model.always_uv,
            "makeCredUvNotRqd": model.registers_without_uv and not model.always_uv,
        }
        if model.pin_protocols:
            options["clientPin"] = self._parts.state.pin_hash is not None
            options["pinUvAuthToken"] = True
        if model.has_builtin_uv:
            options["uv"] = True
        return options

    def _person(self, call: Call) -> Person:
        return Person(self._parts, self.pin, call)
