"""logind: hearing that the machine goes to sleep, and locking people's sessions.

The law of this file: only a broadcast of the owner of logind's name is believed, and the bus is
asked each time who that is; every call has a deadline; without logind everything else goes on, it
is said once, and looked for again. Nothing that arrives here allows anything: it only ends things.

Source: org.freedesktop.login1(5). The codec is loaded with the first frame that needs it.
"""

import asyncio
import importlib
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from stepupd.api.dbus_bus import Bus
from stepupd.api.dbus_inhibit import LOGIND, take_delay
from stepupd.api.dbus_message import Kind, Message
from stepupd.api.dbus_stay import Stay
from stepupd.api.dbus_wire import BUS, Wire, encode_bus_call, encode_unpadded
from stepupd.core.errors import InternalError, RequestError, StepUpError
from stepupd.core.model import Moment

LETTING_GO = 4.0
"""Seconds that sleep is delayed at most; logind waits five."""
RETRIES = (2.0, 10.0, 60.0)
"""Seconds after which a delay that was not given is asked for again."""
RECONNECTING = 10.0
"""Seconds that a lock waits for a bus that is away."""

_NAME, _PATH, _INTERFACE = LOGIND
_RULES = (
    f"type='signal',sender='{_NAME}',interface='{_INTERFACE}',member='PrepareForSleep'",
    f"type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{_NAME}'",
)
_MOST_SESSIONS = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Line:
    """One connection: frames below, calls above."""

    wire: Wire
    bus: Bus
    decode: Callable[[bytes], Message]


