"""The whole daemon with a logind on its system bus: sleep, and keys that are pulled out."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from daemon_support import POLICY
from dbus_support import PATIENCE, PrivateBus
from login1_support import logind_on

BOUND = POLICY + "while_plugged = true\n"
LOCK = "[sessions]\nlock_on_removal = true\n"
OWN, OTHER = 0, 4711
SESSIONS = (("1", OWN), ("2", OTHER), ("c3", OWN))


@pytest.fixture
def bus(machine):
    made = PrivateBus(machine.base)
    made.start()
    yield made
    made.stop()


@asynccontextmanager
async def up(machine, bus):
    """Run logind and a daemon with one enrolled key."""
    async with logind_on(bus, *SESSIONS) as logind:
        address = bus.address
        await asyncio.to_thread(machine.start, DBUS_SYSTEM_BUS_ADDRESS=address)
        await logind.until(lambda: logind.delays)
        await asyncio.to_thread(machine.enroll)
        yield logind


def verify(machine):
    with machine.client() as client:
        return client.call("StepUp", {"action": "cli:verify"})


async def begin(machine):
    """Begin a request, and return it once the key blinks."""
    asking = asyncio.ensure_future(asyncio.to_thread(verify, machine))
    assert await asyncio.to_thread(machine.key().wait_for_blink, PATIENCE)
    return asking


async def prove(machine):
    asking = await begin(machine)
    assert machine.key().touch()
    assert (await asking)["reason"] == "proved"


async def entry_of(machine, kind):
    """Return the first entry of a kind, once there is one."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = [entry for entry in machine.read_entries() if entry["kind"] == kind]
            if found:
                return found[0]
            await asyncio.sleep(0.01)


async def test_attack_069_the_machine_sleeps_while_a_key_blinks(machine, bus):
    """Sleep comes only once the request is cancelled and the key is dark; then all is well."""
    async with up(machine, bus) as logind:
        asking = await begin(machine)
        logind.prepare_for_sleep(True)
        await logind.delays[0].ends()

        assert not machine.key().touch()
        assert (await asking)["reason"] == "cancelled"

        logind.prepare_for_sleep(False)
        await logind.until(lambda: len(logind.delays) == 2)
        await prove(machine)
        assert [reason for _, reason in machine.read_verdicts()][1:] == ["cancelled", "proved"]


async def test_a_pulled_key_locks_the_persons_sessions(machine, bus):
    """Fault matrix, unplugged: the grant is gone, the entry says why, and only his screens lock."""
    machine.write_policy(BOUND)
    (machine.base / "config" / "stepupd" / "stepupd.toml").write_text(LOCK)
    async with up(machine, bus) as logind:
        await prove(machine)
        assert (await asyncio.to_thread(verify, machine))["reason"] == "grant"
        machine.key().unplug()
        await logind.until(lambda: len(logind.locked) == 2)

        assert sorted(logind.locked) == ["1", "c3"]
        entry = await entry_of(machine, "revoke")
        assert (entry["why"], entry["subject_uid"]) == ("key-removed", OWN)
        machine.key().plug()
        await prove(machine)


async def test_without_the_setting_nothing_is_locked(machine, bus):
    """A pulled key ends grants; whether it locks is for the administrator to say."""
    machine.write_policy(BOUND)
    async with up(machine, bus) as logind:
        await prove(machine)
        machine.key().unplug()
        await entry_of(machine, "revoke")
        await asyncio.to_thread(machine.stop)

        assert logind.locked == []


async def test_without_any_bus_the_grant_ends_all_the_same(machine):
    """Fault matrix, D-Bus absent: said in the log, and nothing else waits for it."""
    machine.write_policy(BOUND)
    (machine.base / "config" / "stepupd" / "stepupd.toml").write_text(LOCK)
    nowhere = f"unix:path={machine.base}/nowhere"
    await asyncio.to_thread(machine.start, DBUS_SYSTEM_BUS_ADDRESS=nowhere)
    await asyncio.to_thread(machine.enroll)
    await prove(machine)
    machine.key().unplug()
    machine.key().plug()

    await entry_of(machine, "revoke")
    await prove(machine)
    await asyncio.to_thread(machine.stop)
    assert f"no bus at {nowhere}" in machine.read_stderr()


async def test_a_logind_that_hangs_holds_up_nobody(machine, bus):
    """Fault matrix, logind hangs: requests go on while it is waited for."""
    machine.write_policy(BOUND)
    (machine.base / "config" / "stepupd" / "stepupd.toml").write_text(LOCK)
    async with up(machine, bus) as logind:
        logind.is_silent = True
        await prove(machine)
        machine.key().unplug()
        machine.key().plug()
        await entry_of(machine, "revoke")
        await prove(machine)

        assert logind.locked == []
