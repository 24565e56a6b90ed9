"""`stepup verify` under a grant, against the same interpreter doing nothing."""

import sys
from collections.abc import Iterator
from pathlib import Path

from daemon import Daemon
from measure import Row, compare, run_quietly, take_turns

GOAL = 2.5
ROUNDS = 40


def measure() -> Iterator[Row]:
    """Yield one row. The command runs as installed, by the interpreter that runs this."""
    stepup = Path(sys.executable).with_name("stepup")
    with Daemon() as daemon:
        daemon.enroll()

        environment = daemon.environment
        verify = (sys.executable, "-I", stepup, "verify", "--action", "cli:deploy")
        # The first run, which `take_turns` does not count, earns the grant.
        times = take_turns(
            {
                "verify": lambda: run_quietly(*verify, environment=environment),
                "python": lambda: run_quietly(sys.executable, "-I", "-c", "pass"),
            },
            ROUNDS,
        )
    yield compare("stepup verify : python3 -I", times["verify"], times["python"], GOAL)
