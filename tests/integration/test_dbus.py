"""The D-Bus door over a real bus: one request from call to verdict, and managing."""

import asyncio

import pytest
from dbus_fast import Message, MessageFlag, MessageType, Variant
from dbus_support import (
    ADA,
    BOB,
    PATIENCE,
    caller,
    error_of,
    open_door,
    read_error,
    run_as,
    start_client,
)
from doors_support import FAULTS, PRIVATE_PATH

from stepupd.api.dbus_interface import CEREMONY, INTROSPECTABLE, MANAGER, PEER, PROPERTIES
from stepupd.api.limits import Limits
from stepupd.core.effects import TroubleKind
from stepupd.core.model import Door


async def test_a_question_is_answered_and_allowed():
    async with open_door() as setup, caller(setup.bus) as ada:
        path = await ada.begin("test:ask")
        question = await ada.signal()
        reply = await ada.respond(path, "Respond", "us", question.body[0], "1234")

        assert (question.member, question.body[1:]) == ("Question", ["PIN: ", True])
        assert reply.message_type is MessageType.METHOD_RETURN
        assert await ada.verdict() == ("allow", "proved")


async def test_every_signal_is_for_the_caller_alone():
    """Attack 34: a listener who asks the bus for all our signals hears nothing of a ceremony."""
    async with open_door() as setup, caller(setup.bus) as ada, caller(setup.bus) as eve:
        await eve.ask_bus("AddMatch", "s", "type='signal'")
        path = await ada.begin("test:ask")
        question = await ada.signal()
        await ada.respond(path, "Respond", "us", question.body[0], "1234")
        await ada.verdict()
        setup.door.announce(PolicyDigest="11")
        heard = await eve.signal()

        assert question.destination == ada.name
        assert heard.member == "PropertiesChanged"  # the first thing that eve hears
        assert eve.signals.empty()


async def test_declining_is_a_no():
    async with open_door() as setup, caller(setup.bus) as ada:
        path = await ada.begin("test:ask")
        question = await ada.signal()
        await ada.respond(path, "Decline", "u", question.body[0])

        assert await ada.verdict() == ("deny", "declined")


async def test_an_answer_that_is_too_long_is_a_no():
    async with open_door() as setup, caller(setup.bus) as ada:
        path = await ada.begin("test:ask")
        question = await ada.signal()
        reply = await ada.respond(path, "Respond", "us", question.body[0], "1" * 1025)

        assert error_of(reply) == "BadRequest"
        assert await ada.verdict() == ("deny", "declined")


async def test_an_answer_to_no_question_is_an_error():
    """Attack 35: early, twice or to another number, it counts for nothing."""
    async with open_door() as setup, caller(setup.bus) as ada:
        path = await ada.begin("test:ask-late")
        first, second = await ada.signal(), await ada.signal()
        assert (first.body[0], second.body[0]) == (1, 2)
        for number in (0, 1, 3):
            reply = await ada.respond(path, "Respond", "us", number, "1234")
            assert error_of(reply) == "NoSuchQuestion"
        await ada.respond(path, "Respond", "us", 2, "9999")
        assert error_of(await ada.respond(path, "Respond", "us", 2, "1234")) in {
            "NoSuchQuestion",
            "NoSuchCeremony",
        }
        assert await ada.verdict() == ("deny", "too-many-tries")


async def test_cancel_ends_it_and_the_object_is_gone():
    async with open_door() as setup, caller(setup.bus) as ada:
        path = await ada.begin("test:wait")
        await setup.service.asked.get()
        await ada.respond(path, "Cancel")

        assert await ada.verdict() == ("deny", "cancelled")
        assert error_of(await ada.respond(path, "Cancel")) == "NoSuchCeremony"


async def test_a_check_is_one_call():
    """The verdict is the reply; texts come as signals, questions are declined."""
    async with open_door() as setup, caller(setup.bus) as ada:
        allowed = await ada.call("Check", "sa{sv}", "test:allow", {})
        declined = await ada.call("Check", "sa{sv}", "test:ask", {})

        assert allowed.body[:3] == ["allow", "grant", ""]
        assert allowed.body[3]["auth_age"] == Variant("d", 1.5)
        assert declined.body[:2] == ["deny", "declined"]


