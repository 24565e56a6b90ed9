"""Groups B and K at the D-Bus door: who is asking, for whom, and what junk may do."""

import asyncio
import os
import re
import socket
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_support import (
    ADA,
    BOB,
    NAMES,
    PATIENCE,
    caller,
    error_of,
    open_door,
    run_as,
)

from stepupd.api.dbus_bus import Bus
from stepupd.api.dbus_interface import MANAGER, MANAGER_INTERFACE, NAME, ROOT_PATH
from stepupd.api.dbus_message import Kind
from stepupd.api.dbus_message import Message as Ours
from stepupd.core.errors import InternalError, RequestError

CODE = Path(__file__).parents[2] / "stepupd"

# Every method of the manager: how one account would use it for another, None where it names nobody.
FOR_ANOTHER = {
    "StepUp": ("sa{sv}", ["test:allow"]),
    "StepUpFor": ("ssa{sv}", ["CLIENT", "test:allow"]),
    "Check": ("sa{sv}", ["test:allow"]),
    "CheckFor": ("ssa{sv}", ["CLIENT", "test:allow"]),
    "StepUpForProcess": ("hsa{sv}", [0, "test:allow"]),
    "CheckForProcess": ("hsa{sv}", [0, "test:allow"]),
    "Enroll": ("sa{sv}", ["mine"]),
    "RenameCredential": ("ssa{sv}", ["blue", "mine"]),
    "RemoveCredential": ("sa{sv}", ["blue"]),
    "ListCredentials": ("a{sv}", []),
    "ListGrants": ("a{sv}", []),
    "Revoke": ("sa{sv}", [""]),
    "PushEvent": ("ssa{sv}", [NAMES[BOB], "session-revoked"]),
    "AuditTail": ("u", [1]),
    "Reload": ("", []),
    "Status": None,
}

VANISH = """
for number in range(int(sys.argv[3])):
    bus = await MessageBus(address).connect()
    for member, signature, body in (('Reload', '', []), ('AuditTail', 'u', [1]),
            ('ListGrants', 'a{sv}', [{'subject': Variant('s', 'root')}]),
            ('Check', 'sa{sv}', ['test:allow', {}])):
        await bus.send(Message(destination='org.stepupd1', path='/org/stepupd1',
            interface='org.stepupd1.Manager', member=member, signature=signature, body=body))
    for _ in range(number % 5):
        await bus.call(Message(destination='org.freedesktop.DBus', path='/org/freedesktop/DBus',
            interface='org.freedesktop.DBus', member='GetId'))
    bus.disconnect()
    await bus.wait_for_disconnect()
"""


async def test_attack_019_a_caller_that_vanishes_is_nobody_and_never_root():
    """It leaves at once, or 1 to 4 round trips later: what only root may never happens."""
    async with open_door() as setup:
        await run_as(ADA, setup.bus, VANISH, 300)
        async with caller(setup.bus) as root:
            await root.call("Status")

        assert setup.reloads == []
        assert {who.uid for name, who, *_ in setup.service.calls if name != "Status"} <= {ADA}


def test_attack_019_no_account_is_assumed():
    """No line of the daemon has a uid to fall back on."""
    fallback = re.compile(r"uid\w*\W+or\s+0\b|[Uu]id\w*['\"],\s*0\b|(?<!per_)uid: int = ")

    assert not [p for p in CODE.rglob("*.py") if fallback.search(p.read_text())]


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"ProcessID": Variant("u", 1)},
        {"UnixUserID": Variant("i", 0)},
        {"UnixUserID": Variant("t", 0)},
        {"UnixUserID": Variant("s", "0")},
        {"UnixUserID": Variant("u", 65534)},
        {"UnixUserID": Variant("u", 2**32 - 1)},
    ],
    ids=str,
)
async def test_attack_019_credentials_that_do_not_say_who(facts):
    """Attacks 24 and 29 too: another type, "nobody", and no answer are refused, never root."""
    typed = {name: make_typed(value) for name, value in facts.items()}

    with pytest.raises(RequestError) as refused:
        await identify(Ours(Kind.RETURN, sender=BUS, signature="a{sv}", body=(typed,)))

    assert refused.value.reason == "unauthenticated"


async def test_attack_019_an_error_instead_of_credentials():
    with pytest.raises(RequestError) as refused:
        await identify(Ours(Kind.ERROR, sender=BUS, error="org.freedesktop.DBus.Error.Failed"))

    assert refused.value.reason == "caller-gone"


async def test_attack_035_a_reply_from_somebody_else_is_no_reply():
    """Only the connection that was asked answers; a guessed serial is worth nothing."""
    forged = Ours(Kind.RETURN, sender=":1.9", signature="a{sv}", body=({},))

    with pytest.raises(InternalError):
        await identify(forged)


BUS = "org.freedesktop.DBus"


class Sent:
    """A connection that keeps what is sent."""

    def __init__(self):
        self.serials = 0

    def next_serial(self):
        self.serials += 1
        return self.serials

    def send(self, frame):
        pass


async def identify(reply):
    from dataclasses import replace  # noqa: PLC0415 - only here

    bus = Bus(Sent(), lambda _: b"")
    asking = asyncio.ensure_future(bus.identify(":1.5"))
    await asyncio.sleep(0)
    bus.take_reply(replace(reply, reply_serial=1))
    return await asking


def make_typed(variant):
    from stepupd.api.dbus_message import Typed  # noqa: PLC0415 - only here

    return Typed(variant.signature, variant.value)


