"""What only an installed machine can show: its key, its fences, its bus, its doctor."""

import json

import pytest
from vm_support import LIMIT_S, NODE, ROOT, find_package

pytestmark = pytest.mark.timeout(LIMIT_S)

SEALED = "/etc/credstore.encrypted/stepupd.key"
UNSEALED = "/var/lib/stepupd/master.key"
HOST_SECRET = "/var/lib/systemd/credential.secret"  # noqa: S105 - a path
MANAGER = "org.stepupd1 /org/stepupd1 org.stepupd1.Manager"
BUSCTL = f"busctl --timeout=120 --allow-interactive-authorization=no call {MANAGER}"


def test_four_commands_are_all_it_takes(bare):
    """Installed, enrolled, enabled, confirmed; with the policy that comes with the package."""
    bare.install(find_package())
    bare.await_true(f'[ "$(stat -c %G {NODE})" = stepupd ]')
    bare.key.script(touch_after_ms=0)
    assert "it works" in bare.run("stepup enroll --user ada")
    bare.enable("sudo")
    login = bare.log_in("sudo id")
    login.expect("password for ada: ")
    login.type("ada-pw\n")
    bare.touch()
    status, text = login.finish()
    assert status == 0
    assert ROOT in text

    bare.run("stepup pam confirm sudo")
    assert "after the password" in bare.run("stepup pam status sudo")


def test_the_doctor_finds_nothing_broken(installed):
    """And speaks of the keys of whoever ran sudo, not of root's."""
    document = json.loads(installed.run("SUDO_USER=ada stepup doctor --json"))
    findings = document["findings"]

    assert not [one for one in findings if one["status"] == "bad"]
    for check in ("account", "udev", "devices", "sockets", "daemon", "bus", "policy", "log"):
        assert {one["status"] for one in findings if one["check"] == check} == {"ok"}, check
    [store] = [one for one in findings if one["check"] == "store"]
    assert store["text"].endswith("of ada: 1.")


def test_the_key_of_the_machine_is_sealed_and_nothing_takes_its_place(installed):
    """Handed over by systemd at each start; one that cannot be opened is a refusal (attack 105)."""
    assert "sealed with host" in installed.run("journalctl -b -o cat -u stepupd-key")
    assert installed.run(f"stat -c '%a %U' {SEALED}") == "600 root\n"
    installed.run(f"test ! -e {UNSEALED}")

    installed.run(f"mv {HOST_SECRET} /root/secret")
    installed.run("systemctl restart stepupd", check=False)
    assert ROOT not in installed.log_in("sudo id").finish()[1]
    installed.run(f"test ! -e {UNSEALED}")

    installed.run(f"mv /root/secret {HOST_SECRET}")
    units = "stepupd.socket stepupd-pam.socket stepupd.service"
    installed.run(f"systemctl reset-failed {units}; systemctl start {units}")
    login = installed.log_in("sudo id -u")
    installed.touch()
    assert login.finish()[0] == 0


def test_the_apparmor_profile_holds_and_is_not_in_the_way(installed):
    """The daemon is confined; a step-up, a question on the bus and a key that goes need no more."""
    pid = "$(systemctl show -P MainPID stepupd)"
    assert installed.run(f"cat /proc/{pid}/attr/current") == "stepupd (enforce)\n"

    login = installed.log_in("sudo id -u")
    installed.touch()
    assert login.finish()[0] == 0
    installed.run(f"{BUSCTL} Status")
    installed.key.unplug()
    installed.await_true(f"[ ! -e {NODE} ]")
    denied = 'apparmor="DENIED".*profile="stepupd"'
    assert installed.run(f"journalctl -b -o cat | grep '{denied}'", check=False) == ""


def test_the_bus_starts_the_daemon_and_knows_whom_to_serve(installed):
    """Activation through systemd, by anybody; then a touch for ada, and no reload for bob."""
    units = "stepupd.socket stepupd-pam.socket stepupd.service"
    installed.run(f"systemctl stop {units}")
    assert '"system"' in installed.run(f"{BUSCTL} Status", "bob")
    installed.run("systemctl is-active stepupd.service")

    login = installed.log_in(f"{BUSCTL} Check 'sa{{sv}}' cli:deploy 0")
    installed.touch()
    status, text = login.finish()
    assert status == 0
    assert '"allow" "proved"' in text

    assert "status:0" not in installed.run(f"{BUSCTL} Reload; echo status:$?", "bob")
    installed.run(f"{BUSCTL} Reload")


YES = """
polkit.addRule(function (action, subject) {
    if (action.id === "org.stepupd1.reload" && subject.user === "bob") {
        return polkit.Result.YES;
    }
});
"""


def test_the_real_polkit_says_who_administers(installed):
    """The daemon is not root: polkit answers it about others because the actions are its own."""
    installed.write("/etc/polkit-1/rules.d/10-bob.rules", YES)
    installed.run("systemctl restart polkit.service")

    installed.run(f"{BUSCTL} Reload", "bob")
    assert "status:0" not in installed.run(f"{BUSCTL} AuditTail u 1; echo status:$?", "bob")
    assert "polkit did not answer" not in installed.read_journal()


def test_attack_146_a_first_key_is_for_root_to_enrol(installed):
    """Bob has no key yet: a session of his is not enough to give himself one."""
    said = installed.run("stepup enroll; echo status:$?", "bob")

    assert "status:8" in said
    assert "sudo stepup enroll" in said
    assert not installed.key.state()["waiting"]


def test_a_first_key_is_ones_own_where_the_administrator_opened_that(installed):
    """And the next one needs the touch of the first."""
    installed.write("/etc/stepupd/stepupd.toml", "[enrolment]\nown_first_key = true\n")
    installed.run("systemctl restart stepupd.service")
    installed.key.script(touch_after_ms=0)

    assert "it works" in installed.run("stepup enroll", "bob")
    installed.run("stepup keys list", "bob")
    assert "touch" in installed.run("stepup enroll --name spare 2>&1; true", "bob").lower()
