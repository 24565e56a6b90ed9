"""A trial on record: what the service file was, what it became, and until when.

Pure: text in, text out. A record that cannot be read is a StackError.
"""

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from stepup.pam.stack_file import StackError

_VERSION = 1


class Moment(NamedTuple):
    """Now: which boot this is, and seconds since it began, suspended time included."""

    boot: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One service's trial."""

    service: str
    before: bytes | None
    """The old file; None if /etc had none."""
    after: str
    """The new file's SHA-256, in hex."""
    boot: str
    deadline: float
    """Seconds since that boot."""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0

    def is_due(self, now: Moment) -> bool:
        """Return whether the old file has to come back: another boot, or no time left."""
        return now.boot != self.boot or now.seconds >= self.deadline

    def count_left(self, now: Moment) -> float:
        """Return how many seconds are left."""
        return 0.0 if now.boot != self.boot else max(0.0, self.deadline - now.seconds)


def digest(content: bytes) -> str:
    """Return how a record names a file's content."""
    return sha256(content).hexdigest()


def write_record(record: TrialRecord) -> bytes:
    """Return the record as it stands on disk."""
    before = None if record.before is None else b64encode(record.before).decode("ascii")
    document = {
        "version": _VERSION,
        "service": record.service,
        "before": before,
        "after": record.after,
        "boot": record.boot,
        "deadline": record.deadline,
        "mode": record.mode,
        "uid": record.uid,
        "gid": record.gid,
    }
    return json.dumps(document, indent=1).encode("ascii") + b"\n"


def read_record(content: bytes, service: str) -> TrialRecord:
    """Return a record. Raises StackError if it is not one of this service."""
    try:
        document = json.loads(content)
        before = document["before"]
        record = TrialRecord(
            service=document["service"],
            before=None if before is None else b64decode(before, validate=True),
            after=str(document["after"]),
            boot=str(document["boot"]),
            deadline=float(document["deadline"]),
            mode=int(document["mode"]) & 0o7777,
            uid=int(document["uid"]),
            gid=int(document["gid"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(f"the record of the trial of {service} is damaged") from error
    if record.service != service or document["version"] != _VERSION:
        raise StackError(f"the record of the trial of {service} is not one of this version")
    return record
