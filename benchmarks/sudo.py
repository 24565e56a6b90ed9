"""`sudo true` under a grant, against the same sudo with pam_permit alone.

Real sudo, as an ordinary account, in a mount namespace of its own: service file and sudoers are
ours there and nobody else sees them. Needs root.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from daemon import Daemon
from measure import Row, compare, run_quietly, take_turns

from pam import MODULE

GOAL = 1.06
ROUNDS = 50
ACCOUNT, GROUP = "nobody", "nogroup"
SUDOERS = f"Defaults timestamp_timeout=0, !lecture\n{ACCOUNT} ALL=(ALL) ALL\n"
PERMIT = "auth required pam_permit.so"
REST = "account required pam_permit.so\nsession required pam_permit.so\n"


def measure() -> Iterator[Row | str]:
    """Yield one row."""
    if os.getuid() != 0:
        yield "sudo needs a mount namespace and a service file: run as root for its figure"
        return
    with Daemon() as daemon, tempfile.TemporaryDirectory(prefix="stepup-bench") as directory:
        daemon.enroll(ACCOUNT)
        folder = Path(directory)
        folder.chmod(0o755)
        (folder / "sudoers").write_text(SUDOERS)
        (folder / "sudoers").chmod(0o440)
        (folder / "sudo").touch()
        program = (
            "mount --bind $1/sudo /etc/pam.d/sudo; mount --bind $1/sudoers /etc/sudoers;"
            'exec "$2" "$3" "$1" "$4"'
        )
        inside = map(str, (folder, sys.executable, __file__, daemon.relay_socket))
        subprocess.run(["unshare", "--mount", "sh", "-ec", program, "sh", *inside], check=True)
        times = json.loads((folder / "times").read_text())
    yield compare("sudo true, grant : pam_permit", times["grant"], times["permit"], GOAL)


def run_inside(folder: Path, relay_socket: str) -> None:
    """Write the seconds of each run of each stack to the file `times`."""
    ours = f"auth required {MODULE} socket={relay_socket}"

    def run(auth: str) -> None:
        # In place: the mount is of this file.
        (folder / "sudo").write_text(f"{auth}\n{REST}")
        drop = ["setpriv", "--reuid", ACCOUNT, "--regid", GROUP, "--clear-groups"]
        run_quietly(*drop, "sudo", "true")

    times = take_turns({"grant": lambda: run(ours), "permit": lambda: run(PERMIT)}, ROUNDS)
    (folder / "times").write_text(json.dumps(times))


if __name__ == "__main__":
    run_inside(Path(sys.argv[1]), sys.argv[2])