def test_attack_021_polkit_is_never_told_a_process():
    """The subject is the bus name; that it is so on the wire is pinned with our own polkit."""
    assert not [p for p in CODE.rglob("*.py") if "unix-process" in p.read_text()]
    assert "system-bus-name" in (CODE / "api" / "dbus_polkit.py").read_text()


def test_attack_023_every_method_is_in_the_table():
    """A new method fails here until it has a row."""
    assert set(FOR_ANOTHER) == set(MANAGER_INTERFACE.methods)


@pytest.mark.parametrize("member", [name for name, row in FOR_ANOTHER.items() if row])
async def test_attack_023_nobody_acts_for_another(member):
    """As an ordinary account, for another one, with no polkit to say yes."""
    signature, body = FOR_ANOTHER[member]
    async with open_door() as setup, caller(setup.bus) as root:
        arguments = [root.name if one == "CLIENT" else one for one in body]
        code = f"""
body = {arguments!r}
if {signature!r}.endswith('a{{sv}}'):
    names_it = {member!r}.endswith(('For', 'Process', 'Event'))
    body.append({{}} if names_it else {{'subject': Variant('s', {NAMES[BOB]!r})}})
# Its parent, whose pidfd anybody may have, is root's.
passed = [os.pidfd_open(os.getppid())] if {member!r}.endswith('Process') else []
print(await call(bus, *manager, {member!r}, {signature!r}, body, passed=passed))
"""
        said = await run_as(ADA, setup.bus, code)

        assert "org.stepupd1.Error.NotPermitted" in said
        assert setup.reloads == []


async def test_attack_034_nobody_else_gets_our_name():
    """An ordinary account is refused by the bus's policy; root finds it taken."""
    code = """
reply = await bus.call(Message(destination='org.freedesktop.DBus', path='/org/freedesktop/DBus',
    interface='org.freedesktop.DBus', member='RequestName', signature='su',
    body=['org.stepupd1', 7]))
print(reply.error_name)
"""
    async with open_door() as setup, caller(setup.bus) as root:
        said = await run_as(ADA, setup.bus, code)
        taken = await root.ask_bus("RequestName", "su", NAME, 7)

        assert said == "org.freedesktop.DBus.Error.AccessDenied\n"
        assert taken.body == [3]  # DBUS_REQUEST_NAME_REPLY_EXISTS


async def test_attack_034_what_is_not_listed_does_not_arrive():
    """Signals, unknown methods and foreign interfaces stop at the bus, for root as well."""
    code = """
for interface, member in (('org.stepupd1.Manager', 'Steal'), ('org.example', 'StepUp'),
        ('org.freedesktop.DBus.Properties', 'Set')):
    print((await call(bus, '/org/stepupd1', interface, member, '', []))[0])
"""
    async with open_door() as setup:
        said = await run_as(ADA, setup.bus, code)

        assert said.count("AccessDenied") == 3
        assert setup.service.calls == []


async def test_attack_035_a_forged_goodbye_ends_nobodys_ceremony():
    """NameOwnerChanged from anybody but the bus is noise."""
    async with open_door() as setup, caller(setup.bus) as ada, caller(setup.bus) as eve:
        path = await ada.begin("test:ask")
        await ada.signal()
        await eve.bus.send(
            Message(
                message_type=MessageType.SIGNAL,
                path="/org/freedesktop/DBus",
                interface=BUS,
                member="NameOwnerChanged",
                signature="sss",
                body=[ada.name, ada.name, ""],
            )
        )
        await eve.call("Status")
        await ada.respond(path, "Respond", "us", 1, "1234")

        assert await ada.verdict() == ("allow", "proved")


async def test_attack_141_a_call_that_is_too_long_is_dropped_and_others_are_served():
    """A path of a million characters, and a million options: no memory, no reply, no harm."""
    async with open_door() as setup, caller(setup.bus) as eve, caller(setup.bus) as ada:
        for parts in (
            {"path": "/" + "a" * 10**6},
            {"signature": "a{sv}", "body": [{str(n): Variant("y", 1) for n in range(50_000)}]},
        ):
            message = {"path": ROOT_PATH, "interface": MANAGER, "member": "Status"} | parts
            await eve.bus.send(Message(destination=NAME, **message))

        assert (await ada.call("Status")).message_type is MessageType.METHOD_RETURN
        assert (await eve.call("Status")).message_type is MessageType.METHOD_RETURN


async def test_attack_141_mutated_calls_neither_kill_nor_pass():
    """Every byte of a good call changed in two ways: the bus or the door refuses, both live on."""
    good = Message(
        destination=NAME,
        path=ROOT_PATH,
        interface=MANAGER,
        member="Check",
        signature="sa{sv}",
        body=["test:no-rule", {"level": Variant("s", "touch")}],
        serial=7,
    )
    frame = bytes(good._marshall(False))
    async with open_door() as setup:
        loop = asyncio.get_running_loop()
        for at in range(len(frame)):
            async with caller(setup.bus) as eve:
                for flip in (0x01, 0x80):
                    broken = frame[:at] + bytes([frame[at] ^ flip]) + frame[at + 1 :]
                    with socket.socket(fileno=os.dup(eve.bus._fd)) as raw:
                        raw.setblocking(False)
                        try:
                            await loop.sock_sendall(raw, broken)
                        except OSError:
                            break  # the bus has hung up on it
        async with caller(setup.bus) as ada, asyncio.timeout(PATIENCE):
            assert (await ada.call("Status")).message_type is MessageType.METHOD_RETURN
            assert error_of(await ada.call("Check", "s", "test:allow")) == "BadRequest"
