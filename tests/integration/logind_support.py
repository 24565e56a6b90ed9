"""libsystemd's view of a machine with logind, in a mount namespace of its own.

What the library reads is laid out for it: /run/systemd, and the control group of this process. The
library, and our code that calls it, are the real ones.
"""

import subprocess
import sys
from pathlib import Path

SESSIONS = {
    "3": "UID=1000 USER=ada ACTIVE=1 STATE=active REMOTE=1 TYPE=tty CLASS=user"
    " REMOTE_HOST=203.0.113.9 SERVICE=sshd LEADER=1",
    "5": "UID=1000 USER=ada ACTIVE=0 STATE=online REMOTE=0 TYPE=wayland CLASS=user SEAT=seat0",
}
USER = "NAME=ada STATE=active SESSIONS=3\\ 5 DISPLAY=5"
FAKE_LOGIND = Path(__file__).with_name("fake_logind.py")

_SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs none /run/systemd
mkdir -p /run/systemd/system /run/systemd/seats
cp -r "$1"/sessions "$1"/users /run/systemd/
mount --bind "$1"/cgroup /proc/$$/cgroup
[ -z "$2" ] || rmdir "/run/systemd/$2"
shift 2
exec "$@"
"""


def run_inside(folder: Path, cgroup: str, code: str, *, without="", **environment):
    """Run Python code as a process of that control group; return what it prints.

    `without` names a folder of /run/systemd that is not there.
    """
    lay_out(folder, cgroup)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", _SCRIPT, "sh", folder, without, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def lay_out(folder: Path, cgroup: str) -> None:
    """Write what logind and the kernel would say."""
    for name in ("sessions", "users"):
        (folder / name).mkdir(exist_ok=True)
    for name, text in SESSIONS.items():
        (folder / "sessions" / name).write_text(_to_lines(text))
    (folder / "users" / "1000").write_text(_to_lines(USER))
    (folder / "cgroup").write_text(f"1:name=systemd:{cgroup}\n0::{cgroup}\n")


def _to_lines(text: str) -> str:
    words = text.replace("\\ ", "\0").split(" ")
    return "".join(word.replace("\0", " ") + "\n" for word in words)
