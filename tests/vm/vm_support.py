"""A guest with stepupd on it: the package, a software key as a kernel device, logins to try."""

import os
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

from virtual_machine import HERE, VirtualMachine

from stepupd.devices.simulated import Control

SOURCE = Path(__file__).parents[2]
PATIENCE = 180  # seconds; the machine is emulated, and shares its processors with everyone

KEY_UNIT = "software-key"
KEY_DIRECTORY = "/run/software-key"
NODE = "/dev/hidraw0"

ROOT = "uid=0"
"""What `id` says only to root."""
LIMIT_S = 1200
"""For one test, the machine's first start included."""

POLICY = """
[[rule]]
name = "everything"
action = "*"
require = "touch"
max_age = "5m"
scope = "session"
deadline = "2m"
"""

MODULE = "auth required pam_stepup.so\n"
TAIL = "@include common-account\n@include common-session-noninteractive\n"
STOCK = "@include common-auth\n" + TAIL


def find_package() -> Path:
    """Return the package to try: $STEPUPD_DEB, or the newest that `make deb` has built."""
    given = os.environ.get("STEPUPD_DEB")
    found = [Path(given)] if given else sorted((SOURCE / "dist").glob("stepupd_*.deb"))
    if not found:
        sys.exit("dist/ holds no package: run make deb")
    return max(found, key=lambda path: path.stat().st_mtime)


class Guest:
    """The guest as a test sees it: what root may do, the key, and people who log in."""

    def __init__(self, machine: VirtualMachine) -> None:
        self.machine = machine
        self.run = machine.run

    def start_key(self, *, is_gadget: bool = False) -> None:
        """Plug the software key in, on uhid or on USB; it takes its code from this tree."""
        self.machine.copy(SOURCE / "stepupd", "/opt/key/stepupd")
        self.machine.copy(HERE / "guest_gadget.py", "/opt/key")
        module = "guest_gadget" if is_gadget else "stepupd.devices.simulated.uhid"
        program = f"python3 -m {module} {KEY_DIRECTORY}"
        self.run(f"systemd-run -q --unit={KEY_UNIT} -p Environment=PYTHONPATH=/opt/key {program}")
        self.await_true(f"[ -S {KEY_DIRECTORY}/key.sock ] && [ -c {NODE} ]")
        self.run("udevadm settle")

    def connect(self) -> "Guest":
        """Reach for the key, after a start or a return to a saved state."""
        self.key = Control(self.machine.forward(f"{KEY_DIRECTORY}/key.sock"))
        return self

    def install(self, package: Path) -> None:
        """Install the package as an administrator does, from a file."""
        self.machine.copy(package, "/root")
        self.run(f"dpkg -i /root/{package.name}", limit=300)

    def configure(self) -> None:
        """Enrol ada's key, and let a touch of it be all that sudo, su and login ask for."""
        self.enroll()
        for service in ("sudo", "su", "login"):
            self.write(f"/etc/pam.d/{service}", MODULE + TAIL)
        self.write("/etc/sudoers.d/once", "Defaults passwd_tries=1, timestamp_timeout=0\n")

    def enroll(self) -> None:
        """Write a policy and enrol ada's key."""
        self.write("/etc/stepupd/policy.toml", POLICY)
        self.run("systemctl reload stepupd")
        self.key.script(touch_after_ms=0)
        self.run("stepup enroll --user ada --name blue")
        self.key.script(touch_after_ms=None)

    def enable(self, service: str, options: str = "--minutes 60") -> str:
        """Have ada's key asked for in a PAM service, on trial; return what is said about it."""
        self.key.script(touch_after_ms=0)
        text = self.run(f"stepup pam enable {service} --user ada --yes {options}")
        self.key.script(touch_after_ms=None)
        return text

    def write(self, path: str, text: str) -> None:
        """Replace a file's contents."""
        self.run(f"mkdir -p $(dirname {path}) && cat >{path} <<'END'\n{text}END")

    def log_in(self, command: str, user: str = "ada") -> "Login":
        """Start a command on a terminal of its own, thus in a session of its own."""
        # Through a shared connection ssh passes our own terminal's modes on: of none, all off.
        return Login(self.machine.log_in(user, f"stty sane; {command}"))

    def await_silent_terminal(self, program: str) -> None:
        """Wait until a program takes what is typed unseen; what came before that, it drops."""
        terminal = f"/proc/$(pgrep -nx {program})/fd/1"
        self.await_true(f'stty -a -F {terminal} 2>/dev/null | grep -qw -- "-echo"')

    def read_journal(self) -> str:
        """Return the end of the guest's journal, for people."""
        return self.run("journalctl -b -n 60 --no-pager --no-hostname", check=False)

    def sit_down(self, user: str) -> None:
        """Log somebody in on the first console: for logind, the person at this seat."""
        console = "-p StandardInput=tty-force -p StandardOutput=tty -p TTYPath=/dev/tty1"
        self.run(f"systemd-run -q --unit=console {console} login -f {user}")
        self.await_true('[ -n "$(loginctl show-seat seat0 -P ActiveSession)" ]')

    def expect_blink(self) -> None:
        assert self.key.wait_for_blink(PATIENCE)

    def touch(self) -> None:
        """Touch the key once it blinks."""
        self.expect_blink()
        assert self.key.touch()

    def await_true(self, condition: str) -> None:
        """Wait until a shell condition holds in the guest."""
        self.run(
            f"until {condition}; do sleep 0.2; if [ $SECONDS -gt {PATIENCE} ]; then"
            f" echo 'still not so:' {shlex.quote(condition)}; exit 1; fi; done",
            limit=2 * PATIENCE,
        )


class Login:
    """Somebody at a terminal."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._terminal = b""
        self._seen = 0

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def expect(self, text: str) -> None:
        """Wait until a text stands on the terminal, past what was expected before."""
        assert self._process.stdout is not None
        end = time.monotonic() + PATIENCE
        while (at := self._terminal.find(text.encode(), self._seen)) < 0:
            left = max(0.0, end - time.monotonic())
            ready, _, _ = select.select([self._process.stdout], [], [], left)
            more = os.read(self._process.stdout.fileno(), 4096) if ready else b""
            if not more:
                self._process.kill()
                raise AssertionError(f"no {text!r}:\n{self._terminal.decode()}")
            self._terminal += more
        self._seen = at + len(text.encode())

    def finish(self) -> tuple[int, str]:
        """Return the exit status and what stood on the terminal."""
        try:
            output, _ = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
            raise AssertionError(f"still running:\n{output.decode()}") from None
        return self._process.returncode, (self._terminal + output).decode()
