"""Attacks on what is stored: damaged, swapped, put back, unwritable, writable by others."""

import os
import random
import resource
import sqlite3
from dataclasses import replace

import pytest

from stepupd.core.errors import ConfigError, InternalError
from stepupd.core.model import (
    Credential,
)
from stepupd.store.credentials import CredentialStore
from stepupd.store.durable_files import create_file, replace_file
from stepupd.store.file_checks import open_trusted_directory
from stepupd.store.grants import GrantStore
from stepupd.store.master_key import load_master_key

KEY = b"k" * 32
STRANGER = 1234


def make_credential(number=1, **changes):
    credential = Credential(
        id=b"id-%d" % number,
        subject_uid=1000 + number % 2,
        name=f"key {number}",
        rp_id="host.0a1b2c.stepup",
        public_key=b"\xa5\x01" + bytes(range(70)),
        aaguid=bytes(range(16)),
        sign_count=number,
        created=float(number),
    )
    return replace(credential, **changes)


def read_answers(path):
    """Everything a store answers, or the reason it refuses to."""
    try:
        store = CredentialStore(path, KEY)
    except InternalError as error:
        return error.reason
    answers = (store.rp_id, store.list_credentials(1000), store.list_credentials(1001))
    store.close()
    return answers


@pytest.fixture
def path(tmp_path):
    """Make a store with four credentials of two subjects, closed."""
    path = tmp_path / "stepupd.db"
    store = CredentialStore(path, KEY)
    store.fix_rp_id("host.0a1b2c.stepup")
    for number in range(4):
        store.add(make_credential(number))
    store.close()
    return path


def edit(path, statement, *values):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement, values)
    connection.close()


def read_rows(path, table):
    connection = sqlite3.connect(path)
    rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names
    connection.close()
    return rows


def test_attack_039_a_record_cut_anywhere_is_refused_whole(path):
    """The record's bytes, not the file's: never a key that lost its options."""
    ((row_id, _uid, body, _mac), *_) = read_rows(path, "credential")
    for size in range(0, len(body), 3):
        edit(path, "UPDATE credential SET body = ? WHERE id = ?", body[:size], row_id)
        assert read_answers(path) == "store-corrupt"


def test_attack_039_a_file_cut_anywhere_is_never_nothing_enrolled(path):
    content = path.read_bytes()
    for size in (0, 1, 15, 16, 99, 100, *range(512, len(content), 512), len(content) - 1):
        path.write_bytes(content[:size])
        assert read_answers(path) == "store-corrupt", size


def test_attack_039_a_thousand_flipped_bits_never_hide_a_key(path):
    """Each is noticed, or changes no answer; the seed is fixed, so a failure repeats."""
    content = path.read_bytes()
    honest = read_answers(path)
    chance = random.Random(39)  # noqa: S311 - a choice of bits, not a secret
    noticed = 0
    for _ in range(1000):
        at, bit = chance.randrange(len(content)), chance.randrange(8)
        changed = bytearray(content)
        changed[at] ^= 1 << bit
        path.write_bytes(changed)
        answers = read_answers(path)
        noticed += isinstance(answers, str)
        assert isinstance(answers, str) or answers == honest, (at, bit)
        for log in path.parent.glob("stepupd.db-*"):
            log.unlink()

    assert noticed > 100


def test_attack_039_a_flipped_bit_in_the_header_never_hides_a_key(path):
    """All 800 bits of SQLite's header: versions, sizes, counters, encodings."""
    content = path.read_bytes()
    honest = read_answers(path)
    for at in range(100):
        for bit in range(8):
            changed = bytearray(content)
            changed[at] ^= 1 << bit
            path.write_bytes(changed)
            answers = read_answers(path)
            assert isinstance(answers, str) or answers == honest, (at, bit)
            for log in path.parent.glob("stepupd.db-*"):
                log.unlink()


def test_attack_039_a_log_without_its_database_is_not_a_new_store(path):
    path.rename(path.with_name("stepupd.db-wal"))

    assert read_answers(path) == "store-corrupt"


def test_attack_039_a_foreign_file_is_not_a_store(path):
    path.unlink()
    edit(path, "CREATE TABLE credential (id BLOB)")
    path.chmod(0o600)

    assert read_answers(path) == "store-corrupt"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM credential WHERE id = x'69642d31'",
        "DELETE FROM credential WHERE uid = 1000",
        "DELETE FROM credential",
        "DELETE FROM seal",
        "UPDATE credential SET uid = 1001 WHERE uid = 1000",
        "UPDATE credential SET id = x'00' WHERE id = x'69642d31'",
        "UPDATE seal SET epoch = epoch + 1",
        "UPDATE seal SET rp_id = 'evil.example.org'",
        "CREATE TRIGGER quiet AFTER UPDATE ON seal BEGIN DELETE FROM credential; END",
    ],
)
def test_attack_057_an_edited_store_is_refused(path, statement):
    edit(path, statement)

    assert read_answers(path) == "store-corrupt"


@pytest.mark.parametrize("columns", [("body",), ("mac",), ("body", "mac"), ("id",), ("uid",)])
def test_attack_057_records_swapped_between_subjects_are_refused(path, columns):
    """Each record is bound to its subject and its credential id."""
    one, other = [
        dict(zip(("id", "uid", "body", "mac"), row, strict=True))
        for row in read_rows(path, "credential")[:2]
    ]
    for row in (one, other):
        edit(path, "DELETE FROM credential WHERE id = ?", row["id"])
    for column in columns:
        one[column], other[column] = other[column], one[column]
    for row in (one, other):
        edit(path, "INSERT INTO credential VALUES (?, ?, ?, ?)", *row.values())

    assert read_answers(path) == "store-corrupt"


