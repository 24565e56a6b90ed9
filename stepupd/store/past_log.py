"""The audit log read again, as quickly as it can be: for `policy replay` and `policy explain`.

The law of this file: the log is read once to where it ended when the reading began, and nothing in
it is believed more than it was worth then; verifying it is `audit verify`'s. Subjects do not depend
on each other, so each process takes some of them; only where a policy compares a subject with
everybody does one process take all.
"""

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

import msgspec

from stepupd.core.entry import LINE_LIMIT
from stepupd.core.errors import ConfigError, InternalError
from stepupd.core.policy import Policy, Score
from stepupd.core.rehearsal.history import History
from stepupd.core.rehearsal.past import Past, parse_past
from stepupd.core.rehearsal.replay import Replay
from stepupd.core.rehearsal.tally import Tally
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import Document

SMALL = 8 * 1024 * 1024
"""Bytes: a shorter log is replayed before another process has started."""

_BUFFER = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Task:
    """What to replay. `since` is RFC 3339 in UTC: what came before it only teaches."""

    log: Path
    candidate: tuple[Document, ...]
    since: str = ""
    lowest: int | None = None
    """The score from which a request is risky."""
    zone: tzinfo | None = None
    groups: dict[str, frozenset[str]] = field(default_factory=dict)


EVERYBODY = -1
"""In place of a uid: an entry that every shard has to see."""


class _Whose(msgspec.Struct, frozen=True):
    subject_uid: int | None = None


class _Head(msgspec.Struct, frozen=True):
    kind: str
    request: _Whose | None = None


_decode_head = msgspec.json.Decoder(_Head).decode

_REQUEST = b'"kind":"step-up","request":{'
_UID = b'"subject_uid":'


def find_uid(line: bytes) -> int | None:
    """Return whose request a line is, EVERYBODY for other entries, None for what is no entry.

    A claim cannot pretend: inside a text each quotation mark has a backslash before it.
    """
    begin = line.find(_REQUEST)
    if begin >= 0:
        at = line.find(_UID, begin) + len(_UID)
        number = line[at : line.find(b",", at)]
        if number.isdigit():
            return int(number)
    try:
        head = _decode_head(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    uid = None if head.request is None else head.request.subject_uid
    return EVERYBODY if uid is None else uid


def replay_log(task: Task, jobs: int = 0) -> Tally:
    """Return the sum of a replay; `jobs` is the number of processes, 0 for what is sensible.

    Raises ConfigError if the log cannot be read, InternalError if a process dies.
    """
    try:
        end = task.log.stat().st_size
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(task.log)) from error
    policy = make_policy(task.candidate)
    shards = 1 if needs_everybody(policy) else jobs or _count_processes(end)
    if shards == 1:
        return _replay_shard(task, end, 0, 1)
    # Not forked: a fork copies the locks of threads it does not copy.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(shards, mp_context=context) as pool:
            parts = [pool.submit(_replay_shard, task, end, at, shards) for at in range(shards)]
            tallies = [part.result() for part in parts]
    except BrokenProcessPool as error:
        raise InternalError("a process that replays the log died") from error
    whole = tallies[0]
    for tally in tallies[1:]:
        whole.merge(tally)
    return whole


def needs_everybody(policy: Policy) -> bool:
    """Return whether a subject is compared with what is usual for all of them together."""
    return policy.score is Score.LIKELIHOOD


def read_past(
    path: Path, end: int, wanted: Callable[[bytes], bool] | None = None
) -> Iterator[Past | None]:
    """Yield each entry up to byte `end`, None for a line that is none; `wanted` skips others.

    Raises ConfigError if the log cannot be read.
    """
    try:
        with path.open("rb", buffering=_BUFFER) as stream:
            at = 0
            while at < end:
                line = stream.readline(LINE_LIMIT + 2)
                at += len(line)
                if not line:
                    return
                if wanted is None or wanted(line):
                    yield parse_past(line)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error


def _replay_shard(task: Task, end: int, shard: int, shards: int) -> Tally:
    """Replay the subjects of one shard. Runs in a process of its own."""
    policy = make_policy(task.candidate)
    history = History(zone=task.zone, groups=task.groups)
    history.has_rates = needs_everybody(policy)
    replay, tally = Replay(policy, history), Tally(task.lowest)

    def is_ours(line: bytes) -> bool:
        tally.entries += 1
        uid = find_uid(line)
        return shard == 0 if uid is None else uid == EVERYBODY or uid % shards == shard

    with _without_collector():
        for past in read_past(task.log, end, is_ours):
            if past is None:
                tally.unreadable += 1
                continue
            row = replay.take(past)
            if row is not None and past.time >= task.since:
                tally.add(row)
                tally.policies[past.policy] += 1
                tally.bare += past.facts is None
    return tally


@contextmanager
def _without_collector() -> Iterator[None]:
    """Do without the collector of cycles: nothing here makes any, and it takes a seventh."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def _count_processes(size: int) -> int:
    return 1 if size < SMALL else min(2, len(os.sched_getaffinity(0)))
