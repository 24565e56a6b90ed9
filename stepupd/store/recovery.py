"""Recovery codes on disk: one small sealed file for each subject.

The law of this file: a code is gone before the answer that it earned leaves; a file that is
missing, damaged or another subject's means "no codes", the stricter answer, and is reported.
"""

import logging
import threading
from pathlib import Path

import msgspec

from stepupd.core.errors import InternalError
from stepupd.core.model import RecoveryCode
from stepupd.store.sealed_files import SealedFiles

_encode, _decode = msgspec.msgpack.encode, msgspec.msgpack.decode
_LABEL = b"stepup recovery codes v1\0"

_log = logging.getLogger(__name__)


class RecoveryStore:
    """The recovery codes of all subjects, in a directory of our own. Safe from any thread."""

    def __init__(self, directory: Path, mac_key: bytes) -> None:
        self._files = SealedFiles(directory, mac_key, label=_LABEL, suffix=".codes")
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
        try:
            body = self._files.read(uid)
            return () if body is None else _decode(body, type=tuple[RecoveryCode, ...])
        except (InternalError, msgspec.MsgspecError) as error:
            _log.error("the recovery codes of uid %d count as none: %s", uid, error)
            return ()

    def _write(self, uid: int, codes: tuple[RecoveryCode, ...]) -> None:
        self._known.pop(uid, None)
        self._files.write(uid, _encode(codes))
        self._known[uid] = codes
