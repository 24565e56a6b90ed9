"""`stepup pam enable` for what a desktop logs in with: display managers, and polkit.

Debian's own stacks and the real module, called by pamtester as a display manager would call them.
"""

import subprocess
import tempfile

import pytest
from debian_stacks import COMMON, GDM_PASSWORD, LIGHTDM, POLKIT, SDDM
from pam_house_support import ACCOUNT, PASSWORD, house_for_trials
from pam_support import PATIENCE

STACKS = {"lightdm": LIGHTDM, "sddm": SDDM, "gdm-password": GDM_PASSWORD}
STEPS = ["authenticate", "acct_mgmt", "setcred", "open_session", "close_session"]
IN = "session has successfully been closed"
VENDOR = {"polkit-1": POLKIT, "systemd-user": b"session required pam_permit.so\n"}


class Greeter:
    """A program that logs in through a house's service, and types the password at once."""

    def __init__(self, house, *steps, typed=PASSWORD):
        with tempfile.TemporaryFile() as keyboard:
            keyboard.write(f"{typed}\n".encode())
            keyboard.seek(0)
            self.process = subprocess.Popen(
                house.enter("pamtester", house.name, ACCOUNT, *(steps or STEPS)),
                stdin=keyboard,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def finish(self):
        """Return whether all steps succeeded, and what was shown."""
        said, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode == 0, said


@pytest.fixture
def house(machine, name):
    with house_for_trials(machine, name, {**COMMON, name: STACKS[name]}) as made:
        yield made


@pytest.fixture
def polkit_house(machine):
    with house_for_trials(machine, "polkit-1", COMMON, VENDOR) as made:
        yield made


def try_touch(house, *steps):
    """Log in with the right password, and touch the key."""
    greeter = Greeter(house, *steps)
    assert house.machine.key().wait_for_blink(PATIENCE)
    assert house.machine.key().touch()
    return greeter.finish()


def try_refusal(house, *steps):
    """Log in with the right password, and refuse at the key."""
    greeter = Greeter(house, *steps)
    assert house.machine.key().wait_for_blink(PATIENCE)
    assert house.machine.key().deny()
    return greeter.finish()


@pytest.mark.parametrize("name", STACKS)
def test_a_display_manager_asks_for_the_touch_after_the_password(house):
    """All that it calls succeeds with both, credentials too; without the touch nothing does."""
    assert house.enable()[0] == 0

    is_in, said = try_touch(house)
    assert is_in, said
    assert "Touch" in said
    assert IN in said

    is_in, said = try_refusal(house)
    assert not is_in, said
    assert "authenticated" not in said
    asked = house.machine.read_verdicts()
    is_in, said = Greeter(house, typed="wrong").finish()
    assert not is_in, said
    assert house.machine.read_verdicts() == asked

    assert house.stepup("pam", "disable", house.name)[0] == 0
    assert house.service.read_bytes() == STACKS[house.name]


@pytest.mark.parametrize("name", ["lightdm"])
def test_or_in_its_place_and_a_dead_daemon_leaves_the_password(house):
    """The person can always log in to mend what is broken.

    Credentials may be set by another process than the one that asked.
    """
    assert house.enable("--instead-of-password")[0] == 0

    is_in, said = try_touch(house)
    assert is_in, said
    assert "Password" not in said
    is_set, said = Greeter(house, "setcred").finish()
    assert is_set, said

    house.machine.kill()
    is_in, said = Greeter(house).finish()
    assert is_in, said
    assert "Password" in said


def test_polkit_has_its_file_in_usr_and_gets_one_in_etc(polkit_house):
    """As Debian has it: the package's file stays, ours counts, and goes again."""
    house = polkit_house
    steps = ["authenticate", "acct_mgmt"]
    packaged = house.etc / "vendor" / "polkit-1"
    assert not house.service.exists()
    status, said = house.enable()
    assert status == 0, said

    assert house.service.read_bytes() != POLKIT
    is_in, said = try_touch(house, *steps)
    assert is_in, said
    assert house.stepup("pam", "confirm", "polkit-1")[0] == 0
    is_in, said = try_refusal(house, *steps)
    assert not is_in, said

    assert house.stepup("pam", "disable", "polkit-1")[0] == 0
    assert not house.service.exists()
    assert packaged.read_bytes() == POLKIT
    is_in, said = Greeter(house, *steps).finish()
    assert is_in, said


def test_polkits_file_goes_again_where_nobody_confirms(polkit_house):
    """The old file that comes back is none."""
    assert polkit_house.enable()[0] == 0
    assert polkit_house.service.exists()

    assert polkit_house.stepup("pam", "restore", "--boot") == (0, "polkit-1: restored\n")

    assert not polkit_house.service.exists()
