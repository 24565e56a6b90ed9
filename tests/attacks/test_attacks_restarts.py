"""A daemon that fails again and again is no way in (attack 145): units in a real manager."""

import re
from time import monotonic

import pytest
from deb_support import PATIENCE, ROOT
from test_deb_user import ada  # noqa: F401 - a fixture

pytestmark = pytest.mark.timeout(900)  # building the package, on a busy machine

UNREACHABLE = 6
BROKEN = "[Service]\nExecStart=\nExecStart=/bin/false\n"
DROP_IN = "$HOME/.config/systemd/user/stepupd.service.d"
LIMIT = r"^(Restart|RestartSec|StartLimit\w+)=(.*)$"


def await_true(login, *command):
    deadline = monotonic() + PATIENCE
    while login.try_out(*command)[0] != 0:
        assert monotonic() < deadline, command


def test_attack_145_the_limit_is_the_same_for_machine_and_person():
    """What is shown below in a person's manager is what the machine's has."""
    folder = ROOT / "systemd"
    system, user = (
        dict(re.findall(LIMIT, (folder / name).read_text(), re.MULTILINE))
        for name in ("stepupd.service", "user/stepupd.service")
    )

    assert system == user
    assert system["StartLimitBurst"] == "5"


def test_attack_145_five_failed_starts_close_the_door(ada):  # noqa: F811 - the fixture above
    """Then nobody is kept waiting and nobody is let in, until somebody has mended it."""
    ada.run("sh", "-c", f'mkdir -p {DROP_IN} && printf "{BROKEN}" >{DROP_IN}/broken.conf')
    ada.run("systemctl", "--user", "daemon-reload")
    ada.run("systemctl", "--user", "start", "stepupd.socket")
    assert ada.try_out("stepup", "verify")[0] != 0

    await_true(ada, "systemctl", "--user", "--quiet", "is-failed", "stepupd.socket")
    assert ada.try_out("stepup", "verify")[0] == UNREACHABLE

    ada.run("sh", "-c", f"rm -r {DROP_IN}")
    ada.run("systemctl", "--user", "daemon-reload")
    ada.run("systemctl", "--user", "reset-failed", "stepupd.socket", "stepupd.service")
    ada.run("systemctl", "--user", "start", "stepupd.socket")
    assert "user mode" in ada.run("stepup", "status")
