"""Grants, remembered across a restart of the daemon and no further.

The law of this file: a grant lives in memory and in one small file of the runtime directory, which
is a tmpfs of ours alone. Losing one only means asking again, so a damaged file is dropped and
reported, and nothing is synced; but a revoked grant must not come back, so a file that cannot be
removed is an error.

Which grant covers which request is not decided here.
"""

import logging
import os
import string
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from stepupd.core.errors import InternalError
from stepupd.core.grants import is_alive
from stepupd.core.model import Grant, Moment, Scope
from stepupd.store.durable_files import replace_file
from stepupd.store.file_checks import open_trusted_directory

_LOG = logging.getLogger(__name__)

MAX_GRANTS_PER_SUBJECT = 64
"""More than anybody's terminals times actions; bounds what one subject can make us hold."""
MAX_GRANT_SIZE = 4096
"""A grant is some 400 bytes; its action and tty are bounded where they come in."""

_SUFFIX = ".grant"
_MAX_ID = 64
_HEX = frozenset(string.hexdigits.lower())


class GrantStore:
    """Every live grant. `directory` must exist and be ours alone.

    Raises ConfigError for a directory others can write into, InternalError where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._lock = threading.Lock()
        self._grants: dict[int, tuple[Grant, ...]] = {}
        try:
            self._directory = open_trusted_directory(directory)
        except FileNotFoundError as error:
            raise InternalError(f"{directory} is missing", reason="store-unavailable") from error
        self.damaged: tuple[str, ...] = tuple(self._load())
        """Names of the files that were dropped at the start because they held no sound grant."""

    def list_grants(self, uid: int, now: Moment) -> tuple[Grant, ...]:
        """Return the subject's live grants, oldest first; the others are forgotten."""
        grants = self._grants.get(uid, ())
        if all(is_alive(grant, now) for grant in grants):
            return grants
        with self._lock:
            grants = self._grants.get(uid, ())
            alive = tuple(grant for grant in grants if is_alive(grant, now))
            self._keep(uid, alive)
            for grant in grants:
                if grant not in alive:
                    with suppress(OSError):  # It has run out: it stays dead if it is read again.
                        self._unlink(grant)
            return alive

    def list_bound(self) -> tuple[Grant, ...]:
        """Return everybody's grants that end with their key's stay in its socket."""
        with self._lock:
            return tuple(
                grant for grants in self._grants.values() for grant in grants if grant.plugged_as
            )

    def add(self, grant: Grant) -> None:
        """Remember a grant. Raises InternalError, and then remembers nothing."""
        if not _is_sound(grant):
            raise InternalError("no grant that could be remembered")
        with self._lock:
            try:
                replace_file(self._directory, grant.id + _SUFFIX, msgspec.json.encode(grant))
            except OSError as error:
                raise _cannot("store", [error]) from error
            mine = self._grants.get(grant.subject_uid, ())
            grants = sorted((*mine, grant), key=lambda each: each.auth_time)
            self._keep(grant.subject_uid, tuple(grants[-MAX_GRANTS_PER_SUBJECT:]))
            self._forget_files(grants[:-MAX_GRANTS_PER_SUBJECT])

    def revoke(
        self,
        *,
        uid: int | None = None,
        grant_id: str | None = None,
        credential_id: bytes | None = None,
    ) -> int:
        """Forget every grant that matches all that is given (nothing given: every grant).

        Return how many. Raises InternalError where a file stays behind; memory has forgotten it.
        """
        with self._lock:
            gone = [
                grant
                for grants in self._grants.values()
                for grant in grants
                if uid in (None, grant.subject_uid)
                and grant_id in (None, grant.id)
                and credential_id in (None, grant.credential_id)
            ]
            for grant in gone:
                mine = self._grants[grant.subject_uid]
                self._keep(grant.subject_uid, tuple(other for other in mine if other != grant))
            self._forget_files(gone)
            return len(gone)

    def close(self) -> None:
        """Close the directory; the files stay."""
        with self._lock:
            os.close(self._directory)

    def _load(self) -> list[str]:
        damaged = []
        found: dict[int, list[Grant]] = {}
        for name in sorted(os.listdir(self._directory)):  # noqa: PTH208 - of the checked descriptor
            grant = self._read(name)
            if grant is None:
                damaged.append(name)
                _LOG.warning("dropped %r: it holds no sound grant", name)
                with suppress(OSError):
                    os.unlink(name, dir_fd=self._directory)
            else:
                found.setdefault(grant.subject_uid, []).append(grant)
        for uid, grants in found.items():
            newest = sorted(grants, key=lambda each: each.auth_time)[-MAX_GRANTS_PER_SUBJECT:]
            self._grants[uid] = tuple(newest)
        return damaged

    def _read(self, name: str) -> Grant | None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=self._directory)
        except OSError:
            return None
        try:
            content = os.read(descriptor, MAX_GRANT_SIZE + 1)
            if len(content) > MAX_GRANT_SIZE:
                return None
            grant = msgspec.json.decode(content, type=Grant)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return None
        finally:
            os.close(descriptor)
        return grant if name == grant.id + _SUFFIX and _is_sound(grant) else None

    def _keep(self, uid: int, grants: tuple[Grant, ...]) -> None:
        if grants:
            self._grants[uid] = grants
        else:
            self._grants.pop(uid, None)

    def _forget_files(self, grants: list[Grant]) -> None:
        errors = []
        for grant in grants:
            try:
                self._unlink(grant)
            except OSError as error:
                errors.append(error)
        if errors:
            raise _cannot("remove", errors)

    def _unlink(self, grant: Grant) -> None:
        with suppress(FileNotFoundError):
            os.unlink(grant.id + _SUFFIX, dir_fd=self._directory)


def _is_sound(grant: Grant) -> bool:
    return (
        0 < len(grant.id) <= _MAX_ID
        and set(grant.id) <= _HEX  # It names a file.
        and grant.scope is not Scope.REQUEST
        and grant.subject_uid >= 0
        and 0 <= grant.auth_time < grant.expires < float("inf")
    )


def _cannot(verb: str, errors: list[OSError]) -> InternalError:
    return InternalError(
        f"cannot {verb} {len(errors)} grant(s): {errors[0].strerror}", reason="store-unavailable"
    )
