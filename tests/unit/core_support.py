"""Factories for the core's tests, and a key small enough to read: real ES256, no protocol."""

import hashlib
from dataclasses import dataclass, replace
from itertools import count

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from stepupd.core import cbor
from stepupd.core.effects import Asserted, AssertFido2, Registered, RegisterFido2
from stepupd.core.model import (
    Caller,
    Claim,
    Credential,
    Door,
    Grant,
    Level,
    Method,
    Moment,
    Requirement,
    Scope,
    Session,
    StepUpRequest,
    Subject,
)
from stepupd.core.policy import Policy, Rule, RuleEffect
from stepupd.core.snapshot import Snapshot

RP_ID = "laptop.3fa2c1.stepup"
ADA = Subject(1000, "ada", frozenset({"ada", "ops"}))
SUDO = Caller(0, 4711, Door.RELAY)
TERMINAL = Session(4000, 123456, "pts/3")
NOW = Moment(wall=1_790_000_000.0, boot=5000.0, boot_id="b" * 36)
NONCE = bytes(range(32))

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40


@dataclass
class TinyKey:
    """One credential and a counter."""

    private: ec.EllipticCurvePrivateKey
    id: bytes = b"tiny-key-credential-0001"
    counter: int = 0
    aaguid: bytes = bytes(16)

    @property
    def cose(self) -> bytes:
        numbers = self.private.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return cbor.encode({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    def credential(self, **changes) -> Credential:
        made = Credential(self.id, ADA.uid, "blue", RP_ID, self.cose, self.aaguid, self.counter)
        return replace(made, **changes)

    def sign(
        self, operation: AssertFido2, *, flags=UP, rp_id=None, counter=None, tamper=False, **changes
    ) -> Asserted:
        self.counter += 1
        data = self._data(rp_id or operation.rp_id, flags, counter)
        signed = data + hashlib.sha256(operation.client_data_json).digest()
        signature = self.private.sign(signed + b"!" * tamper, ec.ECDSA(SHA256()))
        return replace(Asserted(self.id, data, signature, operation.client_data_json), **changes)

    def make(self, operation: RegisterFido2, *, flags=UP, **changes) -> Registered:
        data = self._data(operation.rp_id, flags | AT, None)
        data += self.aaguid + len(self.id).to_bytes(2, "big") + self.id + self.cose
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        return replace(Registered(attestation, operation.client_data_json, "tiny"), **changes)

    def _data(self, rp_id, flags, counter):
        number = self.counter if counter is None else counter
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + number.to_bytes(4, "big")


_NUMBERS = count(1)


def make_key() -> TinyKey:
    number = next(_NUMBERS)
    private = ec.derive_private_key(0x1234_5678_9ABC + number, ec.SECP256R1())
    return TinyKey(private, id=b"tiny-key-credential-%04d" % number)


def make_request(**changes) -> StepUpRequest:
    claim = Claim(command=("sudo", "systemctl", "restart", "db"))
    return replace(StepUpRequest(ADA, SUDO, "pam:sudo", TERMINAL, claim), **changes)


def make_rule(level=Level.TOUCH, *, name="sudo", actions=("*",), **requirement) -> Rule:
    return Rule(name, actions, RuleEffect.REQUIRE, Requirement(level, **requirement))


def make_policy(*rules, **changes) -> Policy:
    return Policy(rules=rules or (make_rule(),), digest="d" * 64, **changes)


def make_snapshot(*credentials, **changes) -> Snapshot:
    made = Snapshot(
        request=make_request(),
        policy=make_policy(),
        credentials=credentials,
        grants=(),
        now=NOW,
        nonce=NONCE,
        rp_id=RP_ID,
    )
    return replace(made, **changes)


def make_grant(**changes) -> Grant:
    made = Grant(
        id="0123456789abcdef",
        subject_uid=ADA.uid,
        action="pam:sudo",
        scope=Scope.SESSION,
        session=TERMINAL,
        boot_id=NOW.boot_id,
        level=Level.TOUCH,
        method=Method.FIDO2,
        credential_id=b"credential",
        auth_time=NOW.boot - 60,
        expires=NOW.boot + 240,
        caller_uid=0,
    )
    return replace(made, **changes)
