"""Trials of service files: whatever stops us, the file is whole and the old one comes back.

Under a directory of its own in place of `/`; the real machine's PAM is not touched.
"""

import stat
from pathlib import Path

import pytest
from pam_trial_support import LATER, NEW, NEXT_BOOT, NOW, OLD, Tree

from stepup.pam.pam_files import PamPlaces, check_service, read_service
from stepup.pam.stack_file import StackError
from stepup.pam.trial_record import TrialRecord, read_record, write_record
from stepup.pam.trials import (
    Ending,
    cancel_trial,
    confirm_trial,
    list_trials,
    restore_due,
    write_service,
)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_unconfirmed_the_old_file_comes_back(tree):
    """When the time is up and not before; bytes, owner and mode as they were."""
    tree.begin()
    assert tree.read() == NEW
    assert restore_due(tree.places, LATER._replace(seconds=1299.9)) == {}
    assert tree.read() == NEW

    assert restore_due(tree.places, LATER) == {"sudo": Ending.RESTORED}

    status = tree.path.stat()
    assert tree.read() == OLD
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 0, 42)
    assert list_trials(tree.places) == {}
    assert tree.list_names() == ["sudo"]


@pytest.mark.parametrize("manner", [{"now": NEXT_BOOT}, {"now": NOW, "is_boot": True}])
def test_after_a_reboot_the_old_file_comes_back(tree, manner):
    """At once, however much time was left."""
    tree.begin()

    restore_due(tree.places, **manner)

    assert tree.read() == OLD


def test_confirmed_the_new_file_stays(tree):
    """Over reboots too, and a copy of the old one is kept."""
    tree.begin()
    assert confirm_trial(tree.places, "sudo", NOW) is Ending.CONFIRMED

    restore_due(tree.places, NEXT_BOOT, is_boot=True)

    assert tree.read() == NEW
    assert (tree.places.state / "sudo.before").read_bytes() == OLD
    assert stat.S_IMODE(tree.path.stat().st_mode) == 0o640


def test_a_late_confirmation_restores(tree):
    """Who comes too late may have been locked out meanwhile."""
    tree.begin()

    assert confirm_trial(tree.places, "sudo", LATER) is Ending.EXPIRED
    assert tree.read() == OLD


def test_disabling_in_mid_trial_restores(tree):
    """To the byte, and nothing is left to restore later."""
    tree.begin()

    assert cancel_trial(tree.places, "sudo") is Ending.RESTORED
    assert tree.read() == OLD
    assert cancel_trial(tree.places, "sudo") is None


def test_without_somebody_who_waits_nothing_changes(tree):
    """No timer, no change."""

    def fail():
        raise OSError("no timer")

    with pytest.raises(OSError, match="no timer"):
        tree.begin(fail)
    assert tree.read() == OLD
    assert list_trials(tree.places) == {}


def test_the_record_is_there_before_the_change(tree):
    """What waits finds what to restore, even if it is faster than we are."""
    seen = []
    tree.begin(lambda: seen.append((tree.read(), list(list_trials(tree.places)))))

    assert seen == [(OLD, ["sudo"])]


def test_a_service_is_on_trial_once(tree):
    """A second trial would restore the first one's file."""
    tree.begin()

    with pytest.raises(StackError, match="already"):
        tree.begin()
    assert tree.read() == NEW


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(tree):
    """The diff that the person saw is what is written, or nothing."""
    file = read_service(tree.places, "sudo")
    tree.path.write_bytes(OLD + b"# edited\n")

    with pytest.raises(StackError, match="somebody else"):
        tree.begin(file=file)
    assert tree.read() == OLD + b"# edited\n"


def test_edits_during_a_trial_are_kept(tree):
    """Only our line is taken out."""
    tree.begin()
    tree.path.write_bytes(NEW + b"# edited\n")

    assert restore_due(tree.places, LATER) == {"sudo": Ending.EDITED}
    assert tree.read() == OLD + b"# edited\n"


def test_edits_that_make_no_sense_are_not(tree):
    """The old file comes back whole."""
    tree.begin()
    tree.path.write_bytes(NEW + b"auth required \\\n")

    restore_due(tree.places, LATER)

    assert tree.read() == OLD


def test_a_damaged_record_restores(tree):
    """Without the old file our line is known all the same."""
    tree.begin()
    (tree.places.state / "sudo.trial").write_bytes(b"{}")

    assert restore_due(tree.places, NOW) == {"sudo": Ending.EDITED}
    assert tree.read() == OLD
    assert list_trials(tree.places) == {}


def test_a_service_of_a_package_gets_a_file_of_its_own_and_loses_it(tree):
    """Where /etc had none, it has none afterwards."""
    tree.places.vendor.mkdir(parents=True)
    (tree.places.vendor / "sudo").write_bytes(OLD)
    tree.path.unlink()

    tree.begin()
    assert tree.read() == NEW
    restore_due(tree.places, LATER)
    assert tree.read() is None

    tree.begin()
    confirm_trial(tree.places, "sudo", NOW)
    write_service(tree.places, read_service(tree.places, "sudo"), OLD)
    assert tree.read() is None


def test_a_link_is_never_written_through(tree):
    """A service file that is a link is somebody else's (attack 126)."""
    target = tree.places.root / "target"
    tree.path.rename(target)
    tree.path.symlink_to(target)
    with pytest.raises(StackError, match="no regular file"):
        read_service(tree.places, "sudo")

    tree.path.unlink()
    target.rename(tree.path)
    tree.begin()
    tree.path.rename(target)
    tree.path.symlink_to(target)
    restore_due(tree.places, LATER)
    assert target.read_bytes() == NEW
    assert tree.path.is_symlink()


def test_a_planted_draft_is_not_followed(tree):
    """Its name is known: what is there already is removed, not opened (attack 128)."""
    victim = tree.places.root / "victim"
    victim.write_bytes(b"untouched")
    (tree.places.services / ".sudo.stepup-new").symlink_to(victim)

    tree.begin()

    assert victim.read_bytes() == b"untouched"
    assert tree.read() == NEW
    assert not tree.path.is_symlink()


def test_a_directory_that_others_may_write_to_is_refused(tree):
    """Whoever can change the file there needs no trial."""
    tree.places.services.chmod(0o777)

    with pytest.raises(StackError, match="written by others"):
        read_service(tree.places, "sudo")


@pytest.mark.parametrize(
    "name", ["../passwd", ".hidden", "a/b", "", "common-auth", "other", "sudo.dpkg-dist", "x" * 101]
)
def test_only_services_have_names(name):
    """No path, no left-over, no file that all services share."""
    with pytest.raises(StackError):
        check_service(name)


def test_a_record_reads_back():
    """And one of another service or version is no record."""
    record = TrialRecord("sudo", b"\x00\xff", "ab", "boot", 12.5, 0o640, 0, 42)
    content = write_record(record)

    assert read_record(content, "sudo") == record
    with pytest.raises(StackError):
        read_record(content, "su")
    with pytest.raises(StackError):
        read_record(content.replace(b'"version": 1', b'"version": 2'), "sudo")


def test_nothing_was_ever_on_trial(tmp_path):
    """A boot without trials makes nothing and says nothing."""
    assert restore_due(PamPlaces(Path(tmp_path)), NEXT_BOOT, is_boot=True) == {}
    assert list(tmp_path.iterdir()) == []
