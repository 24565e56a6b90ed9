"""Real sudo for `nobody` on a terminal of its own, in a private mount namespace."""

import os
import subprocess

from pam_support import PATIENCE

ACCOUNT = "nobody"


class Terminal:
    """A login session of `nobody` that runs one command line with `sudo` in it.

    `host` is where the service file goes, `options` are the module's, `defaults` those of
    sudoers(5).
    """

    def __init__(self, host, script, *options, defaults="passwd_tries=1"):
        permit = [f"{group} required pam_permit.so" for group in ("account", "session")]
        host.write_service(host.line(*options), *permit, name="sudo")
        sudoers = host.directory / "sudoers"
        sudoers.unlink(missing_ok=True)
        sudoers.write_text(f"Defaults {defaults}, !lecture\n{ACCOUNT} ALL=(ALL) ALL\n")
        sudoers.chmod(0o440)
        program = (
            f"mount --bind {host.directory}/sudo /etc/pam.d/sudo;"
            f"mount --bind {sudoers} /etc/sudoers;"
            f"exec setpriv --reuid {ACCOUNT} --regid nogroup --clear-groups {script}"
        )
        self.fd, other_end = os.openpty()
        # setsid makes the terminal the controlling one: Ctrl-C becomes SIGINT there.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "unshare", "-m", "sh", "-ec", program],
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
        )
        os.close(other_end)

    def press(self, key):
        os.write(self.fd, key)

    def finish(self):
        """Return exit status and what stood on the terminal, as lines."""
        output = b""
        try:
            while chunk := os.read(self.fd, 4096):
                output += chunk
        except OSError:  # EIO: the other end is closed
            pass
        os.close(self.fd)
        return self.process.wait(PATIENCE), output.decode().splitlines()
