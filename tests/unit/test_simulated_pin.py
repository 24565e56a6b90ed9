"""PIN, tokens and their limits, as CTAP 2.1 section 6.5 has them."""

from hashlib import sha256

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import ClientPin, PinProtocolV1, PinProtocolV2
from fido2.webauthn import AuthenticatorData
from simulated_support import (
    HASH,
    RP_ID,
    Party,
    Person,
    assertion,
    make_key,
    make_raw,
    register,
)

from stepupd.devices.simulated import Model, SimulatedDevice

ERR = CtapError.ERR
FLAG = AuthenticatorData.FLAG
PERMISSION = ClientPin.PERMISSION


def refusal(work, *arguments, **settings):
    with pytest.raises(CtapError) as caught:
        work(*arguments, **settings)
    return caught.value.code


@pytest.fixture(params=[PinProtocolV1, PinProtocolV2])
def protocol(request):
    return request.param()


@pytest.fixture
def key():
    key = make_key()
    key.set_pin("1234")
    return key


def pin_of(key, protocol=None):
    return ClientPin(Ctap2(SimulatedDevice(key)), protocol)


def token_of(key, protocol, permissions=PERMISSION.GET_ASSERTION, rp_id=RP_ID):
    return pin_of(key, protocol).get_pin_token("1234", permissions, rp_id)


def use_token(key, protocol, token, credential, **settings):
    return assertion(
        SimulatedDevice(key),
        credential,
        pin_uv_param=protocol.authenticate(token, HASH),
        pin_uv_protocol=protocol.VERSION,
        **settings,
    )


def test_a_pin_is_set_once_then_changed(protocol):
    key = make_key()
    pin = pin_of(key, protocol)
    pin.set_pin("1234")

    assert refusal(pin.set_pin, "9999") == ERR.PIN_AUTH_INVALID
    pin.change_pin("1234", "héllo")
    assert refusal(pin.change_pin, "1234", "0000") == ERR.PIN_INVALID
    assert pin_of(key, protocol).get_pin_token("héllo")


def test_a_pin_of_three_characters_is_refused_though_it_has_four_bytes(protocol):
    """The minimum counts code points, and the client's own check counts the same."""
    key = make_key()
    pin = pin_of(key, protocol)
    agreement, secret = pin._get_shared_secret()
    sealed = protocol.encrypt(secret, "hél".encode().ljust(64, b"\0"))
    code = protocol.authenticate(secret, sealed)

    found = refusal(
        pin.ctap.client_pin,
        protocol.VERSION,
        ClientPin.CMD.SET_PIN,
        key_agreement=agreement,
        new_pin_enc=sealed,
        pin_uv_param=code,
    )

    assert found == ERR.PIN_POLICY_VIOLATION
    assert key.describe()["pin_set"] is False


def test_three_wrong_pins_block_until_power_is_cycled(key, protocol):
    pin = pin_of(key, protocol)
    wrong = [refusal(pin.get_pin_token, "0000") for _ in range(4)]

    assert wrong == [ERR.PIN_INVALID, ERR.PIN_INVALID, *2 * [ERR.PIN_AUTH_BLOCKED]]
    assert refusal(pin.get_pin_token, "1234") == ERR.PIN_AUTH_BLOCKED
    assert pin.get_pin_retries() == (5, True)

    key.unplug()
    key.plug()

    assert pin_of(key, protocol).get_pin_token("1234")
    assert pin_of(key, protocol).get_pin_retries() == (8, False)


def test_eight_wrong_pins_block_for_good(key):
    seen = []
    for _ in range(3):
        pin = pin_of(key)
        seen += [refusal(pin.get_pin_token, "0000") for _ in range(3)]
        key.unplug()
        key.plug()

    assert seen[6:] == [ERR.PIN_INVALID, ERR.PIN_BLOCKED, ERR.PIN_BLOCKED]
    assert refusal(pin_of(key).get_pin_token, "1234") == ERR.PIN_BLOCKED
    assert key.describe()["pin_retries"] == 0


