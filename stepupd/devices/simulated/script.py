"""What a simulated key is told to do wrong, and when a finger touches it.

A `Script` is a frozen value that may replace the running one at any moment, also while a touch is
awaited. It changes what the key says and when; it never reaches the checks of whoever listens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_type_hints

from stepupd.core.errors import RequestError


class Command(StrEnum):
    """The commands a script can single out."""

    INIT = "init"
    MAKE_CREDENTIAL = "makeCredential"
    GET_ASSERTION = "getAssertion"
    GET_NEXT_ASSERTION = "getNextAssertion"
    GET_INFO = "getInfo"
    CLIENT_PIN = "clientPIN"
    SELECTION = "selection"
    RESET = "reset"
    UNKNOWN = "unknown"


class Step(StrEnum):
    """A moment at which the key can be pulled out; it happens once."""

    ENUMERATE = "enumerate"
    OPEN = "open"
    INIT = "init"
    GET_INFO = "getInfo"
    PIN_TOKEN = "pinToken"  # noqa: S105 - a step, not a password
    TOUCH = "touch"
    MID_PACKET = "midPacket"
    AFTER_REPLY = "afterReply"


class Fault(StrEnum):
    """How the link or the firmware misbehaves."""

    SILENT = "silent"
    ENDLESS_KEEPALIVE = "endlessKeepalive"
    BUSY = "busy"
    GARBAGE = "garbage"
    EMPTY = "empty"
    NON_CANONICAL = "nonCanonical"


class Lie(StrEnum):
    """What a credential or an assertion states falsely; it is signed all the same."""

    COUNTER_BACK = "counterBack"
    WRONG_RP_ID = "wrongRpId"
    BAD_SIGNATURE = "badSignature"
    NO_USER_PRESENCE = "noUserPresence"
    NO_USER_VERIFICATION = "noUserVerification"
    UNKNOWN_CREDENTIAL = "unknownCredential"
    OTHER_CREDENTIAL = "otherCredential"
    WRONG_ALGORITHM = "wrongAlgorithm"


@dataclass(frozen=True, slots=True)
class Script:
    """The behaviour of a key. The default is an honest key that waits for `touch()`.

    `touch_after_ms`: a finger comes by itself this long after blinking starts (0: at once).
    `deaf`: no touch ever counts. `deny`: the person refuses. `verifies`: built-in user
    verification recognises the person. `touch_timeout_ms`: the key gives up waiting.
    `unplug_at` fires once and is then cleared. `on_command` limits `fault`, `packet_delay_ms`
    and pulling out at a reply to one command (None: all but INIT). `packet_delay_ms` passes before
    each packet of a reply. `foreign_packets`:
    packets for another program's channel come between ours (HID seam only).
    """

    touch_after_ms: int | None = None
    deaf: bool = False
    deny: bool = False
    verifies: bool = True
    touch_timeout_ms: int = 30_000
    unplug_at: Step | None = None
    fault: Fault | None = None
    on_command: Command | None = None
    packet_delay_ms: int = 0
    foreign_packets: bool = False
    lie: Lie | None = None

    def __post_init__(self) -> None:
        for name, kinds in _HINTS.items():
            # A plain string where an enum belongs would script nothing, without a word.
            if type(getattr(self, name)) not in kinds:
                raise RequestError(f"the script setting {name!r} is of the wrong type")

    def has_fault(self, fault: Fault, command: Command) -> bool:
        """Whether `command` meets `fault`."""
        return self.fault is fault and self.concerns(command)

    def concerns(self, command: Command) -> bool:
        """Whether `on_command` names `command`, by name or by default."""
        if self.on_command is None:
            return command is not Command.INIT
        return self.on_command is command


_HINTS = {name: get_args(hint) or (hint,) for name, hint in get_type_hints(Script).items()}


def change_script(script: Script, changes: Mapping[str, object]) -> Script:
    """Apply `changes` as they come from JSON. RequestError: an unknown name or a wrong value."""
    values: dict[str, Any] = {name: _read_change(name, changes[name]) for name in changes}
    return replace(script, **values)


def describe_script(script: Script) -> dict[str, object]:
    """Give the script as JSON-ready plain data, one item per field."""
    return {field.name: getattr(script, field.name) for field in fields(script)}


def _read_change(name: str, value: object) -> object:
    if name not in _HINTS:
        raise RequestError(f"a script has no setting {name!r}")
    for kind in _HINTS[name]:
        if kind is NoneType and value is None:
            return None
        if issubclass(kind, StrEnum) and value in [*kind]:
            return kind(value)
        # An exact comparison: True is an int to isinstance.
        if type(value) is kind:
            return value
    raise RequestError(f"the script setting {name!r} cannot be {value!r}")
