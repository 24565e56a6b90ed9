"""The simulated key under the unmodified client and server of python-fido2, over both seams."""

import pytest
from cryptography import x509
from fido2.attestation import AttestationType, PackedAttestation, verify_x509_chain
from fido2.client import ClientError
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import ClientPin
from fido2.webauthn import AuthenticatorData
from simulated_support import (
    HASH,
    RP_ID,
    SEAMS,
    Party,
    Person,
    assertion,
    make_key,
    make_raw,
    register,
)

from stepupd.devices.simulated import (
    AAGUID,
    Algorithm,
    AttestationFormat,
    CounterKind,
    Model,
    SimulatedDevice,
)

FLAG = AuthenticatorData.FLAG


@pytest.mark.parametrize("connect", SEAMS)
@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_registration_and_an_assertion_verify(connect, algorithm):
    party = Party(connect(make_key()), algorithm=algorithm)
    credential = party.register().auth_data.credential_data

    data = party.authenticate([credential])

    assert credential.public_key[3] == algorithm
    assert credential.aaguid == AAGUID
    assert data.flags == FLAG.UP
    assert party.person.prompts == 2


@pytest.mark.parametrize("connect", SEAMS)
@pytest.mark.parametrize("protocol", [1, 2])
def test_a_pin_verifies_the_user_with_either_protocol(connect, protocol):
    key = make_key(model=Model(pin_protocols=(protocol,)))
    device = connect(key)
    ClientPin(Ctap2(device)).set_pin("1234")
    party = Party(device, Person("1234"), uv="required")

    made = party.register().auth_data
    data = party.authenticate([made.credential_data])

    assert made.flags == FLAG.UP | FLAG.UV | FLAG.AT
    assert data.flags == FLAG.UP | FLAG.UV
    assert party.person.pins_asked == 2


@pytest.mark.parametrize("connect", SEAMS)
def test_built_in_verification_takes_one_touch_and_no_pin(connect):
    key = make_key(model=Model(has_builtin_uv=True))
    party = Party(connect(key), uv="required")
    made = party.register().auth_data
    blinks = key.describe()["blinks"]

    data = party.authenticate([made.credential_data])

    assert data.flags == FLAG.UP | FLAG.UV
    assert key.describe()["blinks"] == blinks + 1
    assert party.person.pins_asked == 0


def test_built_in_verification_by_option_needs_no_token():
    """CTAP 2.0 style: `uv` in the options of the command itself."""
    key = make_key(model=Model(has_builtin_uv=True))
    credential = register(key)

    reply = assertion(SimulatedDevice(key), credential, options={"uv": True})

    assert reply.auth_data.flags == FLAG.UP | FLAG.UV


def test_resident_keys_are_found_without_a_list_newest_first():
    party = Party(SimulatedDevice(make_key()))
    made = [
        party.register({"id": name.encode(), "name": name}, resident="required")
        for name in ("ada", "bob", "eve")
    ]
    credentials = [item.auth_data.credential_data for item in made]

    selection, state = party.sign()
    handles = []
    for index in range(3):
        response = selection.get_response(index)
        party.server.authenticate_complete(state, credentials, response)
        handles.append(response.response.user_handle)

    assert handles == [b"eve", b"bob", b"ada"]


def test_a_resident_key_replaces_the_one_of_the_same_account():
    key = make_key()
    party = Party(SimulatedDevice(key))
    party.register(resident="required")

    party.register(resident="required")

    assert key.describe()["credentials"] == 1


def test_account_names_are_told_only_to_a_verified_person():
    device = SimulatedDevice(two_accounts(model=Model(has_builtin_uv=True)))

    plain = assertion(device)
    verified = assertion(device, options={"uv": True})

    assert plain.user == {"id": b"bob"}
    assert verified.user == {"id": b"bob", "name": "bob"}


def test_an_ordinary_credential_is_not_found_without_a_list():
    key = make_key()
    register(key)

    with pytest.raises(CtapError) as caught:
        assertion(SimulatedDevice(key))

    assert caught.value.code == CtapError.ERR.NO_CREDENTIALS


def test_another_rp_cannot_use_a_credential():
    key = make_key()
    credential = register(key)
    allowed = [{"type": "public-key", "id": credential.credential_id}]

    with pytest.raises(CtapError) as caught:
        Ctap2(SimulatedDevice(key)).get_assertion("other.example", HASH, allowed)

    assert caught.value.code == CtapError.ERR.NO_CREDENTIALS


@pytest.mark.parametrize("connect", SEAMS)
def test_an_excluded_credential_is_refused_after_a_touch(connect):
    key = make_key()
    party = Party(connect(key))
    credential = party.register().auth_data.credential_data

    with pytest.raises(ClientError) as caught:
        party.register(exclude=[credential])

    assert caught.value.code == ClientError.ERR.DEVICE_INELIGIBLE
    assert key.describe()["blinks"] == 2
    assert key.describe()["credentials"] == 1


def test_a_pre_flight_needs_no_touch_and_states_no_presence():
    key = make_key()
    credential = register(key)
    blinks = key.describe()["blinks"]

    reply = assertion(SimulatedDevice(key), credential, options={"up": False})

    assert reply.auth_data.flags == FLAG(0)
    assert key.describe()["blinks"] == blinks


