"""What the methods of `org.stepupd1.Manager` do, once it is known who calls.

The law of this file: bounds and meaning of every call are those of the JSON-RPC door's table; the
caller is the one that the bus names. Where the account itself may not, polkit may say that it acts
as an administrator, for this call only; it never stands in for the proof that a person owes for his
own keys. A step-up for a client is for the account of that client's connection or process, and
whether the caller may ask for it is the service's to say, as for any other account.
A terminal session is known of a process that is named by a pidfd, and only to one that asks for
another account: nobody borrows a session of his own. The bus itself names processes by number, and
a number may be another process by now; so a bus name earns and spends no grant of a session.
"""

import math
from typing import Any

import msgspec

from stepupd.api.conversation import Conversation
from stepupd.api.dbus_bus import Bus
from stepupd.api.dbus_interface import NAME, Ends, Method
from stepupd.api.dbus_message import Body, Message, make_dictionary, make_view, read_options
from stepupd.api.dbus_outside import NamedProcess, Outside
from stepupd.api.dbus_passed import Passed
from stepupd.api.dbus_polkit import is_authorised
from stepupd.api.jsonrpc import Call, decode_params
from stepupd.api.methods import METHODS, Context
from stepupd.api.service import Service
from stepupd.core.errors import RequestError
from stepupd.core.model import Caller, Reason, Session

MOST_ENTRIES = 100
"""Entries of the log in one reply."""


class Administrator(Caller):
    """A caller of whom polkit says that it may act for others. Its uid stays what it is."""

    __slots__ = ()

    @property
    def is_privileged(self) -> bool:
        """As root, for one call."""
        return True


class BusPeer:
    """The other end, as `Context` wants it: an account, and a process that it asks for."""

    __slots__ = ("_process", "caller")

    def __init__(self, caller: Caller, process: NamedProcess | None = None) -> None:
        self.caller = caller
        self._process = process

    def is_sender(self, pid: int) -> bool:
        """Return False: processes are not told apart over the bus."""
        del pid
        return False

    def find_session(self) -> Session | None:
        """Return the session of the process, None for one of the caller's own account."""
        if self._process is None:
            return None
        # Else a program would spend what was earned in another of its person's terminals.
        is_own = self._process.uid == self.caller.uid and not self.caller.is_privileged
        return None if is_own else self._process.find_session()

    def close(self) -> None:
        """Nothing is held."""


class Calls:
    """Runs methods for callers that are known."""

    def __init__(self, service: Service, outside: Outside, bus: Bus) -> None:
        self._service = service
        self._outside = outside
        self._bus = bus

    async def run(
        self,
        method: Method,
        message: Message,
        caller: Caller,
        talk: Conversation,
        process: NamedProcess | None = None,
    ) -> Any:  # noqa: ANN401 - what the method of the other door returns
        """Return what the JSON-RPC method returns; RequestError and our own failures raise.

        A call for a process is one for the account of `process`.
        """
        params = await self._read_params(method, message, process)
        serve = METHODS[method.serves].call
        try:
            return await serve(Context(self._service, BusPeer(caller, process), talk), params)
        except RequestError as error:
            is_refused = error.reason == Reason.NOT_PERMITTED.value
            if not (is_refused and await self._is_administrator(method, message)):
                raise
        administrator = Administrator(caller.uid, caller.pid, caller.door)
        return await serve(Context(self._service, BusPeer(administrator), talk), params)

    async def administer(
        self, member: str, method: Method, message: Message, caller: Caller
    ) -> Body:
        """Do what only root, polkit's administrator or the daemon's own account may do."""
        is_own = caller.uid in {0, self._outside.own_uid}
        if not is_own and not await self._is_administrator(method, message):
            raise RequestError("you may not do this", reason=Reason.NOT_PERMITTED.value)
        if member == "Reload":
            self._outside.reload()
            return Body()
        (count,) = message.body
        if not 1 <= count <= MOST_ENTRIES:
            raise RequestError(f"ask for 1 to {MOST_ENTRIES} entries")
        return Body("as", (await self._outside.read_log(count),))

    def find_client(self, method: Method, message: Message) -> str:
        """Return the bus name that a call is for, "" if it is for nobody else's connection."""
        if not method.is_for_client:
            return ""
        name = str(message.body[0])
        if not name.startswith(":"):
            raise RequestError("a caller has a unique bus name, such as :1.42")
        return name

    def find_process(self, method: Method, message: Message, passed: Passed) -> NamedProcess | None:
        """Return the process that a call is for, None if it is for none."""
        if not method.is_for_process:
            return None
        return self._outside.identify_process(passed.pick(message.body[0]))

    async def _read_params(
        self, method: Method, message: Message, process: NamedProcess | None
    ) -> object:
        values = dict(zip((name for name, _ in method.arguments), message.body, strict=True))
        options = read_options(values.pop("options", {}), method.options or {})
        if not all(math.isfinite(one) for one in options.values() if isinstance(one, float)):
            raise RequestError("a number of seconds is finite")
        client = values.pop("bus_name", "")
        if client:
            options["subject"] = await self._name_account(client)
        if process is not None:
            del values["process"]
            options["subject"] = await self._outside.name_account(process.uid)
        # The other door's decoder knows the bounds.
        raw = msgspec.json.encode(values | options)
        return decode_params(Call(None, method.serves, raw), METHODS[method.serves].params)

    async def _name_account(self, client: str) -> str:
        try:
            found = await self._bus.identify(client)
        except RequestError as error:
            raise RequestError("that caller is gone", reason="client-gone") from error
        return await self._outside.name_account(found.uid)

    async def _is_administrator(self, method: Method, message: Message) -> bool:
        if not method.polkit or not self._outside.has_polkit:
            return False
        return await is_authorised(
            self._bus,
            message.sender,
            f"{NAME}.{method.polkit}",
            may_interact=message.may_interact,
        )


def shape_reply(method: Method, answer: Any) -> Body:  # noqa: ANN401 - see `Calls.run`
    """Return what a method that is no ceremony, or has ended, says in D-Bus types."""
    if method.ends is not Ends.AT_ONCE:
        return Body(method.out_signature, shape_result(answer))
    if method.serves == "Status":
        return Body(method.out_signature, (make_dictionary(describe_plain(answer)),))
    if method.serves == "Revoke":
        return Body(method.out_signature, (answer["revoked"],))
    if method.serves == "PushEvent":
        return Body(method.out_signature, (answer.revoked, answer.entry))
    ((name, _),) = method.outs
    return Body(method.out_signature, ([make_view(one) for one in answer[name]],))


def shape_result(result: Any) -> tuple[object, ...]:  # noqa: ANN401 - a ResultView
    """Return a result as `Finished` and `Check` say it."""
    details = make_view(result)
    first = tuple(details.pop(name).value for name in ("verdict", "reason", "text"))
    return (*first, details)


def describe_plain(status: Any) -> dict[str, object]:  # noqa: ANN401 - a Status
    """Return a frozen dataclass of plain values as a dict."""
    return {name: getattr(status, name) for name in status.__dataclass_fields__}
