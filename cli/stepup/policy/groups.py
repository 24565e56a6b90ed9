"""Groups of accounts as they are today, for entries and requests that name none."""

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


def _name_all(numbers: list[int]) -> frozenset[str]:
    names = []
    for number in numbers:
        with suppress(KeyError):  # A group without a name matches no rule.
            names.append(grp.getgrgid(number).gr_name)
    return frozenset(names)
