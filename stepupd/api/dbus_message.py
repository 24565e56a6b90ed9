"""What the D-Bus door reads and writes, as plain data: messages, and values with their type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, unique
from functools import cache
from typing import Any, get_args

import msgspec

from stepupd.core.errors import AuthenticatorError, RequestError, StepUpError

ERROR_PREFIX = "org.stepupd1.Error."


@unique
class Kind(IntEnum):
    """Message types (D-Bus specification, "Message Types")."""

    CALL = 1
    RETURN = 2
    ERROR = 3
    SIGNAL = 4


@dataclass(frozen=True, slots=True)
class Typed:
    """A variant: a value with its D-Bus signature."""

    signature: str
    value: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Fields that it does not have are empty. `sender` is the bus daemon's word."""

    kind: Kind
    serial: int = 0
    reply_serial: int = 0
    sender: str = ""
    destination: str = ""
    path: str = ""
    interface: str = ""
    member: str = ""
    error: str = ""
    signature: str = ""
    body: tuple[Any, ...] = field(default=(), repr=False)
    wants_reply: bool = True
    may_interact: bool = False
    """Whether a call may wait for a person to convince polkit."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a call returns."""

    signature: str = ""
    values: tuple[Any, ...] = ()


def name_error(reason: str) -> str:
    """Return the D-Bus error name of a reason code: "not-permitted" is NotPermitted."""
    return ERROR_PREFIX + "".join(part.capitalize() for part in reason.split("-"))


def describe_failure(error: Exception) -> tuple[str, str]:
    """Return reason and text for the caller: only what is his to mend is told."""
    if isinstance(error, RequestError | AuthenticatorError):
        return error.reason, f"{error}. {error.hint}".rstrip(". ") + "."
    reason = error.reason if isinstance(error, StepUpError) else "internal"
    return reason, "stepupd failed. Its log says why."


def read_options(options: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """Return an `a{sv}` as plain values; `RequestError` for an unknown name or another type.

    D-Bus has many kinds of number: none of them is taken for another.
    """
    found = {}
    for name, item in options.items():
        if name not in types:
            raise RequestError(f"there is no option {name[:40]!r}")
        if not isinstance(item, Typed) or item.signature != types[name]:
            raise RequestError(f"option {name} has the type {types[name]}")
        found[name] = item.value
    return found


def make_variant(value: object) -> Typed | None:
    """Return a plain value as a variant; None for what is not there, and is left out of a dict."""
    match value:
        case None:
            return None
        case bool():
            return Typed("b", value)
        case int():
            return Typed("x", value)
        case float():
            return Typed("d", value)
        case str():
            return Typed("s", value)
        case msgspec.Struct():
            return Typed("a{sv}", make_view(value))
        case tuple():
            return Typed("as", [str(item) for item in value])
    raise TypeError(f"{type(value).__name__} has no D-Bus type here")


def make_dictionary(values: Mapping[str, object]) -> dict[str, Typed]:
    """Return an `a{sv}`."""
    made = {name: make_variant(value) for name, value in values.items()}
    return {name: value for name, value in made.items() if value is not None}


def make_view(view: msgspec.Struct) -> dict[str, Typed]:
    """Return an `a{sv}` whose numbers have the type of their field, whatever they are just now."""
    values = msgspec.structs.asdict(view)
    for name in _list_floats(type(view)):
        if isinstance(values[name], int):
            values[name] = float(values[name])
    return make_dictionary(values)


@cache
def _list_floats(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    fields = msgspec.structs.fields(kind)
    return tuple(one.name for one in fields if float in {one.type, *get_args(one.type)})
