"""What the modules of an auth stack are there for, and what each may return.

The law of this file: a module that nobody here has heard of may return anything, and may be
somebody's only proof. Pure. Source: the modules' own manual pages.
"""

from enum import Enum, unique

from stepup.pam.flat_stack import Step

KEY_MODULE = "pam_stepup.so"


@unique
class Role(Enum):
    """What a module does for the decision."""

    KEY = "key"
    PASSWORD = "password"  # noqa: S105 - a word, not a secret
    GATE = "gate"
    """Says who may, not who it is."""
    SIDE = "side"
    """Sets something up; does not decide."""
    PERMIT = "permit"
    DENY = "deny"
    ROOT = "root"
    """Passes root; nobody else."""
    OTHER = "other"


def _list_files(names: str) -> frozenset[str]:
    return frozenset(f"pam_{name}.so" for name in names.split())


_PASSWORD = _list_files("unix unix2 sss ldap krb5 winbind systemd_home userdb tcb pwdfile")
_GATE = _list_files(
    "nologin securetty wheel succeed_if access time listfile shells localuser usertype tally "
    "tally2 sepermit rhosts issue"
)
_SIDE = _list_files(
    "env faildelay cap group mail limits keyinit motd lastlog umask echo warn selinux loginuid "
    "systemd gnome_keyring kwallet kwallet5 mkhomedir tty_audit xauth"
)
_FIXED = {
    KEY_MODULE: Role.KEY,
    "pam_permit.so": Role.PERMIT,
    "pam_deny.so": Role.DENY,
    "pam_rootok.so": Role.ROOT,
}

WRONG = ("auth_err", "user_unknown", "authinfo_unavail", "maxtries")
"""What a module returns that is given no proof it accepts."""

_GATE_CODES = ("success", "ignore", "auth_err", "perm_denied", "user_unknown")


def find_role(step: Step) -> Role:
    """Return what a module of the stack is there for."""
    name = step.name
    if name in _FIXED:
        return _FIXED[name]
    if name == "pam_faillock.so":
        # `authsucc` and `preauth` succeed for everybody who is not locked.
        return Role.GATE if "authfail" in step.entry.arguments else Role.SIDE
    for names, role in ((_PASSWORD, Role.PASSWORD), (_GATE, Role.GATE), (_SIDE, Role.SIDE)):
        if name in names:
            return role
    return Role.OTHER


def list_codes(role: Role) -> tuple[str, ...]:
    """Return what a module may return when nobody proves anything, or, for gates, anyway."""
    match role:
        case Role.GATE:
            return _GATE_CODES
        case Role.SIDE:
            return ("success", "ignore")
        case Role.PERMIT:
            return ("success",)
        case Role.DENY | Role.ROOT:
            return ("auth_err",)
        case Role.KEY | Role.PASSWORD:
            return WRONG
        case Role.OTHER:
            return ("success", "ignore", *WRONG)


def may_let_in_alone(step: Step, role: Role) -> bool:
    """Return whether this is a gate or an unknown module whose success skips what follows."""
    if role not in (Role.GATE, Role.OTHER) or step.control is None:
        return False
    action = step.control.act("success")
    return action == "done" or isinstance(action, int)
