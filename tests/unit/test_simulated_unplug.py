"""A key pulled out at every step, and plugged in again."""

import errno

import pytest
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import ClientPin
from simulated_support import (
    PATIENCE,
    SEAMS,
    assertion,
    elsewhere,
    make_key,
    open_hid,
    register,
)

from stepupd.devices.simulated import SimulatedBus, SimulatedDevice, Step


@pytest.fixture(params=[False, True], ids=["call", "hid"])
def bus(request):
    return SimulatedBus([make_key()], over_hid=request.param)


def pull(work, *arguments, **settings):
    """Do what fails with OSError; return its number."""
    with pytest.raises(OSError, match=r"\[Errno \d+\]") as caught:
        work(*arguments, **settings)
    return caught.value.errno


def test_a_key_pulled_while_enumerating_is_not_listed(bus):
    bus.keys[0].change_script(unplug_at=Step.ENUMERATE)

    assert bus.plugged() == []
    bus.keys[0].plug()
    assert len(bus.plugged()) == 1


@pytest.mark.parametrize("step", [Step.OPEN, Step.INIT])
def test_a_key_pulled_while_opening_cannot_be_opened(bus, step):
    [listed] = bus.plugged()
    bus.keys[0].change_script(unplug_at=step)

    assert pull(listed.open) in (errno.ENODEV, errno.EIO)
    assert bus.plugged() == []


def test_a_key_pulled_at_get_info(bus):
    device = bus.plugged()[0].open()
    bus.keys[0].change_script(unplug_at=Step.GET_INFO)

    assert pull(Ctap2, device) == errno.EIO


def test_a_key_pulled_at_the_pin_spends_no_try(bus):
    [key] = bus.keys
    key.set_pin("1234")
    pin = ClientPin(Ctap2(bus.plugged()[0].open()))
    key.change_script(unplug_at=Step.PIN_TOKEN)

    assert pull(pin.get_pin_token, "0000") == errno.EIO
    assert key.describe()["pin_retries"] == 8


def test_a_key_pulled_while_blinking(bus):
    [key] = bus.keys
    credential = register(key)
    device = bus.plugged()[0].open()
    key.change_script(unplug_at=Step.TOUCH)

    assert pull(assertion, device, credential) == errno.EIO
    assert key.describe()["counter"] == 1


def test_a_key_pulled_by_hand_while_blinking(bus):
    [key] = bus.keys
    ctap = Ctap2(bus.plugged()[0].open())
    key.change_script(touch_after_ms=None)

    with elsewhere(ctap.selection) as done:
        assert key.wait_for_blink(PATIENCE)
        key.unplug()

        assert done.exception(PATIENCE).errno == errno.EIO
    assert not key.touch()


def test_a_key_pulled_in_the_middle_of_the_reply_has_signed_already(bus):
    [key] = bus.keys
    credential = register(key)
    device = bus.plugged()[0].open()
    key.change_script(unplug_at=Step.MID_PACKET, on_command="getAssertion")

    assert pull(assertion, device, credential) == errno.EIO
    assert key.describe()["counter"] == 2


def test_a_key_pulled_after_the_reply_leaves_the_reply(bus):
    [key] = bus.keys
    credential = register(key)
    device = bus.plugged()[0].open()
    key.change_script(unplug_at=Step.AFTER_REPLY, on_command="getAssertion")

    assert assertion(device, credential).signature
    assert key.describe()["plugged"] is False
    assert pull(device.call, 0x10, b"\x04") in (errno.EIO, errno.ENODEV)


def test_pulling_out_happens_once(bus):
    [key] = bus.keys
    key.change_script(unplug_at=Step.ENUMERATE)
    bus.plugged()

    key.plug()

    assert key.script.unplug_at is None
    assert Ctap2(bus.plugged()[0].open()).info


def test_a_device_of_an_earlier_stay_stays_dead(bus):
    device = bus.plugged()[0].open()
    bus.keys[0].unplug()
    bus.keys[0].plug()

    assert pull(device.call, 0x10, b"\x04") in (errno.EIO, errno.ENODEV)


def test_a_listing_of_an_earlier_stay_opens_nothing(bus):
    [listed] = bus.plugged()
    bus.keys[0].unplug()
    bus.keys[0].plug()

    assert pull(listed.open) == errno.ENODEV


def test_every_stay_has_its_own_identity_and_one_serial(bus):
    [before] = bus.plugged()
    bus.keys[0].unplug()
    bus.keys[0].plug()
    [after] = bus.plugged()

    assert before.identity != after.identity
    assert before.serial == after.serial
    assert after.name == "simulated key"


def test_plugging_twice_is_one_stay(bus):
    before = bus.plugged()[0].identity

    bus.keys[0].plug()

    assert bus.plugged()[0].identity == before


def test_the_bus_tells_of_every_change(bus):
    seen = []
    bus.watch(lambda: seen.append(len(bus.plugged())))

    bus.keys[0].unplug()
    bus.keys[0].plug()
    bus.add(make_key(seed=b"other"))
    bus.keys[1].unplug()

    assert seen == [0, 1, 2, 1]


def test_an_empty_bus_has_no_key():
    assert SimulatedBus().plugged() == []


def test_credentials_outlive_the_plug(bus):
    [key] = bus.keys
    credential = register(key)
    key.unplug()
    key.plug()

    assert assertion(bus.plugged()[0].open(), credential).auth_data.counter == 2


@pytest.mark.parametrize("connect", SEAMS)
def test_a_key_that_is_out_cannot_be_opened(connect):
    key = make_key()
    key.unplug()

    assert pull(connect, key) == errno.ENODEV


def test_a_closed_device_is_closed():
    device = SimulatedDevice(make_key())
    device.close()

    assert pull(device.call, 0x10, b"\x04") == errno.EBADF


def test_a_closed_node_is_closed():
    device = open_hid(make_key())
    device.close()
    device.close()

    assert pull(device.call, 0x10, b"\x04") == errno.EBADF