def test_attack_057_a_removed_key_put_back_is_refused(path):
    """Its record is genuine; the seal says that it is no longer there."""
    before = {row[0]: row for row in read_rows(path, "credential")}
    store = CredentialStore(path, KEY)
    store.remove(1001, b"id-1")
    store.close()

    edit(path, "INSERT INTO credential VALUES (?, ?, ?, ?)", *before[b"id-1"])

    assert read_answers(path) == "store-corrupt"


def test_attack_057_yesterdays_record_of_a_key_is_refused(path):
    """Else its old sign count would let an old assertion pass."""
    before = {row[0]: row for row in read_rows(path, "credential")}
    store = CredentialStore(path, KEY)
    store.record_use(b"id-1", sign_count=50, backed_up=False, last_used=1)
    store.close()

    _, _, body, mac = before[b"id-1"]
    edit(path, "UPDATE credential SET body = ?, mac = ? WHERE id = ?", body, mac, b"id-1")

    assert read_answers(path) == "store-corrupt"


def limit_file_size(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.fixture
def full_disk():
    """Let no file grow beyond what the test says: writes fail as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield limit_file_size
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_attack_092_a_full_disk_refuses_the_change_and_keeps_the_rest(path, full_disk):
    """The limit falls on every page of the log in turn: nothing is lost, nothing half there."""
    store = CredentialStore(path, KEY)
    honest = [store.list_credentials(uid) for uid in (1000, 1001)]
    for size in range(0, 4097, 512):
        full_disk(size)
        with pytest.raises(InternalError) as caught:
            store.record_use(b"id-1", sign_count=60, backed_up=False, last_used=1)
        assert caught.value.reason == "store-unavailable"
        with pytest.raises(InternalError):
            store.remove(1000, b"id-2")
        assert [store.list_credentials(uid) for uid in (1000, 1001)] == honest

    full_disk(resource.RLIM_INFINITY)
    store.record_use(b"id-1", sign_count=61, backed_up=False, last_used=1)
    store.close()

    _, ours, others = read_answers(path)
    assert ours == honest[0]
    assert [each.sign_count for each in others] == [61, 3]


def test_attack_092_a_full_disk_makes_no_half_key(tmp_path, full_disk):
    full_disk(16)
    with pytest.raises(ConfigError):
        load_master_key(tmp_path / "key")
    full_disk(resource.RLIM_INFINITY)

    assert list(tmp_path.iterdir()) == []


def test_attack_092_a_full_disk_makes_no_half_store(tmp_path, full_disk):
    full_disk(4096)
    with pytest.raises(InternalError):
        CredentialStore(tmp_path / "stepupd.db", KEY)
    full_disk(resource.RLIM_INFINITY)

    assert list(tmp_path.iterdir()) == []


def test_attack_105_a_key_of_another_user_is_refused_and_kept(tmp_path):
    file = tmp_path / "key"
    file.write_bytes(bytes(32))
    file.chmod(0o600)
    os.chown(file, STRANGER, -1)

    with pytest.raises(ConfigError) as caught:
        load_master_key(file)

    assert caught.value.hint == f"chown 0 {file}"
    assert file.read_bytes() == bytes(32)


def test_attack_105_a_store_of_another_user_is_refused(path):
    os.chown(path, STRANGER, -1)

    with pytest.raises(ConfigError):
        CredentialStore(path, KEY)


def plant_link(path, victim):
    path.symlink_to(victim)


def plant_hard_link(path, victim):
    os.link(victim, path)


def plant_fifo(path, _victim):
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [plant_link, plant_hard_link, plant_fifo])
@pytest.mark.parametrize("write", [create_file, replace_file])
def test_attack_128_a_planted_temporary_name_is_not_written_through(tmp_path, plant, write):
    """Whatever waits under the temporary name, its target keeps its bytes."""
    directory = tmp_path / "state"
    directory.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    plant(directory / ".name.new", victim)
    descriptor = open_trusted_directory(directory)

    write(descriptor, "name", b"content")
    os.close(descriptor)

    assert victim.read_bytes() == b"precious"
    assert (directory / "name").read_bytes() == b"content"
    assert [file.name for file in directory.iterdir()] == ["name"]


@pytest.mark.parametrize("plant", [plant_link, plant_hard_link])
def test_attack_128_a_planted_store_is_not_written_through(tmp_path, plant):
    directory = tmp_path / "state"
    directory.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    plant(directory / ".stepupd.db.new", victim)

    CredentialStore(directory / "stepupd.db", KEY).close()

    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("make", [GrantStore, lambda place: load_master_key(place / "key")])
def test_attack_128_nothing_is_written_where_others_can_write(tmp_path, make):
    tmp_path.chmod(0o1777)

    with pytest.raises(ConfigError):
        make(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_attack_150_last_weeks_store_is_refused_where_its_epoch_is_known(path):
    """A removed key stays removed."""
    old = path.read_bytes()
    store = CredentialStore(path, KEY)
    store.remove(1001, b"id-1")
    epoch = store.epoch
    store.close()
    path.write_bytes(old)

    with pytest.raises(InternalError) as caught:
        CredentialStore(path, KEY, minimum_epoch=epoch)

    assert caught.value.reason == "store-rolled-back"


def test_attack_150_a_store_that_was_there_before_is_not_made_anew(path):
    path.unlink()

    with pytest.raises(InternalError) as caught:
        CredentialStore(path, KEY, minimum_epoch=1)

    assert caught.value.reason == "store-rolled-back"
    assert not path.exists()


def test_attack_150_an_older_program_refuses_a_newer_store(path):
    edit(path, "PRAGMA user_version = 2")

    assert read_answers(path) == "store-too-new"
