"""Which PAM services ask stepupd, though no rule of the policy names them: nobody gets in there."""

from collections.abc import Iterable
from pathlib import Path

from stepup.pam.pam_files import check_service
from stepup.pam.stack_file import StackError


def find_unnamed(services: Iterable[str], directory: Path) -> frozenset[str]:
    """Return those services; none where the policy cannot be read, which is said elsewhere.

    What only others include (common-auth) and what stands in for services without a file (other)
    ask under no name of their own.
    """
    from stepupd.core.errors import ConfigError
    from stepupd.core.glob import match_any
    from stepupd.store.configuration import load_policy

    try:
        rules = load_policy(directory, is_reload=True).rules
    except (ConfigError, OSError):
        return frozenset()
    return frozenset(
        name
        for name in services
        if name != "other"
        and _is_service(name)
        and not any(match_any(rule.actions, f"pam:{name}") for rule in rules)
    )


def _is_service(name: str) -> bool:
    try:
        return check_service(name) == name
    except StackError:
        return False
