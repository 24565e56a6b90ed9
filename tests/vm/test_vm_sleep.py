"""What only a booted machine shows of sleep and of keys that go: real suspend, real uevents."""

import pytest
from vm_support import LIMIT_S, NODE, PATIENCE, POLICY, ROOT

pytestmark = pytest.mark.timeout(LIMIT_S)

LOG = "/var/log/stepupd/audit.log"
BOUND = POLICY + "while_plugged = true\n"
LOCK = "[sessions]\nlock_on_removal = true\n"
LOCKS = "busctl monitor --match=\"type='signal',member='Lock'\""


def test_a_pulled_key_ends_its_grant_and_locks_the_session(installed):
    """The kernel tells of the node, logind locks as polkit's rule lets it, and sudo asks again."""
    installed.write("/etc/stepupd/policy.toml", BOUND)
    installed.write("/etc/stepupd/stepupd.toml", LOCK)
    installed.run("systemctl restart stepupd")
    installed.run(f"systemd-run -q --unit=locks -p StandardOutput=file:/run/locks {LOCKS}")
    wait = "until [ -e /tmp/go ]; do sleep 0.2; done"
    login = installed.log_in(f"sudo true && touch /tmp/once && {wait}; sudo id -u")
    installed.touch()
    installed.await_true("[ -e /tmp/once ]")

    installed.key.unplug()
    installed.await_true(f'grep -q \'"why":"key-removed"\' {LOG}')
    installed.await_true("grep -q Member=Lock /run/locks")
    assert "could not be locked" not in installed.read_journal()
    assert "nobody tells of keys that go" not in installed.read_journal()

    installed.key.plug()
    installed.await_true(f'[ "$(stat -c %G {NODE})" = stepupd ]')
    installed.run("touch /tmp/go")
    installed.touch()
    status, text = login.finish()
    assert (status, text.split()[-1]) == (0, "0")
    assert text.count("Touch your key") == 2


def test_attack_069_a_request_does_not_outlive_sleep(installed):
    """Suspended to memory while the key blinks, woken by the clock: refused, and the next works."""
    installed.await_true("systemd-inhibit --list | grep -q stepupd")
    login = installed.log_in("sudo id")
    installed.expect_blink()
    installed.run("rtcwake -m no -s 25 && systemctl suspend")
    status, text = login.finish()

    assert status == 1
    assert ROOT not in text
    assert installed.key.wait_for_idle(PATIENCE)
    assert '"reason":"cancelled"' in installed.run(f'grep \'"kind":"step-up"\' {LOG} | tail -n1')
    installed.await_true("journalctl -b -u systemd-suspend | grep -q 'returned from sleep'")
    again = installed.log_in("sudo id -u")
    installed.touch()
    assert again.finish()[0] == 0
