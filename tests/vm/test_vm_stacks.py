"""PAM stacks of a booted Debian, as `stepup pam` changes them and as dpkg leaves them behind.

Each of these asks what a person asks first: who gets in, who does not, and how it ends.
"""

import json

import pytest
from vm_support import LIMIT_S, MODULE, NODE, POLICY, ROOT, STOCK, find_package

pytestmark = pytest.mark.timeout(LIMIT_S)

NAME = MODULE.split()[-1]
SUDO_WITHOUT_KEY = "echo ada-pw | sudo -S -p '' id -u"


def test_polkit_asks_for_the_key_through_an_agent(installed):
    """pkexec, polkitd, an agent on the terminal, polkit's helper, our module; one no, one yes."""
    installed.enable("polkit-1")
    agent = "mkfifo ready; pkttyagent --process $$ --notify-fd 9 9>ready & cat ready"
    command = (
        f"cd $(mktemp -d) && {agent}; pkexec --disable-internal-agent id; r=$?; kill $!; exit $r"
    )

    refused = installed.log_in(command)
    installed.await_silent_terminal("pkttyagent")
    refused.type("ada-pw\n")
    installed.expect_blink()
    assert installed.key.deny()
    status, text = refused.finish()
    assert status == 127
    assert ROOT not in text

    allowed = installed.log_in(command)
    installed.await_silent_terminal("pkttyagent")
    allowed.type("ada-pw\n")
    installed.touch()
    status, text = allowed.finish()
    assert status == 0
    assert "polkit-1 asks for ada" in text
    assert ROOT in text


def test_sudo_i_has_a_stack_of_its_own(installed):
    """For login shells sudo asks another service: `enable` says so, and knows that one too."""
    installed.write("/etc/pam.d/sudo", STOCK)
    assert "sudo-i" in installed.enable("sudo")
    assert installed.run(SUDO_WITHOUT_KEY.replace("sudo", "sudo -i"), "ada") == "0\n"

    installed.enable("sudo-i")
    login = installed.log_in("sudo -i id")
    login.expect("password for ada: ")
    login.type("ada-pw\n")
    installed.touch()
    status, text = login.finish()
    assert status == 0
    assert ROOT in text


def test_a_recovery_code_stands_in_for_a_lost_key_once(installed):
    """Typed at sudo's own question; a second time it opens nothing."""
    installed.write("/etc/stepupd/policy.toml", POLICY + "recovery = true\n")
    installed.run("systemctl reload stepupd")
    made = json.loads(installed.run("stepup recovery-codes --user ada --json"))
    code = made["codes"][0]
    installed.key.unplug()
    installed.await_true(f"[ ! -e {NODE} ]")

    first = installed.log_in("sudo id")
    first.expect("Recovery code")
    first.type(f"{code}\n")
    status, text = first.finish()
    assert status == 0
    assert ROOT in text

    second = installed.log_in("sudo id")
    for _ in range(2):
        second.expect("Recovery code")
        second.type(f"{code}\n")
    status, text = second.finish()
    assert status == 1
    assert ROOT not in text


def test_removal_and_purge_leave_sudo_as_it_was(bare):
    """Installed, enabled, used, removed, purged: the same files as before, and no traces."""
    before = bare.run("cat /etc/pam.d/*")
    bare.install(find_package())
    assert bare.run("cat /etc/pam.d/*") == before
    bare.enroll()
    bare.enable("sudo")
    login = bare.log_in("sudo id -u")
    login.expect("password for ada: ")
    login.type("ada-pw\n")
    bare.touch()
    assert login.finish()[0] == 0
    bare.run("stepup pam confirm sudo")

    bare.run("dpkg --remove stepupd")
    assert bare.run("cat /etc/pam.d/*") == before
    assert bare.run(SUDO_WITHOUT_KEY, "ada") == "0\n"
    bare.run("dpkg --purge stepupd")
    leftovers = "/etc/stepupd /var/lib/stepupd /var/log/stepupd /run/stepupd /usr/lib/stepupd"
    assert bare.run(f"ls -d {leftovers} 2>/dev/null; getent passwd stepupd", check=False) == ""
    assert bare.run(f"stat -c '%U:%G' {NODE}") == "root:root\n"
    assert bare.run("systemctl list-units --all --no-legend 'stepupd*'") == ""


def test_removal_is_refused_where_only_the_key_lets_anybody_in(installed):
    """A stack written by hand that knows no password: the package stays, and so does sudo."""
    assert installed.run("head -n1 /etc/pam.d/sudo") == MODULE
    text = installed.run("dpkg --remove stepupd", check=False)
    assert "stepupd stays" in text

    login = installed.log_in("sudo id -u")
    installed.touch()
    assert login.finish()[0] == 0


def test_a_power_cut_in_mid_trial_brings_the_old_stack_back(installed):
    """Nobody confirmed: after the next start sudo asks for the password alone."""
    installed.write("/etc/pam.d/sudo", STOCK)
    installed.enable("sudo")
    assert NAME in installed.run("cat /etc/pam.d/sudo")
    installed.machine.reset()

    installed.await_true('[ "$(systemctl is-system-running)" = running ]')
    assert installed.run("cat /etc/pam.d/sudo") == STOCK
    assert installed.run(SUDO_WITHOUT_KEY, "ada") == "0\n"


def test_a_trial_that_nobody_confirms_ends_by_systemds_timer(installed):
    """The old file is back without a restart, and without anybody's doing."""
    installed.write("/etc/pam.d/sudo", STOCK)
    counted = installed.enable("sudo", f"--minutes 0.5 && grep -c {NAME} /etc/pam.d/sudo")
    assert counted.split()[-1] == "1"

    installed.await_true(f"! grep -q {NAME} /etc/pam.d/sudo")
    assert installed.run("cat /etc/pam.d/sudo") == STOCK
    assert "service - Restore PAM's sudo" in installed.run("journalctl -b -o cat _PID=1")
    assert installed.run(SUDO_WITHOUT_KEY, "ada") == "0\n"
