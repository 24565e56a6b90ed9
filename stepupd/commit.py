"""How what was decided becomes lasting: entry first, then counter or key, then grant.

The law of this file: without an entry nothing is stored and nothing is allowed; what could not be
stored was not given, and a second entry says so. All of it may block, for as long as the disk
takes.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from stepupd.core.call import Result
from stepupd.core.conclude import refuse
from stepupd.core.confirm import confirm
from stepupd.core.errors import InternalError
from stepupd.core.model import Reason
from stepupd.core.outcome import Outcome
from stepupd.core.record import describe_step_up, describe_withdrawal
from stepupd.core.report import report
from stepupd.core.snapshot import Snapshot
from stepupd.world import World

_log = logging.getLogger(__name__)


class Ended(NamedTuple):
    """A ceremony at its end; `latencies` are milliseconds by name."""

    now: Snapshot
    outcome: Outcome
    latencies: Mapping[str, float]
    kind: str


def look_again(world: World, now: Snapshot, outcome: Outcome) -> Outcome:
    """Return the outcome if the key or code that proved it is still there and unused."""
    uid = now.request.subject.uid
    credentials = world.credentials.list_credentials(uid)
    return confirm(outcome, credentials, world.recovery_codes.list_codes(uid))


def commit(world: World, ended: Ended, on_kept: Callable[[Snapshot, Outcome], None]) -> Result:
    """Return what the caller hears. `on_kept` runs once everything is stored."""
    now, outcome = ended.now, ended.outcome
    try:
        entry = world.journal.append_now(describe_step_up(*ended))
    except Exception:  # noqa: BLE001 - no entry, no allow
        _log.exception("the audit entry could not be written")
        return Result(refuse(Reason.INTERNAL).verdict)
    if outcome.alarm:
        _log.warning("entry %d, %s: %s", entry, now.request.subject.name, outcome.alarm)
    try:
        _remember(world, now, outcome)
    except Exception:  # noqa: BLE001 - what is not stored was not given
        _log.exception("the result of entry %d could not be stored", entry)
        with suppress(InternalError):  # best effort: the disk is in trouble
            world.journal.append_now(describe_withdrawal(entry, outcome))
        return replace(Result(refuse(Reason.INTERNAL).verdict), entry=entry)
    on_kept(now, outcome)
    return report(now, outcome, entry)


def _remember(world: World, now: Snapshot, outcome: Outcome) -> None:
    evidence, credential = outcome.evidence, outcome.credential
    if credential is not None:
        world.credentials.add(credential)
    elif outcome.suspect:
        world.credentials.mark_suspect(outcome.suspect)
    elif evidence is not None and evidence.recovery_tag:
        world.recovery_codes.consume(now.request.subject.uid, evidence.recovery_tag)
    elif evidence is not None:
        world.credentials.record_use(
            evidence.credential_id,
            sign_count=evidence.sign_count,
            backed_up=evidence.backed_up,
            last_used=now.now.wall,
        )
    if outcome.grant is not None:
        world.grants.add(outcome.grant)