class Logind:
    """One per daemon. `start` it in the event loop, `close` it at the end.

    `let_go` is called when the machine goes to sleep, and once more when it wakes up.
    """

    def __init__(
        self,
        address: str,
        let_go: Callable[[], Awaitable[None]],
        read_clock: Callable[[], Moment],
    ) -> None:
        self._address = address
        self._let_go = let_go
        self._read_clock = read_clock
        self.resumed_at: float | None = None
        """When logind last told of waking up, on the boot clock."""
        self._stay = Stay(address, "", self._take, self._serve)
        self._line: _Line | None = None
        self._wire: Wire | None = None
        self._rule_serials: dict[int, str] = {}
        self._delay: int | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_connected = asyncio.Event()
        self._is_missed = False
        self._sleep_turn = asyncio.Lock()
        """Sleeping and waking follow one another."""
        self._delay_turn = asyncio.Lock()
        """Of delays there is one; letting go waits for none."""

    def start(self) -> None:
        """Listen, as soon as there is a bus, for as long as the daemon runs."""
        self._stay.start()

    async def settle(self) -> None:
        """Wait until it is heard, or the first attempt has failed."""
        await self._stay.settle()

    async def close(self) -> None:
        """Listen no longer, and give back the delay."""
        await self._stay.close()
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._end_delay()

    async def lock_sessions(self, uid: int) -> int:
        """Lock a person's sessions; return how many did. Never raises: failures are logged."""
        locked: list[object] = []
        try:
            async with asyncio.timeout(RECONNECTING):
                await self._is_connected.wait()
                line = self._open_line()
                owner = await _find_owner(line.bus)
                names = await _list_sessions(line.bus, owner, uid)
                asked = [_lock(line.bus, owner, name) for name in names]
                locked = await asyncio.gather(*asked, return_exceptions=True)
        except (StepUpError, TimeoutError) as error:
            _log.error("the sessions of uid %d could not be locked: %s", uid, error or "no bus")
        failures = [one for one in locked if isinstance(one, BaseException)]
        for failure in failures:
            _log.error("a session of uid %d could not be locked: %s", uid, failure)
        return len(locked) - len(failures)

    async def _serve(self, wire: Wire) -> None:
        self._wire = wire
        self._rule_serials = {wire.next_serial(): rule for rule in _RULES}
        for serial, rule in self._rule_serials.items():
            wire.send(encode_bus_call(serial, "AddMatch", "s", encode_unpadded(rule)))
        self._is_connected.set()
        try:
            await self._keep_delay(wire)
            await asyncio.shield(wire.closed)
        finally:
            self._is_connected.clear()
            self._end_delay()
            line, self._line, self._wire = self._line, None, None
            if line is not None:
                line.bus.lose()

    def _take(self, wire: Wire, frame: bytes) -> None:
        try:
            if self._line is None and not _may_matter(frame):
                return
            self._take_message(self._open_line(wire).decode(frame))
        except RequestError as error:
            _log.info("a message on the bus was dropped: %s", error)
        except Exception:  # noqa: BLE001 - a failure of ours ends the connection; a new one follows
            _log.exception("logind's message could not be taken")
            wire.close()

    def _take_message(self, message: Message) -> None:
        line = self._open_line()
        if message.kind is Kind.ERROR and message.reply_serial in self._rule_serials:
            _log.warning("the bus does not tell us of sleep")
        elif message.kind in {Kind.RETURN, Kind.ERROR}:
            line.bus.take_reply(message)
        elif message.kind is Kind.SIGNAL and _is_about_sleep(message):
            self._spawn(self._follow_sleep(line.bus, message))
        elif message.kind is Kind.SIGNAL and _is_arrival(message):
            self._spawn(self._renew_delay())

    async def _keep_delay(self, wire: Wire) -> None:
        """Ask for a delay, some times: at boot, whom logind itself asks may not be there yet."""
        await self._renew_delay()
        for pause in RETRIES:
            await asyncio.wait({wire.closed}, timeout=pause)
            if wire.closed.done():
                return
            if self._delay is None:
                await self._renew_delay()

    async def _renew_delay(self) -> None:
        async with self._delay_turn:
            self._end_delay()
            await self._begin_delay()

    async def _follow_sleep(self, bus: Bus, message: Message) -> None:
        """Let go of everything if it is logind that says so."""
        try:
            is_from_logind = await _find_owner(bus) == message.sender
        except StepUpError as error:
            _log.warning("nobody says whether it is logind that speaks of sleep: %s", error)
            return
        if not is_from_logind:
            _log.warning("%s is not logind, and speaks of sleep", message.sender)
            return
        async with self._sleep_turn:
            with suppress(TimeoutError):
                async with asyncio.timeout(LETTING_GO):
                    await self._let_go()
            async with self._delay_turn:
                self._end_delay()
                if message.body[0]:
                    return
            self.resumed_at = self._read_clock().boot
            await self._renew_delay()

    async def _begin_delay(self) -> None:
        asked = asyncio.get_running_loop().run_in_executor(None, take_delay, self._address)
        try:
            self._delay = await asyncio.shield(asked)
            self._is_missed = False
        except asyncio.CancelledError:
            asked.add_done_callback(_give_back)
            raise
        except (OSError, StepUpError) as error:
            # Once: it is tried again at each wake-up and with each connection.
            (_log.debug if self._is_missed else _log.warning)("sleep is not delayed: %s", error)
            self._is_missed = True

    def _end_delay(self) -> None:
        descriptor, self._delay = self._delay, None
        if descriptor is not None:
            os.close(descriptor)

    def _open_line(self, wire: Wire | None = None) -> _Line:
        """Return the calling side of the connection; the first one loads what it takes."""
        wire = wire or self._wire
        if wire is None:
            raise InternalError("the bus is gone")
        if self._line is None:
            codec = importlib.import_module("stepupd.api.dbus_codec")
            self._line = _Line(wire, Bus(wire, codec.encode), codec.decode)
        return self._line

    def _spawn(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _may_matter(frame: bytes) -> bool:
    """Return whether a frame is worth the codec, before anything was asked."""
    is_told = b"PrepareForSleep" in frame or b"NameOwnerChanged" in frame
    return frame[1] == Kind.ERROR or (frame[1] == Kind.SIGNAL and is_told)


def _is_about_sleep(message: Message) -> bool:
    # What is sent to us alone came past the match rule: logind speaks to everybody.
    return not message.destination and (
        message.path,
        message.interface,
        message.member,
        message.signature,
    ) == (_PATH, _INTERFACE, "PrepareForSleep", "b")


def _is_arrival(message: Message) -> bool:
    is_of_bus = (message.sender, message.interface, message.member, message.signature) == (
        BUS,
        BUS,
        "NameOwnerChanged",
        "sss",
    )
    return is_of_bus and message.body[0] == _NAME and bool(message.body[2])


def _give_back(asked: "asyncio.Future[int]") -> None:
    if not asked.cancelled() and asked.exception() is None:
        os.close(asked.result())


async def _find_owner(bus: Bus) -> str:
    reply = await bus.ask_bus("GetNameOwner", "s", _NAME)
    return str(reply.body[0]) if reply.signature == "s" else ""


async def _list_sessions(bus: Bus, owner: str, uid: int) -> list[str]:
    """Return the ids of a person's sessions: of each, id, uid, user, seat and path."""
    reply = await bus.call(_call(owner, "ListSessions"))
    if reply.signature != "a(susso)":
        raise InternalError("logind answers with other types")
    return [name for name, of, *_ in reply.body[0] if of == uid][:_MOST_SESSIONS]


async def _lock(bus: Bus, owner: str, name: str) -> None:
    await bus.call(_call(owner, "LockSession", "s", name))


def _call(owner: str, member: str, signature: str = "", *values: object) -> Message:
    return Message(
        Kind.CALL,
        destination=owner,
        path=_PATH,
        interface=_INTERFACE,
        member=member,
        signature=signature,
        body=values,
    )
