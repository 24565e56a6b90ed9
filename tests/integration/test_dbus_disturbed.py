"""Every method of the D-Bus door with everything that may go wrong around it."""

import asyncio
import os

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_support import PATIENCE, caller, error_of, open_door

from stepupd.api.dbus_interface import (
    CEREMONY,
    CEREMONY_INTERFACE,
    MANAGER,
    MANAGER_INTERFACE,
    NAME,
    Ends,
)
from stepupd.core.effects import TroubleKind

METHODS = MANAGER_INTERFACE.methods
CEREMONIES = [name for name, method in METHODS.items() if method.ends is not Ends.AT_ONCE]
WRONG = {"s": Variant("u", 7), "d": Variant("x", 7), "as": Variant("s", "x")}


def make_body(name, client, **options):
    """Return good arguments for a method."""
    values = {"action": "test:allow", "bus_name": client, "count": 1, "options": options}
    values |= {"event": "session-revoked", "process": 0}
    return [values.get(argument, "blue") for argument, _ in METHODS[name].arguments]


@pytest.fixture
def passed(name):
    """Give the descriptors that a good call of the method brings: a pidfd of ours, or none."""
    pidfds = [os.pidfd_open(os.getpid())] if METHODS[name].is_for_process else []
    yield pidfds
    for pidfd in pidfds:
        os.close(pidfd)


def test_nothing_is_forgotten():
    """What this file iterates over is all that is served."""
    assert len(METHODS) == 16
    assert set(CEREMONY_INTERFACE.methods) == {"Respond", "Decline", "Cancel"}


@pytest.mark.parametrize("name", METHODS)
async def test_it_works_undisturbed(name, passed):
    """Pins the table above: a call that was refused for its arguments would test nothing."""
    async with open_door() as setup, caller(setup.bus) as ada:
        body = make_body(name, ada.name)
        reply = await ada.call(name, METHODS[name].signature, *body, passed=passed)

        assert reply.message_type is MessageType.METHOD_RETURN, reply.body
        assert reply.signature == METHODS[name].out_signature


@pytest.mark.parametrize("name", METHODS)
async def test_wrong_types(name, passed):
    """Too few, too many, others: an error each, and the service hears of none."""
    async with open_door() as setup, caller(setup.bus) as ada:
        good = METHODS[name].signature
        for signature, body in (
            (good + "u", [*make_body(name, ada.name), 1]),
            ("ay", [b"abc"]),
            ("t", [1]),
            ("v", [Variant("s", "x")]),
            *([] if good == "" else [("", [])]),
        ):
            reply = await ada.call(name, signature, *body, passed=passed)
            assert error_of(reply) == "BadRequest"

        assert setup.service.calls == setup.reloads == []


@pytest.mark.parametrize("name", [n for n, method in METHODS.items() if method.options])
async def test_wrong_options(name, passed):
    """Attack 22: each option with another type, and one that there is not."""
    async with open_door() as setup, caller(setup.bus) as ada:
        wrong = [{key: WRONG[kind]} for key, kind in METHODS[name].options.items()]
        for options in (*wrong, {"uid": Variant("u", 0)}, {"": Variant("s", "")}):
            body = make_body(name, ada.name, **options)
            reply = await ada.call(name, METHODS[name].signature, *body, passed=passed)
            assert error_of(reply) == "BadRequest", options

        assert setup.service.calls == []


@pytest.mark.parametrize(
    "options",
    [
        {"max_age": Variant("d", float("nan"))},
        {"max_age": Variant("d", float("inf"))},
        {"max_age": Variant("d", -1.0)},
        {"level": Variant("s", "Touch")},
        {"level": Variant("s", "")},
        {"command": Variant("as", ["x"] * 1025)},
        {"reason": Variant("s", "x" * 513)},
        {"subject": Variant("s", "x\n")},
    ],
    ids=str,
)
async def test_values_out_of_bounds(options):
    async with open_door() as setup, caller(setup.bus) as ada:
        reply = await ada.call("Check", "sa{sv}", "test:allow", options)

        assert error_of(reply) == "BadRequest"
        assert setup.service.calls == []


@pytest.mark.parametrize("name", METHODS)
async def test_the_caller_vanishes(name, passed):
    """Right after the call, before anybody could look: the door goes on, and nothing is left."""
    async with open_door() as setup:
        for _ in range(5):
            async with caller(setup.bus) as ada:
                message = Message(
                    destination=NAME,
                    path="/org/stepupd1",
                    interface=MANAGER,
                    member=name,
                    signature=METHODS[name].signature,
                    body=make_body(name, ada.name),
                    unix_fds=passed,
                )
                await ada.bus.send(message)
        async with caller(setup.bus) as bob:
            assert (await bob.call("Status")).message_type is MessageType.METHOD_RETURN
            await settle(setup, bob)

        assert setup.service.running == 0


