"""Where the demonstration plays: a daemon of its own, and a hand for its simulated key."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum, unique
from pathlib import Path
from threading import Thread
from typing import NoReturn, Self

MOMENT = 0.6
"""Seconds before the key touches itself: enough to read who asks."""

PATIENCE = 20.0
"""Seconds that anything may take before the demonstration gives up on it."""

POLICY = """\
[[rule]]
name    = "never from a script"
action  = "cli:format-disk"
deny    = true

[[rule]]
name     = "needs a quick hand"
action   = "cli:launch"
require  = "touch"
deadline = "5s"

[[rule]]
name    = "a touch every five minutes"
action  = ["cli:*", "pam:*"]
require = "touch"
max_age = "5m"
scope   = "session"
"""


def ensure_session() -> None:
    """Start a session where ours has no leader that can be seen, so that it can hold a grant.

    So it is below a service whose parent has left, and in a PID namespace of its own.
    """
    if not Path(f"/proc/{os.getsid(0)}").exists():
        with suppress(PermissionError):  # a process group's leader stays where it is: setsid(2)
            os.setsid()


class DemoError(Exception):
    """A step did not do what it said."""


@unique
class Hand(Enum):
    """What the person does once the key blinks."""

    TOUCH = "touch"
    DECLINE = "decline"
    WAIT = "wait"


class Stage:
    """A scratch directory with a daemon in it; use it in a `with` block."""

    def __init__(self, directory: Path, *, by_itself: bool) -> None:
        """`by_itself`: the key is touched without anybody pressing Enter."""
        self.directory = directory
        self._by_itself = by_itself
        self._step = ""
        self._number = 0
        self._daemon: subprocess.Popen[bytes] | None = None
        self.environment = dict(os.environ) | {
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_STATE_HOME": str(directory / "state"),
            "XDG_RUNTIME_DIR": str(directory / "run"),
            "STEPUP_SOCKET": str(self.runtime / "stepupd.sock"),
        }
        # A desktop's bus is outside the scratch directory.
        self.environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
        if not sys.stdout.isatty():
            self.environment["NO_COLOR"] = "1"

    @property
    def state(self) -> Path:
        """The daemon's state: keys, audit log."""
        return self.directory / "state" / "stepupd"

    @property
    def runtime(self) -> Path:
        """The daemon's sockets."""
        return self.directory / "run" / "stepupd"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(PATIENCE)

    def begin(self, title: str) -> None:
        """Announce the next step; a failure from here on names it."""
        self._number += 1
        self._step = title
        print(f"\n{self._number}. {title}")

    def say(self, text: str) -> None:
        """Explain something, in words that fit the terminal."""
        print(textwrap.fill(text, 76, initial_indent="   ", subsequent_indent="   "))

    def fail(self, why: str) -> NoReturn:
        """End the demonstration, naming the step."""
        raise DemoError(f"step {self._number}, {self._step!r}: {why}")

    def start_daemon(self) -> None:
        """Write a policy, start the daemon, wait until it says that it is ready."""
        configuration = self.directory / "config" / "stepupd"
        configuration.mkdir(parents=True)
        (configuration / "policy.toml").write_text(POLICY)
        address = self.directory / "ready.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(address))
            ready.settimeout(PATIENCE)
            print("   $ stepupd --user --simulate")
            self._daemon = subprocess.Popen(
                [sys.executable, "-I", "-m", "stepupd", "--user", "--simulate"],
                env=self.environment | {"NOTIFY_SOCKET": str(address)},
                stderr=(self.directory / "daemon.log").open("wb"),
            )
            try:
                ready.recv(64)
            except TimeoutError:
                self.fail((self.directory / "daemon.log").read_text() or "no answer")

    def run_stepup(
        self,
        *arguments: str,
        unshown: Sequence[str] = (),
        expect: int = 0,
        hands: Sequence[Hand] = (),
    ) -> str:
        """Run the stepup command; see `run`. The `unshown` arguments only name scratch files."""
        command = [sys.executable, "-I", "-m", "stepup", *arguments, *unshown]
        return self.run(command, shown=["stepup", *arguments], expect=expect, hands=hands)

    def run(
        self,
        command: Sequence[str],
        *,
        shown: Sequence[str],
        expect: int = 0,
        hands: Sequence[Hand] = (),
        in_new_session: bool = False,
    ) -> str:
        """Run a command, move the hand each time the key blinks, and return what it printed.

        Fails the step unless the exit status is the expected one.
        """
        print("   $ " + " ".join(f'"{word}"' if " " in word else word for word in shown))
        # A session of its own comes with a terminal of its own, as a login does.
        prefix = ["setsid", "--ctty", "--wait"] if in_new_session else []
        ours, theirs = os.openpty()
        process = subprocess.Popen(  # noqa: S603 - our own commands
            [*prefix, *command],
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        lines: list[str] = []
        reader = Thread(target=_pass_on, args=(ours, lines), daemon=True)
        reader.start()
        try:
            for hand in hands:
                self._move(hand)
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.fail("it did not end")
        finally:
            process.kill()
        reader.join(PATIENCE)
        if status != expect:
            self.fail(f"exit status {status} instead of {expect}")
        return "\n".join(lines)

    def mount(self, copy: Path, target: Path) -> None:
        """Cover a file with a copy, in this mount namespace."""
        command = ["mount", "--bind", str(copy), str(target)]
        done = subprocess.run(command, check=False)  # noqa: S603 - our own files
        if done.returncode != 0:
            self.fail(f"{target} could not be covered")

    def _move(self, hand: Hand) -> None:
        # Only here: a client of real keys never needs the simulated one.
        from stepupd.devices.simulated.control_client import Control

        key = Control(self.state / "simulated" / "key.sock")
        if not key.wait_for_blink(PATIENCE):
            self.fail("the key was not asked")
        time.sleep(MOMENT)
        if hand is Hand.WAIT:
            print("   [nobody touches the key]")
            return
        self._wait_for_person(hand)
        counted = key.touch() if hand is Hand.TOUCH else key.deny()
        if not counted:
            self.fail("the key did not wait for a touch any more")

    def _wait_for_person(self, hand: Hand) -> None:
        deed = "touch" if hand is Hand.TOUCH else "decline on"
        if self._by_itself:
            past = "touched" if hand is Hand.TOUCH else "declined"
            print(f"   [the key is {past}]", flush=True)
        else:
            input(f"   [press Enter to {deed} the key] ")


def _pass_on(terminal: int, lines: list[str]) -> None:
    """Print what comes from a terminal, line by line, until its other side is closed."""
    with os.fdopen(terminal, "r", errors="replace") as output, suppress(OSError):
        for line in output:
            lines.append(line.rstrip())
            print(f"   | {line.rstrip()}", flush=True)
