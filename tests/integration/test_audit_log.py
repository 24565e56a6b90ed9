"""The audit log on a real disk: what is acknowledged stays, what fails leaves nothing."""

import asyncio
import errno
import os
import resource
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest
from audit_support import Site, grant
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stepupd.core.checkpoint import open_checkpoint
from stepupd.core.errors import ConfigError, InternalError
from stepupd.core.note import parse_vkey


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def count_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def swapped(owner, name, value):
    """Give an open file another descriptor for a while."""
    saved = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, saved)
        os.close(value)


@contextmanager
def file_size_limit(size):
    """Make writes past `size` bytes fail as on a full disk (EFBIG in place of ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_entries_are_numbered_and_can_be_verified(site):
    assert site.write(map(grant, range(5))) == [0, 1, 2, 3, 4]
    report = site.verify()
    assert (report.fault, report.entries, report.uncovered) == (None, 5, 0)
    assert site.log.stat().st_mode & 0o777 == 0o640
    assert site.log.with_suffix(".vkey").stat().st_mode & 0o777 == 0o644


def test_an_entry_is_in_the_file_when_append_returns(site):
    with site.open() as log:
        for number in range(5):
            log.append_now(grant(number))
            assert len(site.lines()) == number + 1
            assert site.verify().uncovered == 0


async def test_an_event_loop_awaits_its_entries(site):
    with site.open() as log:
        seqs = await asyncio.gather(*(log.append(grant(number)) for number in range(20)))
    assert seqs == list(range(20))


async def test_a_caller_that_gives_up_does_not_take_its_entry_with_it(site):
    with site.open() as log:
        task = asyncio.ensure_future(log.append(grant()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(site.lines()) == 1


def test_a_log_goes_on_where_it_ended(site):
    site.write([grant()] * 3)
    assert site.write([grant()] * 2) == [3, 4]
    assert site.verify().entries == 5
    assert all(entry["kind"] != "recovered" for entry in site.entries())


def test_what_waits_together_is_synced_and_signed_together(site):
    """Group commit: one checkpoint for all that came while the writer was busy."""
    notes, is_busy, may_go_on = [], threading.Event(), threading.Event()

    def publish(note):
        notes.append(note)
        is_busy.set()
        may_go_on.wait(60)

    with site.open(publish) as log:
        first = log.submit(grant())
        is_busy.wait(60)
        others = [log.submit(grant()) for _ in range(20)]
        may_go_on.set()
        assert first.result() == 0
        assert [future.result() for future in others] == list(range(1, 21))
    vkey = parse_vkey(site.vkey.strip())
    assert [open_checkpoint(note, vkey).size for note in notes] == [1, 21]
    # What is written together is dated together.
    assert len({entry["time"] for entry in site.entries()[1:]}) == 1


def test_each_entry_is_covered_by_a_checkpoint_that_is_published(site):
    """Soon, not at once: a burst is one message. What is left is published at the end."""
    notes: SimpleQueue[str] = SimpleQueue()
    kept = []
    with site.open(notes.put) as log:
        vkey = parse_vkey(site.vkey.strip())
        for size in (1, 2):
            log.append_now(grant())
            kept.append(notes.get(timeout=60))
            assert open_checkpoint(kept[-1], vkey).size == size
        for _ in range(4):
            log.append_now(grant())
    while not notes.empty():
        kept.append(notes.get())
    report = site.verify(anchors=kept)
    assert (report.fault, report.anchors) == (None, len(kept))
    assert open_checkpoint(kept[-1], vkey).size == 6


def test_a_journal_that_fails_fails_no_append(site):
    def publish(_note):
        raise OSError("no journal")

    with site.open(publish) as log:
        log.append_now(grant())
        log.append_now(grant())
    assert log.publish_failures >= 1
    assert site.verify().entries == 2


def test_closing_writes_what_is_queued_and_then_refuses(site):
    log = site.open()
    futures = [log.submit(grant()) for _ in range(300)]
    log.close()
    log.close()
    assert [future.result() for future in futures] == list(range(300))
    with pytest.raises(InternalError, match="closed"):
        log.append_now(grant())


def test_a_bad_record_fails_alone(site):
    with site.open() as log:
        with pytest.raises(InternalError):
            log.append_now({"kind": "x", "secret": b"bytes"})
        assert log.append_now(grant()) == 0


def test_two_daemons_never_write_one_log(site):
    with site.open() as log:
        log.append_now(grant())
        with pytest.raises(ConfigError, match="another process"):
            site.open()
        assert log.append_now(grant()) == 1


@pytest.mark.parametrize("room", [0, 1, 200, 3000])
def test_a_full_disk_refuses_leaves_nothing_and_is_got_over(site, room):
    with site.open() as log:
        for number in range(40):
            log.append_now(grant(number))
        before = site.log.read_bytes()
        with file_size_limit(len(before) + room):
            futures = [log.submit(grant()) for _ in range(10)]
            failures = [future.exception() for future in futures]
            size = site.log.stat().st_size
        assert any(failures)
        assert all(isinstance(failure, InternalError) for failure in failures if failure)
        assert failures[-1].hint
        assert size <= len(before) + room
        assert log.append_now(grant()) == 40 + failures.count(None)
    assert site.verify().fault is None
    assert site.verify().recoveries == 0


def test_a_checkpoint_that_cannot_be_written_takes_its_entry_back(site):
    with site.open() as log:
        log.append_now(grant())
        before = site.log.read_bytes()
        with swapped(log._checkpoints, "_fd", os.open(site.checkpoint, os.O_RDONLY)):
            with pytest.raises(InternalError, match="cannot be written"):
                log.append_now(grant())
            assert site.log.read_bytes() == before
        assert log.append_now(grant()) == 1
    assert site.verify().fault is None


def test_nothing_is_acknowledged_or_signed_for_before_the_disk_has_it(site):
    """A sync that fails (EIO) fails the entry, and no checkpoint over it is left."""

    def fail():
        raise OSError(errno.EIO, "Input/output error")

    with site.open() as log:
        log.append_now(grant())
        before = site.log.read_bytes(), site.checkpoint.read_bytes()
        log._file.sync = fail
        with pytest.raises(InternalError, match="Input/output error"):
            log.append_now(grant())
        assert (site.log.read_bytes(), site.checkpoint.read_bytes()) == before
        del log._file.sync
        assert log.append_now(grant()) == 1


def test_a_failure_that_cannot_be_undone_ends_the_log(site):
    with site.open() as log:
        log.append_now(grant())
        read_only = os.open(site.log, os.O_RDONLY)
        with (
            swapped(log._file, "fd", read_only),
            pytest.raises(InternalError, match="cannot be written"),
        ):
            log.append_now(grant())
        with pytest.raises(InternalError, match="could not be undone"):
            log.append_now(grant())
    assert site.write([grant()]) == [1]


def test_a_log_that_is_rotated_away_takes_nothing_until_it_is_back(site):
    moved = site.log.with_name("audit.log.1")
    with site.open() as log:
        log.append_now(grant())
        site.log.rename(moved)
        with pytest.raises(InternalError, match="moved"):
            log.append_now(grant())
        shutil.copy(moved, site.log)
        with pytest.raises(InternalError, match="moved"):
            log.append_now(grant())
        moved.rename(site.log)
        assert log.append_now(grant()) == 1


def test_a_log_that_somebody_else_writes_to_takes_nothing(site):
    with site.open() as log:
        log.append_now(grant())
        with site.log.open("ab") as stream:
            stream.write(b"x")
        with pytest.raises(InternalError, match="somebody else"):
            log.append_now(grant())
    assert site.log.read_bytes().endswith(b"x")


def test_only_a_plain_file_with_one_name_is_opened(site):
    target = site.root / "target"
    target.write_bytes(b"")
    site.log.symlink_to(target)
    with pytest.raises(InternalError):
        site.open()
    site.log.unlink()
    site.log.hardlink_to(target)
    with pytest.raises(ConfigError, match="plain file"):
        site.open()
    site.log.unlink()
    os.mkfifo(site.log)
    with pytest.raises(ConfigError, match="plain file"):
        site.open()
    assert target.read_bytes() == b""


def test_a_folder_that_is_missing_is_a_fault_of_ours(tmp_path):
    site = Site(tmp_path)
    site.log.parent.rmdir()
    with pytest.raises(InternalError, match="cannot be opened"):
        site.open()


def test_a_public_key_that_was_replaced_is_put_back(site):
    site.write([grant()])
    site.log.with_suffix(".vkey").write_text("somebody+else\n")
    site.write([grant()])
    assert site.verify().entries == 2


def test_opening_and_closing_leaks_no_descriptor(site):
    site.write([grant()])
    before = count_descriptors()
    for _ in range(5):
        site.open().close()
        with pytest.raises(ConfigError):
            site.open(key=Ed25519PrivateKey.generate())
    assert count_descriptors() == before
