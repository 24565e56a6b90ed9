"""Who speaks to us over the bus: one guest per connection, asked about once.

The law of this file: nobody is served before the bus has said whose connection it is, and nobody
after it said that the connection has ended. What is remembered about a connection is sound, because
the bus never gives a unique name twice and an account never changes on a connection; it is counted
like a connection to a socket, and forgotten when the connection ends.
"""

import asyncio

from stepupd.api.admission import Admission
from stepupd.api.dbus_bus import Bus
from stepupd.api.limits import Limits
from stepupd.core.errors import RequestError
from stepupd.core.model import Caller

MOST_IDLE = 64
"""Guests remembered while they ask nothing: the bus allows one connection few match rules."""


class Guest:
    """One connection to the bus. `calls` are those that run."""

    __slots__ = ("calls", "is_counted", "is_gone", "lock", "name", "uncertain_caller")

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        self.lock = asyncio.Lock()
        self.is_counted = False
        self.is_gone = False
        self.uncertain_caller: Caller | None = None

    @property
    def caller(self) -> Caller:
        """The account, once it is known; RequestError ("caller-gone") before and afterwards."""
        if self.uncertain_caller is None or self.is_gone:
            raise RequestError("the caller is gone", reason="caller-gone")
        return self.uncertain_caller


class Guests:
    """All guests of one connection to the bus."""

    def __init__(self, bus: Bus, admission: Admission, limits: Limits) -> None:
        self._bus = bus
        self._admission = admission
        self._limits = limits
        self._guests: dict[str, Guest] = {}

    async def admit(self, name: str) -> Guest:
        """Return the guest with one more call; `release` it afterwards.

        Raises RequestError: "busy", "caller-gone" or "unauthenticated".
        """
        guest = self._guests.get(name)
        if guest is None:
            guest = self._guests[name] = Guest(name)
            self._bus.watch(name)
        elif guest.calls >= self._limits.calls:
            raise RequestError("this connection is busy", reason="busy", hint="Wait for a reply.")
        guest.calls += 1
        try:
            async with guest.lock:
                if guest.uncertain_caller is None:
                    # Asked after `watch`: whoever is gone by now is found by one of the two.
                    guest.uncertain_caller = await self._count(guest)
            guest.caller  # noqa: B018 - raises for one that has left meanwhile
        except BaseException:
            self.release(guest)
            raise
        return guest

    def release(self, guest: Guest) -> None:
        """End a call; forget who was never known, and whoever has been idle longest."""
        guest.calls -= 1
        if guest.calls == 0 and guest.uncertain_caller is None:
            self.lose(guest.name)
        idle = [one for one in self._guests.values() if one.calls == 0]
        for one in idle[: max(0, len(idle) - MOST_IDLE)]:
            self.lose(one.name)

    def lose(self, name: str) -> None:
        """Forget a guest."""
        guest = self._guests.pop(name, None)
        if guest is None:
            return
        guest.is_gone = True
        self._bus.forget(name)
        if guest.is_counted and guest.uncertain_caller is not None:
            guest.is_counted = False
            self._admission.leave(guest.uncertain_caller.uid)

    def lose_all(self) -> None:
        """Forget everybody."""
        for name in tuple(self._guests):
            self.lose(name)

    async def _count(self, guest: Guest) -> Caller:
        caller = await self._bus.identify(guest.name)
        try:
            self._admission.enter(caller.uid)
        except RequestError:
            # Somebody's own idle connections make room, never somebody else's.
            idle = [one for one in self._guests.values() if self._is_idle(one, caller.uid)]
            if not idle:
                raise
            self.lose(idle[0].name)
            self._admission.enter(caller.uid)
        if guest.is_gone:  # lost while it was asked about
            self._admission.leave(caller.uid)
            raise RequestError("the caller is gone", reason="caller-gone")
        guest.is_counted = True
        return caller

    def _is_idle(self, guest: Guest, uid: int) -> bool:
        known = guest.uncertain_caller
        return guest.calls == 0 and known is not None and known.uid == uid
