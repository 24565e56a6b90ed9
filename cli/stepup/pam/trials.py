"""Trials: a new service file that goes back to the old one unless somebody confirms it.

The law of this file: the record is on disk, and whoever restores is waiting, before the service
file changes; the record goes only after the old file is back or the new one was confirmed. So
whatever stops us in between, the service file is whole, and an unconfirmed new one is found by
whoever looks next: the timer, the next boot, the next `stepup pam`.

Not done here: waiting (alarm.py), deciding what the new file says (plan.py).
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path

from stepup.pam.pam_files import (
    Look,
    PamPlaces,
    ServiceFile,
    open_directory,
    open_services,
    read_entry,
    read_service,
    remove_entry,
    replace_entry,
)
from stepup.pam.plan import remove_module
from stepup.pam.stack_file import StackError
from stepup.pam.trial_record import Moment, TrialRecord, digest, read_record, write_record

_SUFFIX = ".trial"
_COPY = ".before"
_RECORD_LOOK = Look(mode=0o600)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@unique
class Ending(Enum):
    """What became of a trial."""

    CONFIRMED = "confirmed"
    RESTORED = "restored"
    EDITED = "restored, other changes kept"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Change:
    """What a trial changes."""

    file: ServiceFile
    content: bytes
    seconds: float


def read_moment() -> Moment:
    """Return the moment that it is."""
    return Moment(_BOOT_ID.read_text().strip(), time.clock_gettime(time.CLOCK_BOOTTIME))


def begin_trial(
    places: PamPlaces, change: Change, arm: Callable[[], object], now: Moment
) -> TrialRecord:
    """Put the new file in place, on trial. Raises StackError, OSError; then nothing has changed.

    `arm` makes somebody wait who will restore; it is called once the record is on disk.
    """
    name, look = change.file.name, change.file.look
    record = TrialRecord(
        service=name,
        before=change.file.own,
        after=digest(change.content),
        boot=now.boot,
        deadline=now.seconds + change.seconds,
        mode=look.mode,
        uid=look.uid,
        gid=look.gid,
    )
    with _lock(places) as state, open_services(places) as directory:
        if name in _list_names(state):
            raise StackError(f"{name} is on trial already: confirm it or disable it first")
        if read_service(places, name) != change.file:
            raise StackError(f"{name} has been changed by somebody else just now")
        replace_entry(state, name + _COPY, change.file.content, _RECORD_LOOK)
        replace_entry(state, name + _SUFFIX, write_record(record), _RECORD_LOOK)
        try:
            arm()
            replace_entry(directory, name, change.content, look)
        except BaseException:
            _restore(places, directory, state, name)
            raise
    return record


def confirm_trial(places: PamPlaces, name: str, now: Moment) -> Ending:
    """Keep the new file; if the time is up, restore the old one. Raises StackError, OSError."""
    with _lock(places) as state, open_services(places) as directory:
        record = _find_record(state, name)
        if record is None:
            raise StackError(f"{name} is not on trial")
        if record.is_due(now):
            _restore(places, directory, state, name)
            return Ending.EXPIRED
        remove_entry(state, name + _SUFFIX)
    return Ending.CONFIRMED


def cancel_trial(places: PamPlaces, name: str) -> Ending | None:
    """Restore the old file now; None if there is no trial. Raises StackError, OSError."""
    with _lock(places) as state, open_services(places) as directory:
        return _restore(places, directory, state, name) if name in _list_names(state) else None


def restore_due(places: PamPlaces, now: Moment, *, is_boot: bool = False) -> dict[str, Ending]:
    """Restore every service whose trial is over, each by itself. `is_boot`: all of them are.

    Raises StackError or OSError for the first that could not be, after having tried them all.
    """
    ended: dict[str, Ending] = {}
    failures: list[StackError | OSError] = []
    if not places.state.is_dir():
        return ended
    with _lock(places) as state, open_services(places) as directory:
        for name in _list_names(state):
            try:
                if is_boot or _is_due(state, name, now):
                    ended[name] = _restore(places, directory, state, name)
            except (StackError, OSError) as error:
                failures.append(error)
    if failures:
        raise failures[0]
    return ended


def list_trials(places: PamPlaces) -> dict[str, TrialRecord | None]:
    """Return the trials; without root, or where one is damaged, only their names."""
    found: dict[str, TrialRecord | None] = {}
    with contextlib.suppress(StackError, PermissionError), open_directory(places.state) as state:
        for name in _list_names(state):
            found[name] = None
            with contextlib.suppress(StackError):
                found[name] = _find_record(state, name)
    return found


def write_service(places: PamPlaces, file: ServiceFile, content: bytes) -> None:
    """Replace a service file for good; /etc's goes if it says only what the vendor's does."""
    with _lock(places) as state, open_services(places) as directory:
        if read_service(places, file.name) != file:
            raise StackError(f"{file.name} has been changed by somebody else just now")
        replace_entry(state, file.name + _COPY, file.content, _RECORD_LOOK)
        _write(directory, file, content)


def _write(directory: int, file: ServiceFile, content: bytes) -> None:
    if content == file.vendor:
        remove_entry(directory, file.name)
    else:
        replace_entry(directory, file.name, content, file.look)


def _restore(places: PamPlaces, directory: int, state: int, name: str) -> Ending:
    ending = _bring_back(places, directory, state, name)
    remove_entry(state, name + _SUFFIX)
    return ending


def _bring_back(places: PamPlaces, directory: int, state: int, name: str) -> Ending:
    record = None
    with contextlib.suppress(StackError):  # Damaged: our line is taken out, that is known.
        record = _find_record(state, name)
    try:
        entry = read_entry(directory, name, name)
    except StackError:  # Somebody has put something else in its place: it is not ours any more.
        return Ending.EDITED
    current = None if entry is None else entry[0]
    if record is None or (current != record.before and _hash(current) != record.after):
        if _take_out(places, directory, name) or record is None:
            return Ending.EDITED
    elif current == record.before:
        return Ending.RESTORED
    if record.before is None:
        remove_entry(directory, name)
    else:
        look = Look(record.mode, record.uid, record.gid, entry[1].attributes if entry else ())
        replace_entry(directory, name, record.before, look)
    return Ending.RESTORED


def _take_out(places: PamPlaces, directory: int, name: str) -> bool:
    """Take our line out of a file that was edited meanwhile; return whether that was possible."""
    with contextlib.suppress(StackError):
        file = read_service(places, name)
        planned = remove_module(name, file.content)
        if planned != file.content:
            _write(directory, file, planned)
        return True
    return False


def _hash(content: bytes | None) -> str:
    return "" if content is None else digest(content)


def _is_due(state: int, name: str, now: Moment) -> bool:
    try:
        record = _find_record(state, name)
    except StackError:
        return True
    return record is not None and record.is_due(now)


def _find_record(state: int, name: str) -> TrialRecord | None:
    entry = read_entry(state, name + _SUFFIX, name + _SUFFIX)
    return None if entry is None else read_record(entry[0], name)


def _list_names(state: int) -> list[str]:
    names = sorted(os.listdir(state))
    return [n.removesuffix(_SUFFIX) for n in names if n.endswith(_SUFFIX) and n[0] != "."]


@contextlib.contextmanager
def _lock(places: PamPlaces) -> Iterator[int]:
    """Open the directory of records, ours alone until the end of the block."""
    if not places.state.is_dir():
        places.state.mkdir(mode=0o755, parents=True, exist_ok=True)
        with open_directory(places.state.parent) as parent:
            os.fsync(parent)  # A record is worth nothing in a directory that power loss takes away.
    with open_directory(places.state) as state:
        status = os.fstat(state)
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise StackError(f"{places.state} can be written by others than root")
        fcntl.flock(state, fcntl.LOCK_EX)
        yield state