@pytest.mark.parametrize("name", [one for one in CEREMONIES if METHODS[one].serves == "StepUp"])
async def test_the_caller_vanishes_in_the_middle(name, passed):
    """The ceremony hears it as a hang-up: the key stops blinking."""
    async with open_door() as setup:
        async with caller(setup.bus) as ada:
            body = make_body(name, ada.name)
            body[-2] = "test:wait"
            pending = asyncio.ensure_future(
                ada.call(name, METHODS[name].signature, *body, passed=passed)
            )
            async with asyncio.timeout(PATIENCE):
                await setup.service.asked.get()
            pending.cancel()
        async with asyncio.timeout(PATIENCE):
            assert await setup.service.ended.get() is TroubleKind.HANG_UP


@pytest.mark.parametrize("member", CEREMONY_INTERFACE.methods)
async def test_a_stranger_answers(member):
    """Attack 35: to anybody but its caller a ceremony does not exist, root or not."""
    bodies = {"Respond": [1, "1234"], "Decline": [1], "Cancel": []}
    signature = CEREMONY_INTERFACE.methods[member].signature
    async with open_door() as setup, caller(setup.bus) as ada, caller(setup.bus) as eve:
        path = await ada.begin("test:ask")
        await ada.signal()
        refused = await eve.respond(path, member, signature, *bodies[member])
        missing = await eve.respond(path + "9", member, signature, *bodies[member])
        await ada.respond(path, "Respond", "us", 1, "1234")

        assert (refused.error_name, refused.body) == (missing.error_name, missing.body)
        assert error_of(refused) == "NoSuchCeremony"
        assert await ada.verdict() == ("allow", "proved")


async def test_many_at_once():
    """Twenty callers with six calls each are all answered, each with its own answer."""
    async with open_door() as setup, caller(setup.bus) as watch:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(ask_six(setup, "allow" if number % 2 else "no-rule"))
        await settle(setup, watch)


async def ask_six(setup, word):
    async with caller(setup.bus) as one:
        calls = (one.call("Check", "sa{sv}", f"test:{word}", {}) for _ in range(6))
        verdicts = {reply.body[0] for reply in await asyncio.gather(*calls)}

    assert verdicts == {"allow" if word == "allow" else "deny"}


async def test_bus_restarts():
    """Twenty in a row: what ran has ended, the name comes back, and nothing has to be done."""
    async with open_door() as setup:
        for _ in range(20):
            async with caller(setup.bus) as ada:
                await ada.begin("test:wait")
                await setup.service.asked.get()
                setup.bus.stop()
                async with asyncio.timeout(PATIENCE):
                    assert await setup.service.ended.get() is TroubleKind.HANG_UP
            setup.bus.start()
            await setup.is_up()

        assert setup.service.running == 0
        assert setup.admission.connections == 0


async def test_closing_the_door_ends_what_runs():
    async with open_door() as setup, caller(setup.bus) as ada:
        await ada.begin("test:wait")
        await setup.door.close()

        assert setup.service.running == 0
        assert (await ada.ask_bus("NameHasOwner", "s", NAME)).body == [False]
        await setup.door.close()


async def test_a_daemon_that_nobody_asks_loads_no_codec():
    """The door costs an idle daemon a connection, and not the 3 MiB of the library."""
    import sys  # noqa: PLC0415 - only here

    code = """
import asyncio, sys
sys.path[:0] = sys.argv[2:]
from stepupd.api.dbus_door import BusDoor
async def main():
    door = BusDoor(sys.argv[1], None, None)
    door.start()
    while door._wire is None:
        await asyncio.sleep(0)
    print("dbus_fast" in sys.modules)
    await door.close()
asyncio.run(main())
"""
    async with open_door() as setup:
        await setup.door.close()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", code, setup.bus.address, stdout=-1
        )
        output, _ = await child.communicate()

    assert output == b"False\n"


async def settle(setup, witness):
    """Return once the door has counted everybody but the witness out."""
    async with asyncio.timeout(PATIENCE):
        while setup.admission.connections > 1 or setup.service.running:
            await witness.call("Status")


def test_ceremony_methods_are_named_as_they_are():
    assert CEREMONY == "org.stepupd1.Ceremony"
    assert {"StepUp", "Check", "Enroll"} < set(CEREMONIES)
