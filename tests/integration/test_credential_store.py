"""The credential store on a real disk: what is stored is found again, whole or not at all."""

import sqlite3
import subprocess
import sys
import threading
from dataclasses import asdict, fields, make_dataclass

import pytest
from credential_support import KEY, make_credential

from stepupd.core.errors import ConfigError, InternalError, RequestError
from stepupd.core.model import Credential
from stepupd.store import database
from stepupd.store.credentials import CredentialStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stepupd.db"


@pytest.fixture
def store(path):
    store = CredentialStore(path, KEY)
    yield store
    store.close()


def read_all(path, uid=1000):
    store = CredentialStore(path, KEY)
    try:
        return store.list_credentials(uid)
    finally:
        store.close()


def edit(path, *statements):
    """Change the file behind the store's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(*statement)
    connection.close()


def test_every_field_is_found_again(path, store):
    credential = make_credential(
        id=bytes(range(256)),
        name="Schlüssel 🔑",
        backup_eligible=True,
        backed_up=True,
        is_attested=True,
        is_simulated=True,
        created=1.5,
        last_used=2.25,
        is_suspect=True,
        sign_count=2**32 - 1,
    )
    store.add(credential)
    store.close()

    assert read_all(path) == (credential,)


def test_credentials_come_oldest_first_and_belong_to_their_subject(store):
    other = make_credential(9, subject_uid=1001)
    for credential in (make_credential(2), make_credential(1), other):
        store.add(credential)

    assert store.list_credentials(1000) == (make_credential(1), make_credential(2))
    assert store.list_credentials(1001) == (other,)
    assert store.list_credentials(1002) == ()
    assert store.find(other.id) == other
    assert store.find(b"nobody's") is None


def test_the_file_is_ours_alone_and_its_log_is_empty(path, store):
    store.add(make_credential())

    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o7777 == 0o600
    assert path.with_name("stepupd.db-wal").stat().st_size == 0


def test_a_key_is_enrolled_once_whoever_owns_it(store):
    store.add(make_credential(1))

    for uid in (1000, 1001):
        with pytest.raises(RequestError) as caught:
            store.add(make_credential(1, name="another", subject_uid=uid))
        assert caught.value.reason == "already-enrolled"


@pytest.mark.parametrize(
    "name", ["", "a" * 41, " a", "a ", "a\nb", "a\x1b[1m", "a\u202eb", "\ud800"]
)
def test_a_name_can_be_shown(store, name):
    with pytest.raises(RequestError):
        store.add(make_credential(name=name))

    assert store.list_credentials(1000) == ()


def test_names_are_unique_per_subject(store):
    store.add(make_credential(1))
    store.add(make_credential(2))
    store.add(make_credential(3, name="key 1", subject_uid=1001))

    with pytest.raises(RequestError) as caught:
        store.rename(1000, b"id-2", "key 1")

    assert caught.value.reason == "name-taken"
    store.rename(1000, b"id-2", "key 2")
    store.rename(1000, b"id-2", "the blue one")
    assert store.find(b"id-2") == make_credential(2, name="the blue one")


def test_nobody_renames_or_removes_the_key_of_another(store):
    store.add(make_credential(1))

    for change in (
        lambda: store.rename(1001, b"id-1", "mine"),
        lambda: store.remove(1001, b"id-1"),
    ):
        with pytest.raises(RequestError) as caught:
            change()
        assert caught.value.reason == "unknown-credential"
    assert store.list_credentials(1000) == (make_credential(1),)


def test_a_removed_key_is_gone_and_may_be_enrolled_again(path, store):
    store.add(make_credential(1))
    store.add(make_credential(2))

    assert store.remove(1000, b"id-1") == make_credential(1)
    assert store.list_credentials(1000) == (make_credential(2),)

    store.add(make_credential(1, subject_uid=1001))
    store.close()
    assert read_all(path) == (make_credential(2),)


def test_a_use_is_durable_when_it_returns(path, store):
    store.add(make_credential(1))

    store.record_use(b"id-1", sign_count=7, backed_up=True, last_used=99.5)
    expected = make_credential(1, sign_count=7, backed_up=True, last_used=99.5)
    assert store.list_credentials(1000) == (expected,)
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())  # Without the log: nothing is in it alone.
    copy.chmod(0o600)

    assert read_all(copy) == (expected,)


@pytest.mark.parametrize(("stored", "count"), [(5, 5), (5, 4), (5, 0), (0, 2**32), (0, -1)])
def test_a_sign_count_never_goes_back(store, stored, count):
    store.add(make_credential(sign_count=stored))

    with pytest.raises(InternalError):
        store.record_use(b"id-1", sign_count=count, backed_up=False, last_used=1)

    assert store.find(b"id-1").sign_count == stored


def test_a_key_without_a_counter_stays_at_zero(store):
    store.add(make_credential(sign_count=0))

    store.record_use(b"id-1", sign_count=0, backed_up=False, last_used=5)

    assert store.find(b"id-1") == make_credential(sign_count=0, last_used=5)


def test_using_a_key_that_was_removed_meanwhile_is_refused(store):
    with pytest.raises(InternalError) as caught:
        store.record_use(b"id-1", sign_count=1, backed_up=False, last_used=1)

    assert caught.value.reason == "unknown-credential"


def test_each_change_moves_the_epoch_and_a_refusal_does_not(store):
    epochs = [store.epoch]
    store.fix_rp_id("a.stepup")
    epochs.append(store.epoch)
    store.add(make_credential())
    epochs.append(store.epoch)
    store.record_use(b"id-1", sign_count=2, backed_up=False, last_used=1)
    epochs.append(store.epoch)
    store.rename(1000, b"id-1", "other")
    epochs.append(store.epoch)
    store.remove(1000, b"id-1")
    epochs.append(store.epoch)
    with pytest.raises(RequestError):
        store.remove(1000, b"id-1")

    assert epochs == [1, 2, 3, 4, 5, 6]
    assert store.epoch == 6


def test_one_process_at_a_time(path, store):
    """A second daemon is refused; it does not wait for ever, and harms nothing."""
    program = (
        "import sys; from pathlib import Path; from stepupd.core.errors import InternalError\n"
        "from stepupd.store.credentials import CredentialStore\n"
        "try: CredentialStore(Path(sys.argv[1]), b'k' * 32)\n"
        "except InternalError as error: print(error.reason)\n"
    )
    store.add(make_credential())

    told = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )

    assert told.stdout == "store-busy\n"
    store.add(make_credential(2))


def test_many_threads_may_use_the_store_at_once(path, store):
    def work(number):
        store.add(make_credential(number))
        for count in range(5):
            store.record_use(
                b"id-%d" % number, sign_count=100 + count, backed_up=False, last_used=count
            )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()

    assert [each.sign_count for each in read_all(path)] == [104] * 8


def test_a_closed_store_answers_nothing(store):
    store.close()

    with pytest.raises(InternalError):
        store.list_credentials(1000)


def test_a_key_that_is_not_the_stores_is_noticed(path, store):
    store.add(make_credential())
    store.close()

    with pytest.raises(InternalError) as caught:
        CredentialStore(path, b"x" * 32)

    assert caught.value.reason == "store-corrupt"


def test_a_file_others_can_read_is_refused_with_the_mending_command(path, store):
    store.close()
    path.chmod(0o640)

    with pytest.raises(ConfigError) as caught:
        CredentialStore(path, KEY)

    assert caught.value.hint == f"chmod 0600 {path}"


def test_a_store_of_a_newer_version_is_refused_and_kept(path, store):
    store.close()
    edit(path, ("PRAGMA user_version = 99",))
    before = path.read_bytes()

    with pytest.raises(InternalError) as caught:
        CredentialStore(path, KEY)

    assert caught.value.reason == "store-too-new"
    assert path.read_bytes() == before


def test_an_older_version_is_carried_forward_with_everything_in_it(path, store, monkeypatch):
    """One more step is added here, as a release would."""
    store.add(make_credential())
    store.close()
    step = ("CREATE TABLE later (one INTEGER)",)
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, step))

    assert read_all(path) == (make_credential(),)
    assert read_all(path) == (make_credential(),)
    edit(path, ("INSERT INTO later VALUES (1)",))


def test_a_failing_migration_leaves_the_old_store(path, store, monkeypatch):
    store.add(make_credential())
    store.close()
    step = ("CREATE TABLE later (one INTEGER)", "CREATE TABLE seal (one INTEGER)")
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, step))
        with pytest.raises(InternalError):
            CredentialStore(path, KEY)

    assert read_all(path) == (make_credential(),)


def test_a_half_made_store_is_started_anew(path):
    path.with_name(".stepupd.db.new").write_bytes(b"half")

    assert read_all(path) == ()
    assert [file.name for file in path.parent.iterdir()] == ["stepupd.db"]


def test_a_suspect_stays_one_until_it_is_removed(path, store):
    """Using and renaming it change nothing; marking it twice is one change."""
    store.add(make_credential(1))
    store.add(make_credential(2))
    store.mark_suspect(b"id-1")
    epoch = store.epoch
    store.mark_suspect(b"id-1")
    assert store.epoch == epoch

    store.record_use(b"id-1", sign_count=9, backed_up=False, last_used=1)
    store.rename(1000, b"id-1", "the odd one")
    store.close()
    assert [each.is_suspect for each in read_all(path)] == [True, False]


def test_a_key_that_is_gone_needs_no_mark(store):
    """It was removed between the refusal and the mark, which is no fault."""
    store.mark_suspect(b"nobody's")

    assert store.list_all() == ()


def test_a_record_of_before_there_were_suspects_is_read_and_can_be_marked(path, store):
    """Rows as version 0.1.0 wrote them: the field is missing, and the seal covers that."""
    old = [field.name for field in fields(Credential) if field.name != "is_suspect"]
    values = asdict(make_credential(1))
    store.add(make_dataclass("OldCredential", old)(*(values[name] for name in old)))
    store.close()
    connection = sqlite3.connect(path)
    ((body,),) = connection.execute("SELECT body FROM credential").fetchall()
    connection.close()
    assert b"sign_count" in body
    assert b"is_suspect" not in body
    assert read_all(path) == (make_credential(1),)

    store = CredentialStore(path, KEY)
    store.mark_suspect(b"id-1")
    store.close()
    assert [each.is_suspect for each in read_all(path)] == [True]
