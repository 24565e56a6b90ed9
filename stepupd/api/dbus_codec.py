"""D-Bus frames to messages and back, by dbus-fast; loaded with the first frame that needs it.

The law of this file: any frame becomes a `Message` or a `RequestError`, and no text of a decoder's
error goes further. What goes out has exactly the types that the caller of this file writes down.
"""

import io
from typing import Any

from dbus_fast import Message as Packed
from dbus_fast import MessageType, Variant
from dbus_fast._private.unmarshaller import Unmarshaller  # no public one takes bytes

from stepupd.api.dbus_message import Kind, Message, Typed
from stepupd.core.errors import RequestError

_NO_REPLY, _MAY_INTERACT = 1, 4  # D-Bus specification, "Message Format"


def decode(frame: bytes) -> Message:
    """Read one whole frame; `RequestError` for one that cannot be read."""
    try:
        packed = Unmarshaller(io.BytesIO(frame)).unmarshall()  # type: ignore[arg-type] # it only reads
        return _read(packed)
    except Exception as error:
        raise RequestError("the message cannot be read") from error


def _read(packed: Packed | None) -> Message:
    if packed is None:
        raise RequestError("the message is cut off")
    return Message(
        kind=Kind(packed.message_type.value),
        serial=packed.serial,
        reply_serial=packed.reply_serial or 0,
        sender=packed.sender or "",
        destination=packed.destination or "",
        path=packed.path or "",
        interface=packed.interface or "",
        member=packed.member or "",
        error=packed.error_name or "",
        signature=packed.signature,
        body=tuple(_unwrap(value) for value in packed.body),
        wants_reply=not packed.flags.value & _NO_REPLY,
        may_interact=bool(packed.flags.value & _MAY_INTERACT),
    )


def encode(message: Message) -> bytes:
    """Return the frame of a message."""
    packed = Packed(
        destination=message.destination or None,
        path=message.path or None,
        interface=message.interface or None,
        member=message.member or None,
        message_type=MessageType(message.kind.value),
        flags=0 if message.wants_reply else _NO_REPLY,
        error_name=message.error or None,
        reply_serial=message.reply_serial,
        signature=message.signature,
        body=[_wrap(value) for value in message.body],
        serial=message.serial,
    )
    return bytes(packed._marshall(False))  # noqa: SLF001 - the bus object that calls it is not ours


def _unwrap(value: Any) -> Any:  # noqa: ANN401 - any D-Bus value
    if isinstance(value, Variant):
        return Typed(value.signature, _unwrap(value.value))
    if isinstance(value, dict):
        return {key: _unwrap(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unwrap(item) for item in value]
    return value


def _wrap(value: Any) -> Any:  # noqa: ANN401 - any D-Bus value
    if isinstance(value, str):
        if value.isascii() and "\0" not in value:
            return value
        # A D-Bus string holds no NUL and no half of a surrogate pair.
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, Typed):
        return Variant(value.signature, _wrap(value.value))
    if isinstance(value, dict):
        return {_wrap(key): _wrap(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_wrap(item) for item in value]
    return value
