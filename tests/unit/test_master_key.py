"""The master key file, the keys made from it, and the name of the relying party."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.errors import ConfigError
from stepupd.store.credentials import CredentialStore
from stepupd.store.identity import fix_rp_id, is_rp_id, make_rp_id
from stepupd.store.master_key import MasterKey, Purpose, derive_key, load_master_key


def test_a_key_is_made_once_and_found_again(tmp_path):
    path = tmp_path / "key"

    first = load_master_key(path)

    assert load_master_key(path) == first
    assert path.stat().st_mode & 0o7777 == 0o600
    assert path.read_bytes() == first.secret
    assert len(first.secret) == 32
    assert list(tmp_path.iterdir()) == [tmp_path / "key"]


def test_two_machines_have_two_keys(tmp_path):
    assert load_master_key(tmp_path / "one") != load_master_key(tmp_path / "two")


def test_a_leftover_of_a_crash_is_no_key(tmp_path):
    """What was written before the crash was never the key; a new one is made."""
    (tmp_path / ".key.new").write_bytes(b"half")

    assert len(load_master_key(tmp_path / "key").secret) == 32
    assert list(tmp_path.iterdir()) == [tmp_path / "key"]


@pytest.mark.parametrize("size", [0, 31, 33, 2000])
def test_a_key_of_another_size_is_refused_and_kept(tmp_path, size):
    path = tmp_path / "key"
    path.write_bytes(bytes(size))
    path.chmod(0o600)

    with pytest.raises(ConfigError):
        load_master_key(path)

    assert path.read_bytes() == bytes(size)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_key_others_can_reach_is_refused_with_the_mending_command(tmp_path, mode):
    path = tmp_path / "key"
    path.write_bytes(bytes(32))
    path.chmod(mode)

    with pytest.raises(ConfigError) as caught:
        load_master_key(path)

    assert caught.value.hint == f"chmod 0600 {path}"


def test_a_missing_directory_is_named_with_the_mending_command(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_master_key(tmp_path / "state" / "key")

    assert caught.value.hint.startswith("install -d -m 0700")


def test_the_key_that_systemd_hands_over_takes_precedence(tmp_path):
    handed = tmp_path / "credentials"
    handed.mkdir()
    (handed / "stepupd.key").write_bytes(b"h" * 32)
    (handed / "stepupd.key").chmod(0o440)

    key = load_master_key(tmp_path / "key", credentials_directory=handed)

    assert key == MasterKey(b"h" * 32)
    assert not (tmp_path / "key").exists()


def test_credentials_of_other_names_are_none_of_our_business(tmp_path):
    handed = tmp_path / "credentials"
    handed.mkdir()

    key = load_master_key(tmp_path / "key", credentials_directory=handed)

    assert key == load_master_key(tmp_path / "key")


def test_derived_keys_are_what_rfc_5869_says():
    """Pinned: another value would orphan every store and every log."""
    master = MasterKey(bytes(range(32)))

    mac = derive_key(master, Purpose.STORE_MAC)
    seed = derive_key(master, Purpose.AUDIT_SIGNING)

    assert mac.hex() == ("c7078b11ce468bb54d669315f77bccd691d3755a0710a165c4a4cd7180bd393d")
    assert seed.hex() == ("0482e6cb83f4e8eed590338703c4743272bf21ff74294effdee82076fac327b2")


def test_the_key_does_not_print():
    shown = repr(MasterKey(b"very secret bytes of thirty-two!"))

    assert "secret bytes" not in shown


def test_the_rp_id_is_made_once_and_survives_a_new_host_name(tmp_path):
    store = CredentialStore(tmp_path / "db", bytes(32))

    first = fix_rp_id(store, configured=None, hostname="Ada's-Laptop.local")
    store.close()
    store = CredentialStore(tmp_path / "db", bytes(32))
    again = fix_rp_id(store, configured=None, hostname="renamed")
    store.close()

    assert again == first
    assert first.startswith("adas-laptop.")
    assert first.endswith(".stepup")


def test_a_configured_rp_id_is_taken_at_the_first_start(tmp_path):
    store = CredentialStore(tmp_path / "db", bytes(32))

    assert fix_rp_id(store, configured="fleet.example.org", hostname="a") == "fleet.example.org"
    assert fix_rp_id(store, configured=None, hostname="a") == "fleet.example.org"
    store.close()


def test_another_rp_id_later_is_refused_with_both_values(tmp_path):
    store = CredentialStore(tmp_path / "db", bytes(32))
    fix_rp_id(store, configured="old.example.org", hostname="a")

    with pytest.raises(ConfigError) as caught:
        fix_rp_id(store, configured="new.example.org", hostname="a", file=tmp_path / "stepupd.toml")

    assert "old.example.org" in str(caught.value)
    assert "new.example.org" in str(caught.value)
    assert store.rp_id == "old.example.org"
    store.close()


@given(st.text(), st.binary(min_size=3, max_size=3))
def test_any_host_name_gives_a_domain_name(hostname, nonce):
    assert is_rp_id(make_rp_id(hostname, nonce))


@pytest.mark.parametrize("text", ["", ".", "a..b", "-a.b", "a-.b", "A.b", "a b", "ä.b", "a" * 64])
def test_what_is_no_domain_name_is_no_rp_id(text):
    assert not is_rp_id(text)
