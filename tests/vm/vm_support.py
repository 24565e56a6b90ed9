"""A guest with stepupd on it: the package, a software key as a kernel device, logins to try."""

import os
import subprocess
import sys
from pathlib import Path

from virtual_machine import VirtualMachine

from stepupd.devices.simulated import Control

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds; the machine is emulated, and shares two processors with everyone

KEY_UNIT = "software-key"
KEY_DIRECTORY = "/run/software-key"
NODE = "/dev/hidraw0"

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


def find_package() -> Path:
    """Return the package to try: $STEPUPD_DEB, or the newest that `make deb` has built."""
    given = os.environ.get("STEPUPD_DEB")
    found = [Path(given)] if given else sorted((ROOT / "dist").glob("stepupd_*.deb"))
    if not found:
        sys.exit("dist/ holds no package: run make deb")
    return max(found, key=lambda path: path.stat().st_mtime)


class Guest:
    """The guest as a test sees it: what root may do, the key, and people who log in."""

    def __init__(self, machine: VirtualMachine) -> None:
        self.machine = machine
        self.run = machine.run

    def start_key(self) -> None:
        """Plug the software key in; it takes the module under test from this tree."""
        self.machine.copy(ROOT / "stepupd", "/opt/key/stepupd")
        program = f"python3 -m stepupd.devices.simulated.uhid {KEY_DIRECTORY}"
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

    def write(self, path: str, text: str) -> None:
        """Replace a file's contents."""
        self.run(f"mkdir -p $(dirname {path}) && cat >{path} <<'END'\n{text}END")

    def log_in(self, command: str, user: str = "ada") -> "Login":
        """Start a command on a terminal of its own, thus in a session of its own."""
        return Login(self.machine.log_in(user, command))

    def expect_blink(self) -> None:
        assert self.key.wait_for_blink(PATIENCE), self.run("journalctl -b -n 20 --no-pager")

    def touch(self) -> None:
        """Touch the key once it blinks."""
        self.expect_blink()
        assert self.key.touch()

    def await_true(self, condition: str) -> None:
        """Wait until a shell condition holds in the guest."""
        self.run(
            f"for i in $(seq 300); do if {condition}; then exit 0; fi; sleep 0.2; done;"
            f" echo 'still not so:' {condition!r}; exit 1"
        )


class Login:
    """Somebody at a terminal."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def finish(self) -> tuple[int, str]:
        """Return the exit status and what stood on the terminal."""
        try:
            output, _ = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
            raise AssertionError(f"still running:\n{output.decode()}") from None
        return self._process.returncode, output.decode()
