"""Hardware signatures of the audit log, checked on all cores with bounded memory.

Law: every job that was given is checked before `finish` returns. A worker that dies is a fault of
ours, never a signature that was good.

Not done here: which entries have to be signed, and by which key (`core.recheck`).
"""

import multiprocessing
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple, Self

from stepupd.core.entry import parse_line
from stepupd.core.errors import AuthenticatorError, InternalError
from stepupd.core.recheck import EnrolledKey, recheck_evidence
from stepupd.store.audit_report import Fault

CHUNK = 256
"""Entries for one worker at once: about 20 ms of work, 300 KiB."""

_WAITING = 3
"""Chunks that wait or run, for each worker."""


class Job(NamedTuple):
    """An entry as bytes, its line number, and the key that has to have signed."""

    number: int
    line: bytes
    key: EnrolledKey


class Prover:
    """Takes jobs; keeps the fault with the lowest line number."""

    def __init__(self, workers: int) -> None:
        """Use this many processes; with one, or little to do, none but this."""
        self.fault: Fault | None = None
        self.given = 0
        self._workers = workers
        self._jobs: list[Job] = []
        self._pool: ProcessPoolExecutor | None = None
        self._running: deque[Future[Fault | None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def add(self, job: Job) -> None:
        """Queue a job; blocks while the workers are behind."""
        self._jobs.append(job)
        self.given += 1
        if len(self._jobs) == CHUNK:
            self._dispatch()

    def finish(self) -> None:
        """Check what is queued. Raises InternalError if a worker died."""
        if self._jobs and self._pool is None:
            self._keep(check_jobs(self._jobs))
        elif self._jobs:
            self._dispatch()
        while self._running:
            self._collect()

    def _dispatch(self) -> None:
        jobs, self._jobs = self._jobs, []
        if self._workers == 1:
            self._keep(check_jobs(jobs))
            return
        if self._pool is None:
            # Not forked: a fork copies the locks of threads it does not copy.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context)
        if len(self._running) == _WAITING * self._workers:
            self._collect()
        self._running.append(self._pool.submit(check_jobs, jobs))

    def _collect(self) -> None:
        try:
            self._keep(self._running.popleft().result())
        except BrokenProcessPool as error:
            raise InternalError("a process that checks signatures died") from error

    def _keep(self, fault: Fault | None) -> None:
        self.fault = min(filter(None, (self.fault, fault)), default=None)


def check_jobs(jobs: list[Job]) -> Fault | None:
    """Return the first fault among the jobs. Runs in a worker."""
    for job in jobs:
        try:
            recheck_evidence(parse_line(job.line), job.key)
        except AuthenticatorError as error:
            return Fault(job.number, error.reason, str(error))
    return None
