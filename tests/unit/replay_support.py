"""A daemon without a machine: it judges, records and learns as the real one does, and no more."""

from dataclasses import dataclass, field, replace

from stepupd.core.decision import Deny, StepUp
from stepupd.core.entry import encode_line, encode_record
from stepupd.core.evidence import make_evidence
from stepupd.core.grants import is_alive, make_grant
from stepupd.core.judge import judge
from stepupd.core.model import (
    Answer,
    Caller,
    Claim,
    Door,
    Moment,
    Reason,
    Session,
    StepUpRequest,
    Subject,
    Verdict,
)
from stepupd.core.outcome import Outcome
from stepupd.core.policy import Policy
from stepupd.core.record import describe_step_up
from stepupd.core.risk.activity import Activity, Event, remember
from stepupd.core.risk.learning import Lesson, learn, learn_crowd, may_teach
from stepupd.core.risk.profile import Profile
from stepupd.core.snapshot import Snapshot
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import parse_document

START = 1_790_000_000.0
PEOPLE = {
    "ada": Subject(1000, "ada", frozenset({"ada", "ops"})),
    "bob": Subject(1001, "bob", frozenset({"bob"})),
}
GATHER = 0.5


def read_policy(text: str, name: str = "policy.toml") -> Policy:
    return make_policy((parse_document(name, text.encode()),))


def make_request(subject="ada", action="pam:sudo", *, tty=1, command="ls", uid=0, **changes):
    session = Session(4000 + tty, 100_000 + tty, f"pts/{tty}") if tty else None
    made = StepUpRequest(
        PEOPLE[subject], Caller(uid, 4711, Door.RELAY), action, session, Claim((command,))
    )
    return replace(made, **changes)


@dataclass
class FakeDaemon:
    """`lines` is the log. Time passes with `wait`."""

    policy: Policy
    boot: float = 1000.0
    lines: list[bytes] = field(default_factory=list)
    profiles: dict[int, Profile] = field(default_factory=dict)
    crowd: Profile = field(default_factory=lambda: Profile(2**32 - 1))
    activities: dict[int, Activity] = field(default_factory=dict)
    grants: dict[int, list] = field(default_factory=dict)

    @property
    def log(self) -> bytes:
        return b"".join(line + b"\n" for line in self.lines)

    def wait(self, seconds: float) -> None:
        self.boot += seconds

    def ask(self, request, facts, *, answers=True, person=2000.0) -> Outcome:
        """Answer a request; whether the person touches a key is up to `answers`."""
        uid = request.subject.uid
        now = Moment(START + self.boot, self.boot, "boot")
        held = [grant for grant in self.grants.get(uid, ()) if is_alive(grant, now)]
        seen = Snapshot(
            request=request,
            policy=self.policy,
            credentials=(),
            grants=tuple(held),
            now=now,
            nonce=bytes(32),
            rp_id="here",
            facts=facts,
            profile=self.profiles.get(uid, Profile(uid)) if self.policy.is_weighing else None,
            crowd=self.crowd,
            activity=self.activities.get(uid, Activity()),
        )
        decision = judge(seen)
        outcome = self._conclude(seen, decision, answers=answers)
        self.grants[uid] = [*held, *([outcome.grant] if outcome.grant else [])]
        self._learn(seen, outcome)
        took = person if isinstance(decision, StepUp) else 0.0
        latencies = {"gather": GATHER, "person": took, "whole": took + GATHER}
        self.write(describe_step_up(seen, outcome, latencies), now.wall + latencies["whole"] / 1000)
        return outcome

    def write(self, record, wall=None) -> None:
        at = START + self.boot if wall is None else wall
        self.lines.append(encode_line(len(self.lines), bytes(32), at, encode_record(record)))

    def _conclude(self, seen, decision, *, answers) -> Outcome:
        if isinstance(decision, Deny):
            return Outcome(Verdict(Answer.DENY, decision.reason), decision)
        if not isinstance(decision, StepUp):
            return Outcome(Verdict(Answer.ALLOW, Reason.GRANT), decision)
        if not answers:
            return Outcome(Verdict(Answer.DENY, Reason.TIMEOUT), decision)
        evidence = make_evidence(
            level=decision.requirement.level,
            credential_id=b"key",
            credential_name="blue",
            is_uv=True,
            is_simulated=False,
            sign_count=1,
            backed_up=False,
            authenticator_data=b"data",
            client_data_json=b"{}",
            signature=b"signed",
        )
        grant = make_grant(
            seen.request,
            decision.requirement,
            evidence,
            seen.now,
            len(self.lines).to_bytes(32, "big"),
            authenticator="key",
        )
        verdict = Verdict(Answer.ALLOW, Reason.PROVED)
        return Outcome(verdict, decision, evidence=evidence, grant=grant)

    def _learn(self, seen, outcome) -> None:
        if seen.profile is None:
            return
        uid, verdict = seen.request.subject.uid, outcome.verdict
        event = Event(seen.now.boot, seen.request.action, verdict.is_allow)
        self.activities[uid] = remember(seen.activity, event)
        if not may_teach(verdict.answer, verdict.reason):
            return
        proved = outcome.evidence
        lesson = Lesson(
            request=seen.request,
            facts=seen.facts,
            now=seen.now,
            signals=tuple(signal.name for signal in outcome.decision.risk.signals),
            is_proved=proved is not None,
            credential_id=b"" if proved is None else proved.credential_id,
        )
        after = self.profiles[uid] = learn(seen.profile, lesson)
        self.crowd = learn_crowd(self.crowd, seen.profile, after, seen.now.wall)
