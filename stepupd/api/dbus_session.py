"""What happens on one connection to the bus: calls in, exactly one reply each, ceremonies between.

The law of this file: a call names a path, an interface, a method and the exact types of its table,
or it is refused; its sender is what the bus says; of our own failures the caller hears that we
failed, never how. When the connection ends, everything that came through it has ended.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from stepupd.api.dbus_bus import Bus, BusGoneError, find_lost_name
from stepupd.api.dbus_calls import Calls, shape_reply, shape_result
from stepupd.api.dbus_ceremony import Ceremonies, Ceremony, end_with
from stepupd.api.dbus_guests import Guest, Guests
from stepupd.api.dbus_interface import (
    CEREMONY,
    CEREMONY_PREFIX,
    INTROSPECTABLE,
    MANAGER,
    PROPERTIES,
    ROOT_PATH,
    Ends,
    Method,
)
from stepupd.api.dbus_lookup import find_method, introspect, pick_properties
from stepupd.api.dbus_message import Body, Kind, Message, Typed, describe_failure, name_error
from stepupd.api.dbus_outside import NamedProcess, Outside
from stepupd.api.dbus_passed import Passed
from stepupd.api.dbus_wire import Wire
from stepupd.api.house import House
from stepupd.core.errors import AuthenticatorError, RequestError

MOST_HELD = 128
"""Calls with a process at once: twice the ceremonies of all accounts, because some callers are not
known yet."""

_log = logging.getLogger(__name__)


class Codec(Protocol):
    """`dbus_codec`, loaded when it is needed."""

    @property
    def decode(self) -> Callable[[bytes], Message]:
        """Frame to message."""

    @property
    def encode(self) -> Callable[[Message], bytes]:
        """Message to frame."""


class Session:
    """Serves one connection; made with the first frame that needs an answer."""

    def __init__(self, wire: Wire, codec: Codec, house: House, outside: Outside) -> None:
        self._wire = wire
        self._decode = codec.decode
        self._house = house
        self._bus = Bus(wire, codec.encode)
        self._guests = Guests(self._bus, house.admission, house.limits)
        self._ceremonies = Ceremonies()
        self._calls = Calls(house.service, outside, self._bus)
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[Passed] = set()

    def take(self, frame: bytes) -> None:
        """Take a frame; one that cannot be read is nobody's, and is dropped."""
        try:
            message = self._decode(frame)
        except RequestError as error:
            _log.info("a message on the bus was dropped: %s", error)
            return
        match message.kind:
            case Kind.RETURN | Kind.ERROR:
                self._bus.take_reply(message)
            case Kind.SIGNAL:
                name = find_lost_name(message)
                self._guests.lose(name)
                self._ceremonies.lose(name)
            case Kind.CALL:
                self._take_call(message)

    def lose(self) -> None:
        """Hear that the connection is gone."""
        self._bus.lose()
        self._ceremonies.lose_all()
        self._guests.lose_all()

    async def wait(self) -> None:
        """Wait until every call has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def announce(self, **properties: str) -> None:
        """Tell everybody that properties have changed."""
        changed = {name: Typed("s", value) for name, value in properties.items()}
        self._bus.send(
            Message(
                Kind.SIGNAL,
                path=ROOT_PATH,
                interface=PROPERTIES,
                member="PropertiesChanged",
                signature="sa{sv}as",
                body=(MANAGER, changed, ()),
            )
        )

    def _take_call(self, call: Message) -> None:
        try:
            method = find_method(call)
            if call.interface in {MANAGER, PROPERTIES}:
                passed = self._hold(method)
                task = self._spawn(self._serve(call, method, passed))
                task.add_done_callback(lambda _: self._let_go(passed))
                return
            self._reply(call, self._answer(call))
        except Exception as error:  # noqa: BLE001 - every failure becomes one error reply
            self._refuse(call, error)

    def _answer(self, call: Message) -> Body:
        """Answer what needs no look at the caller's account."""
        if call.interface == INTROSPECTABLE:
            return Body("s", (introspect(call.path),))
        if call.interface == CEREMONY and call.path.startswith(CEREMONY_PREFIX):
            ceremony = self._ceremonies.find(call.path, call.sender)
            return ceremony.take(call.member, call.body, self._house.limits.answer)
        return Body()

    def _hold(self, method: Method) -> Passed:
        """Return what came with the call, if its method takes any; the wire closes the rest."""
        if not method.is_for_process:
            return Passed()
        if len(self._held) >= MOST_HELD:
            raise RequestError(
                "too many processes are asked for", reason="busy", hint="Try again in a moment."
            )
        passed = self._wire.take_passed()
        self._held.add(passed)
        return passed

    def _let_go(self, passed: Passed) -> None:
        self._held.discard(passed)
        passed.close()

    async def _serve(self, call: Message, method: Method, passed: Passed) -> None:
        try:
            guest = await self._guests.admit(call.sender)
            try:
                self._house.admission.spend(guest.caller.uid)
                await self._serve_guest(call, method, guest, passed)
            finally:
                self._guests.release(guest)
        except Exception as error:  # noqa: BLE001 - every failure becomes one error reply
            self._refuse(call, error)

    async def _serve_guest(
        self, call: Message, method: Method, guest: Guest, passed: Passed
    ) -> None:
        if call.interface == PROPERTIES:
            status = await self._house.service.get_status(guest.caller)
            self._reply(call, pick_properties(call, status))
        elif not method.serves:
            body = await self._calls.administer(call.member, method, call, guest.caller)
            self._reply(call, body)
        elif method.ends is Ends.AT_ONCE:
            mute = Ceremony("", call.sender, _drop, open_for=_drop, is_mute=True)
            answer = await self._calls.run(method, call, guest.caller, mute.conversation)
            self._reply(call, shape_reply(method, answer))
        else:
            with self._house.admission.ceremony(guest.caller.uid):
                process = self._calls.find_process(method, call, passed)
                await self._run_ceremony(call, method, guest, process)

    async def _run_ceremony(
        self, call: Message, method: Method, guest: Guest, process: NamedProcess | None
    ) -> None:
        """Run a ceremony. Its caller hears the path before the first signal, or an error."""
        is_later = method.ends is Ends.LATER

        def tell_path(ceremony: Ceremony) -> None:
            if is_later:
                self._reply(call, Body("o", (ceremony.path,)))

        ceremony = self._ceremonies.add(
            call.sender, self._bus.send, open_for=tell_path, is_mute=not is_later
        )
        ceremony.client = self._calls.find_client(method, call)
        if ceremony.client:
            self._bus.watch(ceremony.client)
        try:
            with end_with(process, ceremony.conversation):
                answer = await self._calls.run(
                    method, call, guest.caller, ceremony.conversation, process
                )
            if is_later:
                ceremony.finish(*shape_result(answer))
            else:
                self._reply(call, shape_reply(method, answer))
        except Exception as error:
            if not (is_later and ceremony.is_open):
                raise
            reason, text = self._describe(error)
            ceremony.finish("unavailable", reason, text, {})
        finally:
            self._ceremonies.remove(ceremony)
            if ceremony.client:
                self._bus.forget(ceremony.client)

    def _reply(self, call: Message, body: Body) -> None:
        if call.wants_reply:
            self._bus.send(
                Message(
                    Kind.RETURN,
                    destination=call.sender,
                    reply_serial=call.serial,
                    signature=body.signature,
                    body=body.values,
                    wants_reply=False,
                )
            )

    def _refuse(self, call: Message, error: Exception) -> None:
        reason, text = self._describe(error)
        if call.wants_reply:
            self._bus.send(
                Message(
                    Kind.ERROR,
                    destination=call.sender,
                    reply_serial=call.serial,
                    error=getattr(error, "bus_name", "") or name_error(reason),
                    signature="s",
                    body=(text,),
                    wants_reply=False,
                )
            )

    def _describe(self, error: Exception) -> tuple[str, str]:
        if not isinstance(error, RequestError | AuthenticatorError | BusGoneError):
            _log.error("the D-Bus door failed", exc_info=error)
        return describe_failure(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _drop(_unused: object) -> None:
    """Nothing is shown by what asks nothing."""
