"""Names of accounts and groups in a policy that nobody here has: typing errors, perhaps.

The law of this file: notes only, for a policy may be meant for another machine; a pattern with a
wildcard names nobody in particular. Whether a name exists is for the caller to say.
"""

from collections.abc import Callable, Iterator

from stepupd.core.policy import Rule
from stepupd.core.rehearsal.finding import Finding, Grade
from stepupd.core.rehearsal.glob_sets import is_pattern

IsKnown = Callable[[str], bool]


def find_strangers(
    rules: tuple[Rule, ...], is_account: IsKnown, is_group: IsKnown
) -> Iterator[Finding]:
    """Yield the rules that are about nobody on this machine."""
    for number, rule in enumerate(rules):
        for names, is_known, kind in (
            (rule.subjects, is_account, "account"),
            (rule.groups, is_group, "group"),
        ):
            if names and not any(map(is_pattern, names)) and not any(map(is_known, names)):
                said = " or ".join(repr(name) for name in names)
                yield Finding(
                    Grade.NOTE,
                    "unknown-name",
                    number,
                    f"{rule.name!r} applies to nobody here: there is no {kind} {said}",
                )
