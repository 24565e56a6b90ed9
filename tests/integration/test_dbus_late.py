"""A bus that was not there when the daemon started."""

import asyncio
import os
from contextlib import asynccontextmanager

from dbus_support import PATIENCE, BusService, Setup, caller, private_bus
from doors_support import DEFAULT_LIMITS

from stepupd.api.admission import Admission
from stepupd.api.dbus_door import BusDoor
from stepupd.api.house import House


@asynccontextmanager
async def door_without_a_bus():
    """Start a door at the address of a bus that is not there."""
    async with private_bus() as bus:
        bus.stop()
        bus.path.unlink()
        service, admission = BusService(), Admission(DEFAULT_LIMITS)
        door = BusDoor(bus.address, House(service, admission, DEFAULT_LIMITS), None)
        door.start()
        try:
            yield Setup(bus, service, admission, door)
        finally:
            await door.close()


async def test_a_bus_that_comes_late_is_found():
    """Fault matrix, D-Bus absent: the start waits for nothing, and the name is owned later."""
    async with door_without_a_bus() as setup:
        async with asyncio.timeout(PATIENCE):
            await setup.door.settle()
        setup.bus.start()
        await setup.is_up()

        async with caller(setup.bus) as ada:
            assert (await ada.call("Check", "sa{sv}", "test:allow", {})).body[0] == "allow"


ACTIVATION = """
  <servicedir>{folder}</servicedir>
  <servicehelper>{folder}/helper</servicehelper>
</busconfig>
"""


async def test_who_makes_the_bus_start_us_is_answered():
    """The call that activates the service is the first that it serves; nobody has to call again."""
    async with door_without_a_bus() as setup:
        await setup.door.close()
        folder = setup.bus.folder
        configuration = (folder / "bus.conf").read_text()
        configuration = configuration.replace("</busconfig>\n", ACTIVATION.format(folder=folder))
        (folder / "bus.conf").write_text(configuration)
        (folder / "org.stepupd1.service").write_text(
            "[D-BUS Service]\nName=org.stepupd1\nExec=/bin/false\nUser=root\n"
        )
        os.mkfifo(folder / "asked")
        (folder / "helper").write_text(f"#!/bin/sh\necho >{folder}/asked\n")
        (folder / "helper").chmod(0o755)
        setup.bus.start()

        async with caller(setup.bus) as ada:
            asking = asyncio.ensure_future(ada.call("Check", "sa{sv}", "test:allow", {}))
            async with asyncio.timeout(PATIENCE):
                await asyncio.to_thread((folder / "asked").read_text)
                setup.door.start()
                assert (await asking).body[0] == "allow"


async def test_what_is_announced_without_a_bus_is_lost_and_harmless():
    """A reload before the bus is there: who comes later reads the property."""
    async with door_without_a_bus() as setup:
        setup.door.announce(PolicyDigest="00")
        setup.bus.start()
        await setup.is_up()


async def test_a_door_that_never_found_a_bus_closes():
    async with door_without_a_bus() as setup:
        await setup.door.settle()
        await setup.door.close()

        assert setup.service.running == 0
