"""Verify an audit log offline: nothing but the files and the public key is needed.

Law: the log is intact only if it is one chain under its checkpoint and every anchor, and the key
that an earlier entry enrolled signed for every entry that tells of a proof. One pass, in memory
that does not grow with the log.

Not done here: believing entries after the newest checkpoint. They are checked as far as they can
be and counted as uncovered: whoever can write the file can add such entries, or drop them.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from stepupd.core.checkpoint import Checkpoint, open_checkpoint
from stepupd.core.entry import Entry
from stepupd.core.errors import AuthenticatorError, ConfigError, InternalError
from stepupd.core.note import VerifierKey, parse_vkey
from stepupd.core.recheck import EnrolledKey, find_key, follow_enrolment
from stepupd.store.audit_chain import Chain
from stepupd.store.audit_prover import Job, Prover
from stepupd.store.audit_report import BrokenLogError, Fault, Report


def verify_log(
    log_path: Path,
    checkpoint: str,
    vkey: str,
    *,
    jobs: int = 0,
    anchors: Sequence[str] = (),
) -> Report:
    """Verify a log against its checkpoint and against others that were kept elsewhere.

    All of them are notes, as text; `jobs` is the number of processes, 0 for one on each core.
    While a daemon writes, read the checkpoint before calling this. Raises ConfigError if the log
    cannot be read or `vkey` is no key, InternalError if a worker dies.
    """
    key = parse_vkey(vkey.strip())
    try:
        heads = [_open_head("checkpoint", checkpoint, key)]
        heads += [_open_head("anchor", note, key) for note in anchors]
    except BrokenLogError as broken:
        return Report(fault=broken.fault)
    try:
        with log_path.open("rb") as stream, Prover(jobs or _count_cores()) as prover:
            audit = _Audit(Chain(stream, heads), prover)
            fault = audit.run()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(log_path)) from error
    agreed = sum(head.size <= audit.chain.covered for head in heads[1:])
    return audit.report(fault, anchors=agreed)


class _Audit:
    """One pass: what the entries prove, and what there is to count."""

    def __init__(self, chain: Chain, prover: Prover) -> None:
        self.chain = chain
        self._prover = prover
        self._keys: dict[str, EnrolledKey] = {}
        self._entries = self._recoveries = self._lost_bytes = 0

    def run(self) -> Fault | None:
        """Return the fault with the lowest line number."""
        fault = None
        try:
            for number, line, entry in self.chain.walk():
                self._entries = number
                self._examine(number, line, entry)
                if self._prover.fault:
                    break
        except BrokenLogError as broken:
            fault = broken.fault
        self._prover.finish()
        return min(filter(None, (fault, self._prover.fault)), default=None)

    def report(self, fault: Fault | None, *, anchors: int) -> Report:
        return Report(
            entries=self._entries,
            covered=self.chain.covered,
            signatures=self._prover.given,
            anchors=anchors,
            recoveries=self._recoveries,
            lost_bytes=self._lost_bytes,
            torn_bytes=self.chain.torn,
            fault=fault,
        )

    def _examine(self, number: int, line: bytes, entry: Entry) -> None:
        try:
            follow_enrolment(self._keys, entry)
            key = find_key(self._keys, entry)
        except AuthenticatorError as error:
            raise BrokenLogError(number, error.reason, str(error)) from None
        if key is not None:
            self._prover.add(Job(number, line, key))
        if entry.kind == "recovered":
            lost = entry.fields.get("lost_bytes")
            self._recoveries += 1
            self._lost_bytes += lost if isinstance(lost, int) else 0


def _open_head(what: str, note: str, key: VerifierKey) -> Checkpoint:
    try:
        return open_checkpoint(note, key)
    except InternalError as error:
        raise BrokenLogError(0, f"bad-{what}", f"{what}: {error}") from None


def _count_cores() -> int:
    return len(os.sched_getaffinity(0))
