"""A polkit of our own: a real service on the bus that takes exact types, and answers as told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_support import POLKIT, PrivateBus

YES, NO, CHALLENGE = (True, False), (False, False), (False, True)


class Polkit:
    """Answers `answer`, None for silence; `asked` holds (subject, action, flags)."""

    def __init__(self, bus: MessageBus) -> None:
        self.answer: tuple[bool, bool] | None = YES
        self.signature = "(bba{ss})"
        self.asked: list[tuple[str, str, int]] = []
        self.faults: list[str] = []
        bus.add_message_handler(self._take)

    def _take(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if message.member != "CheckAuthorization" or message.signature != "(sa{sv})sa{ss}us":
            self.faults.append(f"{message.member} {message.signature}")
            return Message.new_error(message, f"{POLKIT}.Error.Failed", "no such call")
        (kind, facts), action, details, flags, cancellation = message.body
        # Attack 21: any other kind of subject, or another type in it, fails the test.
        if kind != "system-bus-name" or list(facts) != ["name"] or facts["name"].signature != "s":
            self.faults.append(f"subject {kind} {facts}")
        if details or cancellation or flags > 1:
            self.faults.append(f"{details} {cancellation!r} {flags}")
        self.asked.append((facts["name"].value, action, flags))
        if self.answer is None:
            return True
        answers = {"(bba{ss})": [[*self.answer, {}]], "bba{ss}": [*self.answer, {}], "b": [True]}
        answers["(uba{ss})"] = [[1, False, {}]]
        answers["v"] = [Variant("b", True)]
        return Message.new_method_return(message, self.signature, answers[self.signature])


@asynccontextmanager
async def polkit_on(bus: PrivateBus) -> AsyncIterator[Polkit]:
    connection = await MessageBus(bus.address).connect()
    made = Polkit(connection)
    await connection.request_name(POLKIT)
    try:
        yield made
    finally:
        connection.disconnect()
        await connection.wait_for_disconnect()
    assert made.faults == []
