"""Every scripted fault and lie, seen from python-fido2."""

from hashlib import sha256
from threading import Event

import pytest
from cryptography.exceptions import InvalidSignature
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.hid import ConnectionFailure
from fido2.webauthn import AuthenticatorData
from simulated_support import (
    HASH,
    PATIENCE,
    RP_ID,
    SEAMS,
    Party,
    Person,
    allow,
    assertion,
    elsewhere,
    make_key,
    make_raw,
    open_hid,
    register,
)

from stepupd.core.errors import RequestError
from stepupd.devices.simulated import (
    Algorithm,
    Command,
    Fault,
    Lie,
    Script,
    SimulatedDevice,
    SimulatedKey,
)

FLAG = AuthenticatorData.FLAG


@pytest.fixture(params=SEAMS)
def connect(request):
    return request.param


def test_a_silent_key_is_given_up_at_the_upper_seam():
    key = make_key()
    device = SimulatedDevice(key, quiet=0.05)
    key.change_script(fault="silent")

    with pytest.raises(OSError, match="silent"):
        Ctap2(device)


def test_a_silent_key_says_nothing_at_the_lower_seam_until_it_is_pulled(connect):
    key = make_key()
    device = connect(key)
    key.change_script(fault="silent", on_command="getInfo")

    with elsewhere(Ctap2, device) as done:
        assert key.body.wait_until(lambda stay: stay.command is Command.GET_INFO, PATIENCE)
        key.unplug()
        error = done.exception(PATIENCE)

    assert isinstance(error, OSError)


def test_a_silent_key_that_recovers_answers(connect):
    key = make_key()
    device = connect(key)
    key.change_script(fault="silent")

    with elsewhere(Ctap2, device) as done:
        assert key.body.wait_until(lambda stay: stay.command is Command.GET_INFO, PATIENCE)
        key.change_script(fault=None)

        assert done.result(PATIENCE).info


def test_an_endless_keepalive_is_deaf_to_cancel(connect):
    key = make_key()
    device, cancelled, heard = connect(key), Event(), Event()
    ctap = Ctap2(device)
    key.change_script(fault="endlessKeepalive")
    settings = {"event": cancelled, "on_keepalive": lambda _status: heard.set()}

    with elsewhere(ctap.selection, **settings) as done:
        assert heard.wait(PATIENCE)
        cancelled.set()
        assert not done.done()
        key.unplug()
        error = done.exception(PATIENCE)

    assert isinstance(error, OSError)


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.GARBAGE, ValueError), (Fault.EMPTY, IndexError), (Fault.NON_CANONICAL, ValueError)],
)
def test_a_spoiled_reply_is_noticed(connect, fault, error):
    key = make_key()
    device = connect(key)
    key.change_script(fault=fault)

    with pytest.raises(error):
        Ctap2(device)


def test_a_fault_can_be_limited_to_a_command(connect):
    key = make_key()
    credential = register(key)
    key.change_script(fault="garbage", on_command="getAssertion")
    device = connect(key)

    assert Ctap2(device).info
    with pytest.raises(ValueError, match="Extraneous"):
        assertion(device, credential)


def test_a_busy_key_is_tried_until_cancelled(connect):
    key = make_key()
    device, cancelled = connect(key), Event()
    ctap = Ctap2(device)
    key.change_script(fault="busy")
    cancelled.set()

    with pytest.raises(CtapError) as caught:
        ctap.selection(event=cancelled)

    assert caught.value.code == CtapError.ERR.CHANNEL_BUSY


def test_a_slow_reply_still_arrives(connect):
    key = make_key(packet_delay_ms=5)

    assert Ctap2(connect(key)).info


def test_a_slow_reply_ends_with_the_plug(connect):
    key = make_key(packet_delay_ms=60_000)
    device = connect(key)

    with elsewhere(Ctap2, device) as done:
        assert key.body.wait_until(lambda stay: stay.command is None, PATIENCE)
        key.unplug()

        assert isinstance(done.exception(PATIENCE), OSError)


