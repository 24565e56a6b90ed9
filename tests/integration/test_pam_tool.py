"""`stepup pam` and real sudo: Debian's own stack, a password, a key, and the way back."""

import os
import subprocess

import pytest
from orphans import adopting_orphans
from pam_house_support import ACCOUNT, PASSWORD, House
from pam_support import PATIENCE

SUDO = b"#%PAM-1.0\nsession required pam_limits.so\n@include common-auth\n@include common-account\n"


class Sudo:
    """`sudo id -u` on a terminal of its own, in the namespace."""

    def __init__(self, house):
        self.fd, other_end = os.openpty()
        drop = ["setpriv", "--reuid", ACCOUNT, "--regid", "nogroup", "--clear-groups"]
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *house.enter(*drop, "sudo", "-k", "/usr/bin/id", "-u")],
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
        )
        os.close(other_end)
        self.output = b""

    def read_until(self, text):
        try:
            while text not in self.output:
                self.output += os.read(self.fd, 4096)
        except OSError:  # EIO: nobody is at the other end any more
            pass
        return text in self.output

    def type(self, text):
        os.write(self.fd, text.encode() + b"\n")

    def finish(self):
        self.read_until(b"\0")
        os.close(self.fd)
        return self.process.wait(PATIENCE), self.output.decode().splitlines()


@pytest.fixture
def house(machine):
    machine.start()
    machine.enroll(subject=ACCOUNT)
    made = House(machine, "sudo", {"sudo": SUDO})
    yield made
    made.close()


@pytest.fixture
def orphans(house):
    """Wait for what `enable` leaves behind; last, so that it is over before the namespace is."""
    with adopting_orphans() as wait:
        yield wait
        house.stepup("pam", "restore", "--boot")
        wait()


def test_sudo_asks_for_the_touch_after_the_password(house, orphans):
    """The main job: enable, try it in another terminal, confirm, reboot: it is still there."""
    status, said = house.enable("--minutes", "0.3")
    assert status == 0, said
    assert "+auth\trequired\tpam_stepup.so" in said.replace("\\t", "\t")
    assert "one key and no recovery codes" in said

    sudo = Sudo(house)
    assert sudo.read_until(b"password for")
    sudo.type(PASSWORD)
    assert house.machine.key().wait_for_blink(PATIENCE)
    assert house.machine.key().touch()
    status, lines = sudo.finish()
    assert (status, lines[-1]) == (0, "0")

    status, said = house.stepup("pam", "confirm", "sudo")
    assert status == 0, said
    assert house.stepup("pam", "restore", "--boot") == (0, "")
    assert b"pam_stepup.so" in house.service.read_bytes()
    assert orphans() == 1
    assert b"pam_stepup.so" in house.service.read_bytes()

    status, said = house.stepup("pam", "disable", "sudo")
    assert status == 0, said
    assert house.service.read_bytes() == SUDO


@pytest.mark.usefixtures("orphans")
def test_a_wrong_password_and_a_right_one_without_the_key_are_refused(house):
    """Both are needed; with the wrong one no key blinks."""
    assert house.enable()[0] == 0

    sudo = Sudo(house)
    assert sudo.read_until(b"password for")
    sudo.type("wrong")
    assert sudo.finish()[0] == 1
    asked = len(house.machine.read_verdicts())

    sudo = Sudo(house)
    assert sudo.read_until(b"password for")
    sudo.type(PASSWORD)
    assert house.machine.key().wait_for_blink(PATIENCE)
    house.machine.key().deny()
    status, lines = sudo.finish()
    assert status == 1
    assert "0" not in lines
    assert len(house.machine.read_verdicts()) == asked + 1

    house.stepup("pam", "disable", "sudo")
    assert house.service.read_bytes() == SUDO


@pytest.mark.usefixtures("orphans")
def test_in_place_of_the_password_the_touch_is_enough(house):
    """And where the daemon is dead, the password is the way back in."""
    assert house.enable("--instead-of-password")[0] == 0

    sudo = Sudo(house)
    assert house.machine.key().wait_for_blink(PATIENCE)
    assert house.machine.key().touch()
    status, lines = sudo.finish()
    assert (status, lines[-1]) == (0, "0")
    assert not any("password for" in line for line in lines)

    house.machine.kill()
    sudo = Sudo(house)
    assert sudo.read_until(b"password for")
    sudo.type(PASSWORD)
    assert sudo.finish()[0] == 0


def test_without_a_confirmation_the_old_file_comes_back(house, orphans):
    """By itself, to the byte; a confirmation that comes too late changes nothing."""
    assert house.enable("--minutes", "0.05")[0] == 0

    assert orphans() == 1

    assert house.service.read_bytes() == SUDO
    status, said = house.stepup("pam", "confirm", "sudo")
    assert status != 0
    assert "not on trial" in said


@pytest.mark.usefixtures("orphans")
def test_a_reboot_in_mid_trial_restores(house):
    """What the unit runs at boot."""
    assert house.enable()[0] == 0
    assert house.service.read_bytes() != SUDO

    status, said = house.stepup("pam", "restore", "--boot")

    assert (status, said) == (0, "sudo: restored\n")
    assert house.service.read_bytes() == SUDO


def test_a_key_that_does_not_work_changes_nothing(house):
    """It is tried before anything else happens."""
    process = house.start_stepup("pam", "enable", "sudo", "--yes")
    assert house.machine.key().wait_for_blink(PATIENCE)
    house.machine.key().deny()
    said, _ = process.communicate()

    assert process.returncode == 5, said
    assert house.service.read_bytes() == SUDO


def test_nobody_to_ask_means_no(house):
    """Without --yes and without a terminal nothing is changed."""
    house.machine.key().script(touch_after_ms=0)
    status, said = house.stepup("pam", "enable", "sudo")

    assert status == 2, said
    assert house.service.read_bytes() == SUDO
