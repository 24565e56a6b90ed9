"""A log with its checkpoint in two folders, and the records that a broker would write."""

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from stepupd.core import cbor
from stepupd.core.challenge import commit_to, digest_claim
from stepupd.core.client_data import ClientDataType, make_client_data, origin_of
from stepupd.core.model import Claim
from stepupd.core.note import parse_vkey
from stepupd.store.audit_log import AuditLog
from stepupd.store.audit_verify import verify_log
from stepupd.store.checkpoint_file import read_checkpoint

RP_ID = "laptop.3fa2c1.stepup"
ORIGIN = "laptop.3fa2c1.stepup/audit"
COMMAND = ["systemctl", "restart"]
UP, UV = 0x01, 0x04


@dataclass
class Site:
    """Where one log lives."""

    root: Path
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def __post_init__(self):
        for folder in (self.log.parent, self.checkpoint.parent):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def log(self):
        return self.root / "log" / "audit.log"

    @property
    def checkpoint(self):
        return self.root / "state" / "audit.checkpoint"

    @property
    def vkey(self):
        return self.log.with_suffix(".vkey").read_text()

    @property
    def note(self):
        return read_checkpoint(self.checkpoint, parse_vkey(self.vkey.strip()))

    def open(self, publish=None, **changes):
        return AuditLog(
            self.log, self.checkpoint, changes.pop("key", self.key), ORIGIN, publish, **changes
        )

    def write(self, records):
        with self.open() as log:
            futures = [log.submit(record) for record in records]
            return [future.result() for future in futures]

    def lines(self):
        return self.log.read_bytes().splitlines(keepends=True)

    def entries(self):
        return [json.loads(line) for line in self.lines()]

    def verify(self, **changes):
        given = {"checkpoint": changes.pop("checkpoint", None) or self.note, "vkey": self.vkey}
        return verify_log(changes.pop("log", self.log), **(given | {"jobs": 1} | changes))


def b64(value):
    return urlsafe_b64encode(value).rstrip(b"=").decode()


class Key:
    """A security key with one credential: real ES256."""

    def __init__(self, name="blue"):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.id = f"credential of {name}".encode()
        numbers = self.private.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        self.cose = cbor.encode({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    def sign(self, message):
        return self.private.sign(message, ec.ECDSA(SHA256()))


def enrol(key, uid=1000, *, answer="allow", algorithm=-7):
    return {
        "kind": "enrol",
        "verdict": {"answer": answer, "reason": "proved" if answer == "allow" else "timeout"},
        "credential": {
            "id": b64(key.id),
            "subject_uid": uid,
            "public_key": b64(key.cose),
            "algorithm": algorithm,
        },
    }


def remove(key):
    verdict = {"answer": "allow", "reason": "rule-allows"}
    return {"kind": "remove", "verdict": verdict, "credential": {"id": b64(key.id)}}


def grant(number=0):
    return {
        "kind": "step-up",
        "request": make_request() | {"claim": {"command": [*COMMAND, f"db{number}"]}},
        "policy": "0" * 64,
        "verdict": {"answer": "allow", "reason": "grant"},
        "latency_ms": {"decision": 0.25, "device": 0.0},
        "decision": {"is": "satisfied", "rule": "sudo", "grant": "0" * 32},
    }


def make_request(**changes):
    request = {"action": "pam:sudo", "subject": "ada", "subject_uid": 1000, "caller_uid": 0}
    return request | changes


def prove(
    key,
    *,
    flags=UP | UV,
    level="verify",
    rp_id=RP_ID,
    signed_rp_id=None,
    type=ClientDataType.GET,  # noqa: A002 - the specification's word
    nonce=bytes(range(32)),
    added=b"",
    spelling=(",", ":"),
    **changes,
):
    """Make a step-up that a key approved; its parts can be made to disagree."""
    digest = digest_claim(Claim(tuple(COMMAND)))
    signed = make_request() | {"command_sha256": digest, "rp_id": rp_id, "time": "1.000000"}
    text = json.dumps(signed | changes, sort_keys=True, separators=spelling)
    client_data = make_client_data(type, commit_to(nonce, text.encode()), origin_of(rp_id))
    data = hashlib.sha256((signed_rp_id or rp_id).encode()).digest() + bytes([flags, 0, 0, 0, 9])
    data += added
    return grant() | {
        "level": level,
        "request": make_request(**changes) | {"claim": {"command": COMMAND}},
        "verdict": {"answer": "allow", "reason": "proved"},
        "challenge": {"nonce": b64(nonce), "request": text},
        "evidence": {
            "method": "fido2",
            "credential": b64(key.id),
            "authenticator_data": b64(data),
            "client_data_json": client_data.decode(),
            "signature": b64(key.sign(data + hashlib.sha256(client_data).digest())),
        },
    }


def change(record, path, value):
    """Return a copy of a record in which the field at `path` ("a.b") has another value."""
    name, _, rest = path.partition(".")
    return record | {name: change(record[name], rest, value) if rest else value}
