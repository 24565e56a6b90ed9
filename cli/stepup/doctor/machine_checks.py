"""The machine: kernel, devices, udev, units, clock, disk. Pure: facts in, findings out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stepup.doctor.findings import Finding, bad, ok, warn

LEAST_FREE = 64 * 1024 * 1024
"""Bytes on the log's disk: weeks of entries. Without room for an entry nobody is let in."""
LITTLE_FREE = 1024 * 1024 * 1024

_GROUP_RW = 0o060
_NEWER_KERNEL = (
    "apt install -t bookworm-backports linux-image-$(dpkg --print-architecture)  # then restart"
)
_TRIGGER = "udevadm control --reload && udevadm trigger --action=change --subsystem-match=hidraw"


@dataclass(frozen=True, slots=True)
class Node:
    """A hidraw node that says that it is a FIDO key."""

    path: str
    mode: int
    gid: int
    is_ours: bool
    """Whether this process may open it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of systemd, as systemd sees it."""

    name: str
    load: str
    active: str
    enabled: str


def check_kernel(*, has_peer_pidfd: bool, release: str) -> Finding:
    """Check that peers can be identified by pidfds, as since Linux 6.5.

    Before that stepupd works, and is less sure: see the caveats of stepupd(8).
    """
    if has_peer_pidfd:
        return ok("kernel", f"Linux {release} says which process is calling.")
    text = (
        f"Linux {release} names callers by number only (SO_PEERPIDFD came with 6.5): where a rule "
        "says scope = 'session', the stepup command asks every time; sudo does not."
    )
    return warn("kernel", text, _NEWER_KERNEL)


def check_devices(nodes: Sequence[Node], group: int | None, *, is_user: bool) -> Iterator[Finding]:
    """Check that every key can be opened by the daemon's group, or in user mode by the person."""
    if not nodes:
        yield warn("devices", "No FIDO key is plugged in.", "plug a key in, then: stepup doctor")
    for node in nodes:
        if is_user:
            is_readable = node.is_ours
        else:
            is_readable = node.gid == group and node.mode & _GROUP_RW == _GROUP_RW
        if is_readable:
            yield ok("devices", f"{node.path} is a FIDO key that stepupd may open.")
        else:
            yield bad("devices", f"{node.path} is a FIDO key that stepupd may not open.", _TRIGGER)


def check_udev(rules: Sequence[str], *, is_user: bool, is_running: bool) -> Finding:
    """Check for the rule that gives keys to the daemon's group."""
    if is_user:
        return ok("udev", "In user mode the person's own access to the key counts.")
    if not rules:
        mend = "apt install --reinstall stepupd"
        return bad("udev", "70-stepupd.rules is not installed: stepupd cannot open keys.", mend)
    if not is_running:
        return warn("udev", f"{rules[0]} is installed, but udev does not run here.")
    return ok("udev", f"{rules[0]} is installed.")


def check_account(group: int | None, *, is_user: bool) -> Finding:
    """Check that the daemon has an account of its own."""
    if is_user:
        return ok("account", "In user mode the daemon runs as the person.")
    if group is None:
        mend = "systemd-sysusers stepupd.conf"
        return bad("account", "There is no account stepupd for the daemon.", mend)
    return ok("account", "The account stepupd exists.")


def check_units(units: Sequence[Unit], *, has_systemd: bool) -> Iterator[Finding]:
    """Check that sockets wait, nothing has failed, and all of it is there after a restart."""
    if not has_systemd:
        yield warn("units", "systemd does not run here: something else has to start stepupd.")
    elif not units:
        yield warn("units", "systemd does not answer.", "systemctl status stepupd.service")
    for unit in units:
        yield _check_unit(unit)


def _check_unit(unit: Unit) -> Finding:
    name = unit.name
    if unit.load == "masked":
        return bad("units", f"{name} is masked.", f"systemctl unmask {name}")
    if unit.load != "loaded":
        return bad("units", f"{name} is not installed.", "apt install --reinstall stepupd")
    if unit.active == "failed":
        mend = f"journalctl -u {name} -n 20; systemctl reset-failed {name}; systemctl start {name}"
        return bad("units", f"{name} has failed.", mend)
    is_needed_now = name.endswith(".socket")
    if is_needed_now and unit.active not in ("active", "activating"):
        return bad("units", f"{name} is not active.", f"systemctl start {name}")
    if unit.enabled not in ("enabled", "enabled-runtime", "static", "linked", "alias", "indirect"):
        text = f"{name} is not enabled: after a restart it would not be there."
        return bad("units", text, f"systemctl enable {name}")
    return ok("units", f"{name} is {unit.active} and {unit.enabled}.")


def check_clock(now: float, last_entry: float | None) -> Finding:
    """Check that the log's last entry is in the past."""
    if last_entry is None:
        return ok("clock", "There is no audit entry yet to compare the clock with.")
    if last_entry > now + 1:
        hours = (last_entry - now) / 3600
        text = f"The clock is {hours:.1f} h behind the last audit entry."
        return bad("clock", text, "timedatectl set-ntp true")
    return ok("clock", "The clock is not behind the last audit entry.")


def check_disk(path: str, free: int) -> Finding:
    """Check that there is room for the log."""
    if free < LEAST_FREE:
        text = f"{path}: {free // 2**20} MiB free. Without room for an entry nobody is let in."
        return bad("disk", text, f"df -h {path}; journalctl --vacuum-size=200M")
    if free < LITTLE_FREE:
        return warn("disk", f"{path}: only {free // 2**20} MiB free.", f"df -h {path}")
    return ok("disk", f"{path}: {free // 2**30} GiB free.")
