"""The audit log read again, as quickly as it can be: for `policy replay` and `policy explain`.

The law of this file: the log is read once to where it ended when the reading began, and nothing in
it is believed more than it was worth then; verifying it is `audit verify`'s. Subjects do not depend
on each other, so each process takes some of them, as many as give each about as much to do; only
where a policy compares a subject with everybody does one process take all.
"""

import gc
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
_SAMPLES, _SAMPLE = 256, 64 * 1024
"""Places of the log that are looked at to share it out, and bytes that are read at each."""


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


@dataclass(frozen=True, slots=True)
class Shares:
    """Which shard takes which subject: as told, the others by their uid."""

    shards: int
    owners: dict[int, int] = field(default_factory=dict)

    def find(self, line: bytes) -> int:
        """Return the shard that a line is for, EVERYBODY for all; the first counts what is none."""
        uid = find_uid(line)
        if uid is None or uid == EVERYBODY:
            return 0 if uid is None else EVERYBODY
        return self.owners.get(uid, uid % self.shards)


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
    with _reading(task.log):
        end = task.log.stat().st_size
    policy = make_policy(task.candidate)
    shards = 1 if needs_everybody(policy) else jobs or _count_processes(end)
    if shards == 1:
        return _replay_shard(task, end, 0, Shares(1))
    # Not forked: a fork copies the locks of threads it does not copy.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(shards, mp_context=context) as pool:
            shares = share_out(task.log, end, shards)
            parts = [pool.submit(_replay_shard, task, end, at, shares) for at in range(shards)]
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
    with _reading(path), path.open("rb", buffering=_BUFFER) as stream:
        at = 0
        while at < end:
            line = stream.readline(LINE_LIMIT + 2)
            at += len(line)
            if not line:
                return
            if wanted is None or wanted(line):
                yield parse_past(line)


@contextmanager
def _reading(log: Path) -> Iterator[None]:
    """Raise ConfigError where the log cannot be read."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(log)) from error


def share_out(log: Path, end: int, shards: int) -> Shares:
    """Return the subjects of each shard, such that all have about as many entries.

    Samples tell how many a subject has. The busiest subject is given away first, always to the
    shard that has the least to do. Only the time that a replay takes depends on it.
    """
    counts: Counter[int] = Counter()
    with _reading(log), log.open("rb") as stream:
        for sample in range(_SAMPLES):
            stream.seek(end * sample // _SAMPLES)
            whole = stream.read(_SAMPLE).splitlines()[1:-1]
            counts.update(uid for line in whole if (uid := find_uid(line)) is not None)
    loads, owners = [0] * shards, {}
    del counts[EVERYBODY]
    for uid, count in counts.most_common():
        owners[uid] = shard = loads.index(min(loads))
        loads[shard] += count
    return Shares(shards, owners)


def _replay_shard(task: Task, end: int, shard: int, shares: Shares) -> Tally:
    """Replay the subjects of one shard. Runs in a process of its own."""
    policy = make_policy(task.candidate)
    history = History(zone=task.zone, groups=task.groups)
    history.has_rates = needs_everybody(policy)
    replay, tally = Replay(policy, history), Tally(task.lowest)

    def is_ours(line: bytes) -> bool:
        tally.entries += 1
        owner = shares.find(line)
        return owner in (shard, EVERYBODY)

    with _without_collector():
        entries = _drop_unreadable(read_past(task.log, end, is_ours), tally)
        for past, row in replay.take_all(entries):
            if row is not None and past.time >= task.since:
                tally.add(row)
                tally.policies[past.policy] += 1
                tally.bare += past.facts is None
    return tally


def _drop_unreadable(entries: Iterable[Past | None], tally: Tally) -> Iterator[Past]:
    for past in entries:
        if past is None:
            tally.unreadable += 1
        else:
            yield past


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
