"""Recovery codes on disk: one small file for each subject, sealed, written whole.

The law of this file: a code is gone before the answer that it earned leaves; a file that is
missing, damaged or another subject's means "no codes", the stricter answer, and is reported.
"""

import hmac
import logging
import os
import threading
from hashlib import sha256
from pathlib import Path

import msgspec

from stepupd.core.errors import ConfigError, InternalError
from stepupd.core.model import RecoveryCode
from stepupd.store.durable_files import replace_durably
from stepupd.store.file_checks import OTHERS_ANY, open_trusted_directory, read_trusted_file

_MAX_FILE = 64 * 1024
_LABEL = b"stepup recovery codes v1\0"

_log = logging.getLogger(__name__)


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body: bytes
    mac: bytes


class RecoveryStore:
    """The recovery codes of all subjects, in a directory of our own. Safe from any thread."""

    def __init__(self, directory: Path, mac_key: bytes) -> None:
        self._directory = directory
        self._mac_key = mac_key
        self._lock = threading.Lock()
        self._known: dict[int, tuple[RecoveryCode, ...]] = {}

    def list_codes(self, uid: int) -> tuple[RecoveryCode, ...]:
        """Return the subject's unused codes."""
        with self._lock:
            return self._list(uid)

    def replace_codes(self, uid: int, codes: tuple[RecoveryCode, ...]) -> None:
        """Forget the subject's codes and keep these; durable on return. Raises InternalError."""
        with self._lock:
            self._write(uid, codes)

    def consume(self, uid: int, tag: str) -> None:
        """Forget one code; durable on return. Raises InternalError if it is not there any more."""
        with self._lock:
            codes = self._list(uid)
            left = tuple(code for code in codes if code.tag != tag)
            if len(left) != len(codes) - 1:
                raise InternalError("the recovery code was used meanwhile", reason="code-used")
            self._write(uid, left)

    def _list(self, uid: int) -> tuple[RecoveryCode, ...]:
        if uid not in self._known:
            self._known[uid] = self._read(uid)
        return self._known[uid]

    def _read(self, uid: int) -> tuple[RecoveryCode, ...]:
        path = self._directory / _name(uid)
        try:
            content = read_trusted_file(path, limit=_MAX_FILE, forbidden=OTHERS_ANY)
            return self._open_sealed(uid, content)
        except FileNotFoundError:
            return ()
        except (ConfigError, OSError, msgspec.MsgspecError) as error:
            _log.error("%s counts as empty: %s", path, error)
            return ()

    def _open_sealed(self, uid: int, content: bytes) -> tuple[RecoveryCode, ...]:
        sealed = msgspec.msgpack.decode(content, type=_Sealed)
        if not hmac.compare_digest(sealed.mac, self._seal(uid, sealed.body)):
            raise ConfigError("its seal is broken")
        return msgspec.msgpack.decode(sealed.body, type=tuple[RecoveryCode, ...])

    def _write(self, uid: int, codes: tuple[RecoveryCode, ...]) -> None:
        body = msgspec.msgpack.encode(codes)
        content = msgspec.msgpack.encode(_Sealed(body, self._seal(uid, body)))
        self._known.pop(uid, None)
        try:
            directory = open_trusted_directory(self._directory)
            try:
                replace_durably(directory, _name(uid), content)
            finally:
                os.close(directory)
        except OSError as error:
            reason = f"recovery codes cannot be written: {error.strerror}"
            raise InternalError(reason, reason="store-unavailable") from error
        self._known[uid] = codes

    def _seal(self, uid: int, body: bytes) -> bytes:
        return hmac.digest(self._mac_key, _LABEL + uid.to_bytes(8, "big") + body, sha256)


def _name(uid: int) -> str:
    return f"{uid}.codes"
