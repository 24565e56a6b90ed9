"""Replaying a candidate policy over a log: the town's life, as the daemon would have recorded it.

Usage by itself: replay.py [ENTRIES [PROCESSES]], 1,000,000 entries by default.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from measure import Row, bound, say_size, say_time
from town import Event, live, people

from stepupd.core.entry import encode_line, encode_record
from stepupd.core.risk.facts import describe_facts
from stepupd.store.past_log import Task, replay_log
from stepupd.store.toml_files import parse_document

ENTRIES = 100_000
GOAL = 60 * ENTRIES / 1_000_000
PEOPLE, SEED = 200, 20260105
CANDIDATE = Path(__file__).parents[1] / "examples" / "policies" / "team.toml"
_LASTS = 8 * 3600.0
_FILLER = {"authenticator_data": "A" * 50, "client_data_json": "B" * 200, "signature": "C" * 96}


def measure() -> Iterator[Row]:
    """Yield the time and the memory of a replay in another process."""
    with tempfile.TemporaryDirectory(prefix="stepup-bench") as folder:
        log = Path(folder) / "audit.log"
        write_log(log, ENTRIES)
        done = subprocess.run(
            [sys.executable, __file__, "--replay", log, "0"], stdout=subprocess.PIPE, check=True
        )
    figures = json.loads(done.stdout)
    yield bound(f"policy replay, {ENTRIES:,} entries", figures["seconds"], GOAL, say_time)
    yield bound("  its memory, the largest process", figures["bytes"], None, say_size)


def write_log(path: Path, count: int) -> None:
    """Write a log of so many entries; its chain is not one, for nobody verifies it."""
    proved: dict[tuple[int, int], float] = {}
    with path.open("wb") as log:
        for seq, event in enumerate(live(people(PEOPLE, SEED), 1 << 20, SEED + 1)):
            if seq == count:
                return
            session = event.request.session
            key = event.request.subject.uid, 0 if session is None else session.leader_start
            is_new = event.now.boot - proved.get(key, -_LASTS) >= _LASTS
            if is_new:
                proved[key] = event.now.boot
            body = encode_record(describe(event, is_proof=is_new))
            log.write(encode_line(seq, bytes(32), event.now.wall, body) + b"\n")


def describe(event: Event, *, is_proof: bool) -> dict[str, object]:
    """Return what the daemon would have written under a policy that asks for one touch a day."""
    request, session = event.request, event.request.session
    record: dict[str, object] = {
        "kind": "step-up",
        "request": {
            "action": request.action,
            "subject": request.subject.name,
            "subject_uid": request.subject.uid,
            "caller_uid": request.caller.uid,
            "caller_pid": request.caller.pid,
            "door": request.caller.door.value,
            "groups": sorted(request.subject.groups),
            "session": None
            if session is None
            else {"leader": session.leader, "leader_start": session.leader_start, "tty": "pts/1"},
            "claim": {"command": list(request.claim.command)},
            "boot": event.now.boot,
        },
        "policy": "0" * 64,
        "verdict": {"answer": "allow", "reason": "proved" if is_proof else "grant"},
        "latency_ms": {"gather": 0.4, "person": 2100.0 if is_proof else 0.0, "whole": 0.9},
        "facts": describe_facts(event.facts),
        "decision": {
            "is": "stepup" if is_proof else "satisfied",
            "rule": "sudo",
            "required": {"level": "touch", "max_age": _LASTS},
        },
    }
    if is_proof:
        record |= {
            "level": "touch",
            "evidence": {"method": "fido2", "credential": "a2V5"} | _FILLER,
        }
    return record


def replay_here(log: Path, jobs: int) -> None:
    """Replay and print what it took."""
    started = perf_counter()
    candidate = (parse_document(str(CANDIDATE), CANDIDATE.read_bytes()),)
    tally = replay_log(Task(log, candidate, lowest=30), jobs)
    taken = perf_counter() - started
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(who).ru_maxrss for who in both) * 1024
    print(json.dumps({"requests": tally.requests, "seconds": taken, "bytes": peak}))


def main() -> None:
    """Replay a log that was named, or one of so many entries."""
    if sys.argv[1:2] == ["--replay"]:
        replay_here(Path(sys.argv[2]), int(sys.argv[3]))
        return
    count = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    jobs = int(sys.argv[2]) if sys.argv[2:] else 0
    with tempfile.TemporaryDirectory(prefix="stepup-bench") as folder:
        log = Path(folder) / "audit.log"
        write_log(log, count)
        print(f"{count:,} entries, {say_size(log.stat().st_size)}")
        replay_here(log, jobs)


if __name__ == "__main__":
    main()
