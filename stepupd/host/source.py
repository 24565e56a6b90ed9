"""Where a request comes from: another machine's address, or this machine itself.

The law of this file: whoever may come from elsewhere never looks local. "" is said only where
logind answers, knows of no remote session that could be behind the process, and no program above it
lets people in from elsewhere. What has no numeric address is an error; `UNKNOWN_SOURCE` then stands
for it.

What counts, in this order: the address that root's PAM program gives (PAM_RHOST: sshd knows it
before there is a session); the remote host of the session that the process belongs to; that of any
session of the account whose service manager runs it. PAM_RHOST of anybody else is a mere claim.
Not done here: no name is resolved, since whoever owns the address also writes its name.
"""

from stepupd.core.errors import InternalError
from stepupd.core.model import Door, StepUpRequest
from stepupd.core.risk.asker import is_remote_login
from stepupd.core.risk.features import read_address
from stepupd.host.logins import Belonging, Login

UNKNOWN_SOURCE = "0.0.0.0"  # noqa: S104 - nothing is bound to it: RFC 1122, "this network"
"""Stands for a source that is not known; no route leads there, and no network holds it."""


def find_told_source(request: StepUpRequest) -> str:
    """Return the numeric address that root's PAM program gives, "" for none."""
    caller = request.caller
    if not (caller.is_privileged and caller.door is Door.RELAY):
        return ""
    return normalize_address(request.claim.rhost)


def find_source(request: StepUpRequest, belonging: Belonging, programs: tuple[str, ...]) -> str:
    """Return the numeric address of the source, "" for this machine.

    `programs` is the chain that asks. `InternalError` if the source is not known, or not by its
    address.
    """
    session, caller = belonging.session, request.caller
    if session is not None and session.is_remote:
        return _read_host(session)
    is_told = caller.is_privileged and caller.door is Door.RELAY and bool(request.claim.rhost)
    if session is None and is_told:
        raise InternalError("the login comes from a host that has no address here")
    if is_remote_unit(belonging.unit) or any(map(is_remote_login, programs)):
        raise InternalError("a remote login that logind does not know for one")
    remote = {_read_host(login) for login in belonging.account if login.is_remote}
    if len(remote) > 1:
        raise InternalError("the account has sessions from several hosts")
    return remote.pop() if remote else ""


def normalize_address(text: str) -> str:
    """Return a numeric address in one spelling, "" for anything else.

    An IPv4 address inside IPv6 is the IPv4 address; a zone ("%eth0") is this machine's, and goes.
    """
    address = read_address(text)
    return "" if address is None or address.is_unspecified else str(address)


def is_remote_unit(unit: str) -> bool:
    """Return whether a unit of the system lets people in from elsewhere."""
    name = unit.removesuffix(".service").partition("@")[0]
    return name == "ssh" or is_remote_login(name)


def _read_host(login: Login) -> str:
    address = normalize_address(login.remote_host)
    if not address:
        raise InternalError("a remote session without a numeric address")
    return address
