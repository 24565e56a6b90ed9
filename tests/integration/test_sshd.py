"""Real sshd, real PAM, our module, the daemon: which ssh key came first is known to policy.

Skipped where there is no sshd: installing one would open a port of whoever runs the tests.
"""

import pytest
from pam_support import PATIENCE, Host, build
from sshd_support import SSHD, Sshd, make_key, run
from sudo_support import ACCOUNT

pytestmark = pytest.mark.skipif(SSHD is None, reason="openssh-server is not installed")

WEIGHING = """
[[rule]]
name = "logins"
action = "pam:sshd"
require = "touch"
deadline = "20s"

[risk]
weights = {new_ssh_key = 1}
"""


@pytest.fixture
def machine(machine):
    """Start a daemon with a key for `nobody`, under a policy that weighs ssh keys."""
    machine.write_policy(WEIGHING)
    machine.start()
    machine.enroll(subject=ACCOUNT)
    machine.key().script(touch_after_ms=0)
    return machine


def finish(sshd, ssh, server):
    """Wait for both ends; return the client's exit status and what the person read, and the log."""
    output, _ = ssh.communicate(timeout=PATIENCE)
    server.wait(PATIENCE)
    return ssh.returncode, output + sshd.read_log()


def test_the_key_that_sshd_accepted_is_among_the_facts(machine):
    """Two keys of one account log in, each after a touch, and each entry has its fingerprint."""
    keys = [make_key(machine.base, name) for name in ("laptop", "desk")]
    sshd = Sshd(Host(machine.base, build()), keys, f"socket={machine.runtime}/pam.sock")
    expected = [run("ssh-keygen", "-lf", key).split()[1] for key in keys]

    for key in keys:
        status, text = finish(sshd, *sshd.log_in(key))
        assert (status, "Touch" in text) == (0, True), text

    logins = [entry for entry in machine.read_entries() if entry["kind"] == "step-up"]
    assert [entry["verdict"]["reason"] for entry in logins] == ["proved", "proved"]
    assert [entry["facts"]["ssh_key"] for entry in logins] == expected
    assert [entry["facts"]["source"] for entry in logins] == ["127.0.0.1"] * 2
    assert "missing" not in logins[0]["facts"]


def test_a_key_that_sshd_accepted_lets_nobody_in_without_the_touch(machine):
    """Pins the stack of pam_stepup(8): silence in pam_setcred is no way in."""
    key = make_key(machine.base, "laptop")
    sshd = Sshd(Host(machine.base, build()), [key], f"socket={machine.runtime}/pam.sock")
    machine.key().script(touch_after_ms=None)

    login = sshd.log_in(key)
    assert machine.key().wait_for_blink(PATIENCE)
    assert machine.key().deny()
    status, text = finish(sshd, *login)

    assert (status, "Starting session" in text) == (255, False), text
    assert machine.read_verdicts()[-1] == ("step-up", "declined")
