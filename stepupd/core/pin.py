"""PINs: asked only where a key needs one, and never the last tries unasked.

The law of this file:
* a PIN goes to the one key that was chosen, and only while it has the tries the person heard of;
* two wrong PINs end the ceremony (CTAP blocks at three in a row);
* a key with three tries or fewer gets none of them without a typed "yes".
"""

from collections.abc import Generator
from dataclasses import replace

from stepupd.core.effects import (
    Ask,
    Asserted,
    Effect,
    PinNeeded,
    Registered,
    Reply,
    Show,
    Trouble,
    TroubleKind,
    Typed,
    Use,
)
from stepupd.core.model import StepUpRequest
from stepupd.core.prompts import ask_consent_text, ask_pin_text
from stepupd.core.secret import Secret

MAX_WRONG_PINS = 2
GUARDED_RETRIES = 3

_RETRIED = frozenset({TroubleKind.PIN_INVALID, TroubleKind.UV_INVALID})


def use_authenticator(
    use: Use, request: StepUpRequest, attempts: int
) -> Generator[Effect, Reply, Asserted | Registered | Trouble]:
    """Use an authenticator, asking for its PIN where needed, at most `attempts` wrong tries."""
    wrong = asked = 0
    current = use
    while True:
        reply = yield current
        match reply:
            case Asserted() | Registered():
                return reply
            case PinNeeded() if asked >= MAX_WRONG_PINS:
                return Trouble(TroubleKind.PIN_INVALID, reply.authenticator, reply.retries)
            case PinNeeded():
                asked += 1
                pin = yield from ask_pin(reply, request, use.deadline)
                if isinstance(pin, Trouble):
                    return pin
                current = _with_pin(use, reply.authenticator, pin, reply.retries)
            case Trouble(kind=kind) if kind in _RETRIED:
                wrong += 1
                if wrong >= attempts or asked >= MAX_WRONG_PINS:
                    return reply
                yield Show(_say_wrong(kind), is_error=True)
                current = _with_pin(use, reply.authenticator, None)
            case Trouble():
                return reply
            case _:
                return Trouble(TroubleKind.INTERNAL)


def ask_pin(
    needed: PinNeeded, request: StepUpRequest, deadline: float
) -> Generator[Effect, Reply, Secret | Trouble]:
    """Ask for a key's PIN, after consent where few tries are left."""
    if needed.retries < 1:
        return Trouble(TroubleKind.PIN_BLOCKED, needed.name, 0)
    if needed.retries <= GUARDED_RETRIES:
        text = ask_consent_text(needed.name, needed.retries)
        consent = yield Ask(text, deadline, is_hidden=False)
        if not isinstance(consent, Typed):
            return _trouble_of(consent)
        if consent.secret.reveal().strip().lower() != "yes":
            return Trouble(TroubleKind.PIN_UNSPENT, needed.name, needed.retries)
    typed = yield Ask(ask_pin_text(request, needed.name, needed.retries), deadline)
    if not isinstance(typed, Typed):
        return _trouble_of(typed)
    if not typed.secret:
        return Trouble(TroubleKind.CANCELLED, needed.name)
    return typed.secret


def _with_pin(use: Use, authenticator: str, pin: Secret | None, retries: int = 0) -> Use:
    operations = tuple(
        replace(operation, pin=pin, authenticator=authenticator, retries=retries)
        for operation in use.operations
    )
    return replace(use, operations=operations)


def _trouble_of(reply: Reply) -> Trouble:
    return reply if isinstance(reply, Trouble) else Trouble(TroubleKind.INTERNAL)


def _say_wrong(kind: TroubleKind) -> str:
    return "Wrong PIN." if kind is TroubleKind.PIN_INVALID else "Not recognised; try again."
