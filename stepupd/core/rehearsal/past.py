"""What a line of the audit log tells of the past, decoded to types as far as a replay needs it.

The law of this file: a line that is no entry, or whose fields have other types than the daemon
writes, gives None and is counted by the caller; nothing is guessed. Nothing is verified here:
`recheck` and the log's own tree do that.

What is told in the same words again and again, by every request of a session, is decoded once: who
asks for it gets the same object. What entries of older versions lack has the value of a machine
that observed nothing.
"""

from datetime import datetime
from functools import lru_cache

import msgspec

from stepupd.core.model import Answer, Claim, Door, Level, Reason, Session
from stepupd.core.risk.facts import Facts

LEVELS = {level.word: level for level in Level}

_NULL = msgspec.Raw(b"null")
_NO_CLAIM = msgspec.Raw(b"{}")
_ALLOW = Answer.ALLOW


class PastRequest(msgspec.Struct, frozen=True):
    """`request` of an entry. `boot` is seconds of CLOCK_BOOTTIME; None in older entries."""

    action: str
    subject: str
    subject_uid: int
    caller_uid: int
    caller_pid: int = 0
    door: Door = Door.RELAY
    groups: tuple[str, ...] | None = None
    level: str = ""
    max_age: float | None = None
    boot: float | None = None
    told_session: msgspec.Raw = msgspec.field(name="session", default=_NULL)
    told_claim: msgspec.Raw = msgspec.field(name="claim", default=_NO_CLAIM)

    @property
    def session(self) -> Session | None:
        """The session that it came from."""
        return _read_session(bytes(self.told_session))

    @property
    def claim(self) -> Claim:
        """What its caller said."""
        return _read_claim(bytes(self.told_claim))


class PastVerdict(msgspec.Struct, frozen=True):
    """`verdict` of an entry."""

    answer: Answer
    reason: Reason


class PastRisk(msgspec.Struct, frozen=True):
    """`decision.risk`."""

    score: int = 0
    signals: dict[str, int] = {}


class PastRequired(msgspec.Struct, frozen=True):
    """`decision.required`."""

    level: str


class PastDecision(msgspec.Struct, frozen=True):
    """`decision` of an entry; `kind` is `deny`, `allow`, `satisfied` or `stepup`."""

    kind: str = msgspec.field(name="is")
    rule: str = ""
    risk: PastRisk = PastRisk()
    required: PastRequired | None = None


class PastGrant(msgspec.Struct, frozen=True):
    """`grant` of a step-up."""

    id: str


class PastCredential(msgspec.Struct, frozen=True):
    """`credential` of an enrolment or a removal."""

    id: str
    name: str = ""
    subject_uid: int | None = None
    aaguid: str = ""
    is_attested: bool = False
    is_simulated: bool = False
    is_suspect: bool = False


class PastEvidence(msgspec.Struct, frozen=True):
    """`evidence`, without what a signature covers."""

    method: str = ""
    credential: str = ""


class Past(msgspec.Struct, frozen=True):
    """One entry."""

    seq: int
    time: str
    kind: str
    request: PastRequest | None = None
    verdict: PastVerdict | None = None
    decision: PastDecision | None = None
    latency_ms: dict[str, float] = {}
    level: str = ""
    evidence: PastEvidence | None = None
    grant: PastGrant | str | None = None
    credential: PastCredential | None = None
    suspect: str = ""
    policy: str = ""
    subject_uid: int | None = None
    entry: int | None = None
    event: str = ""
    reason: str = ""
    lasts: float = 0.0
    caller_uid: int | None = None
    told_facts: msgspec.Raw = msgspec.field(name="facts", default=_NULL)

    @property
    def facts(self) -> Facts | None:
        """What was observed, if anything was."""
        return _read_facts(bytes(self.told_facts))

    @property
    def wall(self) -> float:
        """Seconds since the epoch when the request came in."""
        return parse_time(self.time) - self.latency_ms.get("whole", 0.0) / 1000

    @property
    def is_allowed(self) -> bool:
        """Whether the caller heard "allow"."""
        return self.verdict is not None and self.verdict.answer is _ALLOW

    @property
    def is_proved(self) -> bool:
        """Whether somebody proved himself for this very request."""
        return self.is_allowed and self.evidence is not None

    @property
    def uid(self) -> int | None:
        """Whom the entry is about; None for the daemon itself."""
        if self.request is not None:
            return self.request.subject_uid
        if self.credential is not None and self.credential.subject_uid is not None:
            return self.credential.subject_uid
        return self.subject_uid


_decode = msgspec.json.Decoder(Past).decode
_facts: msgspec.json.Decoder[Facts | None] = msgspec.json.Decoder(Facts | None)
_session: msgspec.json.Decoder[Session | None] = msgspec.json.Decoder(Session | None)
_read_facts = lru_cache(maxsize=16384)(_facts.decode)
_read_session = lru_cache(maxsize=1024)(_session.decode)
_read_claim = lru_cache(maxsize=4096)(msgspec.json.Decoder(Claim).decode)


def parse_past(line: bytes) -> Past | None:
    """Return what a line tells; None if it is no entry or not whole."""
    try:
        past = _decode(line)
        _check(past)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    return past


def _check(past: Past) -> None:
    """Read what is decoded on demand, so that nothing fails later."""
    parse_time(past.time)
    _read_facts(bytes(past.told_facts))
    if past.request is not None:
        _read_session(bytes(past.request.told_session))
        _read_claim(bytes(past.request.told_claim))


@lru_cache(maxsize=1)
def parse_time(text: str) -> float:
    """Return seconds since the epoch of an entry's time. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()
