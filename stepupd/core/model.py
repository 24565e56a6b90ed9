"""The nouns of stepupd. Frozen data only: nothing here decides, reads or checks.

Terms are the field's: subject and authenticator from NIST SP 800-63-4, credential and relying
party from WebAuthn Level 3, `acr`, `amr`, `max_age` from OpenID Connect and RFC 9470. Times named
`wall` are seconds since the epoch and serve display only; lifetimes use `boot`, seconds of
CLOCK_BOOTTIME, which no one can set back.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum, unique


@unique
class Level(IntEnum):
    """How strong a proof is; ordered. `acr` in RFC 9470's terms."""

    CODE = 1
    """Something typed: phishable."""
    TOUCH = 2
    """Hardware, user present (UP)."""
    VERIFY = 3
    """Hardware, user verified (UP and UV): AAL2, phishing-resistant."""
    ATTESTED = 4
    """`VERIFY` with a checked attestation and a key that cannot be backed up: AAL3."""

    @property
    def word(self) -> str:
        """The level as policies and people write it."""
        return self.name.lower()


@unique
class Method(StrEnum):
    """A kind of authenticator that policy may name."""

    FIDO2 = "fido2"
    RECOVERY = "recovery"
    """A recovery code, where a rule lets one stand in for a touch. No rule names it as a method."""


@unique
class Scope(StrEnum):
    """How widely a success may be reused."""

    REQUEST = "request"
    """Not at all."""
    SESSION = "session"
    """By the same subject, for the same action, in the same session."""
    SUBJECT = "subject"
    """By the same subject, for the same action, in any session of this boot."""


@unique
class Door(StrEnum):
    """Where a request came in."""

    RELAY = "relay"
    SOCKET = "socket"
    BUS = "bus"


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of the clocks."""

    wall: float
    boot: float
    boot_id: str
    asleep: float = 0.0
    """Seconds that the machine has slept since it started: it differs exactly if it slept."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a person calls "this terminal": the session leader, fixed by when it started.

    `leader_start` is in clock ticks since boot (field 22 of proc_pid_stat(5)): a process id is
    reused, the pair is not.
    """

    leader: int
    leader_start: int
    tty: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """The account that must prove itself."""

    uid: int
    name: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Caller:
    """The process that asks, as the kernel attests it; never as it describes itself."""

    uid: int
    pid: int
    door: Door

    @property
    def is_privileged(self) -> bool:
        """Whether the caller is root, and may thus name any subject."""
        return self.uid == 0


@dataclass(frozen=True, slots=True)
class Claim:
    """What the caller says of itself: shown and logged as claimed, never a reason to ask less."""

    command: tuple[str, ...] = ()
    command_is_cut: bool = False
    reason: str = ""
    ruser: str = ""
    rhost: str = ""


@dataclass(frozen=True, slots=True)
class StepUpRequest:
    """One request for proof. `level` and `max_age` (seconds) may only sharpen what policy asks."""

    subject: Subject
    caller: Caller
    action: str
    session: Session | None = None
    claim: Claim = Claim()
    level: Level | None = None
    max_age: float | None = None
    ssh_key: str = ""
    """What root's sshd says of the ssh key, as `read_ssh_key` returns it; "" from anybody else."""


@dataclass(frozen=True, slots=True)
class Signal:
    """An observed fact that makes a request riskier. `weight` is at least 0."""

    name: str
    weight: int
    reason: str


