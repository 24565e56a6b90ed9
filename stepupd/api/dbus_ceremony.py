"""Ceremonies as objects on the bus: texts and questions out, answers in.

The law of this file: every signal goes to the connection that asked, and to no other; only that
connection may answer or cancel, and to all others the object does not exist. It ends with the
verdict, or when that connection leaves the bus, or the client or process that it asked for ends.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stepupd.api.conversation import Conversation
from stepupd.api.dbus_interface import CEREMONY, CEREMONY_INTERFACE, CEREMONY_PREFIX
from stepupd.api.dbus_message import Body, Kind, Message
from stepupd.api.dbus_outside import NamedProcess
from stepupd.core.effects import TroubleKind
from stepupd.core.errors import RequestError
from stepupd.core.secret import Secret


class Ceremony:
    """One ceremony. It is also the `Line` of its conversation; `open` runs before the first signal.

    A mute one shows, but declines every question: its caller waits for nothing but the verdict.
    """

    __slots__ = (
        "_open",
        "_questions",
        "_send",
        "client",
        "conversation",
        "owner",
        "path",
    )

    def __init__(
        self,
        path: str,
        owner: str,
        send: Callable[[Message], object],
        *,
        open_for: Callable[["Ceremony"], None],
        is_mute: bool,
    ) -> None:
        self.path = path
        self.owner = owner
        self.client = ""
        self._send = send
        self._open: Callable[[Ceremony], None] | None = open_for
        self._questions = 0
        self.conversation = Conversation(self)
        if is_mute:
            self.conversation.stop_listening()

    @property
    def is_open(self) -> bool:
        """Whether its caller has heard of it."""
        return self._open is None

    def open(self) -> None:
        """Let the caller know the path, once."""
        announce, self._open = self._open, None
        if announce is not None:
            announce(self)

    def send_show(self, text: str, *, is_error: bool) -> None:
        """Send a `Prompt`."""
        self._emit("Prompt", text, is_error)

    def send_ask(self, text: str, *, is_hidden: bool) -> int:
        """Send a `Question` under the next number."""
        self._questions += 1
        self._emit("Question", self._questions, text, is_hidden)
        return self._questions

    def finish(self, *result: object) -> None:
        """Send `Finished`."""
        self._emit("Finished", *result)

    def take(self, member: str, body: tuple[object, ...], limit: int) -> Body:
        """Do what the owner calls; `RequestError` for an answer that nobody waits for."""
        if member == "Cancel":
            self.conversation.end(TroubleKind.CANCELLED)
            return Body()
        number = body[0]
        secret = Secret(str(body[1])) if member == "Respond" else None
        is_long = secret is not None and len(secret.reveal().encode()) > limit
        is_taken = isinstance(number, int) and self.conversation.answer(
            number, None if is_long else secret
        )
        if not is_taken:
            raise RequestError("no question of that number waits", reason="no-such-question")
        if is_long:
            raise RequestError("the answer is too long")
        return Body()

    def _emit(self, member: str, *values: object) -> None:
        self.open()
        arguments = CEREMONY_INTERFACE.signals[member]
        self._send(
            Message(
                Kind.SIGNAL,
                destination=self.owner,
                path=self.path,
                interface=CEREMONY,
                member=member,
                signature="".join(kind for _, kind in arguments),
                body=values,
            )
        )


class Ceremonies:
    """The ceremonies of one connection to the bus. Numbers are never used twice on it."""

    def __init__(self) -> None:
        self._running: dict[str, Ceremony] = {}
        self._count = 0

    def add(
        self,
        owner: str,
        send: Callable[[Message], object],
        *,
        open_for: Callable[[Ceremony], None],
        is_mute: bool,
    ) -> Ceremony:
        """Return a new ceremony; `remove` it at its end."""
        self._count += 1
        path = f"{CEREMONY_PREFIX}{self._count}"
        made = Ceremony(path, owner, send, open_for=open_for, is_mute=is_mute)
        self._running[path] = made
        return made

    def find(self, path: str, sender: str) -> Ceremony:
        """Return a caller's own ceremony; the same `RequestError` for another's and for none."""
        found = self._running.get(path)
        if found is None or found.owner != sender:
            raise RequestError("you have no such ceremony", reason="no-such-ceremony")
        return found

    def remove(self, ceremony: Ceremony) -> None:
        """Forget a ceremony that has ended."""
        del self._running[ceremony.path]

    def lose(self, name: str) -> None:
        """End what a connection asked for, and what was asked for it."""
        for ceremony in self._of(name):
            ceremony.conversation.end(TroubleKind.HANG_UP)

    def lose_all(self) -> None:
        """End everything."""
        for ceremony in tuple(self._running.values()):
            ceremony.conversation.end(TroubleKind.HANG_UP)

    def _of(self, name: str) -> Iterator[Ceremony]:
        yield from [one for one in self._running.values() if name in {one.owner, one.client}]


@contextmanager
def end_with(process: NamedProcess | None, conversation: Conversation) -> Iterator[None]:
    """End the conversation when the process ends."""
    if process is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(process.pidfd)
        conversation.end(TroubleKind.HANG_UP)

    loop.add_reader(process.pidfd, end)  # pidfd_open(2): readable once it has ended
    try:
        yield
    finally:
        loop.remove_reader(process.pidfd)
