"""Credentials: what each subject enrolled, and how often each key has signed.

The law of this file:
* the file is checked whole when it is opened, and served from memory after that: a reader never
  waits for the disk and never sees half a change;
* a record that is altered, moved to another subject, missing or back again is a fault, and never
  reads as "nothing enrolled";
* a change is durable when its call returns; after a failed one the file is read and checked anew;
* a sign count never goes back (WebAuthn section 6.1.1).

Whether an assertion is good is not decided here.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stepupd.core.errors import InternalError, RequestError
from stepupd.core.management import check_name
from stepupd.core.model import Credential
from stepupd.store.credential_rules import check_credential, check_use
from stepupd.store.sealed_rows import SealedRows


class CredentialStore:
    """The credentials of all subjects, in one file.

    `minimum_epoch` is the last epoch seen elsewhere, such as in the audit log: a file that is
    older, or gone, was put back. Raises ConfigError for a file others can reach and InternalError
    (`store-corrupt`, `store-rolled-back`, `store-too-new`, `store-busy`, `store-unavailable`).
    """

    def __init__(self, path: Path, mac_key: bytes, *, minimum_epoch: int = 0) -> None:
        self._lock = threading.Lock()
        self._fault: InternalError | None = None
        self._by_id: dict[bytes, Credential] = {}
        self._by_uid: dict[int, tuple[Credential, ...]] = {}
        self._rows = SealedRows(path, mac_key, may_create=minimum_epoch == 0)
        try:
            self._load()
            self._check_epoch(minimum_epoch)
        except BaseException:
            self._rows.close()
            raise

    @property
    def epoch(self) -> int:
        """How many changes the store has seen. Never goes back."""
        return self._rows.seal.epoch

    @property
    def rp_id(self) -> str:
        """The relying party's name, empty before the first start has fixed it."""
        return self._rows.seal.rp_id

    def list_credentials(self, uid: int) -> tuple[Credential, ...]:
        """Return what a subject enrolled, oldest first. Raises InternalError."""
        self._check_fault()
        return self._by_uid.get(uid, ())

    def list_all(self) -> tuple[Credential, ...]:
        """Return every credential there is. Raises InternalError."""
        self._check_fault()
        return tuple(self._by_id.values())

    def find(self, credential_id: bytes) -> Credential | None:
        """Return the credential of that id, whoever's it is. Raises InternalError."""
        self._check_fault()
        return self._by_id.get(credential_id)

    def add(self, credential: Credential) -> None:
        """Store a new credential.

        Raises RequestError (`already-enrolled`, `bad-name`, `name-taken`), InternalError.
        """
        with self._changing():
            if credential.id in self._by_id:
                raise RequestError("this key is enrolled already", reason="already-enrolled")
            check_credential(credential)
            check_name(credential.name, self._by_uid.get(credential.subject_uid, ()))
            self._swap(None, credential)

    def rename(self, uid: int, credential_id: bytes, name: str) -> None:
        """Give a subject's credential another name.

        Raises RequestError (`unknown-credential`, `bad-name`, `name-taken`), InternalError.
        """
        with self._changing():
            old = self._find_own(uid, credential_id)
            check_name(name, tuple(other for other in self._by_uid[uid] if other is not old))
            self._swap(old, replace(old, name=name))

    def remove(self, uid: int, credential_id: bytes) -> Credential:
        """Forget a subject's credential and return it.

        Raises RequestError (`unknown-credential`), InternalError.
        """
        with self._changing():
            old = self._find_own(uid, credential_id)
            self._swap(old, None)
            return old

    def record_use(
        self, credential_id: bytes, *, sign_count: int, backed_up: bool, last_used: float
    ) -> None:
        """Note a checked assertion, which cannot be used again once this returns.

        Raises InternalError: `counter-regressed` unless the count grew (or both are zero, for a key
        without a counter), `unknown-credential` for a key that was removed meanwhile.
        """
        with self._changing():
            old = self._by_id.get(credential_id)
            if old is None:
                raise InternalError("the key was removed meanwhile", reason="unknown-credential")
            check_use(old, sign_count)
            new = replace(old, sign_count=sign_count, backed_up=backed_up, last_used=last_used)
            self._swap(old, new)

    def mark_suspect(self, credential_id: bytes) -> None:
        """Note that a key may have been copied, until it is removed. Raises InternalError.

        A key that was removed meanwhile needs no mark.
        """
        with self._changing():
            old = self._by_id.get(credential_id)
            if old is not None and not old.is_suspect:
                self._swap(old, replace(old, is_suspect=True))

    def fix_rp_id(self, rp_id: str) -> None:
        """Store the relying party's name, once. Raises InternalError where there is one."""
        with self._changing():
            if self.rp_id:
                raise InternalError("the RP ID is fixed already")
            with self._writing():
                self._rows.set_rp_id(rp_id)

    def close(self) -> None:
        """Close the file. Nothing can be read or changed after that."""
        with self._lock:
            self._fault = InternalError("the store is closed", reason="store-closed")
            self._rows.close()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            self._check_fault()
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """After a failed write, find out what the file says; if it says nothing sound, stop."""
        try:
            yield
        except InternalError:
            try:
                self._load()
            except InternalError as error:
                self._fault = error
            raise

    def _check_epoch(self, minimum: int) -> None:
        if self.epoch < minimum:
            raise InternalError(
                f"the store is at change {self.epoch}, change {minimum} was seen before",
                reason="store-rolled-back",
                hint="restore the newest store: an older one brings removed keys back",
            )

    def _load(self) -> None:
        by_id: dict[bytes, Credential] = {}
        by_uid: dict[int, tuple[Credential, ...]] = {}
        for credential in sorted(self._rows.load(), key=_age):
            by_id[credential.id] = credential
            uid = credential.subject_uid
            by_uid[uid] = (*by_uid.get(uid, ()), credential)
        self._by_id, self._by_uid = by_id, by_uid

    def _swap(self, old: Credential | None, new: Credential | None) -> None:
        with self._writing():
            self._rows.swap(None if old is None else old.id, new)
        for uid in {some.subject_uid for some in (old, new) if some is not None}:
            kept = [other for other in self._by_uid.get(uid, ()) if other is not old]
            if new is not None:
                kept.append(new)
            self._by_uid[uid] = tuple(sorted(kept, key=_age))
        if new is not None:
            self._by_id[new.id] = new
        elif old is not None:
            del self._by_id[old.id]

    def _check_fault(self) -> None:
        if (fault := self._fault) is not None:
            raise InternalError(str(fault), reason=fault.reason, hint=fault.hint)

    def _find_own(self, uid: int, credential_id: bytes) -> Credential:
        found = self._by_id.get(credential_id)
        if found is None or found.subject_uid != uid:
            raise RequestError("no such key", reason="unknown-credential")
        return found


def _age(credential: Credential) -> tuple[float, bytes]:
    return (credential.created, credential.id)
