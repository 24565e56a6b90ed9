"""A candidate policy over the past: each request decided again, and compared with what happened.

The law of this file: nothing but what the log tells decides, and nothing that came later than a
request. A success under the candidate becomes a grant by the candidate's own `max_age` and `scope`.
Whoever was let through then is taken to answer a prompt; whoever was refused is taken not to, so
that no replay ever says that a policy would have let in somebody who never proved anything.

Subjects do not depend on each other, but where an entry concerns them all. Between two such entries
each subject's are taken one after another: a processor keeps in its cache what one subject needs,
and not what all of them do.

Not done here: reading the log, adding up (`tally`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice

import msgspec

from stepupd.core.decision import Allow, Decision, Deny, Satisfied, StepUp
from stepupd.core.grants import is_alive
from stepupd.core.management import FALLBACK_RULE
from stepupd.core.model import Grant, Level, Method, Requirement, Scope
from stepupd.core.policy import Policy
from stepupd.core.rehearsal.history import History, decode_id
from stepupd.core.rehearsal.past import LEVELS, Past, PastGrant
from stepupd.core.rehearsal.quick_judge import QuickJudge
from stepupd.core.risk.alerts import CONSEQUENCES
from stepupd.core.risk.observation import Observation

PASSED, DENIED = 0, 9
"""How a request was met, where it was not a level that was asked for."""

WORDS = {PASSED: "allow", DENIED: "deny", **{level.value: level.word for level in Level}}
"""The words for both, and for the levels between them."""

BATCH = 4096
"""Entries that are read before they are taken, by subject."""

_REPLAYED = "replayed"
_NEWEST = 256
"""Entries that may still be withdrawn: far more ceremonies than run at once."""


class Answer(msgspec.Struct, frozen=True):
    """How a policy met a request: PASSED, a level that was asked for, or DENIED."""

    met: int
    rule: str
    score: int
    signals: tuple[str, ...] = ()

    @property
    def is_prompt(self) -> bool:
        """Whether somebody was asked for proof."""
        return PASSED < self.met < DENIED


class Row(msgspec.Struct, frozen=True):
    """One request, before and after. `person` is the milliseconds of a proof, if there was one."""

    seq: int
    time: str
    uid: int
    subject: str
    action: str
    was_allowed: bool
    before: Answer
    after: Answer
    person: float | None = None

    @property
    def day(self) -> str:
        """The day in UTC, as RFC 3339 writes it."""
        return self.time[:10]


class Replay:
    """The fold: feed it every entry, in order."""

    def __init__(self, policy: Policy, history: History) -> None:
        # As in `service`, so that managing keys needs no rule of its own.
        self._policy = replace(policy, rules=(*policy.rules, FALLBACK_RULE))
        self._judge = QuickJudge(self._policy).judge
        self.history = history
        self._grants: dict[int, tuple[Grant, ...]] = {}
        self._earned: dict[int, str] = {}
        """Ids of the newest grants, by the entry that earned them."""

    def take_all(self, entries: Iterator[Past]) -> Iterator[tuple[Past, Row | None]]:
        """Yield each entry with what `take` returns of it, as if they were taken one by one."""
        for first in entries:
            yield from self._take_batch(chain((first,), islice(entries, BATCH - 1)))

    def _take_batch(self, entries: Iterable[Past]) -> list[tuple[Past, Row | None]]:
        taken: list[tuple[Past, Row | None]] = []
        waiting: dict[int, list[int]] = {}
        for place, past in enumerate(entries):
            taken.append((past, None))
            if past.request is not None and self._concerns_one(past):
                waiting.setdefault(past.request.subject_uid, []).append(place)
            else:
                self._take_waiting(taken, waiting)
                taken[place] = past, self.take(past)
        self._take_waiting(taken, waiting)
        return taken

    def _take_waiting(
        self, taken: list[tuple[Past, Row | None]], waiting: dict[int, list[int]]
    ) -> None:
        """Take what waits at these places, by subject."""
        for places in waiting.values():
            for place in places:
                past = taken[place][0]
                taken[place] = past, self.take(past)
        waiting.clear()

    def _concerns_one(self, past: Past) -> bool:
        """Return whether taking a request changes nothing but what is known of its subject."""
        history = self.history
        is_plain = past.kind == "step-up" and not past.suspect
        return is_plain and not history.has_rates and history.is_of_this_boot(past)

    def take(self, past: Past) -> Row | None:
        """Take in one entry; return how a request was met, None for everything else."""
        uid = past.uid
        held = () if uid is None else self.list_grants(uid)
        seen = self.history.observe(past, self._policy, held)
        if seen is None or past.kind != "step-up" or past.decision is None:
            self.history.take_in(past, seen)
            self._follow(past)
            return None
        decision = self._judge(seen)
        self._remember(past, seen, decision)
        self.history.take_in(past, seen, decision.risk)
        return Row(
            seq=past.seq,
            time=past.time,
            uid=seen.request.subject.uid,
            subject=seen.request.subject.name,
            action=seen.request.action,
            was_allowed=past.is_allowed,
            before=read_answer(past),
            after=make_answer(decision),
            person=past.latency_ms.get("person") if past.is_proved else None,
        )

    def list_grants(self, uid: int) -> tuple[Grant, ...]:
        """Return the grants that the subject would hold by now; some may have run out."""
        return self._grants.get(uid, ())

    def _remember(self, past: Past, seen: Observation, decision: Decision) -> None:
        uid = seen.request.subject.uid
        alive = tuple([grant for grant in seen.grants if is_alive(grant, seen.now)])
        if isinstance(decision, StepUp) and past.is_allowed:
            earned = earn_grant(past, seen, decision.requirement)
            if earned is not None:
                alive = (*alive, earned)
                self._note(past.seq, earned.id)
        self._grants[uid] = alive

    def _follow(self, past: Past) -> None:
        """Take grants away as they were taken away then."""
        uid = past.uid
        if past.kind == "revoke" and uid is not None:
            kept = () if not past.grant else self._list_others(uid, str(past.grant))
            self._grants[uid] = kept
        elif past.kind in {"remove", "withdrawn"} and past.credential is not None:
            gone = decode_id(past.credential.id)
            for owner, grants in self._grants.items():
                self._grants[owner] = tuple(one for one in grants if one.credential_id != gone)
        elif past.kind == "event" and uid is not None and _revokes(past.event):
            self._grants[uid] = ()
        elif past.kind == "withdrawn" and past.entry in sorted(self._earned)[-_NEWEST:]:
            withdrawn = self._earned.pop(past.entry)
            for owner in self._grants:
                self._grants[owner] = self._list_others(owner, withdrawn)

    def _note(self, entry: int, grant: str) -> None:
        self._earned[entry] = grant
        if len(self._earned) > 2 * _NEWEST:  # An entry is withdrawn at once or never.
            self._earned = dict(sorted(self._earned.items())[-_NEWEST:])

    def _list_others(self, uid: int, grant: str) -> tuple[Grant, ...]:
        return tuple(one for one in self.list_grants(uid) if one.id != grant)


def _revokes(event: str) -> bool:
    return any(name.value == event and one.revokes for name, one in CONSEQUENCES.items())


def earn_grant(past: Past, seen: Observation, requirement: Requirement) -> Grant | None:
    """Return the grant that the person's answer would have earned, as `make_grant` does."""
    request, now = seen.request, seen.now
    evidence = past.evidence
    if evidence is not None and evidence.method == Method.RECOVERY:
        return None
    if requirement.scope is Scope.REQUEST or requirement.max_age <= 0:
        return None
    if requirement.scope is Scope.SESSION and request.session is None:
        return None
    proved = LEVELS.get(past.level, requirement.level)
    told = past.grant if isinstance(past.grant, PastGrant) else None
    return Grant(
        id=f"{_REPLAYED} {past.seq}" if told is None else told.id,
        subject_uid=request.subject.uid,
        action=request.action,
        scope=requirement.scope,
        session=request.session,
        boot_id=now.boot_id,
        level=max(proved, requirement.level),
        method=Method.FIDO2,
        credential_id=b"" if evidence is None else decode_id(evidence.credential),
        auth_time=now.boot,
        expires=now.boot + requirement.max_age,
        caller_uid=request.caller.uid,
        plugged_as=_REPLAYED if requirement.while_plugged else "",
    )


def make_answer(decision: Decision) -> Answer:
    """Return how a decision meets a request."""
    risk = decision.risk
    signals = tuple([signal.name for signal in risk.signals])
    match decision:
        case Deny():
            met = DENIED
        case Allow() | Satisfied():
            met = PASSED
        case StepUp(requirement=requirement):
            met = requirement.level.value
    return Answer(met, decision.rule, risk.score, signals)


def read_answer(past: Past) -> Answer:
    """Return how the request was met then."""
    decision = past.decision
    if decision is None:
        return Answer(DENIED, "", 0)
    met = DENIED
    if decision.kind in {"allow", "satisfied"}:
        met = PASSED
    elif decision.kind == "stepup":
        word = "" if decision.required is None else decision.required.level
        met = LEVELS.get(word, Level.TOUCH).value
    return Answer(met, decision.rule, decision.risk.score, tuple(decision.risk.signals))
