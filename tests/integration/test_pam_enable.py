"""What `stepup pam enable` looks at before it changes anything: a key or code that works, a spare.

In the namespace of test_pam_tool.py, with Debian's own stack.
"""

import os
import select
import subprocess
import sys

import pytest
from daemon_support import POLICY
from pam_support import PATIENCE
from test_pam_tool import ACCOUNT, SUDO, house, orphans  # noqa: F401 - fixtures

WARNING = "one key and no recovery codes"


class Shell:
    """`stepup` of root on a terminal of its own, in the namespace."""

    def __init__(self, house, *arguments):  # noqa: F811 - what the fixture made
        self.fd, other_end = os.openpty()
        command = house.enter(sys.executable, "-I", "-m", "stepup", *arguments)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            env={"PATH": os.environ["PATH"], "SUDO_USER": ACCOUNT, "LC_ALL": "C.UTF-8"},
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
        )
        os.close(other_end)
        self.shown, self.seen = b"", 0

    def expect(self, text):
        """Wait until a text is shown, past what was waited for before."""
        while (at := self.shown.find(text, self.seen)) < 0:
            ready, _, _ = select.select([self.fd], [], [], PATIENCE)
            assert ready, self.shown.decode()
            self.shown += os.read(self.fd, 4096)
        self.seen = at + len(text)

    def type(self, text):
        os.write(self.fd, text.encode() + b"\n")

    def finish(self):
        try:
            while chunk := os.read(self.fd, 4096):
                self.shown += chunk
        except OSError:  # EIO: nobody is at the other end any more
            pass
        os.close(self.fd)
        return self.process.wait(PATIENCE), self.shown.decode()


@pytest.fixture
def codes(house):  # noqa: F811 - the fixture above
    """Make recovery codes, under a policy that takes them."""
    house.machine.write_policy(POLICY + "recovery = true\n")
    house.machine.stop()
    house.machine.start()
    with house.machine.client() as client:
        return client.call("MakeRecoveryCodes", {"subject": ACCOUNT})["codes"]


@pytest.mark.usefixtures("codes", "orphans")
def test_recovery_codes_need_no_warning(house):  # noqa: F811 - as above
    """With one key alone it warns, as test_pam_tool.py shows."""
    status, said = house.enable()

    assert (status, WARNING in said) == (0, False), said


@pytest.fixture
def spare(house):  # noqa: F811 - the fixture above
    """Enrol a second key."""
    machine = house.machine
    machine.stop()
    machine.keys = 2
    machine.start()
    machine.key(0).unplug()
    machine.key(1).script(touch_after_ms=0)
    with machine.client() as client:
        assert client.call("Enroll", {"name": "spare", "subject": ACCOUNT})["verdict"] == "allow"
    machine.key(1).script(touch_after_ms=None)
    machine.key(0).plug()


@pytest.mark.usefixtures("spare", "orphans")
def test_a_second_key_needs_no_warning(house):  # noqa: F811 - as above
    """The same for a spare."""
    status, said = house.enable()

    assert (status, WARNING in said) == (0, False), said


@pytest.mark.usefixtures("codes", "orphans")
def test_a_code_can_be_what_is_tried(house, codes):  # noqa: F811 - as above
    """Without a key at hand a code proves that the way in works; it is used up."""
    house.machine.key().unplug()
    shell = Shell(house, "pam", "enable", "sudo", "--yes")
    shell.expect(b"Recovery code (")
    assert house.service.read_bytes() == SUDO
    shell.type(codes[0])
    status, shown = shell.finish()

    assert status == 0, shown
    assert b"pam_stepup.so" in house.service.read_bytes()
    with house.machine.client() as client:
        left = client.call("ListCredentials", {"subject": ACCOUNT})["recovery_codes"]
    assert left == len(codes) - 1


def test_a_wrong_code_changes_nothing(house, codes):  # noqa: F811 - as above
    """Two tries, and the file is what it was."""
    house.machine.key().unplug()
    shell = Shell(house, "pam", "enable", "sudo", "--yes")
    for _ in range(2):
        shell.expect(b"Recovery code (")
        shell.type(codes[0][::-1])
    status, shown = shell.finish()

    assert status == 1, shown
    assert house.service.read_bytes() == SUDO


def test_a_person_at_the_terminal_can_say_no(house):  # noqa: F811 - as above
    """The change is shown, and nothing else than a yes makes it."""
    house.machine.key().script(touch_after_ms=0)
    shell = Shell(house, "pam", "enable", "sudo")
    shell.expect(b"[y/N]")
    assert b"+auth\trequired\tpam_stepup.so" in shell.shown
    shell.type("")
    status, shown = shell.finish()

    assert status == 5, shown
    assert house.service.read_bytes() == SUDO


def test_all_or_none_are_disabled(house):  # noqa: F811 - as above
    """Where one service has to keep its line, no other loses it: nobody is let in half-way."""
    services = house.etc / "pam.d"
    ours = SUDO + b"auth required pam_stepup.so\n"
    for name in ("stepup-one", "stepup-two"):
        (services / name).write_bytes(ours)
    for stuck in (
        b"auth required pam_env.so\nauth required pam_stepup.so\n",
        b"auth required pam_unix.so\nauth [success= pam_stepup.so\n",
    ):
        (services / "stepup-stuck").write_bytes(stuck)
        status, said = house.stepup("pam", "disable", "--all")
        assert status != 0
        assert "stepup-stuck" in said
        assert (services / "stepup-one").read_bytes() == ours
        assert (services / "stepup-two").read_bytes() == ours

    (services / "stepup-stuck").unlink()
    assert house.stepup("pam", "disable", "--all")[0] == 0
    assert (services / "stepup-one").read_bytes() == SUDO
    assert (services / "stepup-two").read_bytes() == SUDO
