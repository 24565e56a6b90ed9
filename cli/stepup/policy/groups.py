"""Accounts and their groups as they are today, for entries and requests that name none."""

import grp
import os
import pwd
from contextlib import suppress


def list_groups(name: str) -> frozenset[str]:
    """Return the names of an account's groups; none for an account that is not here."""
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return frozenset()
    return _name_all(os.getgrouplist(name, account.pw_gid))


def list_all_groups() -> dict[str, frozenset[str]]:
    """Return the groups of every account that can be listed."""
    return {account.pw_name: list_groups(account.pw_name) for account in pwd.getpwall()}


def is_account(name: str) -> bool:
    """Return whether there is an account of that name."""
    with suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


def is_group(name: str) -> bool:
    """Return whether there is a group of that name."""
    with suppress(KeyError):
        return bool(grp.getgrnam(name))
    return False


def _name_all(numbers: list[int]) -> frozenset[str]:
    names = []
    for number in numbers:
        with suppress(KeyError):  # A group without a name matches no rule.
            names.append(grp.getgrgid(number).gr_name)
    return frozenset(names)
