"""What is usual for a subject: gathered for a ceremony, and learned from how it ended.

Where policy weighs nothing, nothing is observed and nothing is learned. To learn less is always
the stricter side, so a failure here costs nobody an answer; it is said in the log.
"""

from dataclasses import replace

from stepupd.core.outcome import Outcome
from stepupd.core.risk.activity import Event
from stepupd.core.risk.learning import Lesson, learn, learn_crowd, may_teach
from stepupd.core.snapshot import Snapshot
from stepupd.world import World


def look_around(world: World, now: Snapshot) -> Snapshot:
    """Return the snapshot with its circumstances, as far as its policy needs them. May block."""
    policy, request = now.policy, now.request
    if not policy.is_weighing:
        return now
    uid = request.subject.uid
    return replace(
        now,
        facts=world.observe(request, policy.observers, now.now),
        profile=world.profiles.find(uid),
        crowd=world.profiles.find_crowd(),
        activity=world.activities.find(uid, now.now),
    )


def note(world: World, now: Snapshot, outcome: Outcome) -> None:
    """Remember for an hour that a request ended; the next one already sees it."""
    event = Event(now.now.boot, now.request.action, outcome.verdict.is_allow)
    world.activities.remember(now.request.subject.uid, event)


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
