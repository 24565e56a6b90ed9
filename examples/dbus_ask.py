"""dbus_ask.py ACTION: ask for a step-up over D-Bus, show what the daemon says, pass answers on.

Exit status 0 means allowed. Uses dbus-fast; with another library the calls are the same.
"""  # noqa: INP001 - a program, not part of a package

import asyncio
import sys
from getpass import getpass

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

NAME = "org.stepupd1"


def call(
    path: str | None, interface: str, member: str, signature: str = "", *body: object
) -> Message:
    """Return a call of the daemon."""
    return Message(
        destination=NAME,
        path=path,
        interface=f"{NAME}.{interface}",
        member=member,
        signature=signature,
        body=list(body),
    )


async def step_up(bus: MessageBus, action: str) -> tuple[bool, str]:
    """Return whether the action is allowed, and what to tell the person."""
    signals: asyncio.Queue[Message] = asyncio.Queue()

    def take(message: Message) -> None:
        if message.interface == f"{NAME}.Ceremony":
            signals.put_nowait(message)

    bus.add_message_handler(take)  # before the call: the first signal comes right after the reply
    reply = await bus.call(call("/org/stepupd1", "Manager", "StepUp", "sa{sv}", action, {}))
    if reply.message_type is MessageType.ERROR:
        return False, reply.body[0]
    while (signal := await signals.get()).member != "Finished":
        if signal.member == "Prompt":
            text, is_error = signal.body
            sys.stderr.write(("error: " if is_error else "") + text + "\n")
        else:
            number, text, is_hidden = signal.body
            typed = await asyncio.to_thread(getpass if is_hidden else input, text)
            await bus.call(call(signal.path, "Ceremony", "Respond", "us", number, typed))
    verdict, _reason, text, _details = signal.body
    return verdict == "allow", text


async def main() -> None:
    """Ask, and exit with the answer."""
    address = sys.argv[2] if len(sys.argv) > 2 else None  # noqa: PLR2004 - for a bus of your own
    bus = await MessageBus(address, BusType.SYSTEM).connect()
    is_allowed, text = await step_up(bus, sys.argv[1])
    sys.exit(0 if is_allowed else f"not allowed: {text}")


if __name__ == "__main__":
    asyncio.run(main())
