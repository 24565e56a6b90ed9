"""What is learned from a request that was allowed, after its answer.

To learn less is always the stricter side, so a failure here costs nobody an answer; it is said in
the log.
"""

from stepupd.core.outcome import Outcome
from stepupd.core.risk.learning import Lesson, learn, learn_crowd, may_teach
from stepupd.core.snapshot import Snapshot
from stepupd.world import World


def teach(world: World, now: Snapshot, outcome: Outcome) -> None:
    """Learn from a request that was allowed what is usual. May block."""
    uid, verdict = now.request.subject.uid, outcome.verdict
    if not may_teach(verdict.answer, verdict.reason):
        return
    lesson = make_lesson(now, outcome)
    before = world.profiles.find(uid)
    after = learn(before, lesson)
    world.profiles.keep(after)
    crowd = world.profiles.find_crowd()
    world.profiles.keep(learn_crowd(crowd, before, after, now.now.wall))


def make_lesson(now: Snapshot, outcome: Outcome) -> Lesson:
    """Return what there is to learn from a request that was allowed."""
    decision, evidence = outcome.decision, outcome.evidence
    signals = decision.risk.signals if decision is not None else ()
    return Lesson(
        request=now.request,
        facts=now.facts,
        now=now.now,
        signals=tuple(signal.name for signal in signals),
        is_proved=evidence is not None,
        credential_id=b"" if evidence is None else evidence.credential_id,
    )
