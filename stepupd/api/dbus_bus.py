"""Calls of ours to the bus and to other services, each with a deadline and one possible answerer.

The law of this file: a reply counts only if it comes from the very connection that was asked, and
in time; whatever else comes is dropped. A caller's account is what the bus says of its connection,
in exactly the type that the specification gives it; there is no default.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from stepupd.api.dbus_message import Kind, Message, Typed
from stepupd.api.dbus_wire import BUS, Wire
from stepupd.core.errors import InternalError, RequestError
from stepupd.core.model import Caller, Door

DEADLINE = 2.0
"""Seconds for the bus, or a service behind it, to answer."""

_PATH = "/org/freedesktop/DBus"
_UNKNOWN_UIDS = frozenset({65534, 2**32 - 1})
"""What the kernel shows for an account that it cannot map (user_namespaces(7)), and "none"."""


class BusGoneError(InternalError):
    """The connection ended before the answer. Nobody is left to be told."""


class Bus:
    """The calling side of one connection."""

    def __init__(self, wire: Wire, encode: Callable[[Message], bytes]) -> None:
        self._wire = wire
        self._encode = encode
        self._waiting: dict[int, tuple[str, asyncio.Future[Message]]] = {}

    def send(self, message: Message) -> int:
        """Send a message and return the serial it got."""
        serial = self._wire.next_serial()
        self._wire.send(self._encode(replace(message, serial=serial)))
        return serial

    async def call(self, message: Message, deadline: float = DEADLINE) -> Message:
        """Return the reply of the connection that `message` names.

        Raises RequestError ("no-such-name") for an error reply, InternalError for none in time.
        """
        reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        serial = self.send(message)
        self._waiting[serial] = (message.destination, reply)
        try:
            async with asyncio.timeout(deadline):
                answer = await reply
        except TimeoutError as error:
            raise InternalError(f"{message.member} was not answered in time") from error
        finally:
            del self._waiting[serial]
        if answer.kind is Kind.ERROR:
            raise RequestError(f"{message.member} failed", reason="bus-error")
        return answer

    def take_reply(self, message: Message) -> None:
        """Hand a reply to whoever waits for it, if it is from whom it should be."""
        asked, reply = self._waiting.get(message.reply_serial, ("", None))
        if reply is not None and not reply.done() and message.sender == asked:
            reply.set_result(message)

    def lose(self) -> None:
        """Hear that the connection is gone: nothing will be answered any more."""
        for _, reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(BusGoneError("the bus is gone"))

    async def ask_bus(self, member: str, signature: str = "", *values: object) -> Message:
        """Call the bus itself."""
        return await self.call(_call_bus(member, signature, *values))

    def tell_bus(self, member: str, signature: str, *values: object) -> None:
        """Call the bus itself and do not wait."""
        self.send(replace(_call_bus(member, signature, *values), wants_reply=False))

    def watch(self, name: str) -> None:
        """Ask to be told when a connection ends. What is asked afterwards is answered later."""
        self.tell_bus("AddMatch", "s", make_rule(name))

    def forget(self, name: str) -> None:
        """Undo `watch`."""
        self.tell_bus("RemoveMatch", "s", make_rule(name))

    async def identify(self, name: str) -> Caller:
        """Return who is behind a unique name.

        Raises RequestError ("caller-gone") if there is no such connection any more, and
        ("unauthenticated") if the bus does not say whose it is.
        """
        try:
            reply = await self.ask_bus("GetConnectionCredentials", "s", name)
        except RequestError as error:
            raise RequestError("the caller is gone", reason="caller-gone") from error
        facts = reply.body[0] if reply.signature == "a{sv}" else {}
        uid = read_number(facts.get("UnixUserID"))
        if uid is None or uid in _UNKNOWN_UIDS:
            raise RequestError("the bus does not say who you are", reason="unauthenticated")
        # The process id says who it was when it connected: it goes into the log, nowhere else.
        pid = read_number(facts.get("ProcessID"))
        return Caller(uid, -1 if pid is None else pid, Door.BUS)


def read_number(item: object) -> int | None:
    """Return a variant's uint32; None for any other type."""
    if isinstance(item, Typed) and item.signature == "u" and isinstance(item.value, int):
        return item.value
    return None


def find_lost_name(message: Message) -> str:
    """Return the unique name whose connection has ended, "" if the signal does not say so."""
    is_of_bus = (message.sender, message.interface, message.member, message.signature) == (
        BUS,
        BUS,
        "NameOwnerChanged",
        "sss",
    )
    if not is_of_bus or message.path != _PATH:
        return ""
    name, _, new_owner = message.body
    return name if name.startswith(":") and not new_owner else ""


def make_rule(name: str) -> str:
    """Return the match rule for the end of one connection."""
    return (
        f"type='signal',sender='{BUS}',path='{_PATH}',interface='{BUS}',"
        f"member='NameOwnerChanged',arg0='{name}'"
    )


def _call_bus(member: str, signature: str, *values: object) -> Message:
    return Message(
        Kind.CALL,
        destination=BUS,
        path=_PATH,
        interface=BUS,
        member=member,
        signature=signature,
        body=values,
    )
