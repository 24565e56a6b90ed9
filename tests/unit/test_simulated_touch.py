"""When a touch counts, and what ends the waiting."""

from threading import Event

import pytest
from fido2.client import ClientError
from fido2.ctap import STATUS, CtapError
from fido2.ctap2 import Ctap2
from simulated_support import (
    PATIENCE,
    SEAMS,
    Party,
    assertion,
    elsewhere,
    make_key,
    register,
)

from stepupd.devices.simulated import SimulatedDevice

ERR = CtapError.ERR


@pytest.fixture(params=SEAMS)
def connect(request):
    return request.param


@pytest.fixture
def key():
    return make_key()


def select(device, event=None, heard=None):
    return Ctap2(device).selection(event=event, on_keepalive=heard)


def test_a_touch_on_demand_ends_the_waiting(key, connect):
    key.change_script(touch_after_ms=None)

    with elsewhere(select, connect(key)) as done:
        assert key.wait_for_blink(PATIENCE)
        assert key.touch()
        done.result(PATIENCE)

    assert key.wait_for_idle(PATIENCE)


def test_a_touch_before_the_command_is_lost(key, connect):
    """Nobody can leave a touch behind for a later request."""
    key.change_script(touch_after_ms=None)
    device = connect(key)

    assert not key.touch()
    with elsewhere(select, device) as done:
        assert key.wait_for_blink(PATIENCE)
        assert not done.done()
        key.touch()


def test_a_second_touch_does_not_count_for_the_next_command(key):
    key.change_script(touch_after_ms=None)

    with elsewhere(select, SimulatedDevice(key)):
        key.wait_for_blink(PATIENCE)

        assert [key.touch(), key.touch()] == [True, False]


def test_a_touch_in_the_prompt_itself_counts(key, connect):
    key.change_script(touch_after_ms=None)
    counted = []

    select(connect(key), heard=lambda _status: counted.append(key.touch()))

    assert counted == [True]


def test_keepalives_tell_of_the_waiting_once(key, connect):
    key.change_script(touch_after_ms=250)
    heard = []

    select(connect(key), heard=heard.append)

    assert heard == [STATUS.UPNEEDED]


def test_cancelling_ends_the_waiting(key, connect):
    key.change_script(touch_after_ms=None)
    cancelled = Event()
    device = connect(key)

    with elsewhere(select, device, cancelled) as done:
        assert key.wait_for_blink(PATIENCE)
        cancelled.set()
        error = done.exception(PATIENCE)

    assert error.code == ERR.KEEPALIVE_CANCEL
    assert key.wait_for_idle(PATIENCE)


def test_a_cancelled_command_is_not_concluded_by_a_finger_already_there(key):
    cancelled = Event()
    cancelled.set()

    with pytest.raises(CtapError) as caught:
        select(SimulatedDevice(key), cancelled)

    assert caught.value.code == ERR.KEEPALIVE_CANCEL


def test_cancelling_reaches_the_client(key, connect):
    credential = register(key)
    key.change_script(touch_after_ms=None)
    cancelled = Event()
    party = Party(connect(key))

    with elsewhere(party.sign, [credential], cancelled) as done:
        assert key.wait_for_blink(PATIENCE)
        cancelled.set()
        error = done.exception(PATIENCE)

    assert error.code == ClientError.ERR.TIMEOUT
    assert error.cause.code == ERR.KEEPALIVE_CANCEL


def test_the_key_gives_up_by_itself(key, connect):
    key.change_script(touch_after_ms=None, touch_timeout_ms=20)

    with pytest.raises(CtapError) as caught:
        select(connect(key))

    assert caught.value.code == ERR.USER_ACTION_TIMEOUT


def test_a_deaf_key_counts_no_touch(key, connect):
    key.change_script(deaf=True, touch_timeout_ms=20)
    counted = []

    with pytest.raises(CtapError) as caught:
        select(connect(key), heard=lambda _status: counted.append(key.touch()))

    assert caught.value.code == ERR.USER_ACTION_TIMEOUT
    assert counted == [False]


def test_a_person_can_refuse(key, connect):
    key.change_script(touch_after_ms=None)

    with elsewhere(select, connect(key)) as done:
        assert key.wait_for_blink(PATIENCE)
        assert key.deny()
        error = done.exception(PATIENCE)

    assert error.code == ERR.OPERATION_DENIED


def test_a_script_can_refuse(key, connect):
    key.change_script(deny=True)

    with pytest.raises(CtapError) as caught:
        select(connect(key))

    assert caught.value.code == ERR.OPERATION_DENIED


def test_a_script_changed_while_waiting_takes_effect(key, connect):
    key.change_script(touch_after_ms=None)

    with elsewhere(select, connect(key)) as done:
        assert key.wait_for_blink(PATIENCE)
        key.change_script(touch_after_ms=0)
        done.result(PATIENCE)


def test_a_second_program_waits_until_the_key_is_free(key):
    """The upper seam tries again while the key is busy, as python-fido2 does on HID."""
    credential = register(key)
    key.change_script(touch_after_ms=None)
    second = SimulatedDevice(key)

    with elsewhere(select, SimulatedDevice(key)):
        key.wait_for_blink(PATIENCE)
        with elsewhere(assertion, second, credential) as reply:
            key.touch()
            assert key.wait_for_blink(PATIENCE)
            key.touch()

    assert reply.result().auth_data.counter == 2


def test_a_second_program_that_gives_up_hears_busy(key):
    key.change_script(touch_after_ms=None)
    second, cancelled = SimulatedDevice(key), Event()
    cancelled.set()

    with elsewhere(select, SimulatedDevice(key)):
        key.wait_for_blink(PATIENCE)
        with pytest.raises(CtapError) as caught:
            second.call(0x10, b"\x04", cancelled)
        key.touch()

    assert caught.value.code == ERR.CHANNEL_BUSY
