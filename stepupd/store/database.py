"""The store's file: SQLite, one writer, one way forward through versions.

The law of this file: whatever is not exactly the store we wrote is a fault, never an empty store. A
new store is built under a temporary name and linked into place when it is complete, so an empty or
half-made file under the real name is damage. One connection owns the file (EXCLUSIVE locking) and
each commit is on the disk, in the database itself and not only in the log beside it, when it
returns: a damaged log can then lose nothing.

What rows mean is not known here; that nobody edited them is shown by the seal, not by SQLite.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from stepupd.core.errors import InternalError
from stepupd.store.durable_files import name_temporary
from stepupd.store.file_checks import OTHERS_ANY, open_trusted_directory, read_trusted_start

_LOG = logging.getLogger(__name__)

APPLICATION_ID = 0x53745570
"""Marks the file as ours ("StUp")."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE credential (
            id BLOB PRIMARY KEY,
            uid INTEGER NOT NULL,
            body BLOB NOT NULL,
            mac BLOB NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE seal (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            epoch INTEGER NOT NULL,
            rp_id TEXT NOT NULL,
            mac BLOB NOT NULL
        )""",
    ),
)
"""Step N leads from version N to N + 1. Only ever appended to."""

_HEADER_SIZE = 100
_MAGIC = b"SQLite format 3\0"
_WAL_FORMAT = b"\2\2"
"""Bytes 18 and 19 of the header: to be written and read with a write-ahead log."""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
    }
)


def create_database(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Build a store at the newest version; `fill` writes the first rows.

    Raises FileExistsError where there is one, else ConfigError, InternalError.
    """
    if any(path.with_name(path.name + end).exists() for end in ("-wal", "-journal")):
        raise InternalError(f"{path} is missing, its log is there", reason="store-corrupt")
    temporary = path.with_name(name_temporary(path.name))
    directory = open_trusted_directory(path.parent)
    try:
        with translate_errors(path):
            _build(temporary, directory, fill)
        os.link(temporary, path)
        os.fsync(directory)
    except FileExistsError:
        raise
    except OSError as error:
        raise InternalError(f"{path}: {error.strerror}", reason="store-unavailable") from error
    finally:
        _remove(temporary)
        os.close(directory)


def open_database(path: Path) -> sqlite3.Connection:
    """Return the one connection to a store that is whole and at the newest version.

    On a read-only file system it can be read only. Raises FileNotFoundError where there is none,
    else ConfigError, InternalError.
    """
    _check_header(read_trusted_start(path, size=_HEADER_SIZE, forbidden=OTHERS_ANY), path)
    with translate_errors(path):
        return _open(path, "mode=ro&immutable=1" if _is_read_only(path) else "mode=rw")


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Run a block as one change, on the disk at the end. Raises InternalError, changes nothing."""
    with translate_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        _LOG.warning("%s: committed, but still in its log only: %s", path, error)


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours: `store-busy`, `store-unavailable`, else `store-corrupt`."""
    try:
        yield
    except sqlite3.Error as error:
        code = _code_of(error)
        reason, hint = "store-corrupt", "restore it from a backup, and keep this one as evidence"
        if code in _BUSY:
            reason, hint = "store-busy", "another daemon uses it: stop that one first"
        elif code in _UNAVAILABLE:
            reason, hint = "store-unavailable", "look at its disk: is it full, or read-only?"
        raise InternalError(f"{path}: {error}", reason=reason, hint=hint) from error


def _code_of(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; errors of Python's own making have none."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF


def _build(temporary: Path, directory: int, fill: Callable[[sqlite3.Connection], None]) -> None:
    _remove(temporary)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(temporary.name, flags, 0o600, dir_fd=directory))
    with closing(_connect(temporary, "mode=rw")) as connection:
        _set_up(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _run_migrations(connection, 0)
        fill(connection)
        connection.execute("COMMIT")


def _check_header(header: bytes, path: Path) -> None:
    """Refuse what SQLite would take for a file of another kind, and wait or write because of it."""
    if len(header) < _HEADER_SIZE or not header.startswith(_MAGIC):
        raise InternalError(f"{path} is not a store of stepupd", reason="store-corrupt")
    if header[18:20] != _WAL_FORMAT:
        raise InternalError(f"{path}: the header is damaged", reason="store-corrupt")


def _open(path: Path, mode: str) -> sqlite3.Connection:
    connection = _connect(path, mode)
    try:
        _set_up(connection)
        _check_whole(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?{mode}",
        timeout=1,
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA mmap_size = 0")


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise InternalError(f"{path} is not a store of stepupd", reason="store-corrupt")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise InternalError(
            f"{path} has version {version}, this stepupd knows up to {len(MIGRATIONS)}",
            reason="store-too-new",
            hint="install the newer stepupd again",
        )
    found = connection.execute("PRAGMA quick_check").fetchall()
    if found != [("ok",)]:
        raise InternalError(f"{path}: {found[0][0]}", reason="store-corrupt")
    if version < len(MIGRATIONS):
        with transaction(connection, path):
            _run_migrations(connection, version)
    written = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema")}
    if written != _expected_schema():
        raise InternalError(f"{path}: the tables are not ours", reason="store-corrupt")


def _run_migrations(connection: sqlite3.Connection, version: int) -> None:
    for step in MIGRATIONS[version:]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _expected_schema() -> set[str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _run_migrations(connection, 0)
        return {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema")}


def _is_read_only(path: Path) -> bool:
    """Whether the file system takes no writes, and the database needs no log to be read."""
    log = path.with_name(path.name + "-wal")
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY) and not (
        log.exists() and log.stat().st_size
    )


def _remove(temporary: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        temporary.with_name(temporary.name + end).unlink(missing_ok=True)
