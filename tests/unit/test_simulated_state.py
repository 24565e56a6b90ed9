"""What a simulated key remembers between runs, and where nothing may leak."""

import json

import pytest
from simulated_support import assertion, make_key, register

from stepupd.core.errors import ConfigError
from stepupd.devices.simulated import Model, SimulatedDevice, SimulatedKey
from stepupd.devices.simulated.entropy import Entropy


def test_a_restart_keeps_the_key(tmp_path):
    path = tmp_path / "key.json"
    before = make_key(path)
    credential = register(before)
    before.set_pin("1234")

    after = make_key(path)

    assert after.serial == before.serial
    assert after.attestation_root == before.attestation_root
    assert after.describe()["pin_set"] is True
    reply = assertion(SimulatedDevice(after), credential)
    assert reply.auth_data.counter == 2
    reply.verify(bytes(range(32)), credential.public_key)


def test_a_restart_gives_no_pin_tries_back(tmp_path):
    path = tmp_path / "key.json"
    make_key(path).set_pin("1234")
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"pin_retries": 3}))

    assert make_key(path).describe()["pin_retries"] == 3


def test_the_file_is_for_its_owner_alone_and_written_whole(tmp_path):
    path = tmp_path / "key.json"
    key = make_key(path)
    before = path.stat().st_ino
    register(key)

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_ino != before
    assert [item.name for item in tmp_path.iterdir()] == ["key.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', "\xff"])
def test_a_broken_file_is_an_error_and_stays(tmp_path, text):
    """A fresh key in its place would lock its owner out without a word."""
    path = tmp_path / "key.json"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"key\.json"):
        SimulatedKey(path)

    assert path.read_text() == text


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot write"):
        SimulatedKey(tmp_path / "nowhere" / "key.json")


@pytest.mark.parametrize("name", ["serial", "attestation", "credentials", "counter", "aaguid"])
def test_a_file_with_a_hole_is_an_error(tmp_path, name):
    path = tmp_path / "key.json"
    register(make_key(path))
    stored = json.loads(path.read_text())
    del stored[name]
    path.write_text(json.dumps(stored))

    with pytest.raises(ConfigError):
        SimulatedKey(path)


def test_a_seed_repeats_the_key():
    first, second = make_key(seed=b"one"), make_key(seed=b"one")

    assert first.serial == second.serial
    assert register(first) == register(second)


def test_other_seeds_and_no_seed_give_other_keys():
    keys = [make_key(seed=seed) for seed in (b"one", b"two", None, None)]

    assert len({register(key).credential_id for key in keys}) == 4


def test_a_seeded_key_goes_on_after_a_restart(tmp_path):
    """The stream continues, so no credential is made twice."""
    path = tmp_path / "key.json"
    make_key(path)

    made = [register(make_key(path)) for _ in range(3)]

    assert len({item.credential_id for item in made}) == 3
    assert len({item.public_key[-2] for item in made}) == 3


def test_a_stream_is_not_repeated():
    entropy = Entropy(b"seed")

    assert len({entropy.take(40) for _ in range(50)}) == 50


def test_secrets_are_not_printed():
    key = make_key(model=Model(backup_eligible=True))
    register(key)
    key.set_pin("1234")
    state = key._state
    [credential] = state.credentials.values()

    shown = repr([state, credential, key.describe(), state.batch])

    for secret in (credential.private, state.batch.private, state.pin_hash):
        assert repr(secret) not in shown
