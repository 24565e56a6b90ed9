"""Grants: a success remembered for exactly as long and as widely as policy says.

The law of this file:
* a grant covers one subject, one action, one boot, and in `session` scope one session;
* its age is measured on the boot clock; the requirement of today decides, not that of its birth;
* no grant outlives the key that earned it, nor, where policy says so, its stay in the socket;
* what one account's process earned never serves another's, but the subject's own;
* anything missing (no session, no age allowed) means the grant does not cover.
"""

import hashlib

from stepupd.core.evidence import Evidence
from stepupd.core.model import Credential, Grant, Moment, Requirement, Scope, Session, StepUpRequest


def find_grant(
    grants: tuple[Grant, ...], request: StepUpRequest, requirement: Requirement, now: Moment
) -> Grant | None:
    """Return a grant that covers the request, the freshest first."""
    for grant in sorted(grants, key=lambda grant: -grant.auth_time):
        if covers(grant, request, requirement, now):
            return grant
    return None


def covers(grant: Grant, request: StepUpRequest, requirement: Requirement, now: Moment) -> bool:
    """Return whether the grant stands in for a new proof."""
    return (
        grant.subject_uid == request.subject.uid
        and grant.action == request.action
        and request.caller.uid in {grant.caller_uid, request.subject.uid}
        and grant.level >= requirement.level
        and grant.method in requirement.methods
        and is_alive(grant, now)
        and now.boot - grant.auth_time < requirement.max_age
        and (grant.plugged_as != "" or not requirement.while_plugged)
        and _reaches(grant, request.session, requirement.scope)
    )


def drop_orphans(
    grants: tuple[Grant, ...], credentials: tuple[Credential, ...]
) -> tuple[Grant, ...]:
    """Return the grants whose key is still enrolled: none outlives the key that earned it."""
    enrolled = {credential.id for credential in credentials}
    return tuple(grant for grant in grants if grant.credential_id in enrolled)


def drop_pulled(grants: tuple[Grant, ...], plugged: frozenset[str]) -> tuple[Grant, ...]:
    """Return the grants that are bound to no stay of a key, or to one of those in `plugged`."""
    return tuple(grant for grant in grants if grant.plugged_as in {"", *plugged})


def is_alive(grant: Grant, now: Moment) -> bool:
    """Return whether the grant belongs to this boot and has not run out."""
    return grant.boot_id == now.boot_id and grant.auth_time <= now.boot < grant.expires


def _reaches(grant: Grant, session: Session | None, scope: Scope) -> bool:
    if Scope.REQUEST in (grant.scope, scope):
        return False
    if grant.scope is scope is Scope.SUBJECT:
        return True
    return session is not None and grant.session == session


def make_grant(
    request: StepUpRequest,
    requirement: Requirement,
    evidence: Evidence,
    now: Moment,
    nonce: bytes,
    *,
    authenticator: str = "",
) -> Grant | None:
    """Return the grant a proof earns, or None where policy wants proof each time.

    It dates from the start of the ceremony, so it is never longer than policy says.
    `authenticator` is the plugged-in key that answered, "" where it was none.
    """
    if requirement.scope is Scope.REQUEST or requirement.max_age <= 0:
        return None
    if requirement.scope is Scope.SESSION and request.session is None:
        return None
    if requirement.while_plugged and not authenticator:
        return None
    return Grant(
        id=hashlib.sha256(b"grant" + nonce).hexdigest()[:16],
        subject_uid=request.subject.uid,
        action=request.action,
        scope=requirement.scope,
        session=request.session,
        boot_id=now.boot_id,
        level=evidence.level,
        method=evidence.method,
        credential_id=evidence.credential_id,
        auth_time=now.boot,
        expires=now.boot + requirement.max_age,
        caller_uid=request.caller.uid,
        plugged_as=authenticator if requirement.while_plugged else "",
    )
