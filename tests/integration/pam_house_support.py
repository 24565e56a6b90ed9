"""A private /etc, /run and PAM directory with our module in it, for `stepup pam` and real programs.

Root only. In a mount namespace of its own /etc/pam.d is a copy, `nobody` has a password, our module
lies where libpam looks, and /run and /var/lib are empty but for the daemon's sockets.
"""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from orphans import adopting_orphans
from pam_support import build

ACCOUNT, PASSWORD = "nobody", "secret"
HASH = (
    "$6$stepup$"
    "j1X9Wyida/9KkGejMur5G6nT8i1fFF0sMfR7A6Hx/WxfKGdY6ABs5d/TQOMAQkRTkk5NcqMYOmeZjtELvrHE2."
)
SECURITY = next(Path("/usr/lib").glob("*/security/pam_unix.so")).parent
VENDOR = Path("/usr/lib/pam.d")
MOUNTS = """
for name in pam.d passwd shadow sudoers; do mount --bind {etc}/$name /etc/$name; done
[ ! -d {etc}/vendor ] || mount --bind {etc}/vendor {vendor}
mount --bind {security} {system_security}
mount -t tmpfs tmpfs /run; mkdir /run/stepupd; mount --bind {runtime} /run/stepupd
mount -t tmpfs tmpfs /var/lib
echo ready
exec cat
"""


class House:
    """The namespace, where one service is to be changed; `machine` is the daemon on its sockets.

    `files` are those of /etc/pam.d that differ from this machine's, `vendor` all of /usr/lib/pam.d,
    None for this machine's own.
    """

    def __init__(self, machine, name, files, vendor=None):
        self.machine = machine
        self.name = name
        self.etc = machine.base / "etc"
        self._write_etc(files, vendor)
        security = machine.base / "security"
        shutil.copytree(SECURITY, security)
        shutil.copy(build() / "pam_stepup.so", security)
        script = MOUNTS.format(
            etc=self.etc,
            vendor=VENDOR,
            security=security,
            system_security=SECURITY,
            runtime=machine.runtime,
        )
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout.readline() == b"ready\n"

    def _write_etc(self, files, vendor):
        shutil.copytree("/etc/pam.d", self.etc / "pam.d", symlinks=True)
        for name, content in files.items():
            (self.etc / "pam.d" / name).write_bytes(content)
        if vendor is not None:
            (self.etc / "vendor").mkdir()
            for name, content in vendor.items():
                (self.etc / "pam.d" / name).unlink(missing_ok=True)
                (self.etc / "vendor" / name).write_bytes(content)
        for name in ("passwd", "shadow"):
            shutil.copy2(f"/etc/{name}", self.etc)
        kept = [line for line in (self.etc / "shadow").read_text().splitlines(keepends=True)
                if not line.startswith(f"{ACCOUNT}:")]  # fmt: skip
        (self.etc / "shadow").write_text("".join([*kept, f"{ACCOUNT}:{HASH}:20000:0:99999:7:::\n"]))
        sudoers = self.etc / "sudoers"
        sudoers.write_text(f"Defaults passwd_tries=1, !lecture\n{ACCOUNT} ALL=(ALL) ALL\n")
        sudoers.chmod(0o440)

    @property
    def service(self):
        return self.etc / "pam.d" / self.name

    def close(self):
        self._holder.communicate()

    def enter(self, *command):
        return ["nsenter", "--mount", f"--target={self._holder.pid}", *command]

    def start_stepup(self, *arguments):
        """Start the command as root who came by sudo, without a terminal."""
        return subprocess.Popen(
            self.enter(sys.executable, "-I", "-m", "stepup", *arguments),
            env={"PATH": os.environ["PATH"], "SUDO_USER": ACCOUNT, "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def stepup(self, *arguments):
        """Run it; returns status and output."""
        with self.start_stepup(*arguments) as process:
            said, _ = process.communicate()
        return process.returncode, said

    def enable(self, *options):
        """Run `pam enable` with a hand on the key."""
        self.machine.key().script(touch_after_ms=0)
        answer = self.stepup("pam", "enable", self.name, "--yes", *options)
        self.machine.key().script(touch_after_ms=None)
        return answer


@contextmanager
def house_for_trials(machine, name, files, vendor=None):
    """Start a daemon that knows a key of `nobody`, and give a house before it.

    At the end nobody waits any more to give an old file back.
    """
    machine.start()
    machine.enroll(subject=ACCOUNT)
    made = House(machine, name, files, vendor)
    try:
        with adopting_orphans() as wait:
            yield made
            made.stepup("pam", "restore", "--boot")
            wait()
    finally:
        made.close()
