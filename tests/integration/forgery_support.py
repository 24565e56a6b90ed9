"""What a stranger on the bus may try against somebody else's call; he may be root."""

from act_support import Act
from dbus_fast import Message, MessageType, Variant
from dbus_support import NAME_OF_BUS, Caller, error_of
from disturbance_support import ROOT
from login1_support import forge_sleep

from stepupd.api.dbus_interface import CEREMONY_INTERFACE, CEREMONY_PREFIX, NAME

BODIES = {"Respond": [1, "1234"], "Decline": [1], "Cancel": []}
"""Answers that would be taken from the one who is asked."""

GUESSES = 20
"""Serial numbers that the daemon uses next."""


async def meddle(eve: Caller, act: Act) -> None:
    """Do all that only the caller, the bus or logind may do."""
    (owner,) = (await eve.ask_bus("GetNameOwner", "s", NAME)).body
    for member, body in BODIES.items():
        path = act.path or f"{CEREMONY_PREFIX}1"
        signature = CEREMONY_INTERFACE.methods[member].signature
        assert error_of(await eve.respond(path, member, signature, *body)) == "NoSuchCeremony"
    serial = (await eve.call("Status")).serial
    for guess in range(serial + 1, serial + GUESSES):
        await eve.bus.send(reply_as_the_bus(owner, guess))
    for destination in (None, owner):
        await eve.bus.send(say_goodbye(destination, act.by.name))
    await forge_sleep(act.scene.bus)


def reply_as_the_bus(destination: str, serial: int) -> Message:
    """Say of whomever is asked about that he is root."""
    return Message(
        destination=destination,
        message_type=MessageType.METHOD_RETURN,
        reply_serial=serial,
        signature="a{sv}",
        body=[{"UnixUserID": Variant("u", ROOT)}],
    )


def say_goodbye(destination: str | None, name: str) -> Message:
    """Say that a connection has left the bus."""
    return Message(
        destination=destination,
        message_type=MessageType.SIGNAL,
        path="/org/freedesktop/DBus",
        interface=NAME_OF_BUS,
        member="NameOwnerChanged",
        signature="sss",
        body=[name, name, ""],
    )
