"""Accounts, as the system's name service knows them.

The law of this file: a name is a name and a number is a number; neither is ever read as the other
("0", "#0" and "-1" name nobody), and no account stands in for one that is not found.
Not done here: no cache (a removed account is gone at once) and no deadline: a name service on the
network may hang, so these run in a worker that has one.
"""

import grp
import os
import pwd

from stepupd.core.errors import InternalError
from stepupd.core.model import Subject

UID_MAX = 2**32 - 2
"""The largest uid; 2^32 - 1 is the kernel's "no uid" (setreuid(2))."""

_NAME_MAX = 256


def find_subject(name: str) -> Subject | None:
    """Return the account of that name, None if there is none."""
    if not 1 <= len(name) <= _NAME_MAX or not name.isprintable() or name.isdigit():
        return None
    try:
        return _make_subject(pwd.getpwnam(name))
    except (KeyError, ValueError):
        return None


def find_subject_by_uid(uid: int) -> Subject | None:
    """Return the account of that uid, None if there is none."""
    if not 0 <= uid <= UID_MAX:
        return None
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return None
    return _make_subject(entry) if entry.pw_uid == uid else None


def _make_subject(entry: pwd.struct_passwd) -> Subject | None:
    if not 0 <= entry.pw_uid <= UID_MAX:
        return None
    return Subject(entry.pw_uid, entry.pw_name, _find_groups(entry.pw_name, entry.pw_gid))


def _find_groups(name: str, gid: int) -> frozenset[str]:
    try:
        gids = os.getgrouplist(name, gid)
    except OSError as error:
        # No groups would be a guess, and a rule may ask more of a group's members.
        raise InternalError(f"cannot list the groups of {name}: {error.strerror}") from error
    return frozenset(found for gid in gids if (found := _find_group(gid)) is not None)


def _find_group(gid: int) -> str | None:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None
