"""A service asks for its own caller by pidfd: whose account, which session, how long."""

import asyncio
import os
from contextlib import asynccontextmanager

import pytest
from dbus_support import ADA, BOB, PATIENCE, caller, error_of, open_door, run_as, start_client

from stepupd.core.effects import TroubleKind
from stepupd.host.process import find_session

CALL = "hsa{sv}"


@asynccontextmanager
async def client_of(setup, uid):
    """Run a process of an account; give it, and its pidfd."""
    client = await start_client(setup, uid)
    pidfd = os.pidfd_open(client.process.pid)
    try:
        yield client, pidfd
    finally:
        os.close(pidfd)
        if client.process.returncode is None:
            await client.leave()


async def test_the_account_and_the_session_are_the_processs():
    async with (
        open_door() as setup,
        caller(setup.bus) as service,
        client_of(setup, BOB) as (client, pidfd),
    ):
        reply = await service.call("CheckForProcess", CALL, 0, "test:allow", {}, passed=[pidfd])
        ((_, who, subject, call),) = setup.service.calls

        assert reply.body[0] == "allow"
        assert (who.uid, subject) == (0, "bin")
        assert call.session == find_session(client.process.pid, pidfd)
        assert call.session is not None


async def test_a_ceremony_is_the_services_own():
    """Questions go to the service, which asked, and not to the process."""
    async with (
        open_door() as setup,
        caller(setup.bus) as service,
        client_of(setup, BOB) as (_, pidfd),
    ):
        reply = await service.call("StepUpForProcess", CALL, 0, "test:ask", {}, passed=[pidfd])
        question = await service.signal()
        await service.respond(reply.body[0], "Respond", "us", question.body[0], "1234")

        assert await service.verdict() == ("allow", "proved")


async def test_the_processs_end_is_the_ceremonys_end():
    async with (
        open_door() as setup,
        caller(setup.bus) as service,
        client_of(setup, BOB) as (client, pidfd),
    ):
        await service.call("StepUpForProcess", CALL, 0, "test:wait", {}, passed=[pidfd])
        await setup.service.asked.get()
        await client.leave()
        async with asyncio.timeout(PATIENCE):
            assert await setup.service.ended.get() is TroubleKind.HANG_UP

        assert await service.verdict() == ("deny", "caller-gone")


async def test_a_process_that_has_ended_is_refused():
    async with (
        open_door() as setup,
        caller(setup.bus) as service,
        client_of(setup, BOB) as (client, pidfd),
    ):
        await client.leave()
        reply = await service.call("CheckForProcess", CALL, 0, "test:allow", {}, passed=[pidfd])

        assert error_of(reply) == "ClientGone"
        assert setup.service.calls == []


async def test_attack_032_nobody_borrows_a_session_of_his_own():
    """One terminal's grant is not spent from another, whose process is easily named.

    An account that is not root asks for itself, and no session is known.
    """
    async with open_door() as setup:
        said = await run_as(
            ADA,
            setup.bus,
            """
passed = [os.pidfd_open(os.getpid())]
print(await call(bus, *manager, 'CheckForProcess', 'hsa{sv}', [0, 'test:allow', {}],
    passed=passed))
""",
        )
        ((_, who, _, call),) = setup.service.calls

        assert "'allow'" in said
        assert (who.uid, call.session) == (ADA, None)


@pytest.mark.parametrize("name", ["Check", "CheckFor"])
async def test_without_a_pidfd_there_is_no_session(name):
    async with open_door() as setup, caller(setup.bus) as service:
        named = [service.name] if name == "CheckFor" else []
        await service.call(name, "s" * len(named) + "sa{sv}", *named, "test:allow", {})

        assert setup.service.calls[-1][3].session is None
