"""What makes a changed store show: a MAC on each record and a seal over all of them.

The law of this file:
* a record's MAC covers the whole record, subject and credential id included;
* the seal covers the set of records, their number, the RP ID and the epoch, so that a record which
  is missing, comes back or belongs to another day breaks it, valid as it may be on its own;
* the epoch grows by one with each change.

The set is folded by XOR of keyed digests that are never stored: one record is replaced in constant
time, and who lacks the key cannot look for another set with the same fold. What a seal cannot show
is a whole file put back to an earlier day: whoever keeps the last epoch elsewhere can.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace

MAC_SIZE = 32


@dataclass(frozen=True, slots=True)
class Seal:
    """The state of the whole store in a few numbers."""

    epoch: int = 0
    rp_id: str = ""
    count: int = 0
    fold: int = 0


def authenticate_record(key: bytes, body: bytes) -> bytes:
    """Return the MAC that is stored beside a record."""
    return _mac(key, b"stepup record v1\0" + body)


def authenticate_seal(key: bytes, seal: Seal) -> bytes:
    """Return the MAC that is stored for the whole store."""
    numbers = b"%d %d " % (seal.epoch, seal.count)
    fold = seal.fold.to_bytes(MAC_SIZE, "big")
    return _mac(key, b"stepup seal v1\0" + numbers + fold + seal.rp_id.encode("utf-8"))


def add_record(key: bytes, seal: Seal, body: bytes) -> Seal:
    """Return the seal with one record more."""
    return replace(seal, count=seal.count + 1, fold=seal.fold ^ _leaf(key, body))


def drop_record(key: bytes, seal: Seal, body: bytes) -> Seal:
    """Return the seal with one record less."""
    return replace(seal, count=seal.count - 1, fold=seal.fold ^ _leaf(key, body))


def _leaf(key: bytes, body: bytes) -> int:
    return int.from_bytes(_mac(key, b"stepup leaf v1\0" + body), "big")


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)
