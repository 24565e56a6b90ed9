"""Events from outside: they tighten first and are recorded then.

The law of this file: who may push is settled before anybody looks whether the account exists, so
that others learn nothing of it. What an event takes away is gone, and its alert holds, before the
entry is written: a full disk must not keep an attacker's grant alive. Each step is tried whatever
became of the others, and whoever pushed hears of the first that failed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from stepupd.broker import Broker
from stepupd.core.errors import InternalError, RequestError
from stepupd.core.model import Caller, Reason, Subject
from stepupd.core.record import describe_change
from stepupd.core.risk.activity import Alert
from stepupd.core.risk.alerts import CONSEQUENCES, Pushed, SecurityEvent, may_push
from stepupd.world import World


@dataclass(slots=True)
class _Done:
    """What came of it so far."""

    revoked: int = 0
    lasts: float = 0.0
    failures: list[InternalError] = field(default_factory=list)

    def attempt(self, step: Callable[[], None]) -> None:
        """Run a step; its failure keeps no other from running."""
        try:
            step()
        except InternalError as error:
            self.failures.append(error)


async def push_event(broker: Broker, caller: Caller, event: SecurityEvent) -> Pushed:
    """Take in one event. Raises RequestError, and InternalError where a step failed."""
    world = broker.world
    subject = await broker.look_up(lambda: _find_subject(world, caller, event.subject))
    done = _Done()
    consequence = CONSEQUENCES[event.name]
    if consequence.alerts:
        done.attempt(lambda: _alert(world, caller, event, subject.uid, done))
    if consequence.revokes:
        done.attempt(lambda: _revoke(world, subject.uid, done))
    entry = await world.journal.append(
        describe_change(
            "event",
            caller,
            subject.uid,
            event=event.name.value,
            subject=subject.name,
            reason=event.reason,
            revoked=done.revoked,
            lasts=done.lasts,
            **({"error": str(done.failures[0])} if done.failures else {}),
        )
    )
    if done.failures:
        raise done.failures[0]
    return Pushed(entry, done.revoked, done.lasts)


def _find_subject(world: World, caller: Caller, name: str) -> Subject:
    if not may_push(caller, is_listed=world.may_push_events(caller)):
        raise RequestError(
            "you may not push events",
            reason=Reason.NOT_PERMITTED.value,
            hint="stepupd.toml lists who may: may_push_events in [callers]",
        )
    subject = world.accounts.find_subject(name)
    if subject is None:
        raise RequestError("there is no such account", reason="no-such-account")
    return subject


def _alert(world: World, caller: Caller, event: SecurityEvent, uid: int, done: _Done) -> None:
    now = world.read_clock()
    alert = Alert(event.name.value, event.reason, now.boot + event.lasts)
    done.lasts = event.lasts
    world.activities.alert(uid, alert, now, may_shorten=caller.is_privileged)


def _revoke(world: World, uid: int, done: _Done) -> None:
    done.revoked = world.grants.revoke(uid=uid)
