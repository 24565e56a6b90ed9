"""Each method of the D-Bus door as an act: it begins, can be disturbed, and goes on to its end.

What the caller is told in the end is one word, which is what a table compares: why a ceremony
ended, the name of an error, or the gist of an answer.
"""

import asyncio
import itertools
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dbus_fast import Message, MessageType
from dbus_support import Caller, error_of
from disturbance_support import NEW_KEY, OWN_KEY, PIN, ROOT, Scene, call_as

from stepupd.api.dbus_interface import (
    CEREMONY,
    CEREMONY_INTERFACE,
    MANAGER,
    MANAGER_INTERFACE,
    NAME,
    ROOT_PATH,
    Ends,
)

METHODS = MANAGER_INTERFACE.methods | CEREMONY_INTERFACE.methods
ANSWERS = tuple(CEREMONY_INTERFACE.methods)
FOR_ROOT = {"PushEvent", "AuditTail", "Reload"}
"""What root alone may do here; services ask for others as root too."""

TOUCHES = {"Enroll": (OWN_KEY, NEW_KEY, NEW_KEY)}
"""To prove oneself, to enrol, to try it; one touch of ada's own key for all others."""

GISTS = {
    "ListCredentials": lambda keys: "+".join(one["name"].value for one in keys),
    "ListGrants": lambda grants: "+".join(one["action"].value for one in grants),
    "Revoke": str,
    "PushEvent": lambda count, _: str(count),
    "Status": lambda status: f"{status['credentials'].value}-key",
    "AuditTail": lambda entries: f"{len(entries)}-entry",
    "Reload": lambda: "done",
}

_names = (f"name {number}" for number in itertools.count())


class Person:
    """Whom a service asks for: a connection of ada's, and a process."""

    def __init__(self, uid: int, connection: Caller) -> None:
        self.connection = connection
        self.process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=uid)
        self.pidfd = os.pidfd_open(self.process.pid)

    def leave(self) -> None:
        self.connection.bus.disconnect()
        self.process.kill()

    def close(self) -> None:
        os.close(self.pidfd)
        self.process.kill()
        self.process.communicate()


class Act:
    """A call that is answered at once: nothing of it is there to be disturbed before it is made."""

    is_ceremony = False

    def __init__(self, scene: Scene, member: str, by: Caller, person: Person) -> None:
        self.scene, self.member, self.by, self.person = scene, member, by, person
        self.method = METHODS[member]
        self.path = ""

    async def begin(self) -> None:
        """Go on to where it can be disturbed."""

    async def end(self, *, hand: str = "touch") -> str:
        """Go on to the end, with or without a hand on the key, and return what it came to."""
        del hand
        return self.read(await self.by.send(self.write()))

    async def send(self) -> None:
        """Do what `end` does first, and wait for nothing."""
        await self.by.bus.send(self.write())

    async def forget(self) -> None:
        """Wait for no answer any more."""

    async def leave(self) -> None:
        """Leave the bus."""
        await self.forget()
        self.by.bus.disconnect()
        await self.by.bus.wait_for_disconnect()

    def write(self, signature: str | None = None, body: list | None = None) -> Message:
        """Return the call, with good arguments unless others are given."""
        is_answer = self.member in ANSWERS
        return Message(
            destination=NAME,
            path=self.path if is_answer else ROOT_PATH,
            interface=CEREMONY if is_answer else MANAGER,
            member=self.member,
            signature=self.method.signature if signature is None else signature,
            body=self.make_body() if body is None else body,
            unix_fds=[self.person.pidfd] if self.method.is_for_process else [],
        )

    def make_body(self) -> list:
        values = {
            "action": "cli:touch",
            "bus_name": self.person.connection.name,
            "process": 0,
            "name": next(_names),
            "credential": "blue",
            "grant": "",
            "subject": self.scene.name_of_ada,
            "event": "session-revoked",
            "count": 1,
            "id": 1,
            "answer": PIN,
            "options": {},
        }
        return [values[name] for name, _ in self.method.arguments]

    def read(self, reply: Message) -> str:
        if reply.message_type is MessageType.ERROR:
            return error_of(reply)
        assert reply.signature == self.method.out_signature
        return GISTS[self.member](*reply.body)


class Proof(Act):
    """A call that asks for a touch; it is disturbed while the key blinks."""

    is_ceremony = True

    _asking: asyncio.Future[str] | None = None

    def start(self) -> None:
        """Call, and wait for nothing."""
        self._asking = asyncio.ensure_future(self._ask())

    async def begin(self) -> None:
        self.start()
        await self.scene.blink()

    async def end(self, *, hand: str = "touch") -> str:
        if hand == "touch":
            await self.scene.touch(*TOUCHES.get(self.member, (OWN_KEY,)))
        elif hand == "deny":
            await self.scene.blink()
            assert self.scene.machine.key(OWN_KEY).deny()
        return await self._asking

    async def send(self) -> None:
        """Do nothing: it is sent already."""

    async def forget(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> str:
        reply = await self.by.send(self.write())
        if reply.message_type is MessageType.ERROR:
            return error_of(reply)
        if self.method.ends is Ends.WITH_VERDICT:
            return reply.body[1]
        self.path = reply.body[0]
        return (await self.by.verdict())[1]


class Answer(Act):
    """A call on a ceremony; it is disturbed while the ceremony asks for the PIN."""

    is_ceremony = True

    async def begin(self) -> None:
        self.path = await self.by.begin("cli:verify")
        while (await self.by.signal()).member != "Question":
            pass

    async def end(self, *, hand: str = "touch") -> str:
        reply = await self.by.send(self.write())
        if reply.message_type is MessageType.ERROR:
            return error_of(reply)
        if hand == "touch" and self.member == "Respond":
            await self.scene.touch(OWN_KEY)
        return (await self.by.verdict())[1]

    async def repeat(self) -> str:
        """Call once more, and hear nothing but the reply."""
        reply = await self.by.send(self.write())
        return error_of(reply) if reply.message_type is MessageType.ERROR else "heard"


@asynccontextmanager
async def act_of(scene: Scene, member: str) -> AsyncIterator[Act]:
    """Give an act and those who take part in it, on connections of their own."""
    method = METHODS[member]
    is_for_other = method.is_for_client or method.is_for_process
    uid = ROOT if member in FOR_ROOT or is_for_other else scene.ada
    kind = Answer if member in ANSWERS else Act if method.ends is Ends.AT_ONCE else Proof
    async with AsyncExitStack() as stack:
        by = await stack.enter_async_context(call_as(scene.bus, uid))
        person = Person(scene.ada, await stack.enter_async_context(call_as(scene.bus, scene.ada)))
        stack.callback(person.close)
        act = kind(scene, member, by, person)
        stack.push_async_callback(act.forget)
        yield act
