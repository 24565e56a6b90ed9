"""What is usual for a subject, gathered for a ceremony; `lessons` learns from how it ended.

Where policy weighs nothing, nothing is observed and nothing is learned.
"""

from dataclasses import replace

from stepupd.core.outcome import Outcome
from stepupd.core.risk.activity import Event
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
