"""The rows of the store, read and written under their MACs and the seal.

The law of this file: a row is believed only when its MAC is right, and all rows together only when
the seal is. A change writes the row and the new seal in one transaction, and only over exactly the
row and the seal that were read before: anything else means somebody else was here.
"""

import hmac
import sqlite3
from dataclasses import replace
from pathlib import Path

import msgspec

from stepupd.core.errors import InternalError
from stepupd.core.model import Credential
from stepupd.store.database import create_database, open_database, transaction, translate_errors
from stepupd.store.seal import (
    Seal,
    add_record,
    authenticate_record,
    authenticate_seal,
    drop_record,
)


class SealedRows:
    """One open store file. Not thread-safe. Raises InternalError, ConfigError."""

    def __init__(self, path: Path, key: bytes, *, may_create: bool) -> None:
        self._path = path
        self._key = key
        self._bodies: dict[bytes, bytes] = {}
        self.seal = Seal()
        try:
            self._connection = open_database(path)
        except FileNotFoundError:
            if not may_create:
                raise InternalError(
                    f"{path} is missing, and it was there before",
                    reason="store-rolled-back",
                    hint="restore it from a backup; without it nobody would be enrolled",
                ) from None
            create_database(path, self._write_first_seal)
            self._connection = open_database(path)
        self._inode = path.stat().st_ino

    def load(self) -> tuple[Credential, ...]:
        """Return every credential, having checked everything."""
        found, mac = self._read_seal()
        bodies: dict[bytes, bytes] = {}
        credentials = []
        for credential, body in self._read_credentials():
            bodies[credential.id] = body
            credentials.append(credential)
            found = add_record(self._key, found, body)
        if not hmac.compare_digest(authenticate_seal(self._key, found), mac):
            raise self._corrupt("records are missing, altered or of another day")
        self.seal, self._bodies = found, bodies
        return tuple(credentials)

    def swap(self, old: bytes | None, new: Credential | None) -> None:
        """Take one record out, put one in; durable when this returns, or nothing has changed."""
        seal = self.seal
        if old is not None:
            seal = drop_record(self._key, seal, self._bodies[old])
        body = b"" if new is None else msgspec.json.encode(new)
        if new is not None:
            seal = add_record(self._key, seal, body)
        self._check_in_place()
        with transaction(self._connection, self._path):
            if old is not None:
                self._delete(old)
            if new is not None:
                self._insert(new, body)
            after = self._advance(seal)
        self.seal = after
        if old is not None:
            del self._bodies[old]
        if new is not None:
            self._bodies[new.id] = body

    def set_rp_id(self, rp_id: str) -> None:
        """Write the RP ID into the seal."""
        self._check_in_place()
        with transaction(self._connection, self._path):
            after = self._advance(replace(self.seal, rp_id=rp_id))
        self.seal = after

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _read_seal(self) -> tuple[Seal, bytes]:
        with translate_errors(self._path):
            rows = self._connection.execute("SELECT epoch, rp_id, mac FROM seal").fetchall()
        match rows:
            case [(int(epoch), str(rp_id), bytes(mac))]:
                return Seal(epoch=epoch, rp_id=rp_id), mac
        raise self._corrupt("no seal")

    def _read_credentials(self) -> list[tuple[Credential, bytes]]:
        with translate_errors(self._path):
            rows = self._connection.execute("SELECT id, uid, body, mac FROM credential").fetchall()
        return [self._check_row(*row) for row in rows]

    def _check_row(
        self, row_id: object, uid: object, body: object, mac: object
    ) -> tuple[Credential, bytes]:
        if not isinstance(body, bytes) or not isinstance(mac, bytes):
            raise self._corrupt("a record of the wrong type")
        if not hmac.compare_digest(authenticate_record(self._key, body), mac):
            raise self._corrupt(f"a record of uid {uid!r} has a wrong MAC")
        try:
            credential = msgspec.json.decode(body, type=Credential)
        except msgspec.DecodeError as error:
            raise self._corrupt(f"a record of uid {uid!r} cannot be read") from error
        if (credential.id, credential.subject_uid) != (row_id, uid):
            raise self._corrupt(f"a record was moved to uid {uid!r}")
        return credential, body

    def _delete(self, credential_id: bytes) -> None:
        mac = authenticate_record(self._key, self._bodies[credential_id])
        gone = self._connection.execute(
            "DELETE FROM credential WHERE id = ? AND mac = ?", (credential_id, mac)
        )
        if gone.rowcount != 1:
            raise self._corrupt("a record changed behind our back")

    def _insert(self, new: Credential, body: bytes) -> None:
        self._connection.execute(
            "INSERT INTO credential (id, uid, body, mac) VALUES (?, ?, ?, ?)",
            (new.id, new.subject_uid, body, authenticate_record(self._key, body)),
        )

    def _advance(self, seal: Seal) -> Seal:
        after = replace(seal, epoch=self.seal.epoch + 1)
        moved = self._connection.execute(
            "UPDATE seal SET epoch = ?, rp_id = ?, mac = ? WHERE one = 1 AND mac = ?",
            (
                after.epoch,
                after.rp_id,
                authenticate_seal(self._key, after),
                authenticate_seal(self._key, self.seal),
            ),
        )
        if moved.rowcount != 1:
            raise self._corrupt("the seal changed behind our back")
        return after

    def _write_first_seal(self, fresh: sqlite3.Connection) -> None:
        first = Seal(epoch=1)
        fresh.execute(
            "INSERT INTO seal (one, epoch, rp_id, mac) VALUES (1, ?, ?, ?)",
            (first.epoch, first.rp_id, authenticate_seal(self._key, first)),
        )

    def _check_in_place(self) -> None:
        """Refuse to write into a file that is no longer the one under its name."""
        try:
            inode = self._path.stat().st_ino
        except OSError:
            inode = 0
        if inode != self._inode:
            raise self._corrupt("the file was moved away or replaced")

    def _corrupt(self, what: str) -> InternalError:
        return InternalError(
            f"{self._path}: {what}",
            reason="store-corrupt",
            hint="stop stepupd and restore the store and its key from the same backup",
        )