async def test_options_reach_the_service():
    async with open_door() as setup, caller(setup.bus) as ada:
        options = {
            "subject": Variant("s", "bin"),
            "level": Variant("s", "verify"),
            "max_age": Variant("d", 60.0),
            "command": Variant("as", ["rm", "x"]),
            "reason": Variant("s", "because"),
        }
        await ada.call("Check", "sa{sv}", "test:allow", options)
        ((_, who, subject, call),) = setup.service.calls

        assert (who.uid, who.door, subject) == (0, Door.BUS, "bin")
        assert (call.level.word, call.max_age, call.session) == ("verify", 60.0, None)
        assert (call.claim.command, call.claim.reason) == (("rm", "x"), "because")


@pytest.mark.parametrize("fault", [*FAULTS, "unrecorded"])
async def test_a_failure_tells_nothing_of_us(fault):
    """Neither as an error reply nor in a verdict: a reason and a sentence, never "allow"."""
    async with open_door() as setup, caller(setup.bus) as ada:
        name, text = read_error(await ada.call("Check", "sa{sv}", f"test:{fault}", {}))

        assert name.startswith("org.stepupd1.Error.")
        assert PRIVATE_PATH not in text
        assert "Traceback" not in text


async def test_a_step_up_for_the_services_own_caller():
    """Root asks for another account, whose connection it names; the account comes from the bus."""
    async with open_door() as setup, caller(setup.bus) as service:
        client = await start_client(setup, BOB)
        reply = await service.call("CheckFor", "ssa{sv}", client.name, "test:allow", {})

        assert reply.body[0] == "allow"
        assert setup.service.calls[-1][2] == "bin"
        await client.leave()


async def test_the_clients_end_is_the_ceremonys_end():
    async with open_door() as setup, caller(setup.bus) as service:
        client = await start_client(setup, BOB)
        await service.call("StepUpFor", "ssa{sv}", client.name, "test:wait", {})
        await setup.service.asked.get()
        await client.leave()
        async with asyncio.timeout(PATIENCE):
            assert await setup.service.ended.get() is TroubleKind.HANG_UP

        assert await service.verdict() == ("deny", "caller-gone")


@pytest.mark.parametrize("name", [":9.99", "org.freedesktop.DBus", "", "1000", ":"])
async def test_a_client_that_is_no_connection_is_refused(name):
    async with open_door() as setup, caller(setup.bus) as service:
        reply = await service.call("CheckFor", "ssa{sv}", name, "test:allow", {})

        assert error_of(reply) in {"ClientGone", "BadRequest"}
        assert setup.service.calls == []


async def test_an_ordinary_account_asks_for_no_other_client():
    async with open_door() as setup, caller(setup.bus) as root:
        said = await run_as(
            ADA,
            setup.bus,
            """
print(await call(bus, *manager, 'CheckFor', 'ssa{sv}', [sys.argv[3], 'test:allow', {}]))
print(await call(bus, *manager, 'CheckFor', 'ssa{sv}', [bus.unique_name, 'test:allow', {}]))
""",
            root.name,
        )
        other, own = said.strip().split("\n")

        assert "Error.NotPermitted" in other
        assert "'allow'" in own


async def test_status_properties_and_their_signal():
    async with open_door() as setup, caller(setup.bus) as ada:
        status = (await ada.call("Status")).body[0]
        values = (await ada.call("GetAll", "s", MANAGER, interface=PROPERTIES)).body[0]
        mode = await ada.call("Get", "ss", MANAGER, "Mode", interface=PROPERTIES)

        assert status["is_simulated"] == Variant("b", False)
        assert set(values) == {"Version", "Mode", "RpId", "PolicyDigest"}
        assert mode.body == [Variant("s", "system")]
        await ada.ask_bus("AddMatch", "s", "type='signal',path='/org/stepupd1'")
        setup.door.announce(PolicyDigest="22")
        assert (await ada.signal()).body == [MANAGER, {"PolicyDigest": Variant("s", "22")}, []]


async def test_managing_keys_and_grants():
    async with open_door() as setup, caller(setup.bus) as ada:
        keys = (await ada.call("ListCredentials", "a{sv}", {})).body[0]
        grants = (await ada.call("ListGrants", "a{sv}", {})).body[0]
        revoked = await ada.call("Revoke", "sa{sv}", "", {})
        await ada.call("Enroll", "sa{sv}", "green", {})

        assert keys[0]["name"] == Variant("s", "blue")
        assert grants[0]["expires_in"].signature == "d"
        assert revoked.body == [2]
        assert (await ada.signal()).body[0] == "Touch the new key."
        finished = await ada.signal()
        assert finished.body[3]["credential"].value["name"] == Variant("s", "blue")


