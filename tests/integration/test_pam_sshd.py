"""`stepup pam enable sshd` on Debian's own stack, and real sshd: with and without an ssh key.

Skipped where there is no sshd: installing one would open a port of whoever runs the tests.
"""

import pytest
from debian_stacks import COMMON
from debian_stacks import SSHD as STACK
from pam_house_support import house_for_trials
from pam_support import PATIENCE
from sshd_house_support import HouseSshd
from sshd_support import SSHD

pytestmark = pytest.mark.skipif(SSHD is None, reason="openssh-server is not installed")

METHODS = ["keyboard-interactive", "publickey,keyboard-interactive"]


@pytest.fixture
def house(machine):
    with house_for_trials(machine, "sshd", {**COMMON, "sshd": STACK}) as made:
        yield made


@pytest.mark.parametrize("methods", METHODS)
def test_a_touch_lets_in_and_nothing_else_does(house, methods):
    """The main job over ssh: in by password and touch, and by no other way; then as it was."""
    sshd, key = HouseSshd(house, methods), house.machine.key()
    status, said = house.enable()
    assert status == 0, said

    login = sshd.log_in()
    assert key.wait_for_blink(PATIENCE)
    assert key.touch()
    is_in, said = sshd.finish(*login)
    assert is_in, said
    assert "Touch" in said

    assert house.stepup("pam", "confirm", "sshd")[0] == 0
    login = sshd.log_in()
    assert key.wait_for_blink(PATIENCE)
    assert key.deny()
    is_in, said = sshd.finish(*login)
    assert not is_in, said
    asked = house.machine.read_verdicts()
    assert [reason for _, reason in asked[-2:]] == ["proved", "declined"]

    is_in, said = sshd.finish(*sshd.log_in("wrong"))
    assert not is_in, said
    assert house.machine.read_verdicts() == asked

    status, said = house.stepup("pam", "disable", "sshd")
    assert (status, house.service.read_bytes()) == (0, STACK), said
    is_in, said = sshd.finish(*sshd.log_in())
    assert is_in, said
    assert house.machine.read_verdicts() == asked


@pytest.mark.parametrize("methods", METHODS)
def test_in_place_of_the_password_the_touch_is_enough(house, methods):
    """A password that is wrong is not asked for; with a dead daemon the right one lets in."""
    sshd, key = HouseSshd(house, methods), house.machine.key()
    assert house.enable("--instead-of-password")[0] == 0

    login = sshd.log_in("wrong")
    assert key.wait_for_blink(PATIENCE)
    assert key.touch()
    is_in, said = sshd.finish(*login)
    assert is_in, said

    login = sshd.log_in()
    assert key.wait_for_blink(PATIENCE)
    assert key.deny()
    is_in, said = sshd.finish(*login)
    assert not is_in, said

    house.machine.kill()
    is_in, said = sshd.finish(*sshd.log_in("wrong"))
    assert not is_in, said
    is_in, said = sshd.finish(*sshd.log_in())
    assert is_in, said


def test_without_the_daemon_nobody_comes_in(house):
    """After the password means after it always: a dead daemon is no way past the key."""
    sshd = HouseSshd(house, METHODS[1])
    assert house.enable()[0] == 0
    house.machine.kill()

    is_in, said = sshd.finish(*sshd.log_in())

    assert not is_in, said
