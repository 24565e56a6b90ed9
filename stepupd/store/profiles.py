"""Profiles on disk: what is usual for each subject, one small sealed file each.

The law of this file: a profile that was forgotten, or is damaged, is a stranger's, to whom all is
new; only who was never seen has the empty one, whose habits are yet to form. Losing the last
minutes costs nothing but learning, so a profile is written at most once in `PAUSE`, and when the
daemon stops.
"""

import logging
import threading
from pathlib import Path
from time import monotonic

import msgspec

from stepupd.core.errors import InternalError
from stepupd.core.risk.profile import Profile, make_stranger
from stepupd.core.risk.profile_codec import decode_profile, encode_profile
from stepupd.store.sealed_files import SealedFiles

CROWD = 2**32 - 1
"""The uid that no account has (see chown(2)): the profile of all subjects together."""

PAUSE = 60.0
"""Seconds between two writes of one profile."""

_LABEL = b"stepup profile v1\0"

_log = logging.getLogger(__name__)


class ProfileStore:
    """The profiles of all subjects, in a directory of our own. Safe from any thread."""

    def __init__(self, directory: Path, mac_key: bytes) -> None:
        self._files = SealedFiles(directory, mac_key, label=_LABEL, suffix=".profile")
        self._lock = threading.Lock()
        self._known: dict[int, Profile] = {}
        self._unwritten: set[int] = set()
        self._written: dict[int, float] = {}

    def find(self, uid: int) -> Profile:
        """Return the subject's profile; an empty one for who is not known."""
        with self._lock:
            if uid not in self._known:
                self._known[uid] = self._read(uid)
            return self._known[uid]

    def find_crowd(self) -> Profile:
        """Return the profile of all subjects together."""
        return self.find(CROWD)

    def keep(self, profile: Profile) -> None:
        """Replace the subject's profile; on disk soon. Raises InternalError."""
        with self._lock:
            uid = profile.uid
            self._known[uid] = profile
            self._unwritten.add(uid)
            if monotonic() - self._written.get(uid, float("-inf")) >= PAUSE:
                self._write(uid)

    def forget(self, uid: int) -> None:
        """Forget the subject's profile, durably. Raises InternalError."""
        with self._lock:
            self._known[uid] = make_stranger(uid)
            self._write(uid)

    def close(self) -> None:
        """Write what is not written yet."""
        with self._lock:
            for uid in tuple(self._unwritten):
                try:
                    self._write(uid)
                except InternalError as error:
                    _log.error("what was learned of uid %d is lost: %s", uid, error)

    def _write(self, uid: int) -> None:
        self._files.write(uid, msgspec.json.encode(encode_profile(self._known[uid])))
        self._unwritten.discard(uid)
        self._written[uid] = monotonic()

    def _read(self, uid: int) -> Profile:
        try:
            body = self._files.read(uid)
            if body is None:
                return Profile(uid)
            return decode_profile(msgspec.json.decode(body))
        except (InternalError, msgspec.MsgspecError) as error:
            _log.error("the profile of uid %d is lost: %s", uid, error)
            return make_stranger(uid)
