"""Every finding of `stepup doctor`: facts in, one sentence and a command out."""

from dataclasses import replace

import pytest

from stepup.doctor import daemon_checks, machine_checks, pam_checks
from stepup.doctor.daemon_checks import Door, LogFacts
from stepup.doctor.findings import Status
from stepup.doctor.machine_checks import Node, Unit
from stepup.doctor.pam_checks import PamFacts
from stepup.pam.overview import FOR_SHOW, Posture

OK, WARN, BAD = Status
GROUP = 990
NODE = Node("/dev/hidraw0", 0o660, GROUP, is_ours=False)
UNIT = Unit("stepupd.socket", "loaded", "active", "enabled")
DOOR = Door("/run/stepupd/pam.sock", True, 0, 0o666, GROUP, 0o755, GROUP)
TRUSTED = frozenset({0, GROUP})
STATUS = {"version": "1", "mode": "system", "is_simulated": False, "credentials": 2}
POSTURE = Posture("sudo", has_key=True, how="after the password", arguments=(("debug",),))
PAM = PamFacts(module="/lib/security/pam_stepup.so", postures=(POSTURE,))


def check(findings):
    """Return the worst finding; whatever is broken says what mends it."""
    found = [findings] if hasattr(findings, "status") else list(findings)
    for finding in found:
        assert finding.text.endswith((".", "verify"))
        assert finding.mend or finding.status is not BAD
    return max(found, key=lambda finding: list(Status).index(finding.status))


@pytest.mark.parametrize(("has_pidfd", "status"), [(True, OK), (False, WARN)])
def test_kernel(has_pidfd, status):
    """An older kernel, such as Debian 12's own, serves with less; that is no fault."""
    assert (
        check(machine_checks.check_kernel(has_peer_pidfd=has_pidfd, release="6")).status is status
    )


@pytest.mark.parametrize(
    ("nodes", "is_user", "status"),
    [
        ([NODE], False, OK),
        ([], False, WARN),
        ([NODE, replace(NODE, gid=0)], False, BAD),
        ([replace(NODE, mode=0o600)], False, BAD),
        ([NODE], True, BAD),
        ([replace(NODE, is_ours=True, gid=0)], True, OK),
    ],
)
def test_devices(nodes, is_user, status):
    """The daemon's group counts, in user mode the person's own access."""
    assert check(machine_checks.check_devices(nodes, GROUP, is_user=is_user)).status is status


def test_a_missing_account_owns_no_key():
    """No group is no match for a node of no group of ours."""
    found = machine_checks.check_devices([replace(NODE, gid=0)], None, is_user=False)

    assert check(found).status is BAD


@pytest.mark.parametrize(
    ("rules", "is_user", "is_running", "status"),
    [
        (["/usr/lib/udev/rules.d/70-stepupd.rules"], False, True, OK),
        (["/usr/lib/udev/rules.d/70-stepupd.rules"], False, False, WARN),
        ([], False, True, BAD),
        ([], True, True, OK),
    ],
)
def test_udev(rules, is_user, is_running, status):
    found = machine_checks.check_udev(rules, is_user=is_user, is_running=is_running)

    assert check(found).status is status


@pytest.mark.parametrize(
    ("group", "is_user", "status"), [(GROUP, False, OK), (None, False, BAD), (None, True, OK)]
)
def test_account(group, is_user, status):
    assert check(machine_checks.check_account(group, is_user=is_user)).status is status


@pytest.mark.parametrize(
    ("unit", "status", "mend"),
    [
        (UNIT, OK, ""),
        (replace(UNIT, load="not-found"), BAD, "--reinstall"),
        (replace(UNIT, load="masked"), BAD, "unmask"),
        (replace(UNIT, active="failed"), BAD, "reset-failed"),
        (replace(UNIT, active="inactive"), BAD, "systemctl start"),
        (replace(UNIT, name="stepupd.service", active="inactive"), OK, ""),
        (replace(UNIT, enabled="disabled"), BAD, "systemctl enable"),
    ],
)
def test_units(unit, status, mend):
    """A service may be inactive: its socket starts it."""
    found = check(machine_checks.check_units([unit], has_systemd=True))

    assert found.status is status
    assert mend in found.mend


def test_without_systemd_that_is_said():
    assert check(machine_checks.check_units([], has_systemd=False)).status is WARN
    assert check(machine_checks.check_units([], has_systemd=True)).status is WARN


@pytest.mark.parametrize(("last", "status"), [(None, OK), (99.0, OK), (100.5, OK), (7300.0, BAD)])
def test_clock(last, status):
    """The log knows a time that has been."""
    assert check(machine_checks.check_clock(100.0, last)).status is status


@pytest.mark.parametrize(
    ("free", "status"), [(0, BAD), (2**26 - 1, BAD), (2**26, WARN), (2**30, OK)]
)
def test_disk(free, status):
    assert check(machine_checks.check_disk("/var", free)).status is status


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, OK),
        ({"is_socket": False}, BAD),
        ({"owner": 1000}, BAD),
        ({"directory_owner": 1000}, BAD),
        ({"directory_mode": 0o777}, BAD),
        ({"mode": 0o600}, BAD),
        ({"listener": None}, BAD),
        ({"listener": 1000}, BAD),
        ({"listener": None, "is_hidden": True}, WARN),
    ],
)
def test_sockets(changes, status):
    """What the PAM module refuses is told before it does."""
    door = replace(DOOR, **changes)

    assert check(daemon_checks.check_doors([door], TRUSTED, is_user=False)).status is status


