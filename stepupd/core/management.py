"""Who may manage what: one table, read by the broker, tested row by row.

The law of this file: root may do everything; a person may do what makes things stricter or only
reads, for himself; whatever adds, removes or renames a key, or forgets what is usual, needs one
that is already enrolled. A first key needs root, unless the administrator opened that
(`own_first_key`) or the daemon is the person's own.
"""

from enum import Enum, unique

from stepupd.core.errors import RequestError
from stepupd.core.model import Caller, Credential, Level, Requirement, Scope
from stepupd.core.policy import Rule, RuleEffect


@unique
class Verb(Enum):
    """A management call."""

    LIST = "list"
    LIST_GRANTS = "list-grants"
    REVOKE = "revoke"
    ENROLL = "enroll"
    RENAME = "rename"
    REMOVE = "remove"
    MAKE_CODES = "recovery-codes"
    SHOW_PROFILE = "show-profile"
    FORGET_PROFILE = "forget-profile"

    @property
    def action(self) -> str:
        """The action under which proof is asked and policy may say more."""
        return f"stepup:{self.value}"


@unique
class Permission(Enum):
    """What the table says."""

    GRANTED = "granted"
    PROOF = "proof"
    REFUSED = "refused"


MAX_NAME = 40
"""Fits a prompt line beside the sentence around it."""


def check_name(name: str, others: tuple[Credential, ...]) -> None:
    """Raise RequestError unless a key's name can be shown, and is not another's of the subject."""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise RequestError(
            f"a name has 1 to {MAX_NAME} printable characters, no space at the ends",
            reason="bad-name",
            hint="for example: --name blue",
        )
    if any(other.name == name for other in others):
        raise RequestError(
            f"there is a key named {name!r} already",
            reason="name-taken",
            hint="choose another name",
        )


_NEEDS_PROOF = frozenset(
    {Verb.ENROLL, Verb.RENAME, Verb.REMOVE, Verb.MAKE_CODES, Verb.FORGET_PROFILE}
)

FALLBACK_RULE = Rule(
    name="built-in: managing keys",
    actions=("stepup:*",),
    effect=RuleEffect.REQUIRE,
    requirement=Requirement(Level.TOUCH, scope=Scope.REQUEST),
)
"""Tried after the administrator's rules, so that managing keys needs no rule of its own."""


def permit(
    verb: Verb,
    caller: Caller,
    subject_uid: int,
    *,
    has_credentials: bool,
    is_first_key_open: bool,
) -> Permission:
    """Return whether the caller may do this to the subject's account."""
    if caller.is_privileged:
        return Permission.GRANTED
    if caller.uid != subject_uid:
        return Permission.REFUSED
    if verb not in _NEEDS_PROOF:
        return Permission.GRANTED
    if has_credentials:
        return Permission.PROOF
    if verb is Verb.ENROLL and is_first_key_open:
        return Permission.GRANTED
    return Permission.REFUSED
