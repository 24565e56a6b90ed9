"""`stepup doctor` against a daemon that runs, one that does not, and a machine made of files."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from dbus_support import PrivateBus

from stepup.doctor import gather
from stepup.doctor.coverage import find_unnamed
from stepup.doctor.daemon_checks import Door
from stepup.doctor.log_facts import look_at_log
from stepup.log_paths import LogPaths
from stepup.pam.pam_files import PamPlaces

ROOT = Path(__file__).parents[2]
CHECKS = {"kernel", "account", "udev", "devices", "sockets", "daemon", "bus", "policy", "log",
          "clock", "disk", "store", "pam"}  # fmt: skip


def run_doctor(machine, *options, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "stepup", "doctor", *options],
        env=machine.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def find(document, check):
    return [f["status"] for f in document["findings"] if f["check"] == check]


def test_a_daemon_that_runs_is_found_well(running):
    """Everything that a user-mode daemon has is looked at, and nothing is recorded for it."""
    before = len(running.read_entries())
    status, out, err = run_doctor(running, "--json")

    document = json.loads(out)
    assert err == ""
    assert {finding["check"] for finding in document["findings"]} >= CHECKS
    for check in ("kernel", "policy", "log", "clock", "store"):
        assert find(document, check) == ["ok"], document
    assert find(document, "sockets") == ["ok", "ok"]
    assert find(document, "daemon") == ["warn"]  # its key is simulated
    assert status == int(any(f["status"] == "bad" for f in document["findings"]))
    assert len(running.read_entries()) == before


def test_a_dead_daemon_is_bad_and_says_what_to_do(running):
    """Exit status 1, words on standard output, a command under each."""
    running.kill()
    status, out, err = run_doctor(running)

    assert (status, err) == (1, "")
    lines = out.splitlines()
    at = next(n for n, line in enumerate(lines) if "stepupd does not answer" in line)
    assert lines[at].startswith("bad ")
    assert lines[at + 1] == "     -> stepupd --user"


def test_a_broken_policy_is_named_with_file_and_line(running):
    """The doctor says where, before anybody is refused (attack 4)."""
    running.write_policy("[[rule]]\nname = 'x'\nactoin = '*'\n")
    status, out, _ = run_doctor(running)

    assert status == 1
    assert "policy.toml:3:1: unknown key 'actoin'" in out


def test_a_damaged_log_is_found(running):
    """As `audit verify` would."""
    content = bytearray(running.log.read_bytes())
    content[content.index(b'"kind"') + 1] ^= 1
    running.log.write_bytes(content)

    facts, _ = look_at_log(find_paths(running))

    assert facts.fault


def find_paths(machine):
    return LogPaths(machine.log, machine.state / "audit.checkpoint", machine.state / "audit.vkey")


def test_the_last_entry_has_a_time(running):
    """What the clock is compared with."""
    facts, last = look_at_log(find_paths(running))

    assert facts.is_checked
    assert facts.entries == len(running.read_entries())
    assert abs(last - running.log.stat().st_mtime) < 60


def test_no_log_is_no_fault(tmp_path):
    """Before the first start there is none."""
    facts, last = look_at_log(LogPaths(tmp_path / "a", tmp_path / "b", tmp_path / "c"))

    assert (facts.exists, facts.fault, last) == (False, "", None)


def test_without_root_it_says_what_it_could_not_see(tmp_path):
    """A log in a directory that is closed to us is a warning, not the end of the doctor."""
    closed = tmp_path / "log"
    closed.mkdir(mode=0o700)
    (closed / "audit.log").touch()
    program = (
        "import os, sys; from pathlib import Path; from stepup.log_paths import LogPaths\n"
        "from stepup.doctor.gather import find_free\n"
        "from stepup.doctor.log_facts import look_at_log\n"
        "path = Path(sys.argv[1]); os.setuid(65534)\n"
        "print(look_at_log(LogPaths(path, path, path))[0].is_hidden, find_free(path)[1] > 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, closed / "audit.log"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "True True\n"


def test_only_fido_keys_are_devices(tmp_path):
    """By the report descriptor, not by a vendor's number."""
    (tmp_path / "dev").mkdir()
    for name, descriptor in (
        ("hidraw0", b"\x06\xd0\xf1\x09\x01"),
        ("hidraw1", b"\x05\x01\x09\x06"),
    ):
        folder = tmp_path / "sys/class/hidraw" / name / "device"
        folder.mkdir(parents=True)
        (folder / "report_descriptor").write_bytes(descriptor)
        (tmp_path / "dev" / name).touch(mode=0o640)

    (node,) = gather.find_nodes(tmp_path)

    assert node.path.endswith("dev/hidraw0")
    assert node.mode == 0o640


