"""The daemon: sockets, version, bus, policy, log. Pure: facts in, findings out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stepup.doctor.findings import Finding, bad, ok, warn

_OTHERS_WRITE = 0o022
_START = "systemctl restart stepupd-pam.socket stepupd.socket stepupd.service"
_START_USER = "stepupd --user"


@dataclass(frozen=True, slots=True)
class Door:
    """A socket in the file system."""

    path: str
    is_socket: bool
    owner: int | None = None
    mode: int = 0
    directory_owner: int | None = None
    directory_mode: int = 0
    listener: int | None = None
    """The uid that listens; None if nobody does, or if `is_hidden`."""
    is_hidden: bool = False
    """Whether we may not connect."""


def check_doors(
    doors: Sequence[Door], trusted: frozenset[int], *, is_user: bool
) -> Iterator[Finding]:
    """Check that each exists, is root's or the daemon's, and that one of the two listens."""
    for door in doors:
        yield _check_door(door, trusted, _START_USER if is_user else _START, is_user=is_user)


def _check_door(door: Door, trusted: frozenset[int], start: str, *, is_user: bool) -> Finding:
    path = door.path
    if not door.is_socket:
        return bad("sockets", f"{path} is not there.", start)
    if door.owner not in trusted or door.directory_owner not in trusted:
        text = f"{path} or its directory belongs to somebody else (uid {door.owner})."
        return bad("sockets", text, f"ls -ld {path} {path.rpartition('/')[0]}")
    if door.directory_mode & _OTHERS_WRITE:
        directory = path.rpartition("/")[0]
        text = f"Others may write to {directory}, and put a socket of their own there."
        return bad("sockets", text, f"chmod 0755 {directory}")
    if not is_user and door.mode & 0o666 != 0o666:  # noqa: PLR2004 - everyone may connect
        return bad("sockets", f"Not everyone may connect to {path}.", f"chmod 0666 {path}")
    if door.is_hidden:
        return warn(
            "sockets", f"Who listens at {path} could not be looked at.", "sudo stepup doctor"
        )
    if door.listener is None:
        return bad("sockets", f"Nobody listens at {path}.", start)
    if door.listener not in trusted:
        return bad(
            "sockets",
            f"uid {door.listener} listens at {path}, not stepupd.",
            f"ss -xlp | grep {path}",
        )
    return ok("sockets", f"{path} is there, and stepupd listens.")


def check_daemon(
    status: Mapping[str, object] | None, error: str, version: str, *, is_user: bool
) -> Finding:
    """Check that it answers, and is of the command's version."""
    if status is None:
        return bad(
            "daemon", f"stepupd does not answer: {error}.", _START_USER if is_user else _START
        )
    theirs = status.get("version")
    if theirs != version:
        text = f"stepupd is {theirs}, this command is {version}."
        return bad("daemon", text, "systemctl restart stepupd.service")
    if status.get("is_simulated"):
        text = "stepupd answers, but its keys are simulated: they prove nothing."
        return warn("daemon", text, "systemctl start stepupd.service")
    return ok("daemon", f"stepupd {version} answers, in {status.get('mode')} mode.")


def check_bus(
    *, has_bus: bool, is_installed: bool, is_known: bool | None, is_user: bool
) -> Finding:
    """Check that our name is on the bus, where there is a bus and the part is installed."""
    bus = "session bus" if is_user else "system bus"
    if not has_bus:
        return ok("bus", f"There is no {bus} here; nothing else needs it.")
    if not is_installed:
        return ok("bus", "The D-Bus part is not installed; nothing else needs it.")
    if is_known is None:
        return warn("bus", "Whether org.stepupd1 is on the bus could not be looked at.")
    if not is_known:
        mend = "systemctl reload dbus.service; systemctl restart stepupd.service"
        if is_user:
            mend = "systemctl --user restart stepupd.service"
        return bad("bus", f"org.stepupd1 is not on the {bus}.", mend)
    return ok("bus", f"org.stepupd1 is on the {bus}.")


def check_policy(status: int | None, said: str, *, is_user: bool) -> Finding:
    """Check that `stepupd --check` accepts it; what it says names the file and the line."""
    mend = f"stepupd {'--user ' if is_user else ''}--check"
    lines = [line.removeprefix("stepupd: ").removeprefix("error: ") for line in said.splitlines()]
    text = lines[0].rstrip(".") if lines else "nothing was said"
    if status is None:
        return warn("policy", f"The policy could not be checked: {text}.", f"sudo {mend}")
    if status != 0:
        return bad("policy", f"{text}.", f"{mend}  # after mending that line")
    if "everything is denied" in said:
        return bad("policy", f"{text}.", "man stepupd-policy")
    return ok("policy", f"{text}.")


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What could be seen of the audit log. `fault` is empty if nothing is wrong with it."""

    path: str
    exists: bool = True
    is_hidden: bool = False
    is_checked: bool = False
    """Whether all of it was verified, not only that it is there."""
    entries: int = 0
    fault: str = ""


def check_log(log: LogFacts) -> Finding:
    """Check that it verifies; a long one is left to `stepup audit verify`."""
    if log.is_hidden:
        return warn("log", f"{log.path} could not be looked at.", "sudo stepup doctor")
    if not log.exists:
        return warn("log", f"{log.path} is not there yet: nothing was ever decided.")
    if log.fault:
        return bad("log", f"The audit log is damaged: {log.fault}.", "stepup audit verify")
    if not log.is_checked:
        return ok("log", f"{log.path} is long; to verify all of it: stepup audit verify")
    return ok("log", f"The audit log is intact: {log.entries} entries.")


def check_store(person: str, keys: int | None, error: str) -> Finding:
    """Check that the person has a key enrolled; a daemon that can say so has opened its store.

    `person` is empty where nobody in particular is asked about.
    """
    if keys is None:
        mend = "journalctl -u stepupd -n 20"
        return warn("store", f"The store could not be looked at: {error}.", mend)
    if not person:
        return ok("store", "The store is open.")
    if keys == 0:
        mend = f"sudo stepup enroll --user {person}"
        return warn("store", f"The store is open; no key of {person} is enrolled.", mend)
    return ok("store", f"The store is open; enrolled keys of {person}: {keys}.")
