"""Login sessions, as systemd-logind knows them: which one a process belongs to, and from where.

The law of this file: a process is told by its control group, which it cannot leave by itself, and
not by XDG_SESSION_ID, which it writes. What logind does not answer is an error, and no machine
without logind looks as if everybody sat in front of it.

A process of an account's service manager (user@UID.service: desktop programs, and whatever
`systemd-run --user` starts) belongs to no session, but any session of the account can have started
it; so all of them are told. Sources: sd_pid_get_session(3), sd_session_is_active(3),
sd_uid_get_sessions(3), org.freedesktop.login1(5). libsystemd is called rather than logind's files
read: their format is not promised.
"""

import ctypes
import errno
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stepupd.core.errors import InternalError

_LIBRARY = "libsystemd.so.0"
_SEATS = Path("/run/systemd/seats")
"""Where libsystemd itself looks whether logind runs."""
_ABSENT = frozenset({errno.ENODATA, errno.ENXIO, errno.ENOENT})
_MAX_SESSIONS = 256
_BUS_PATIENCE = 500_000
"""Microseconds for logind to answer."""


@dataclass(frozen=True, slots=True)
class Login:
    """One session. `remote_host` is as the service that opened it told: a name or an address."""

    name: str
    is_remote: bool = False
    remote_host: str = ""
    has_seat: bool = False
    is_active: bool = False


@dataclass(frozen=True, slots=True)
class Belonging:
    """What a process belongs to: a session, or an account's service manager, or a service."""

    session: Login | None = None
    account: tuple[Login, ...] = ()
    """Without a session of its own: all sessions of the account whose manager runs it."""
    display: Login | None = None
    """Without a session of its own: the account's graphical session."""
    unit: str = ""
    """The system's unit, such as `cron.service` or `session-3.scope`."""


class Logins:
    """logind, asked anew each time. Methods raise `InternalError`."""

    def find(self, pid: int) -> Belonging:
        """Return what a running process belongs to."""
        if pid <= 0:  # to libsystemd, 0 is the caller of the function: ourselves
            raise InternalError("a process that asks has no number")
        library = _load()
        unit = _read_text(library.sd_pid_get_unit, pid) or ""
        session = _read_text(library.sd_pid_get_session, pid)
        if session is not None:
            return Belonging(session=_describe(library, session), unit=unit)
        uid = ctypes.c_uint32()
        code = library.sd_pid_get_owner_uid(pid, ctypes.byref(uid))
        if code < 0:
            _refuse_unless_absent(code)
            return Belonging(unit=unit)
        names = _list_sessions(library, uid.value)
        display = _read_text(library.sd_uid_get_display, uid)
        return Belonging(
            account=tuple(_describe(library, name) for name in names),
            display=None if display is None else _describe(library, display),
            unit=unit,
        )

    def is_locked(self, session: str) -> bool:
        """Return whether a screen locker says that the session is locked (LockedHint)."""
        library = _load()
        bus = ctypes.c_void_p()
        _check(library.sd_bus_open_system(ctypes.byref(bus)))
        try:
            _check(library.sd_bus_set_method_call_timeout(bus, ctypes.c_uint64(_BUS_PATIENCE)))
            value = ctypes.c_int(-1)
            code = library.sd_bus_get_property_trivial(
                bus,
                b"org.freedesktop.login1",
                f"/org/freedesktop/login1/session/{_escape(session)}".encode("ascii"),
                b"org.freedesktop.login1.Session",
                b"LockedHint",
                None,
                ctypes.c_char(b"b"),
                ctypes.byref(value),
            )
            _check(code)
            return value.value != 0
        finally:
            library.sd_bus_flush_close_unref(bus)


@cache
def _load() -> Any:  # noqa: ANN401 - a C library has no type
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise InternalError(f"there is no {_LIBRARY}: sessions are unknown") from error
    library.sd_bus_flush_close_unref.restype = ctypes.c_void_p
    if library.sd_booted() <= 0 or not _SEATS.is_dir():
        raise InternalError("systemd-logind does not run: sessions are unknown")
    return library


def _describe(library: Any, name: str) -> Login:  # noqa: ANN401 - see _load
    key = name.encode()
    seat = _read_text(library.sd_session_get_seat, key)
    return Login(
        name,
        is_remote=_check(library.sd_session_is_remote(key)) > 0,
        remote_host=_read_text(library.sd_session_get_remote_host, key) or "",
        has_seat=seat is not None,
        is_active=_check(library.sd_session_is_active(key)) > 0,
    )


def _list_sessions(library: Any, uid: int) -> list[str]:  # noqa: ANN401 - see _load
    found = ctypes.POINTER(ctypes.c_void_p)()
    # -1: those that are closing too; what they started may live on.
    code = library.sd_uid_get_sessions(ctypes.c_uint32(uid), -1, ctypes.byref(found))
    if code < 0:
        _refuse_unless_absent(code)
        return []
    try:
        names = [_take_text(found[index]) for index in range(min(code, _MAX_SESSIONS))]
    finally:
        _free(ctypes.cast(found, ctypes.c_void_p))
    if code > _MAX_SESSIONS:
        raise InternalError(f"user {uid} has more than {_MAX_SESSIONS} sessions")
    return names


def _read_text(function: Any, key: object) -> str | None:  # noqa: ANN401 - see _load
    """Call a function that hands out a text; None where there is none."""
    found = ctypes.c_void_p()
    code = function(key, ctypes.byref(found))
    if code < 0:
        _refuse_unless_absent(code)
        return None
    return _take_text(found.value)


def _take_text(pointer: int | None) -> str:
    if not pointer:
        raise InternalError("libsystemd gave a text that is none")
    try:
        return ctypes.string_at(pointer).decode("utf-8", "backslashreplace")
    finally:
        _free(ctypes.c_void_p(pointer))


def _free(pointer: ctypes.c_void_p) -> None:
    ctypes.CDLL(None).free(pointer)


def _check(code: int) -> int:
    if code < 0:
        raise InternalError(f"systemd-logind: {errno.errorcode.get(-code, str(code))}")
    return code


def _refuse_unless_absent(code: int) -> None:
    if -code not in _ABSENT:
        _check(code)


def _escape(name: str) -> str:
    """Return a name as part of an object path (sd_bus_path_encode(3))."""
    return "".join(
        letter
        if letter.isascii() and (letter.isalpha() or (letter.isdigit() and index))
        else f"_{ord(letter):02x}"
        for index, letter in enumerate(name)
    )