def test_a_right_pin_gives_all_tries_back(key):
    pin = pin_of(key)
    refusal(pin.get_pin_token, "0000")

    pin.get_pin_token("1234")

    assert pin.get_pin_retries() == (8, False)


def test_a_pin_that_is_not_set_gives_no_token():
    assert refusal(pin_of(make_key()).get_pin_token, "1234") == ERR.PIN_NOT_SET


def test_an_old_key_agreement_fails_after_a_wrong_pin(key, protocol):
    """A wrong PIN renews the key agreement, so a captured request cannot be tried again."""
    pin = pin_of(key, protocol)
    agreement, secret = pin._get_shared_secret()
    refusal(pin.get_pin_token, "0000")
    sealed = protocol.encrypt(secret, sha256(b"1234").digest()[:16])

    found = refusal(
        pin.ctap.client_pin,
        protocol.VERSION,
        ClientPin.CMD.GET_TOKEN_USING_PIN_LEGACY,
        key_agreement=agreement,
        pin_hash_enc=sealed,
    )

    assert found == ERR.PIN_INVALID


def test_a_point_off_the_curve_is_refused(key):
    pin = pin_of(key)
    peer = {1: 2, 3: -25, -1: 1, -2: bytes(32), -3: b"\1" * 32}

    found = refusal(
        pin.ctap.client_pin,
        2,
        ClientPin.CMD.GET_TOKEN_USING_PIN_LEGACY,
        key_agreement=peer,
        pin_hash_enc=bytes(32),
    )

    assert found == ERR.INVALID_PARAMETER


def test_a_token_verifies_the_user_once(key, protocol):
    """The touch that concludes a ceremony takes the permissions away (CTAP 2.1, 6.2.2)."""
    credential = register(key)
    token = token_of(key, protocol)

    first = use_token(key, protocol, token, credential)

    assert first.auth_data.flags == FLAG.UP | FLAG.UV
    assert refusal(use_token, key, protocol, token, credential) == ERR.PIN_AUTH_INVALID


def test_a_pin_does_not_replace_the_touch(key, protocol):
    credential = register(key)
    token = token_of(key, protocol)
    blinks = key.describe()["blinks"]

    use_token(key, protocol, token, credential)

    assert key.describe()["blinks"] == blinks + 1


def test_a_token_of_one_protocol_is_none_of_the_other(key):
    credential = register(key)
    token = token_of(key, PinProtocolV2())

    found = refusal(use_token, key, PinProtocolV1(), token, credential)

    assert found == ERR.PIN_AUTH_INVALID


def test_a_touch_made_for_a_token_is_not_told_by_a_pre_flight():
    key = make_key(model=Model(has_builtin_uv=True))
    credential = register(key)
    protocol = PinProtocolV2()
    token = pin_of(key, protocol).get_uv_token(PERMISSION.GET_ASSERTION, RP_ID)

    silent = use_token(key, protocol, token, credential, options={"up": False})

    assert silent.auth_data.flags == FLAG.UV


def test_a_pre_flight_does_not_spend_the_token(key, protocol):
    credential = register(key)
    token = token_of(key, protocol)

    silent = use_token(key, protocol, token, credential, options={"up": False})

    assert silent.auth_data.flags == FLAG.UV
    assert use_token(key, protocol, token, credential).auth_data.is_user_verified()


@pytest.mark.parametrize(
    ("permissions", "rp_id"),
    [(PERMISSION.MAKE_CREDENTIAL, RP_ID), (PERMISSION.GET_ASSERTION, "other.example")],
)
def test_a_token_for_something_else_is_refused(key, protocol, permissions, rp_id):
    credential = register(key)
    token = token_of(key, protocol, permissions, rp_id)

    assert refusal(use_token, key, protocol, token, credential) == ERR.PIN_AUTH_INVALID


def test_a_new_token_voids_the_one_before(key, protocol):
    credential = register(key)
    old = token_of(key, protocol)
    token_of(key, protocol)

    assert refusal(use_token, key, protocol, old, credential) == ERR.PIN_AUTH_INVALID


