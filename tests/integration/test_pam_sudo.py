"""Real sudo, in a private mount namespace with its own service file and sudoers."""

import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from pam_support import ALLOW, DENY, PATIENCE, FakeDaemon, Host, build, reply
from sudo_support import Terminal

from stepupd.api.relay_frames import Kind, encode_text

TOUCH = encode_text(Kind.INFO, "Touch your key")


@pytest.fixture
def host():
    """Make a directory that the mount and an unprivileged sudo can reach."""
    directory = Path(tempfile.mkdtemp(prefix="stepup"))
    directory.chmod(0o755)
    yield Host(directory, build())
    shutil.rmtree(directory)


def start_sudo(host, daemon, *, tries):
    """Start `sudo id -u` of the account `nobody`."""
    return Terminal(
        host,
        "sudo -k /usr/bin/id -u",
        f"socket={daemon.path}",
        defaults=f"passwd_tries={tries}",
    )


def test_sudo_runs_the_command_on_allow(host):
    """The prompt is shown although sudo asks PAM for silence."""
    with FakeDaemon(reply(TOUCH, ALLOW)) as daemon:
        status, output = start_sudo(host, daemon, tries=3).finish()

    assert (status, output) == (0, ["Touch your key", "0"])


@pytest.mark.parametrize("tries", [1, 3])
def test_sudo_asks_again_unless_told_otherwise(host, tries):
    """What the manual says of passwd_tries: one denial, one try."""
    with FakeDaemon(reply(TOUCH, DENY)) as daemon:
        status, output = start_sudo(host, daemon, tries=tries).finish()

    assert status == 1
    assert len(daemon.seen) == tries
    assert "0" not in output


def test_ctrl_c_in_sudo_cancels_the_ceremony(host):
    """Sudo blocks SIGINT while PAM runs; the daemon still sees the end, and sudo does not retry."""
    asked, ended = threading.Event(), []

    def script(connection):
        connection.read_request()
        connection.send(TOUCH)
        asked.set()
        ended.append(connection.wait_for_end())

    with FakeDaemon(script) as daemon:
        sudo = start_sudo(host, daemon, tries=3)
        assert asked.wait(PATIENCE)
        sudo.press(b"\x03")
        status, _ = sudo.finish()

    assert status == 1
    assert ended == [True]
    assert len(daemon.seen) == 1


def test_sudo_says_what_it_runs(host):
    """The claim holds sudo's own command line, and the session is sudo's."""
    requests = []

    def script(connection):
        requests.append(connection.read_request())
        connection.send(ALLOW)

    with FakeDaemon(script) as daemon:
        sudo = start_sudo(host, daemon, tries=1)
        sudo.finish()

    (request,) = requests
    assert request.command == ("sudo", "-k", "/usr/bin/id", "-u")
    assert (request.service, request.subject, request.ruser) == ("sudo", "nobody", "nobody")
    assert request.leader == sudo.process.pid
