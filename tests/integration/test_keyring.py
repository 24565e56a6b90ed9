"""A person's key in a real Secret Service: found, locked, away, gone, never chosen by others."""

import os
import sys
from contextlib import closing

import pytest
import secretstorage
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy
from keyring_support import NAME, Person, Session, run_daemon

from stepupd.store.master_key import load_master_key
from stepupd.store.secret_service import KeyringAwayError, SecretService

SECRET = bytes(range(32))
HARD_PROMPTS = {"Unlock", "Prompt", "CreateCollection"}


@pytest.fixture
def session(short_path):
    """Make a session in which the person has not logged in yet."""
    made = Session(short_path / "session")
    yield made
    made.close()


@pytest.fixture
def keyring(session):
    return SecretService(session.address)


@pytest.fixture
def person(short_path, session):
    """Make the directories of a person's daemon."""
    made = Person(short_path / "p", session)
    yield made
    made.kill()


def test_a_secret_is_kept_and_found(session, keyring):
    session.log_in()

    keyring.keep("one", SECRET)
    keyring.keep("two", bytes(32))

    assert keyring.fetch("one") == SECRET
    assert keyring.fetch("three") is None
    assert [item["service"] for item in session.list_items()] == ["stepupd", "stepupd"]
    assert {item["username"] for item in session.list_items()} == {"one", "two"}


def test_a_locked_keyring_is_away_and_nobody_is_prompted(session, keyring):
    """Locked, or never unlocked after an automatic login: no prompt for a daemon nobody sees."""
    session.log_in()
    keyring.keep("one", SECRET)
    session.lock()
    watch = session.watch()

    with pytest.raises(KeyringAwayError, match="locked"):
        keyring.fetch("one")
    with pytest.raises(KeyringAwayError, match="locked"):
        keyring.keep("two", SECRET)

    called = watch.stop()
    assert "Get" in called
    assert not HARD_PROMPTS & set(called)


def test_where_there_is_no_default_keyring_none_is_made(session, keyring):
    session.log_in(password=None)
    watch = session.watch()

    with pytest.raises(KeyringAwayError, match="no default keyring"):
        keyring.keep("one", SECRET)

    assert not HARD_PROMPTS & set(watch.stop())


def test_a_keyring_that_is_forgotten_at_logout_is_none(session, keyring):
    session.log_in()
    with closing(session.connect()) as bus:
        secretstorage.util.DBusAddressWrapper(
            "/org/freedesktop/secrets", "org.freedesktop.Secret.Service", bus
        ).call("SetAlias", "so", "default", "/org/freedesktop/secrets/collection/session")

    with pytest.raises(KeyringAwayError, match="forgotten"):
        keyring.keep("one", SECRET)


def test_no_bus_and_no_service_are_away(keyring, tmp_path):
    with pytest.raises(KeyringAwayError, match="no Secret Service"):
        keyring.fetch("one")
    with pytest.raises(KeyringAwayError):
        SecretService(f"unix:path={tmp_path / 'none'}").fetch("one")
    with pytest.raises(KeyringAwayError):
        SecretService("nonsense").fetch("one")


def test_a_service_that_never_answers_is_away(session):
    """A start does not hang on it; the process that asked is ended."""
    with closing(session.connect()) as mute:
        Proxy(message_bus, mute).RequestName(NAME)

        with pytest.raises(KeyringAwayError):
            SecretService(session.address, patience=2.0).fetch("one")


@pytest.mark.parametrize("library", ["keyring", "secretstorage"])
def test_without_the_library_it_is_away_and_the_message_names_it(keyring, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)  # Python's own way to say: not there.

    with pytest.raises(KeyringAwayError, match=library) as caught:
        keyring.fetch("one")

    assert caught.value.hint == "pip install 'stepupd[keyring]'"


def test_the_key_of_a_daemon_is_in_the_keyring_and_nowhere_else(session, person):
    session.log_in()
    person.start()
    [item] = session.list_items()
    first = (person.state / "audit.vkey").read_text()
    said = person.read_stderr()
    person.restart()

    assert f"the key is in the keyring, as the item {item['username']} of stepupd" in said
    assert person.key_file.read_text() == f"secret-service {item['username']}\n"
    assert person.key_file.stat().st_mode & 0o7777 == 0o600
    assert "the key is in the keyring" in person.read_stderr()
    assert (person.state / "audit.vkey").read_text() == first
    assert session.list_items() == [item]
    key = load_master_key(person.key_file, keyring=SecretService(session.address)).secret
    for path in person.base.rglob("*"):
        if path.is_file():
            assert key not in path.read_bytes()
            assert key.hex().encode() not in path.read_bytes()