def test_a_token_does_not_survive_a_power_cycle(key, protocol):
    credential = register(key)
    token = token_of(key, protocol)
    key.unplug()
    key.plug()

    assert refusal(use_token, key, protocol, token, credential) == ERR.PIN_AUTH_INVALID


@pytest.mark.parametrize(("age", "holds"), [(29, True), (31, False)])
def test_an_unused_token_expires(age, holds):
    now = [0.0]
    key = make_key(clock=lambda: now[0])
    key.set_pin("1234")
    credential = register(key)
    protocol = PinProtocolV2()
    token = token_of(key, protocol)

    now[0] += age

    if holds:
        assert use_token(key, protocol, token, credential)
    else:
        assert refusal(use_token, key, protocol, token, credential) == ERR.PIN_AUTH_INVALID


def test_permissions_this_key_does_not_have_are_unauthorized(key):
    found = refusal(pin_of(key).get_pin_token, "1234", PERMISSION.AUTHENTICATOR_CFG, RP_ID)

    assert found == ERR.UNAUTHORIZED_PERMISSION


def test_a_wrong_code_is_refused(key):
    found = refusal(make_raw, SimulatedDevice(key), pin_uv_param=bytes(32), pin_uv_protocol=2)

    assert found == ERR.PIN_AUTH_INVALID


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"pin_uv_param": bytes(32)}, ERR.MISSING_PARAMETER),
        ({"pin_uv_param": bytes(32), "pin_uv_protocol": 3}, ERR.INVALID_PARAMETER),
        ({"pin_uv_param": b"", "pin_uv_protocol": 2}, ERR.PIN_INVALID),
        ({"options": {"uv": True}}, ERR.INVALID_OPTION),
        ({"options": {"up": False}}, ERR.INVALID_OPTION),
        ({"options": {"rk": True}}, ERR.PUAT_REQUIRED),
        ({"enterprise_attestation": 1}, ERR.INVALID_PARAMETER),
    ],
)
def test_registration_refuses_with_the_status_of_the_standard(key, settings, status):
    assert refusal(make_raw, SimulatedDevice(key), **settings) == status
    assert key.describe()["credentials"] == 0


def test_an_empty_code_tells_by_touch_that_no_pin_is_set():
    key = make_key()

    found = refusal(make_raw, SimulatedDevice(key), pin_uv_param=b"", pin_uv_protocol=1)

    assert found == ERR.PIN_NOT_SET
    assert key.describe()["blinks"] == 1


def test_a_key_that_always_verifies_signs_nothing_without_a_pin():
    key = make_key(model=Model(always_uv=True))
    key.set_pin("1234")
    party = Party(SimulatedDevice(key), Person("1234"))
    credential = party.register().auth_data.credential_data

    assert party.authenticate([credential]).is_user_verified()
    assert refusal(assertion, SimulatedDevice(key), credential) == ERR.PUAT_REQUIRED


def test_three_strangers_block_the_fingerprint_and_the_pin_still_works():
    key = make_key(model=Model(has_builtin_uv=True), verifies=False)
    key.set_pin("1234")
    pin = pin_of(key)
    ask = (PERMISSION.GET_ASSERTION, RP_ID)

    assert pin.get_uv_retries() == 3
    assert refusal(pin.get_uv_token, *ask) == ERR.UV_INVALID
    assert refusal(pin.get_uv_token, *ask) == ERR.UV_INVALID
    assert refusal(pin.get_uv_token, *ask) == ERR.UV_BLOCKED
    assert pin.get_uv_retries() == 0
    party = Party(SimulatedDevice(key), Person("1234"), uv="required")
    assert party.register().auth_data.is_user_verified()
    assert party.person.pins_asked == 1


def test_a_key_without_pin_protocols_has_no_client_pin():
    key = make_key(model=Model(pin_protocols=()))
    ctap = Ctap2(SimulatedDevice(key))

    assert "clientPin" not in ctap.info.options
    assert refusal(ctap.client_pin, 2, ClientPin.CMD.GET_PIN_RETRIES) == ERR.INVALID_COMMAND
