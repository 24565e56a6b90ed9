"""Runs the daemon until its n-th durable step, and kills it there.

Durable steps are what its stores do to the disk: fsync, fdatasync, link, rename, unlink, and a
COMMIT of the database. Arguments: the file for the count, "before" or "after" the step, its number
(0: never), then those of the daemon. A signal USR1 starts the counting.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from stepupd.__main__ import main


class Steps:
    """Counts durable steps once told to."""

    def __init__(self, path: Path, *, is_before: bool, fatal: int) -> None:
        self.path = path
        self.is_before = is_before
        self.fatal = fatal
        self.count: int | None = None

    def start(self, *_: object) -> None:
        self.count = 0
        self.path.write_text("0")

    def watch(self, step: Callable[..., object]) -> Callable[..., object]:
        def watched(*arguments: object, **settings: object) -> object:
            if self.count is None:
                return step(*arguments, **settings)
            caller = sys._getframe(1).f_globals["__name__"]
            if caller != __name__ and not caller.startswith("stepupd.store"):
                return step(*arguments, **settings)
            self.count += 1
            is_fatal = self.count == self.fatal
            if is_fatal and self.is_before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = step(*arguments, **settings)
            if is_fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            self.path.write_text(str(self.count))
            return result

        return watched


def run() -> None:
    path, moment, fatal, *arguments = sys.argv[1:]
    steps = Steps(Path(path), is_before=moment == "before", fatal=int(fatal))
    for name in ("fsync", "fdatasync", "rename", "link", "unlink"):
        setattr(os, name, steps.watch(getattr(os, name)))

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
            step = super().execute
            if statement == "COMMIT":
                return commit(step, statement, *values)
            return step(statement, *values)

    commit = steps.watch(lambda step, *given: step(*given))
    connect = sqlite3.connect
    sqlite3.connect = lambda *given, **settings: connect(*given, factory=Connection, **settings)
    signal.signal(signal.SIGUSR1, steps.start)
    main(arguments)


if __name__ == "__main__":
    run()