def test_no_variable_and_no_file_chooses_another_backend(session, person):
    """PYTHON_KEYRING_BACKEND, KEYRING_PROPERTY_* and keyringrc.cfg are other programs' business."""
    session.log_in()
    for folder in (person.base / "config", person.base / ".config"):
        (folder / "python_keyring").mkdir(parents=True)
        (folder / "python_keyring" / "keyringrc.cfg").write_text(
            "[backend]\ndefault-keyring=keyring.backends.null.Keyring\n"
        )
    other = "/org/freedesktop/secrets/collection/session"

    person.start(
        PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring",
        KEYRING_PROPERTY_SCHEME="KeePassXC",
        KEYRING_PROPERTY_PREFERRED_COLLECTION=other,
        KEYRING_PROPERTY_GET_PREFERRED_COLLECTION="x",
        PYTHONPATH="/nonexistent",
    )

    [item] = session.list_items()
    assert item["service"] == "stepupd"
    assert "the key is in the keyring" in person.read_stderr()
    assert person.restart().process is not None


def test_a_store_whose_keyring_is_locked_or_away_is_not_opened(session, person):
    """No new key takes the place of one that is away; when it is back, all is as before."""
    session.log_in()
    person.start().stop()
    before = person.key_file.read_bytes()

    session.lock()
    locked = person.refuse()
    session.log_out()
    away = person.refuse()
    session.log_in(password=None)
    never_unlocked = person.refuse()
    session.log_out()
    session.log_in()
    person.start()

    assert "the key is in the keyring, and there only" in locked
    assert "the keyring is locked" in locked
    assert "hint: log in or unlock the keyring, then start stepupd again" in locked
    assert "no Secret Service" in away
    assert "the key is in the keyring, and there only" in never_unlocked
    assert person.key_file.read_bytes() == before
    assert len(session.list_items()) == 1


def test_an_item_that_was_deleted_or_changed_is_refused(session, person):
    session.log_in()
    person.start().stop()
    before = person.key_file.read_bytes()

    session.change_items(os.urandom(32).hex().encode())
    another = person.refuse()
    session.change_items(b"no key at all")
    nonsense = person.refuse()
    session.delete_items()
    deleted = person.refuse()

    assert "and was changed" in another
    assert "and was changed" in nonsense
    assert "and is not there any more" in deleted
    assert "hint: restore the keyring from a backup" in deleted
    assert session.list_items() == []
    assert person.key_file.read_bytes() == before


def test_a_key_file_stays_in_use_when_a_keyring_comes(session, person):
    """Without a keyring the key is in its file, and the daemon says so and why."""
    person.start()
    first = person.read_stderr()
    before = person.key_file.read_bytes()
    session.log_in()
    person.restart()

    where = f"the key is in the file {person.key_file}, mode 0600"
    assert f"{where}; the keyring cannot be used: there is no Secret Service" in first
    assert where in person.read_stderr()
    assert len(before) == 32
    assert person.key_file.read_bytes() == before
    assert session.list_items() == []


def test_a_simulated_daemon_leaves_nothing_in_the_keyring(session, person):
    session.log_in()
    person.start("--simulate")

    assert f"the key is in the file {person.key_file}, mode 0600" in person.read_stderr()
    assert session.list_items() == []


def test_a_simulated_daemon_still_finds_the_key_of_a_real_one(session, person):
    session.log_in()
    person.start().stop()
    person.start("--simulate")

    assert "the key is in the keyring" in person.read_stderr()


def test_a_person_moves_the_key_by_hand(session, person):
    """Who began while the keyring was away is not bound to the file, nor to the keyring."""
    person.start().stop()
    first = person.key_file.read_bytes()
    session.log_in()
    moved = run_daemon(person, "--user", "--move-key", "keyring")
    inside = person.key_file.read_bytes()
    person.start().stop()
    back = run_daemon(person, "--user", "--move-key", "file")
    session.log_out()
    person.start()

    assert moved.stdout.startswith("the key is in the keyring, as the item ")
    assert first not in inside
    assert back.stdout == f"the key is in the file {person.key_file}, mode 0600\n"
    assert person.key_file.read_bytes() == first


def test_only_a_person_moves_a_key(person):
    refused = run_daemon(person, "--move-key", "keyring")

    assert refused.returncode == 1
    assert "needs --user" in refused.stderr
