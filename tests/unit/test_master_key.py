"""The master key file, the keys made from it, and the name of the relying party."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.errors import ConfigError
from stepupd.store.credentials import CredentialStore
from stepupd.store.identity import fix_rp_id, is_rp_id, make_rp_id
from stepupd.store.master_key import (
    MasterKey,
    Purpose,
    derive_key,
    load_master_key,
    move_master_key,
    name_item,
)
from stepupd.store.secret_service import KeyringAwayError


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


class Ring:
    """A keyring in memory; `away` is what is wrong with it."""

    def __init__(self, away=""):
        self.items, self.away = {}, away

    def fetch(self, name):
        self._answer()
        return self.items.get(name)

    def keep(self, name, secret):
        self._answer()
        self.items[name] = secret

    def _answer(self):
        if self.away:
            raise KeyringAwayError(self.away)


@pytest.fixture
def ring():
    return Ring()


def test_with_a_keyring_the_file_holds_only_the_name(tmp_path, ring):
    first = load_master_key(tmp_path / "key", keyring=ring)
    again = load_master_key(tmp_path / "key", keyring=ring, has_store=True)

    [(name, secret)] = ring.items.items()
    assert (first.secret, again) == (secret, first)
    assert (tmp_path / "key").read_text() == f"secret-service {name}\n"
    assert (tmp_path / "key").stat().st_mode & 0o7777 == 0o600
    assert name in first.place


def test_the_name_of_an_item_is_made_from_the_key():
    """Pinned: another name would not be found."""
    assert name_item(MasterKey(bytes(range(32)))) == "d4bb80fe1db9fd92bc9b7701980c7bff"


def test_two_stores_have_two_items(tmp_path, ring):
    """Two daemons of one person, or two machines with one home: neither takes the other's key."""
    one = load_master_key(tmp_path / "one", keyring=ring)
    two = load_master_key(tmp_path / "two", keyring=ring)

    assert one != two
    assert len(ring.items) == 2


def test_a_keyring_that_is_away_at_the_first_start_means_a_file_and_says_why(tmp_path):
    key = load_master_key(tmp_path / "key", keyring=Ring(away="it is locked"))

    assert (tmp_path / "key").read_bytes() == key.secret
    assert key.place == f"in the file {tmp_path / 'key'}, mode 0600; it is locked"


def test_a_keyring_that_is_away_later_is_refused(tmp_path, ring):
    load_master_key(tmp_path / "key", keyring=ring)
    before = (tmp_path / "key").read_bytes()
    ring.away = "it is locked"

    with pytest.raises(ConfigError, match="in the keyring, and there only; it is locked") as caught:
        load_master_key(tmp_path / "key", keyring=ring)

    assert "unlock the keyring" in caught.value.hint
    assert (tmp_path / "key").read_bytes() == before


@pytest.mark.parametrize("secret", [None, b"", b"x" * 31, b"x" * 32, b"x" * 33])
def test_an_item_that_is_gone_or_another_is_refused(tmp_path, ring, secret):
    load_master_key(tmp_path / "key", keyring=ring)
    [name] = ring.items
    ring.items[name] = secret

    with pytest.raises(ConfigError):
        load_master_key(tmp_path / "key", keyring=ring)

    assert ring.items == {name: secret}


def test_a_key_file_is_used_where_there_is_a_keyring(tmp_path, ring):
    first = load_master_key(tmp_path / "key")

    assert load_master_key(tmp_path / "key", keyring=ring) == first
    assert not ring.items


def test_a_file_can_be_preferred_for_a_new_key_only(tmp_path, ring):
    load_master_key(tmp_path / "one", keyring=ring, prefer_file=True)
    assert not ring.items
    kept = load_master_key(tmp_path / "two", keyring=ring)

    assert load_master_key(tmp_path / "two", keyring=ring, prefer_file=True) == kept


@pytest.mark.parametrize("away", ["", "it is locked"])
def test_a_missing_key_is_not_made_anew_where_its_store_is(tmp_path, away):
    """A deleted key file, or a sealed key that is not handed over any more: no new key."""
    ring = Ring(away)

    with pytest.raises(ConfigError, match="missing") as caught:
        load_master_key(tmp_path / "key", keyring=ring, has_store=True)

    assert "restore the key" in caught.value.hint
    assert not ring.items
    assert not list(tmp_path.iterdir())


def test_of_two_first_starts_at_once_one_key_counts(tmp_path, ring):
    """Whoever writes the file first wins; the other's item is left over and harms nobody."""

    class Slow(Ring):
        def keep(self, name, secret):
            self.winner = load_master_key(tmp_path / "key", keyring=ring)
            ring.keep(name, secret)

        def fetch(self, name):
            return ring.fetch(name)

    slow = Slow()

    assert load_master_key(tmp_path / "key", keyring=slow) == slow.winner


def test_a_daemon_without_a_keyring_does_not_take_the_name_for_a_key(tmp_path, ring):
    load_master_key(tmp_path / "key", keyring=ring)

    with pytest.raises(ConfigError, match="keyring"):
        load_master_key(tmp_path / "key")


@pytest.mark.parametrize(
    "content",
    [b"secret-service \n", b"secret-service " + b"0" * 32, b"secret-service " + b"G" * 32 + b"\n"],
)
def test_half_a_name_is_refused(tmp_path, ring, content):
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)

    with pytest.raises(ConfigError):
        load_master_key(tmp_path / "key", keyring=ring)

    assert not ring.items


def test_what_systemd_hands_over_is_said(tmp_path):
    (tmp_path / "stepupd.key").write_bytes(bytes(32))
    (tmp_path / "stepupd.key").chmod(0o400)

    key = load_master_key(tmp_path / "key", credentials_directory=tmp_path)

    assert key.place == "handed over by systemd, as a credential"


def test_a_key_moves_into_the_keyring_and_back(tmp_path, ring):
    path = tmp_path / "key"
    first = load_master_key(path)

    inside = move_master_key(path, ring, into_keyring=True)
    assert (inside, list(ring.items)) == (first, [name_item(first)])
    assert first.secret not in path.read_bytes()
    assert load_master_key(path, keyring=ring, has_store=True) == first

    assert move_master_key(path, ring, into_keyring=False) == first
    assert path.read_bytes() == first.secret
    assert path.stat().st_mode & 0o7777 == 0o600
    assert load_master_key(path) == first


def test_a_key_that_cannot_be_moved_stays(tmp_path):
    """Away, or one that is not there: nothing is written."""
    path = tmp_path / "key"
    with pytest.raises(ConfigError, match="no key"):
        move_master_key(path, Ring(), into_keyring=True)
    first = load_master_key(path)

    with pytest.raises(KeyringAwayError):
        move_master_key(path, Ring(away="it is locked"), into_keyring=True)

    assert path.read_bytes() == first.secret