@dataclass(frozen=True, slots=True)
class Risk:
    """The sum of the signals, and the signals themselves."""

    score: int = 0
    signals: tuple[Signal, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """What has to be proved. `max_age` and `deadline` are seconds; no `methods` means none."""

    level: Level
    max_age: float = 0
    scope: Scope = Scope.REQUEST
    methods: frozenset[Method] = frozenset({Method.FIDO2})
    attempts: int = 3
    deadline: float = 30
    is_recoverable: bool = False
    """Whether a recovery code may stand in for a touch where the key is lost."""
    while_plugged: bool = False
    """Whether a success counts only until the key that earned it is pulled out."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A public key that a subject enrolled, as stored."""

    id: bytes
    subject_uid: int
    name: str
    rp_id: str
    public_key: bytes
    """COSE_Key, canonical CBOR (RFC 9052 section 7)."""
    aaguid: bytes
    sign_count: int
    backup_eligible: bool = False
    backed_up: bool = False
    is_attested: bool = False
    """Whether a configured attestation root vouched for the authenticator at enrolment."""
    is_simulated: bool = False
    created: float = 0
    last_used: float = 0
    is_suspect: bool = False
    """Whether it once answered as a copy would, by its counter or its eligibility for backup."""


@dataclass(frozen=True, slots=True)
class RecoveryCode:
    """A recovery code as stored: the tag that finds it, and an Argon2id hash (RFC 9106)."""

    tag: str
    salt: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Grant:
    """A success remembered: this subject reached `level` at `auth_time` (boot clock)."""

    id: str
    subject_uid: int
    action: str
    scope: Scope
    session: Session | None
    boot_id: str
    level: Level
    method: Method
    credential_id: bytes
    auth_time: float
    expires: float
    caller_uid: int
    """Whose process asked: it serves the processes of that account, and the subject's own."""
    plugged_as: str = ""
    """The stay of a key in its socket that the grant ends with; empty for none."""

    @property
    def is_privileged(self) -> bool:
        """Whether root's process earned it."""
        return self.caller_uid == 0


@unique
class Answer(Enum):
    """What the caller hears."""

    ALLOW = "allow"
    DENY = "deny"
    UNAVAILABLE = "unavailable"


@unique
class Reason(StrEnum):
    """Why: stable codes for programs, logs and tests. Sentences for people are in `prompts`."""

    RULE_ALLOWS = "rule-allows"
    GRANT = "grant"
    PROVED = "proved"

    NO_RULE = "no-rule"
    RULE_DENIES = "rule-denies"
    RULE_IN_ERROR = "rule-in-error"
    RISK_DENIES = "risk-denies"
    NOT_PERMITTED = "not-permitted"

    NO_CREDENTIAL = "no-credential"
    NO_AUTHENTICATOR = "no-authenticator"
    ALREADY_ENROLLED = "already-enrolled"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    TOO_MANY_TRIES = "too-many-tries"
    PIN_BLOCKED = "pin-blocked"
    PIN_NOT_SET = "pin-not-set"
    PIN_UNSPENT = "pin-unspent"
    UV_BLOCKED = "uv-blocked"
    BUSY = "busy"
    DEVICE_GONE = "device-gone"
    DEVICE_SILENT = "device-silent"
    DEVICE_FAULT = "device-fault"
    UNSUPPORTED = "unsupported"

    BAD_ENCODING = "bad-encoding"
    TYPE_MISMATCH = "type-mismatch"
    CHALLENGE_MISMATCH = "challenge-mismatch"
    ORIGIN_MISMATCH = "origin-mismatch"
    RP_ID_MISMATCH = "rp-id-mismatch"
    UP_MISSING = "up-missing"
    UV_MISSING = "uv-missing"
    RESERVED_FLAGS = "reserved-flags"
    BACKUP_STATE = "backup-state"
    BACKUP_CHANGED = "backup-changed"
    COUNTER_REGRESSED = "counter-regressed"
    UNKNOWN_CREDENTIAL = "unknown-credential"
    ALGORITHM_MISMATCH = "algorithm-mismatch"
    BAD_SIGNATURE = "bad-signature"
    BAD_ATTESTATION = "bad-attestation"
    LEVEL_TOO_LOW = "level-too-low"
    BAD_CODE = "bad-code"

    CALLER_GONE = "caller-gone"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a request: the answer, why, and a sentence for the person (may be empty)."""

    answer: Answer
    reason: Reason
    text: str = ""

    @property
    def is_allow(self) -> bool:
        """Whether the caller may go on."""
        return self.answer is Answer.ALLOW
