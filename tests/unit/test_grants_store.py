"""Grants on a tmpfs: kept across a restart, dropped when damaged, gone when revoked."""

import os
import threading
from dataclasses import replace

import pytest

from stepupd.core.errors import ConfigError, InternalError
from stepupd.core.model import Grant, Level, Method, Moment, Scope, Session
from stepupd.store.grants import MAX_GRANTS_PER_SUBJECT, GrantStore

NOW = Moment(wall=1_000_000.0, boot=500.0, boot_id="boot-1")


def make_grant(number=1, **changes):
    grant = Grant(
        id=f"{number:016x}",
        subject_uid=1000,
        action="pam:sudo",
        scope=Scope.SESSION,
        session=Session(42, 4200, "pts/1"),
        boot_id="boot-1",
        level=Level.TOUCH,
        method=Method.FIDO2,
        credential_id=b"\x00key",
        auth_time=400.0 + number / 1000,
        expires=1000.0,
        caller_uid=0,
    )
    return replace(grant, **changes)


@pytest.fixture
def store(tmp_path):
    store = GrantStore(tmp_path)
    yield store
    store.close()


def reopen(tmp_path):
    store = GrantStore(tmp_path)
    store.close()
    return store


def test_a_grant_is_found_again_after_a_restart(tmp_path, store):
    store.add(make_grant())

    assert reopen(tmp_path).list_grants(1000, NOW) == (make_grant(),)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o7777 == 0o600


def test_grants_belong_to_their_subject(store):
    store.add(make_grant())

    assert store.list_grants(1001, NOW) == ()


@pytest.mark.parametrize(
    "now",
    [
        Moment(NOW.wall, 1000.0, "boot-1"),
        Moment(NOW.wall, 399.0, "boot-1"),
        Moment(NOW.wall, 500.0, "boot-2"),
    ],
    ids=["run out", "before it was earned", "another boot"],
)
def test_a_dead_grant_is_forgotten_with_its_file(tmp_path, store, now):
    store.add(make_grant())

    assert store.list_grants(1000, now) == ()
    assert list(tmp_path.iterdir()) == []
    assert store.list_grants(1000, NOW) == ()


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        ({"uid": 1000}, {3}),
        ({"uid": 1000, "credential_id": b"other"}, {1, 3}),
        ({"credential_id": b"other"}, {1}),
        ({"grant_id": f"{1:016x}"}, {2, 3}),
        ({"grant_id": f"{1:016x}", "uid": 1001}, {1, 2, 3}),
        ({}, set()),
    ],
)
def test_revoking_takes_exactly_what_matches_and_it_stays_gone(tmp_path, store, criteria, left):
    """In memory at once, and after a restart."""
    grants = {
        1: make_grant(1),
        2: make_grant(2, credential_id=b"other"),
        3: make_grant(3, credential_id=b"other", subject_uid=1001),
    }
    for grant in grants.values():
        store.add(grant)

    assert store.revoke(**criteria) == 3 - len(left)

    expected = {grants[number] for number in left}
    for each in (store, reopen(tmp_path)):
        assert {*each.list_grants(1000, NOW), *each.list_grants(1001, NOW)} == expected


def test_the_oldest_grant_makes_room(tmp_path, store):
    for number in range(MAX_GRANTS_PER_SUBJECT + 3):
        store.add(make_grant(number))

    found = store.list_grants(1000, NOW)

    assert len(found) == MAX_GRANTS_PER_SUBJECT
    assert found[0] == make_grant(3)
    assert len(list(tmp_path.iterdir())) == MAX_GRANTS_PER_SUBJECT
    assert reopen(tmp_path).list_grants(1000, NOW) == found


def damage_empty(path):
    path.write_bytes(b"")


def damage_half(path):
    path.write_bytes(path.read_bytes()[:-40])


def damage_scope(path):
    path.write_bytes(path.read_bytes().replace(b'"session","', b'"request","'))


def damage_level(path):
    path.write_bytes(path.read_bytes().replace(b'"level":2', b'"level":9'))


def damage_life(path):
    path.write_bytes(path.read_bytes().replace(b'"expires":1000.0', b'"expires":null'))


def damage_name(path):
    path.rename(path.with_name(f"{99:016x}.grant"))


def damage_size(path):
    path.write_bytes(path.read_bytes() + b" " * 5000)


def damage_link(path):
    moved = path.with_name("moved")
    path.rename(moved)
    path.symlink_to(moved)


def damage_fifo(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "damage",
    [
        damage_empty,
        damage_half,
        damage_scope,
        damage_level,
        damage_life,
        damage_name,
        damage_size,
        damage_link,
        damage_fifo,
    ],
)
def test_a_damaged_file_is_no_grant_and_is_reported(tmp_path, store, damage):
    """The others are not harmed by it."""
    store.add(make_grant(1))
    store.add(make_grant(2))
    damage(tmp_path / f"{1:016x}.grant")

    again = reopen(tmp_path)

    assert again.damaged
    assert again.list_grants(1000, NOW) == (make_grant(2),)
    assert [file.name for file in tmp_path.iterdir()] == [f"{2:016x}.grant"]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../../etc/x"},
        {"id": ""},
        {"scope": Scope.REQUEST},
        {"expires": 1.0},
        {"expires": float("inf")},
    ],
)
def test_what_is_no_grant_is_not_remembered(tmp_path, store, changes):
    with pytest.raises(InternalError):
        store.add(make_grant(**changes))

    assert list(tmp_path.iterdir()) == []


def test_a_grant_that_cannot_be_stored_is_not_remembered(tmp_path, store):
    """A directory where its temporary file should be stands for a full disk."""
    (tmp_path / f".{1:016x}.grant.new").mkdir()

    with pytest.raises(InternalError):
        store.add(make_grant(1))

    assert store.list_grants(1000, NOW) == ()


def test_a_grant_file_that_stays_behind_is_an_error(tmp_path, store):
    """Else it would be back after a restart; memory has forgotten it all the same."""
    store.add(make_grant(1))
    (tmp_path / f"{1:016x}.grant").unlink()
    (tmp_path / f"{1:016x}.grant").mkdir()

    with pytest.raises(InternalError):
        store.revoke(uid=1000)

    assert store.list_grants(1000, NOW) == ()


def test_a_directory_others_can_write_into_is_refused(tmp_path):
    tmp_path.chmod(0o770)

    with pytest.raises(ConfigError):
        GrantStore(tmp_path)


def test_many_threads_may_add_and_revoke_at_once(tmp_path, store):
    """Each of four subjects ends with what was added after its own last revocation."""

    def work(uid):
        for number in range(30):
            store.add(make_grant(uid * 100 + number, subject_uid=uid))
        store.revoke(uid=uid)
        store.add(make_grant(uid, subject_uid=uid))

    threads = [threading.Thread(target=work, args=(uid,)) for uid in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for uid in range(1, 5):
        assert [grant.id for grant in store.list_grants(uid, NOW)] == [f"{uid:016x}"]
    assert len(list(tmp_path.iterdir())) == 4