def test_packets_of_another_program_come_between():
    key = make_key()
    device = open_hid(key)
    key.change_script(foreign_packets=True)

    with pytest.raises(ConnectionFailure, match="Wrong channel"):
        Ctap2(device)


def test_a_counter_can_go_back(connect):
    key = make_key()
    credential = register(key)
    device = connect(key)
    seen = [assertion(device, credential).auth_data.counter for _ in range(3)]

    key.change_script(lie="counterBack")

    assert seen == [2, 3, 4]
    assert assertion(device, credential).auth_data.counter == 1


@pytest.mark.parametrize(
    ("lie", "complaint"),
    [
        (Lie.WRONG_RP_ID, "RP ID hash"),
        (Lie.NO_USER_PRESENCE, "User Present"),
        (Lie.NO_USER_VERIFICATION, "User verification"),
        (Lie.UNKNOWN_CREDENTIAL, "Unknown credential"),
        (Lie.OTHER_CREDENTIAL, "Unknown credential"),
    ],
)
def test_a_false_statement_is_refused_by_the_server(connect, lie, complaint):
    key = make_key()
    key.set_pin("1234")
    party = Party(connect(key), Person("1234"), uv="required")
    credential = party.register().auth_data.credential_data
    key.change_script(lie=lie, on_command="getAssertion")

    with pytest.raises(ValueError, match=complaint):
        party.authenticate([credential])


@pytest.mark.parametrize("lie", [Lie.BAD_SIGNATURE, Lie.WRONG_ALGORITHM])
@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_false_signature_does_not_verify(connect, lie, algorithm):
    key = make_key()
    credential = register(key, algorithm=algorithm)
    key.change_script(lie=lie)

    reply = assertion(connect(key), credential)

    with pytest.raises(InvalidSignature):
        reply.verify(HASH, credential.public_key)


@pytest.mark.parametrize(
    "lie", [Lie.COUNTER_BACK, Lie.WRONG_RP_ID, Lie.NO_USER_PRESENCE, Lie.UNKNOWN_CREDENTIAL]
)
def test_a_false_statement_is_signed_by_the_right_key(lie):
    """Only the statement is false, so a checker that looks at the signature alone is caught."""
    key = make_key()
    credential = register(key)
    key.change_script(lie=lie)

    reply = assertion(SimulatedDevice(key), credential)

    reply.verify(HASH, credential.public_key)


def test_another_credential_of_the_key_can_answer():
    key = make_key()
    mine, other = register(key), register(key)
    key.change_script(lie="otherCredential")

    reply = Ctap2(SimulatedDevice(key)).get_assertion("host.example", HASH, allow(mine))

    assert reply.credential["id"] == other.credential_id
    reply.verify(HASH, other.public_key)


def test_a_registration_can_be_false_too():
    key = make_key(lie="noUserPresence")
    device = SimulatedDevice(key)

    assert make_raw(device).auth_data.flags == FLAG.AT
    key.change_script(lie="wrongAlgorithm")
    assert make_raw(device).auth_data.credential_data.public_key[3] == Algorithm.EDDSA
    key.change_script(lie="wrongRpId")
    assert make_raw(device).auth_data.rp_id_hash != sha256(RP_ID.encode()).digest()


def test_a_string_in_place_of_a_fault_is_no_script():
    with pytest.raises(RequestError, match="lie"):
        Script(lie="badSignature")


@pytest.mark.parametrize(
    "change",
    [{"colour": "red"}, {"fault": "sleepy"}, {"deaf": 1}, {"touch_after_ms": "5"}, {"lie": True}],
)
def test_a_script_refuses_what_it_does_not_know(change):
    key = SimulatedKey()
    before = key.script

    with pytest.raises(RequestError):
        key.change_script(**change)

    assert key.script is before
