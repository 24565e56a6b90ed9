"""Asking polkit whether an account may act as an administrator, for one call.

The law of this file: the subject is always the caller's bus name, which polkit resolves by itself;
a process id could be somebody else's by then (CVE-2013-4288). Every field has exactly the type that
polkit's interface gives it. Whatever is no clear yes in time is a no.
"""

import logging
from contextlib import suppress

from stepupd.api.dbus_bus import DEADLINE, Bus
from stepupd.api.dbus_message import Kind, Message, Typed
from stepupd.core.errors import RequestError, StepUpError

_NAME = "org.freedesktop.PolicyKit1"
_INTERFACE = f"{_NAME}.Authority"
_PATH = "/org/freedesktop/PolicyKit1/Authority"
_ALLOW_INTERACTION = 1  # CheckAuthorizationFlags
_PATIENCE = 120.0
"""Seconds for a person to type a password into polkit's agent."""
_log = logging.getLogger(__name__)


async def is_authorised(bus: Bus, sender: str, action: str, *, may_interact: bool) -> bool:
    """Return whether polkit says yes to `action` for the connection `sender`."""
    try:
        owner = await _find_owner(bus)
        # To the owner of the name, so that only its own reply counts.
        reply = await bus.call(
            Message(
                Kind.CALL,
                destination=owner,
                path=_PATH,
                interface=_INTERFACE,
                member="CheckAuthorization",
                signature="(sa{sv})sa{ss}us",
                body=(
                    ["system-bus-name", {"name": Typed("s", sender)}],
                    action,
                    {},
                    _ALLOW_INTERACTION if may_interact else 0,
                    "",
                ),
            ),
            _PATIENCE if may_interact else DEADLINE,
        )
    except StepUpError as error:
        _log.warning("polkit did not answer: %s", error)
        return False
    return reply.signature == "(bba{ss})" and reply.body[0][0] is True


async def _find_owner(bus: Bus) -> str:
    """Return polkit's connection; it is started where nothing has needed it yet."""
    with suppress(RequestError):
        return str((await bus.ask_bus("GetNameOwner", "s", _NAME)).body[0])
    await bus.ask_bus("StartServiceByName", "su", _NAME, 0)
    return str((await bus.ask_bus("GetNameOwner", "s", _NAME)).body[0])