def test_next_assertion_without_a_first_one_is_not_allowed():
    with pytest.raises(CtapError) as caught:
        Ctap2(SimulatedDevice(make_key())).get_next_assertion()

    assert caught.value.code == CtapError.ERR.NOT_ALLOWED


@pytest.mark.parametrize(("age", "holds"), [(29, True), (31, False)])
def test_the_next_account_is_told_for_a_while(age, holds):
    now = [0.0]
    ctap = Ctap2(SimulatedDevice(two_accounts(clock=lambda: now[0])))
    assert ctap.get_assertion(RP_ID, HASH).number_of_credentials == 2

    now[0] += age

    if holds:
        assert ctap.get_next_assertion().user == {"id": b"ada"}
    with pytest.raises(CtapError) as caught:
        ctap.get_next_assertion()
    assert caught.value.code == CtapError.ERR.NOT_ALLOWED


def test_the_next_account_is_forgotten_by_any_other_command():
    ctap = Ctap2(SimulatedDevice(two_accounts()))
    ctap.get_assertion(RP_ID, HASH)
    ctap.get_info()

    with pytest.raises(CtapError) as caught:
        ctap.get_next_assertion()

    assert caught.value.code == CtapError.ERR.NOT_ALLOWED


def two_accounts(**settings):
    key = make_key(**settings)
    party = Party(SimulatedDevice(key))
    for name in ("ada", "bob"):
        party.register({"id": name.encode(), "name": name}, resident="required")
    return key


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        (CounterKind.GLOBAL, [3, 4, 5, 6]),
        (CounterKind.PER_CREDENTIAL, [2, 2, 3, 3]),
        (CounterKind.NONE, [0, 0, 0, 0]),
    ],
)
def test_the_counter_counts_for_the_key_or_the_credential(kind, counts):
    key = make_key(model=Model(counter=kind))
    first, second = register(key), register(key)
    device = SimulatedDevice(key)

    seen = [assertion(device, item).auth_data.counter for item in (first, second, first, second)]

    assert seen == counts


def test_backup_flags_are_reported_as_set():
    key = make_key(model=Model(backup_eligible=True, backed_up=True))

    assert make_raw(SimulatedDevice(key)).auth_data.flags == FLAG.UP | FLAG.BE | FLAG.BS | FLAG.AT


@pytest.mark.parametrize("algorithm", Algorithm)
def test_certified_attestation_leads_to_the_root_of_the_key(algorithm):
    key = make_key()
    party = Party(SimulatedDevice(key), algorithm=algorithm)
    made, client_hash = party.make()

    result = PackedAttestation().verify(made.att_stmt, made.auth_data, client_hash)
    verify_x509_chain([*result.trust_path, key.attestation_root])

    assert result.attestation_type is AttestationType.BASIC
    root = x509.load_der_x509_certificate(key.attestation_root)
    assert "simulated" in root.subject.rfc4514_string()


@pytest.mark.parametrize("algorithm", Algorithm)
def test_self_attestation_is_signed_by_the_credential(algorithm):
    key = make_key(model=Model(attestation=AttestationFormat.SELF, algorithms=(algorithm,)))
    party = Party(SimulatedDevice(key))
    made, client_hash = party.make()

    result = PackedAttestation().verify(made.att_stmt, made.auth_data, client_hash)

    assert result.attestation_type is AttestationType.SELF


def test_attestation_can_be_left_out():
    key = make_key(model=Model(attestation=AttestationFormat.NONE))

    made = make_raw(SimulatedDevice(key))

    assert (made.fmt, made.att_stmt) == ("none", {})


def test_the_info_describes_the_key():
    info = Ctap2(SimulatedDevice(make_key())).info

    assert "FIDO_2_1" in info.versions
    assert info.options["clientPin"] is False
    assert info.options["rk"] is True
    assert info.pin_uv_protocols == [2, 1]
    assert [item["alg"] for item in info.algorithms] == [-7, -8]
    assert info.aaguid == b"stepupd simulate"


def test_a_full_key_stores_nothing_more():
    key = make_key(model=Model(capacity=1))
    register(key)

    with pytest.raises(CtapError) as caught:
        make_raw(SimulatedDevice(key))

    assert caught.value.code == CtapError.ERR.KEY_STORE_FULL


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(CtapError) as caught:
        Ctap2(SimulatedDevice(make_key())).make_credential(
            HASH,
            {"id": RP_ID, "name": "host"},
            {"id": b"a", "name": "a"},
            [{"type": "public-key", "alg": -257}],
        )

    assert caught.value.code == CtapError.ERR.UNSUPPORTED_ALGORITHM


def test_reset_forgets_credentials_and_pin_within_its_window():
    now = [0.0]
    key = make_key(clock=lambda: now[0])
    device = SimulatedDevice(key)
    register(key)
    key.set_pin("1234")

    now[0] = 9.0
    Ctap2(device).reset()

    assert key.describe()["credentials"] == 0
    assert key.describe()["pin_set"] is False
    now[0] = 11.0
    with pytest.raises(CtapError) as caught:
        Ctap2(device).reset()
    assert caught.value.code == CtapError.ERR.NOT_ALLOWED


def test_selection_waits_for_a_touch():
    key = make_key()

    Ctap2(SimulatedDevice(key)).selection()

    assert key.describe()["blinks"] == 1
