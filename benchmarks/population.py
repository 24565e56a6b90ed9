"""A simulated population: how often ordinary people are asked, and how many attacks are caught.

200 people, 90 days, five kinds of attack from fixed seeds (`town`), under the policy that teams
are given (examples/policies/team.toml) and under both scores. An attack is caught if one of its
requests meets `verify` or harder; whether it got anything through before that, on a grant that
the person had earned, is counted beside it.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from measure import Row, say_reached
from town import DAY, Event, live, people

from stepupd.core.decision import Allow, Decision, Deny, Satisfied, StepUp
from stepupd.core.judge import judge
from stepupd.core.model import Grant, Level, Method, Scope
from stepupd.core.policy import Policy, Score
from stepupd.core.risk.activity import Activity, remember
from stepupd.core.risk.activity import Event as Ended
from stepupd.core.risk.learning import Lesson, learn, learn_crowd
from stepupd.core.risk.profile import Profile
from stepupd.core.snapshot import Snapshot
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import parse_document

SUBJECTS, DAYS, SEED = 200, 90, 20260105
WARM_UP = 14
"""Days that are not counted for the ordinary: habits form."""
TEAM = Path(__file__).parent.parent / "examples" / "policies" / "team.toml"
CROWD = 2**32 - 1
MOST_ASKED, LEAST_CAUGHT = 2, 0.95


@dataclass(slots=True)
class Town:
    """What the daemon would keep."""

    profiles: dict[int, Profile] = field(default_factory=dict)
    crowd: Profile = field(default_factory=lambda: Profile(CROWD))
    activities: dict[int, Activity] = field(default_factory=lambda: defaultdict(Activity))
    grants: dict[int, list[Grant]] = field(default_factory=lambda: defaultdict(list))


@dataclass(slots=True)
class Tally:
    """What came out."""

    prompts: Counter[tuple[int, int]] = field(default_factory=Counter)
    days: set[tuple[int, int]] = field(default_factory=set)
    harder: int = 0
    ordinary: int = 0
    caught: dict[tuple[str, int], bool] = field(default_factory=dict)
    slipped: set[tuple[str, int]] = field(default_factory=set)

    def median_prompts(self) -> float:
        """Return the median, over people and the days they worked, of prompts a day."""
        return median(self.prompts[day] for day in self.days)

    def share_slipped(self) -> float:
        """Return the share of attacks that got a request through before they were caught, if so."""
        return len(self.slipped) / len(self.caught)

    def share_caught(self) -> float:
        """Return the share of attacks that met `verify` or harder."""
        return sum(self.caught.values()) / len(self.caught)


def measure() -> Iterator[Row | str]:
    """Yield the figures of both scores, and what was missed, by kind."""
    policy = read_team_policy()
    for score in Score:
        tally = run(replace(policy, score=score))
        mark = " (the default)" if score is policy.score else ""
        yield f"{score.value}{mark}: {say(tally)}"
        asked, caught = tally.median_prompts(), tally.share_caught()
        yield Row(
            f"{score.value}: asked a day, median",
            f"{asked:g}",
            goal=f"<= {MOST_ASKED}",
            reached=say_reached(asked <= MOST_ASKED),
        )
        yield Row(
            f"{score.value}: attacks caught",
            f"{caught:.1%}",
            goal=f">= {LEAST_CAUGHT:.0%}",
            reached=say_reached(caught >= LEAST_CAUGHT),
        )


def say(tally: Tally) -> str:
    """Return the figures in one line."""
    missed = Counter(kind for (kind, _), is_caught in tally.caught.items() if not is_caught)
    kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(missed.items())) or "none"
    mean = sum(tally.prompts.values()) / max(1, len(tally.days))
    return (
        f"asked {tally.median_prompts():g} a day at the median, {mean:.2f} on average, "
        f"{tally.harder / max(1, tally.ordinary):.1%} of requests at verify or harder; "
        f"caught {tally.share_caught():.1%} of {len(tally.caught)} attacks, "
        f"{tally.share_slipped():.1%} got something through first; missed: {kinds}"
    )


def read_team_policy() -> Policy:
    """Return the policy that teams are given."""
    return make_policy((parse_document(str(TEAM), TEAM.read_bytes()),))


def run(policy: Policy, subjects: int = SUBJECTS, days: int = DAYS, seed: int = SEED) -> Tally:
    """Live through all of it under one policy."""
    town, tally = Town(), Tally()
    for event in live(people(subjects, seed), days, seed + 1):
        take(town, tally, policy, event)
    return tally


def take(town: Town, tally: Tally, policy: Policy, event: Event) -> None:
    """Take one request: judge it, count it, and learn from it what a daemon would."""
    uid = event.request.subject.uid
    before = town.profiles.get(uid) or Profile(uid)
    now = Snapshot(
        request=event.request,
        policy=policy,
        credentials=(),
        grants=tuple(town.grants[uid]),
        now=event.now,
        nonce=bytes(32),
        rp_id="town",
        facts=event.facts,
        profile=before,
        crowd=town.crowd,
        activity=town.activities[uid],
    )
    decision = judge(now)
    is_allowed = not isinstance(decision, Deny) and not (
        event.attack and isinstance(decision, StepUp)
    )
    _count(tally, event, decision)
    ended = Ended(event.now.boot, event.request.action, is_allowed)
    town.activities[uid] = remember(town.activities[uid], ended)
    if not is_allowed:
        return
    lesson = Lesson(
        event.request,
        event.facts,
        event.now,
        tuple(signal.name for signal in decision.risk.signals),
        is_proved=isinstance(decision, StepUp),
    )
    after = town.profiles[uid] = learn(before, lesson)
    town.crowd = learn_crowd(town.crowd, before, after, event.now.wall)
    if isinstance(decision, StepUp) and decision.requirement.max_age:
        town.grants[uid] = [_make_grant(event, decision)]


def _count(tally: Tally, event: Event, decision: Decision) -> None:
    is_hard = isinstance(decision, Deny) or (
        isinstance(decision, StepUp) and decision.requirement.level >= Level.VERIFY
    )
    if event.attack:
        case = event.attack, event.case
        if isinstance(decision, Allow | Satisfied) and not tally.caught.get(case):
            tally.slipped.add(case)
        tally.caught[case] = tally.caught.get(case, False) or is_hard
        return
    day = int(event.now.boot // DAY) - 10
    if day < WARM_UP:
        return
    tally.days.add((event.request.subject.uid, day))
    tally.ordinary += 1
    tally.harder += is_hard
    if isinstance(decision, StepUp):
        tally.prompts[event.request.subject.uid, day] += 1


def _make_grant(event: Event, decision: StepUp) -> Grant:
    requirement, boot = decision.requirement, event.now.boot
    return Grant(
        id="g",
        subject_uid=event.request.subject.uid,
        action=event.request.action,
        scope=Scope.SESSION,
        session=event.request.session,
        boot_id="boot",
        level=requirement.level,
        method=Method.FIDO2,
        credential_id=b"key",
        auth_time=boot,
        expires=boot + requirement.max_age,
        caller_uid=0,
    )


if __name__ == "__main__":
    for line in measure():
        sys.stdout.write(f"{line}\n")
