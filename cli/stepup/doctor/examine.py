"""Everything that `stepup doctor` looks at, in order: from the machine up to PAM."""

import os
import pwd
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from stepup.doctor import daemon_checks, gather, machine_checks, pam_checks
from stepup.doctor.coverage import find_unnamed
from stepup.doctor.findings import Finding, warn
from stepup.doctor.log_facts import look_at_log
from stepup.errors import CommandError
from stepup.log_paths import find_log
from stepup.pam.pam_files import MACHINE
from stepup.replies import read_answers
from stepupd import __version__
from stepupd.client import SYSTEM_SOCKET, Client, ClientError, find_socket

_ROOT = Path("/")
_POLICY = Path("/etc/stepupd")


def examine() -> Iterator[Finding]:
    """Yield every finding, from the machine up to PAM."""
    if os.geteuid() != 0:
        yield warn("doctor", "Without root, not everything can be looked at.", "sudo stepup doctor")
    status, error = _ask_daemon()
    door = Path(find_socket())
    is_user = str(door) != SYSTEM_SOCKET and door.exists()
    yield from _examine_machine(is_user=is_user)
    yield from _examine_daemon(door, status, error, is_user=is_user)
    yield from _examine_log()
    yield _examine_store(is_user=is_user)
    facts = gather.look_at_pam(MACHINE)
    if not is_user:
        asking = [posture.service for posture in facts.postures if posture.has_key]
        facts = replace(facts, unnamed=find_unnamed(asking, _POLICY))
    yield from pam_checks.check_pam(facts)


def _examine_machine(*, is_user: bool) -> Iterator[Finding]:
    group = gather.find_group()
    release = os.uname().release
    has_systemd = Path("/run/systemd/system").is_dir()
    has_udev = Path("/run/udev/control").exists()
    yield machine_checks.check_kernel(has_peer_pidfd=gather.has_peer_pidfd(), release=release)
    yield machine_checks.check_account(group, is_user=is_user)
    yield machine_checks.check_udev(gather.find_rules(_ROOT), is_user=is_user, is_running=has_udev)
    yield from machine_checks.check_devices(gather.find_nodes(_ROOT), group, is_user=is_user)
    units = gather.ask_units() if has_systemd and not is_user else []
    if not is_user:
        yield from machine_checks.check_units(units, has_systemd=has_systemd)


def _examine_daemon(
    door: Path, status: Mapping[str, object] | None, error: str, *, is_user: bool
) -> Iterator[Finding]:
    doors = [gather.look_at_door(path) for path in (door, door.with_name("pam.sock"))]
    trusted = gather.find_trusted(is_user=is_user)
    yield from daemon_checks.check_doors(doors, trusted, is_user=is_user)
    yield daemon_checks.check_daemon(status, error, __version__, is_user=is_user)
    has_bus = gather.has_bus(is_user=is_user)
    is_installed = is_user or Path("/usr/share/dbus-1/system.d/org.stepupd1.conf").exists()
    is_known = gather.ask_bus(is_user=is_user) if has_bus and is_installed else None
    yield daemon_checks.check_bus(
        has_bus=has_bus, is_installed=is_installed, is_known=is_known, is_user=is_user
    )
    code, said = gather.check_policy_file(is_user=is_user)
    yield daemon_checks.check_policy(code, said, is_user=is_user)


def _examine_log() -> Iterator[Finding]:
    paths = find_log(None)
    log, last_entry = look_at_log(paths)
    yield daemon_checks.check_log(log)
    yield machine_checks.check_clock(time.time(), last_entry)
    yield machine_checks.check_disk(*gather.find_free(paths.log))


def _examine_store(*, is_user: bool) -> Finding:
    is_root = os.geteuid() == 0 and not is_user
    person = os.environ.get("SUDO_USER", "") if is_root else pwd.getpwuid(os.getuid()).pw_name
    keys, error = _count_keys(person)
    return daemon_checks.check_store(person, keys, error)


def _count_keys(person: str) -> tuple[int | None, str]:
    try:
        with Client(timeout=10.0) as client:
            answer = client.call("ListCredentials", {"subject": person})
            return len(read_answers(answer, "credentials")), ""
    except (ClientError, CommandError) as error:
        return None, str(error).rstrip(".")


def _ask_daemon() -> tuple[Mapping[str, object] | None, str]:
    try:
        with Client(timeout=10.0) as client:
            return client.call("Status"), ""
    except ClientError as error:
        return None, str(error).rstrip(".")
