"""An adviser that is a program: the question on its standard input, the answer on its output.

The law of this file: no shell, no environment of ours, no descriptor but its standard ones, a
session of its own. Just before each start it is checked again that only root or we can have written
it. At the end, and at the latest at the deadline, everything in its process group is killed; an
exit status but 0 makes any answer none.
Not done here: keeping it from what our own account may do. That is the unit's sandbox, and the
program's own business.
"""

import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic

from stepupd.core.errors import ConfigError
from stepupd.core.risk.advice import (
    MAX_ANSWER,
    AdviserFailed,
    AdviserPlan,
    encode_question,
    read_answer,
)
from stepupd.core.risk.facts import Advice

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_REAPING = 0.2
"""Seconds for the kernel to finish what was killed; more only where a disk hangs."""


class ProgramAdviser:
    """Runs the program once for each question. Safe from any thread."""

    def __init__(self, plan: AdviserPlan, check_program: Callable[[Path], object]) -> None:
        self._plan = plan
        self._check_program = check_program

    @property
    def name(self) -> str:
        """The adviser's name."""
        return self._plan.name

    def advise(self, question: Mapping[str, object]) -> Advice:
        """Run the program. Raises AdviserFailed."""
        until = monotonic() + self._plan.deadline
        body = encode_question(self._plan, question)
        try:
            process = self._start()
        except (ConfigError, OSError, ValueError) as error:
            raise AdviserFailed(f"{self.name}: it cannot be run: {error}") from error
        try:
            answer = _converse(process, body, until)
            _await_end(process, until)
        except OSError as error:
            raise AdviserFailed(f"{self.name}: {error}") from error
        finally:
            status = _end(process)
        if status != 0:
            raise AdviserFailed(f"{self.name}: it ended with status {status}")
        return read_answer(self._plan, answer)

    def _start(self) -> "subprocess.Popen[bytes]":
        program = self._plan.program
        self._check_program(Path(program[0]))
        return subprocess.Popen(  # noqa: S603 - a checked file, and words of the administrator
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
            umask=0o077,
        )


def _converse(process: "subprocess.Popen[bytes]", question: bytes, until: float) -> bytes:
    """Return what the program wrote until it closed its output."""
    answer = bytearray()
    with selectors.DefaultSelector() as waiting:
        if process.stdin is None or process.stdout is None:
            raise OSError("it has no pipes")
        given, taken = process.stdin.fileno(), process.stdout.fileno()
        for descriptor, event in ((given, selectors.EVENT_WRITE), (taken, selectors.EVENT_READ)):
            os.set_blocking(descriptor, False)
            waiting.register(descriptor, event)
        while taken in waiting.get_map():
            if len(answer) > MAX_ANSWER:
                raise OSError(f"its answer is longer than {MAX_ANSWER} bytes")
            for key, _ in _wait(waiting, until):
                if key.fd == given:
                    question = _give(given, question)
                    if not question:
                        waiting.unregister(given)
                        process.stdin.close()
                elif piece := os.read(taken, MAX_ANSWER + 1 - len(answer)):
                    answer += piece
                else:
                    waiting.unregister(taken)
    return bytes(answer)


def _give(descriptor: int, question: bytes) -> bytes:
    """Write what fits; return the rest. A program that does not want to know need not read."""
    try:
        return question[os.write(descriptor, question) :]
    except BrokenPipeError:
        return b""


def _wait(waiting: selectors.BaseSelector, until: float) -> list[tuple[selectors.SelectorKey, int]]:
    left = until - monotonic()
    ready = waiting.select(left) if left > 0 else []
    if not ready:
        raise TimeoutError("it did not answer in time")
    return ready


def _await_end(process: "subprocess.Popen[bytes]", until: float) -> None:
    """Wait for the end without taking notice of it: its process group keeps its number."""
    descriptor = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as waiting:
            waiting.register(descriptor, selectors.EVENT_READ)
            _wait(waiting, until)
    finally:
        os.close(descriptor)


def _end(process: "subprocess.Popen[bytes]") -> int | None:
    """Kill what is left of the program and return its exit status, None if it is still dying."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        return process.wait(_REAPING)
    return None
