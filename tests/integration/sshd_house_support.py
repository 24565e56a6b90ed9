"""Real sshd in the namespace of a house, with its own stack, and an ssh that types the password."""

import os
import socket
import subprocess

from pam_house_support import ACCOUNT, PASSWORD
from pam_support import PATIENCE
from sshd_support import COMMON, SSHD, make_key

SETTINGS = f"""{COMMON}
AllowUsers {ACCOUNT}
PasswordAuthentication no
"""


class HouseSshd:
    """One process for each login, as inetd or systemd would run it; `methods` are sshd_config's."""

    def __init__(self, house, methods):
        self.house = house
        self.folder = house.machine.base / "ssh"
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.key, host_key = (make_key(self.folder, name) for name in ("laptop", "host"))
        files = f"HostKey {host_key}\nAuthorizedKeysFile {self.key}.pub\n"
        settings = f"{SETTINGS}{files}AuthenticationMethods {methods}\n"
        (self.folder / "sshd_config").write_text(settings)

    def log_in(self, password=PASSWORD):
        """Start a login with a key that is accepted; both ends stop by themselves."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE)
            client = self._start_client(listener.getsockname()[1], password)
            connection, _ = listener.accept()
        script = f"mkdir -p /run/sshd; exec {SSHD} -i -e -f {self.folder}/sshd_config"
        with connection, (self.folder / "log").open("wb") as log:
            server = subprocess.Popen(
                self.house.enter("sh", "-ec", script),
                stdin=connection,
                stdout=connection,
                stderr=log,
                start_new_session=True,  # as each login has: no grant of another one is its own
            )
        return client, server

    def finish(self, client, server):
        """Wait for both ends; return whether the login came through, and what they said."""
        said, _ = client.communicate(timeout=PATIENCE)
        server.wait(PATIENCE)
        log = (self.folder / "log").read_text()
        assert (client.returncode == 0) == ("Starting session" in log), said + log
        return client.returncode == 0, said + log

    def _start_client(self, port, password):
        typing = self.folder / "type"
        typing.write_text(f"#!/bin/sh\necho {password}\n")
        typing.chmod(0o755)
        settings = {
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self.folder / "known",
            "StrictHostKeyChecking": "accept-new",
            "NumberOfPasswordPrompts": "1",
        }
        options = [f"-o{name}={value}" for name, value in settings.items()]
        address = f"{ACCOUNT}@127.0.0.1"
        return subprocess.Popen(
            # sftp's server ends with its input and needs no shell.
            ["ssh", "-F/dev/null", *options, f"-p{port}", f"-i{self.key}", "-s", address, "sftp"],
            env=dict(os.environ, SSH_ASKPASS=str(typing), SSH_ASKPASS_REQUIRE="force"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
