"""Real sshd behind a socket of the loopback interface, with our module in its PAM stack.

One login a process, as inetd would run it: nothing listens but the test. sshd has a mount namespace
of its own, with its service file and its /run.
"""

import shutil
import socket
import subprocess
from pathlib import Path

from pam_support import PATIENCE
from sudo_support import ACCOUNT

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")

COMMON = """
UsePAM yes
UseDNS no
StrictModes no
LogLevel VERBOSE
KbdInteractiveAuthentication yes
Subsystem sftp internal-sftp
"""
SETTINGS = f"""{COMMON}
AllowUsers {ACCOUNT}
AuthenticationMethods publickey,keyboard-interactive:pam
"""


def run(*command):
    """Run a program that succeeds; return its output."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def make_key(folder, name):
    """Make a key without a passphrase; its public half is beside it, as NAME.pub."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name)
    return folder / name


class Sshd:
    """Accepts `keys`, then does what the module says. `host` holds the files."""

    def __init__(self, host, keys, *options):
        self.folder = host.directory
        permit = [f"{group} required pam_permit.so" for group in ("auth", "account", "session")]
        host.write_service(host.line(*options), *permit, name="sshd")
        accepted = self.folder / "accepted"
        accepted.write_text("".join(Path(f"{key}.pub").read_text() for key in keys))
        host_key = make_key(self.folder, "host")
        files = f"HostKey {host_key}\nAuthorizedKeysFile {accepted}\n"
        (self.folder / "sshd_config").write_text(SETTINGS + files)

    def log_in(self, key):
        """Start `ssh` and an sshd for it; both end by themselves. Returns the two processes."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE)
            ssh = self._start_client(key, listener.getsockname()[1])
            connection, _ = listener.accept()
        with connection:
            script = (
                f"mount --bind {self.folder}/sshd /etc/pam.d/sshd;"
                "mount -t tmpfs none /run; mkdir /run/sshd;"
                f"exec {SSHD} -i -e -f {self.folder}/sshd_config"
            )
            with (self.folder / "sshd.log").open("ab") as log:
                sshd = subprocess.Popen(
                    ["unshare", "-m", "sh", "-ec", script],
                    stdin=connection,
                    stdout=connection,
                    stderr=log,
                )
        return ssh, sshd

    def _start_client(self, key, port):
        settings = {
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self.folder / "known",
            "StrictHostKeyChecking": "accept-new",
            "PreferredAuthentications": "publickey,keyboard-interactive",
            "NumberOfPasswordPrompts": "1",
        }
        address = f"{ACCOUNT}@127.0.0.1"
        options = [f"-o{name}={value}" for name, value in settings.items()]
        return subprocess.Popen(
            # sftp's server ends with its input and needs no shell.
            ["ssh", "-F/dev/null", *options, f"-p{port}", f"-i{key}", "-s", address, "sftp"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_log(self):
        return (self.folder / "sshd.log").read_text()