def test_the_rule_is_looked_for_where_udev_looks(tmp_path):
    """/etc first."""
    assert gather.find_rules(tmp_path) == []
    folder = tmp_path / "usr/lib/udev/rules.d"
    folder.mkdir(parents=True)
    (folder / "70-stepupd.rules").touch()

    assert gather.find_rules(tmp_path) == [str(folder / "70-stepupd.rules")]


def test_a_socket_is_looked_at_without_a_word(tmp_path):
    """Who listens is the kernel's answer; a file is no socket; nobody may listen."""
    path = tmp_path / "s"
    assert gather.look_at_door(path) == Door(str(path), is_socket=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert gather.look_at_door(path).listener is None
        listener.listen()
        door = gather.look_at_door(path)

    assert (door.is_socket, door.listener, door.owner) == (True, os.geteuid(), os.geteuid())


@pytest.mark.parametrize(
    ("line", "problem", "how"),
    [
        ("auth required pam_stepup.so\n", "", "without a password"),
        ("@include common-auth\nauth required pam_stepup.so\n", "", "after the password"),
        ("auth required pam_stepup.so\n@include gone\n", "cannot be read", ""),
        ("auth sufficient pam_stepup.so\nauth required pam_permit.so\n", "everybody", ""),
        ("@include common-auth\nauth optional pam_stepup.so\n", "", "for show"),
    ],
)
def test_stacks_are_simulated(tmp_path, line, problem, how):
    """From the files as they are, inclusions too."""
    services = tmp_path / "etc/pam.d"
    services.mkdir(parents=True)
    (services / "sudo").write_text(line)
    (services / "common-auth").write_text("auth requisite pam_unix.so\n")
    (services / "sudo.dpkg-dist").write_text("auth required pam_stepup.so\n")

    facts = gather.look_at_pam(PamPlaces(tmp_path))

    (posture,) = [one for one in facts.postures if one.has_key]
    assert (posture.service, posture.has_key) == ("sudo", True)
    assert problem in posture.problem
    assert bool(problem) == bool(posture.problem)
    if not problem:
        assert how in posture.how


def test_a_service_that_no_rule_names_is_found(tmp_path):
    """Debian's profile asks in all of them; shared files are none. The shipped policy is enough."""
    policy = tmp_path / "policy.toml"
    services = ["sudo", "sudo-i", "su", "login", "polkit-1", "common-auth", "other"]

    policy.write_bytes((ROOT / "packaging/debian/policy.toml").read_bytes())
    assert find_unnamed(services, tmp_path) == set()
    policy.write_text(policy.read_text().replace('"pam:*"', '"pam:lightdm"'))
    assert find_unnamed(services, tmp_path) == {"login", "polkit-1"}

    policy.write_text('[[rule]]\nname = "all"\naction = "pam:*"\nrequire = "touch"\n')
    assert find_unnamed(services, tmp_path) == set()
    policy.write_text("[[rule]]")
    assert find_unnamed(services, tmp_path) == set()


def test_in_user_mode_the_session_bus_counts(machine):
    """There or not, and whether our name is on it."""
    assert "There is no session bus here" in run_doctor(machine.start())[1]
    machine.stop()
    bus = PrivateBus(machine.base)
    bus.start()
    try:
        machine.start(DBUS_SESSION_BUS_ADDRESS=bus.address)
        machine.enroll()
        there = run_doctor(machine, DBUS_SESSION_BUS_ADDRESS=bus.address)[1]
        machine.stop()
        machine.start()
        away = run_doctor(machine, DBUS_SESSION_BUS_ADDRESS=bus.address)[1]
    finally:
        bus.stop()

    assert "org.stepupd1 is on the session bus" in there
    assert "org.stepupd1 is not on the session bus" in away
