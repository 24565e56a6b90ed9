"""What subjects did in the last hour, and the alerts that hold for them.

The law of this file: requests are remembered in memory only, of the subjects seen last; an alert
that holds is never dropped to make room. Alerts are also kept in the runtime directory, which is a
tmpfs of ours alone, so that neither a crash nor a restart forgets an attack. They end with their
time or with the boot. A file there that holds no sound alerts counts as the worst of them: what it
warned of is not known, and losing it would make a request look ordinary.
"""

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from stepupd.core.errors import InternalError
from stepupd.core.model import Moment
from stepupd.core.risk.activity import WINDOW, Activity, Alert, Event, remember
from stepupd.core.risk.alerts import DAY, EventName, drop_ended, join_alerts
from stepupd.store.durable_files import replace_file
from stepupd.store.file_checks import open_trusted_directory

MOST_SUBJECTS = 1000
"""Subjects whose requests are remembered: more people than one machine serves in an hour."""
MOST_ALERTED = 10_000
"""Subjects with alerts; a directory service may warn of many, and no alert gives way to another."""

_SUFFIX = ".alerts"
_MAX_FILE = 64 * 1024
_MAX_UID = 2**32 - 2

_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    boot_id: str
    alerts: tuple[Alert, ...]


class ActivityStore:
    """The last hour of every subject. `directory` must exist and be ours alone. Thread-safe.

    Raises ConfigError for a directory others can write into, InternalError where it is missing.
    """

    def __init__(self, directory: Path, now: Moment) -> None:
        self._lock = threading.Lock()
        self._events: dict[int, tuple[Event, ...]] = {}
        """Whoever asked last comes last."""
        self._alerts: dict[int, tuple[Alert, ...]] = {}
        self._boot_id = now.boot_id
        try:
            self._directory = open_trusted_directory(directory)
        except FileNotFoundError as error:
            raise InternalError(f"{directory} is missing", reason="store-unavailable") from error
        self._load(now)

    def find(self, uid: int, now: Moment) -> Activity:
        """Return the subject's last hour, oldest first, and the alerts that hold."""
        with self._lock:
            events = self._events.get(uid, ())
            alerts = self._hold(uid, now.boot)
        return Activity(tuple(event for event in events if now.boot - event.at < WINDOW), alerts)

    def remember(self, uid: int, event: Event) -> None:
        """Remember one request that ended; the subject who asked longest ago gives way."""
        with self._lock:
            known = self._events.pop(uid, ())
            self._events[uid] = remember(Activity(known), event).events
            while len(self._events) > MOST_SUBJECTS:
                del self._events[next(iter(self._events))]

    def alert(self, uid: int, alert: Alert, now: Moment, *, may_shorten: bool = False) -> None:
        """Raise an alert; it holds when this returns.

        Raises InternalError where there are too many subjects with alerts, or where it holds but
        would not survive a restart.
        """
        with self._lock:
            if uid not in self._alerts and len(self._alerts) >= MOST_ALERTED:
                self._forget_ended(now.boot)
                if len(self._alerts) >= MOST_ALERTED:
                    raise InternalError("too many subjects have alerts")
            held = self._alerts.get(uid, ())
            self._alerts[uid] = join_alerts(held, alert, now.boot, may_shorten=may_shorten)
            try:
                self._write(uid)
            except OSError as error:
                raise InternalError(
                    f"an alert cannot be stored: {error.strerror}", reason="store-unavailable"
                ) from error

    def close(self) -> None:
        """Close the directory; the files stay."""
        with self._lock:
            os.close(self._directory)

    def _hold(self, uid: int, now: float) -> tuple[Alert, ...]:
        known = self._alerts.get(uid, ())
        holding = drop_ended(known, now)
        if known and not holding:
            self._forget(uid)
        return holding

    def _forget_ended(self, now: float) -> None:
        for uid in tuple(self._alerts):
            self._hold(uid, now)

    def _forget(self, uid: int) -> None:
        self._alerts.pop(uid, None)
        with suppress(OSError):  # It has ended: it stays so if it is read again.
            os.unlink(f"{uid}{_SUFFIX}", dir_fd=self._directory)

    def _write(self, uid: int) -> None:
        alerts = self._alerts[uid]
        if not alerts:
            del self._alerts[uid]
            with suppress(FileNotFoundError):
                os.unlink(f"{uid}{_SUFFIX}", dir_fd=self._directory)
            return
        content = msgspec.json.encode(_Kept(self._boot_id, alerts))
        replace_file(self._directory, f"{uid}{_SUFFIX}", content)

    def _load(self, now: Moment) -> None:
        for name in sorted(os.listdir(self._directory)):  # noqa: PTH208 - of the checked descriptor
            uid = _read_uid(name)
            if uid is None:  # Half a file of a crash: what it was to replace is still there.
                with suppress(OSError):
                    os.unlink(name, dir_fd=self._directory)
                continue
            kept = self._read(name)
            if kept is None:
                _log.error("%s held no sound alerts: that counts as one", name)
                kept = _Kept(self._boot_id, (_warn(now),))
            if kept.boot_id == self._boot_id:
                self._alerts[uid] = kept.alerts
            if not self._hold(uid, now.boot):
                self._forget(uid)

    def _read(self, name: str) -> _Kept | None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=self._directory)
        except OSError:
            return None
        try:
            content = os.read(descriptor, _MAX_FILE + 1)
            kept = msgspec.json.decode(content, type=_Kept)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        finally:
            os.close(descriptor)
        return kept if len(content) <= _MAX_FILE else None


def _read_uid(name: str) -> int | None:
    number = name.removesuffix(_SUFFIX)
    if name != number + _SUFFIX or not number.isdecimal() or len(number) > len(str(_MAX_UID)):
        return None
    return int(number) if str(int(number)) == number else None


def _warn(now: Moment) -> Alert:
    reason = "what was known of an attack was damaged"
    return Alert(EventName.RISK_LEVEL_CHANGE.value, reason, now.boot + DAY)
