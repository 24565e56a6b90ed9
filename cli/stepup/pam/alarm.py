"""Who waits for the end of a trial: a timer of systemd, or where there is none a process of ours.

The law of this file: whoever waits does not go away with the terminal, the session or the command
that started the trial. systemd's timer is held by process 1; our process is in a session of its own
and holds nothing open. What neither survives, a reboot, is for `stepupd-pam-rollback.service`.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from stepup.pam.pam_files import PamPlaces
from stepup.pam.stack_file import StackError
from stepup.pam.trials import list_trials, read_moment, restore_due

_SYSTEMD = Path("/run/systemd/system")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_LOOK = 2.0
"""Seconds between two looks at the clock: a suspended machine sleeps longer than it was told."""


def arm(places: PamPlaces, service: str, seconds: float) -> None:
    """Make somebody wait who restores the service. Raises OSError."""
    if places.root == Path("/") and _SYSTEMD.is_dir() and _start_timer(service, seconds):
        return
    _start_process(places, service)


def _start_timer(service: str, seconds: float) -> bool:
    command = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--description=Restore PAM's {service} unless it is confirmed",
        # The deadline itself is in the record: the timer must not come before it.
        f"--on-active={math.ceil(seconds) + 1}s",
        "--timer-property=AccuracySec=1s",
        "--property=Restart=on-failure",
        "--property=RestartSec=10s",
        # The package may be gone by then, and the old file back; else it would try until a reboot.
        f"--property=ConditionPathExists={sys.executable}",
        *(sys.executable, "-I", "-m", "stepup", "pam", "restore"),
    ]
    with contextlib.suppress(OSError):
        done = subprocess.run(command, env={"PATH": _PATH}, check=False)  # noqa: S603 - fixed words
        return done.returncode == 0
    return False


def _start_process(places: PamPlaces, service: str) -> None:
    """Fork twice, so that nobody waits for us; the parent returns."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if status != 0:
            raise OSError("no process can be started to restore the old file")
        return
    code = 1
    try:
        os.setsid()
        if os.fork() == 0:
            _detach()
            _wait_and_restore(places, service)
        code = 0
    finally:
        os._exit(code)


def _detach() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    # The lock too: it would stay locked for as long as we hold it open.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _wait_and_restore(places: PamPlaces, service: str) -> None:
    """Return once the trial is over; what fails is tried again, for as long as it takes."""
    while True:
        trials = list_trials(places)
        if service not in trials:
            return
        record = trials[service]
        left = record.count_left(read_moment()) if record else 0.0
        if left <= 0:
            with contextlib.suppress(StackError, OSError):
                restore_due(places, read_moment())
                continue
            left = _LOOK
        time.sleep(min(left, _LOOK))
