"""Taking the package away: every stack as it was, or nothing taken away at all; and the profile."""

import json

import pytest
from deb_support import start_daemon, stop_daemon

pytestmark = pytest.mark.timeout(900)  # building and examining it, on a busy machine


def test_removal_gives_sudo_back_and_purge_leaves_nothing(installed):
    """Out of the stack before the module goes; then, with purge, nothing of us is left."""
    stack = installed.read("/etc/pam.d/sudo")
    installed.write("/etc/pam.d/sudo", f"{stack}auth required pam_stepup.so timeout=30\n")
    installed.run("pam-auth-update", "--package", "--enable", "stepup")
    assert "pam_stepup.so" in installed.read("/etc/pam.d/common-auth")
    stop_daemon(installed, start_daemon(installed))

    installed.run("dpkg", "--remove", "stepupd")

    assert installed.read("/etc/pam.d/sudo") == stack
    assert installed.try_out("grep", "-r", "pam_stepup", "/etc/pam.d")[0] == 1
    assert installed.run("sudo", "-n", "id", "-u") == "0\n"
    installed.run("test", "-e", "/var/lib/stepupd/master.key")

    installed.run("dpkg", "--purge", "stepupd")

    left = installed.list_changes()
    assert not [path for path in left if "stepup" in path]
    assert not [
        path for path in left if path.startswith(("/etc/pam.d", "/usr/lib", "/etc/systemd"))
    ]
    assert installed.try_out("getent", "passwd", "stepupd")[0] != 0
    assert installed.try_out("getent", "group", "stepupd")[0] != 0


ONLY_SUDO = """
[[rule]]
name = "root"
action = "pam:sudo"
require = "touch"
"""


def test_debians_profile_puts_the_key_after_the_password(installed):
    """In every stack that includes common-auth; and none of them is open or shut by it."""
    installed.run("pam-auth-update", "--package", "--enable", "stepup")
    said = json.loads(installed.run("stepup", "pam", "status", "--json"))["services"]
    asking = {one["service"]: one for one in said if one["asks"]}

    assert {"sudo", "su", "login"} <= set(asking)
    assert {(one["how"], one["problem"]) for one in asking.values()} == {("after the password", "")}
    # The shipped policy names them all; of one that does not, the doctor says so.
    assert "no rule of the policy names" not in installed.try_out("stepup", "doctor")[1]
    installed.write("/etc/stepupd/policy.toml", ONLY_SUDO)
    _, said = installed.try_out("stepup", "doctor")
    assert "no rule of the policy names pam:login, so nobody gets in" in said
    assert "names pam:sudo," not in said

    installed.run("pam-auth-update", "--package", "--remove", "stepup")
    said = json.loads(installed.run("stepup", "pam", "status", "--json"))["services"]
    assert not any(one["asks"] for one in said)


def test_a_removal_that_stops_takes_no_step_up_away(installed):
    """One service needs a person; the others go on asking."""
    asks = installed.read("/etc/pam.d/sudo") + "auth required pam_stepup.so\n"
    installed.write("/etc/pam.d/sudo", asks)
    installed.write("/etc/pam.d/zzz", "auth required pam_env.so\nauth required pam_stepup.so\n")

    status, said = installed.try_out("dpkg", "--remove", "stepupd")

    assert (status != 0, "zzz" in said) == (True, True)
    assert installed.read("/etc/pam.d/sudo") == asks


def test_a_removal_that_stops_leaves_the_profile_on(installed):
    """What asked through common-auth goes on asking."""
    installed.run("pam-auth-update", "--package", "--enable", "stepup")
    asks = installed.read("/etc/pam.d/common-auth")
    installed.write("/etc/pam.d/zzz", "auth required pam_env.so\nauth required pam_stepup.so\n")

    status, _ = installed.try_out("dpkg", "--remove", "stepupd")

    assert status != 0
    assert "pam_stepup.so" in asks
    assert installed.read("/etc/pam.d/common-auth") == asks


STUCK = (
    ("sudo", "auth required pam_env.so\nauth required pam_stepup.so\n"),
    ("sudo", "auth required pam_stepup.so\n"),
    ("common-auth", "auth required pam_unix.so\nauth required pam_stepup.so\n"),
    ("nonsense", "auth required pam_unix.so\nauth [success= pam_stepup.so\n"),
)


def test_removal_stops_where_a_stack_needs_a_person(installed):
    """Without us it would be open, or shut, or nobody knows: package and stack stay as they are."""
    for service, stack in STUCK:
        installed.run("cp", "-a", "/etc/pam.d", "/run/pam.d")
        installed.write(f"/etc/pam.d/{service}", stack)

        status, said = installed.try_out("dpkg", "--remove", "stepupd")

        assert status != 0
        assert "stepupd stays" in said
        assert service in said
        assert installed.read(f"/etc/pam.d/{service}") == stack
        installed.run("stepupd", "--check")
        installed.run("sh", "-c", "rm -r /etc/pam.d && mv /run/pam.d /etc/pam.d")
