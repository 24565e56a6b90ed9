"""Small files, one for each subject, sealed under a key of ours and written whole.

The law of this file: what is damaged, another subject's or another purpose's is never read, and is
told apart from what was never there.
"""

import hmac
import os
from hashlib import sha256
from pathlib import Path

import msgspec

from stepupd.core.errors import ConfigError, InternalError
from stepupd.store.durable_files import replace_durably
from stepupd.store.file_checks import OTHERS_ANY, open_trusted_directory, read_trusted_file

_MAX_FILE = 512 * 1024


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body: bytes
    mac: bytes


class SealedFiles:
    """The files `<uid><suffix>` of one directory; `label` keeps purposes apart. Not thread-safe."""

    def __init__(self, directory: Path, mac_key: bytes, *, label: bytes, suffix: str) -> None:
        self._directory = directory
        self._mac_key = mac_key
        self._label = label
        self._suffix = suffix

    def read(self, uid: int) -> bytes | None:
        """Return what was written for the subject, None for nothing; InternalError if damaged."""
        path = self._directory / self._name(uid)
        try:
            content = read_trusted_file(path, limit=_MAX_FILE, forbidden=OTHERS_ANY)
            return self._open(uid, content)
        except FileNotFoundError:
            return None
        except (ConfigError, OSError, msgspec.MsgspecError) as error:
            raise InternalError(f"{path}: {error}", reason="store-corrupt") from error

    def write(self, uid: int, body: bytes) -> None:
        """Replace the subject's file; durable on return. Raises InternalError."""
        content = msgspec.msgpack.encode(_Sealed(body, self._seal(uid, body)))
        try:
            directory = open_trusted_directory(self._directory)
            try:
                replace_durably(directory, self._name(uid), content)
            finally:
                os.close(directory)
        except OSError as error:
            what = self._suffix.removeprefix(".")
            raise InternalError(
                f"the {what} cannot be written: {error.strerror}", reason="store-unavailable"
            ) from error

    def _open(self, uid: int, content: bytes) -> bytes:
        sealed = msgspec.msgpack.decode(content, type=_Sealed)
        if not hmac.compare_digest(sealed.mac, self._seal(uid, sealed.body)):
            raise ConfigError("its seal is broken")
        return sealed.body

    def _name(self, uid: int) -> str:
        return f"{uid}{self._suffix}"

    def _seal(self, uid: int, body: bytes) -> bytes:
        return hmac.digest(self._mac_key, self._label + uid.to_bytes(8, "big") + body, sha256)