async def test_the_audit_tail_and_reload_are_for_root():
    async with open_door() as setup, caller(setup.bus) as root:
        tail = await root.call("AuditTail", "u", 2)
        await root.call("Reload")
        said = await run_as(
            ADA,
            setup.bus,
            "print(await call(bus, *manager, 'AuditTail', 'u', [2]))\n"
            "print(await call(bus, *manager, 'Reload', '', []))",
        )

        assert tail.body == [['{"seq":0}', '{"seq":1}']]
        assert error_of(await root.call("AuditTail", "u", 101)) == "BadRequest"
        assert said.count("Error.NotPermitted") == 2
        assert len(setup.reloads) == 1


async def test_introspection_and_ping():
    async with open_door() as setup, caller(setup.bus) as ada:
        await ada.begin("test:wait")
        top = await ada.call("Introspect", path="/org/stepupd1", interface=INTROSPECTABLE)
        ping = await ada.call("Ping", path="/anything", interface=PEER)

        assert f'"{MANAGER}"' in top.body[0]
        assert "ceremony/1" not in top.body[0]  # whose they are is nobody's business
        assert ping.message_type is MessageType.METHOD_RETURN


@pytest.mark.parametrize(
    ("member", "path", "interface", "error"),
    [
        ("Nothing", "/org/stepupd1", MANAGER, "AccessDenied"),
        ("GetManagedObjects", "/", "org.freedesktop.DBus.ObjectManager", "AccessDenied"),
        ("Introspect", "/org/stepupd1", MANAGER, "AccessDenied"),
        ("Status", "/org", MANAGER, "UnknownObject"),
        ("Status", "/org/stepupd1/ceremony/1", MANAGER, "UnknownInterface"),
        ("Cancel", "/org/stepupd1", CEREMONY, "UnknownInterface"),
        ("Cancel", "/org/stepupd1/ceremony/99", CEREMONY, "NoSuchCeremony"),
        ("GetAll", "/org/stepupd1", PROPERTIES, "BadRequest"),
    ],
)
async def test_what_is_not_there(member, path, interface, error):
    """The bus refuses what is in no list of its policy; the door refuses the rest."""
    async with open_door() as setup, caller(setup.bus) as ada:
        reply = await ada.call(member, path=path, interface=interface)

        assert error_of(reply) == error


async def test_too_much_at_once_is_busy():
    """Four ceremonies for one account, root apart; the fifth is refused at once."""
    code = """
async def one():
    return await call(bus, *manager, 'StepUp', 'sa{sv}', ['test:wait', {}])
for answer in await asyncio.gather(*(one() for _ in range(6))):
    print(answer[0])
"""
    async with open_door() as setup:
        said = await run_as(ADA, setup.bus, code)

        assert said.count("Error.Busy") == 2
        assert setup.service.peak == 4


async def test_an_account_that_asks_too_often_is_busy():
    """The allowance is the account's, as at the sockets; root draws on none."""
    code = """
for _ in range(4):
    print((await call(bus, *manager, 'Check', 'sa{sv}', ['test:allow', {}]))[0])
"""
    async with open_door(Limits(burst=3, calls_per_second=0.001)) as setup:
        said = await run_as(ADA, setup.bus, code)

        assert said.split() == ["org.stepupd1.Error.Busy"]
        assert len(setup.service.calls) == 3


async def test_a_connection_has_few_calls_at_once():
    async with open_door(Limits(calls=2)) as setup, caller(setup.bus) as ada:
        for _ in range(2):
            await ada.begin("test:wait")

        assert error_of(await ada.call("Status")) == "Busy"


async def test_idle_connections_of_one_account_make_room():
    """One connection too many is served: the oldest idle one is asked about again later."""
    async with (
        open_door(Limits(connections_of_root=2)) as setup,
        caller(setup.bus) as first,
        caller(setup.bus) as second,
        caller(setup.bus) as third,
    ):
        for one in (first, second, third, first):
            assert (await one.call("Status")).message_type is MessageType.METHOD_RETURN

        assert setup.admission.connections == 2


async def test_a_call_that_wants_no_reply_gets_none():
    async with open_door() as setup, caller(setup.bus) as ada:
        ada.bus.send(make_quiet_call())
        reply = await ada.call("Status")

        assert reply.message_type is MessageType.METHOD_RETURN
        assert [name for name, *_ in setup.service.calls] == ["Status", "Status"]


def make_quiet_call():
    return Message(
        destination="org.stepupd1",
        path="/org/stepupd1",
        interface=MANAGER,
        member="Status",
        flags=MessageFlag.NO_REPLY_EXPECTED,
    )