def test_in_user_mode_a_socket_may_be_private():
    door = replace(DOOR, mode=0o600)

    assert check(daemon_checks.check_doors([door], TRUSTED, is_user=True)).status is OK


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (STATUS, OK),
        (None, BAD),
        (STATUS | {"version": "2"}, BAD),
        (STATUS | {"is_simulated": True}, WARN),
    ],
)
def test_daemon(status, expected):
    found = daemon_checks.check_daemon(status, "no socket", "1", is_user=False)

    assert check(found).status is expected


@pytest.mark.parametrize(
    ("has_bus", "is_installed", "is_known", "status"),
    [
        (False, False, None, OK),
        (True, False, None, OK),
        (True, True, None, WARN),
        (True, True, False, BAD),
        (True, True, True, OK),
    ],
)
def test_bus(has_bus, is_installed, is_known, status):
    for is_user in (False, True):
        found = daemon_checks.check_bus(
            has_bus=has_bus, is_installed=is_installed, is_known=is_known, is_user=is_user
        )
        assert check(found).status is status


@pytest.mark.parametrize(
    ("code", "said", "status", "text"),
    [
        (0, "/etc/stepupd: good, 4 rules\n", OK, "/etc/stepupd: good, 4 rules."),
        (1, "stepupd: error: p.toml:3:1: unknown key 'x'\n", BAD, "p.toml:3:1: unknown key 'x'."),
        (
            0,
            "stepupd: p.toml: no policy file: everything is denied\n/e: good, 0 rules\n",
            BAD,
            "no",
        ),
        (None, "no such file", WARN, "no such file"),
        (1, "", BAD, "nothing"),
    ],
)
def test_policy(code, said, status, text):
    """The file and the line are `stepupd --check`'s own words (attack 4)."""
    found = check(daemon_checks.check_policy(code, said, is_user=False))

    assert found.status is status
    assert text in found.text


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"is_checked": True, "entries": 7}, OK),
        ({}, OK),
        ({"exists": False}, WARN),
        ({"is_hidden": True}, WARN),
        ({"is_checked": True, "fault": "line 3: changed"}, BAD),
    ],
)
def test_log(changes, status):
    assert check(daemon_checks.check_log(replace(LogFacts("/log"), **changes))).status is status


@pytest.mark.parametrize(
    ("person", "keys", "status", "text"),
    [
        ("ada", 2, OK, "of ada: 2"),
        ("ada", 0, WARN, "no key of ada"),
        ("", 0, OK, "open"),
        ("ada", None, WARN, "no such account"),
    ],
)
def test_store(person, keys, status, text):
    """The keys of whoever ran sudo, not root's own."""
    found = check(daemon_checks.check_store(person, keys, "no such account"))

    assert found.status is status
    assert text in found.text


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({}, OK, ""),
        ({"module": ""}, BAD, "nobody gets in"),
        ({"is_module_safe": False}, BAD, "others than root"),
        ({"postures": ()}, WARN, "No PAM service"),
        ({"trials": {"sudo": 10.0}}, WARN, "on trial"),
        ({"missing": frozenset({"/x/pam_stepup.so"})}, OK, ""),
        ({"unnamed": frozenset({"sudo"})}, BAD, "no rule of the policy names pam:sudo"),
        ({"unnamed": frozenset({"login"})}, OK, ""),
    ],
)
def test_pam(changes, status, text):
    found = check(pam_checks.check_pam(replace(PAM, **changes)))

    assert found.status is status
    assert text in found.text


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"problem": "it would let everybody in"}, BAD, "everybody"),
        ({"arguments": (("sokcet=/x",),)}, BAD, "'sokcet=/x'"),
        ({"arguments": (("timeout=301",),)}, BAD, "timeout"),
        ({"arguments": (("timeout=0",),)}, BAD, "timeout"),
        ({"arguments": (("socket=x",),)}, BAD, "socket"),
        ({"arguments": (("timeout=300", "socket=/x", "debug"),)}, OK, ""),
        ({"modules": ("/x/pam_stepup.so",)}, BAD, "is not there"),
        ({"how": FOR_SHOW}, WARN, "lets in without it"),
        ({"leaks": ("whoever passes pam_x.so needs no key",)}, WARN, "pam_x.so"),
        ({"has_key": False, "problem": "broken"}, WARN, "No PAM service"),
    ],
)
def test_stacks(changes, status, text):
    """Each stack that names the module; an option that it refuses locks everybody out."""
    facts = replace(
        PAM, postures=(replace(POSTURE, **changes),), missing=frozenset({"/x/pam_stepup.so"})
    )
    found = check(pam_checks.check_pam(facts))

    assert found.status is status
    assert text in found.text


def test_a_module_that_nobody_needs_may_be_missing():
    facts = replace(PAM, module="", postures=())

    assert check(pam_checks.check_pam(facts)).status is WARN
