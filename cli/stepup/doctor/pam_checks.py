"""PAM: the module, and every stack that names it. Pure: facts in, findings out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stepup.doctor.findings import Finding, bad, ok, warn
from stepup.pam.overview import FOR_SHOW, Posture

_OPTION = re.compile(r"debug|socket=/.+|timeout=(\d{1,3})")
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class PamFacts:
    """What was seen of PAM."""

    module: str = ""
    """Our module where libpam looks for it; empty if it is not there."""
    is_module_safe: bool = True
    """Whether only root can write to it."""
    postures: Sequence[Posture] = ()
    missing: frozenset[str] = frozenset()
    """Modules that our lines name by a path where there is nothing."""
    trials: Mapping[str, float | None] | None = None
    unnamed: frozenset[str] = frozenset()
    """Services that no rule of the policy names."""


def check_pam(facts: PamFacts) -> Iterator[Finding]:
    """Check that the module is there and root's, and whom each stack lets in."""
    asking = [posture for posture in facts.postures if posture.has_key]
    yield _check_module(facts, is_needed=bool(asking))
    if not asking:
        mend = "sudo stepup pam enable sudo"
        yield warn("pam", "No PAM service asks for a step-up.", mend)
    for posture in asking:
        yield from _check_stack(posture, facts)
    for service in facts.trials or ():
        mend = f"stepup pam confirm {service}"
        yield warn("pam", f"{service} is on trial: unconfirmed, its old file comes back.", mend)


def _check_module(facts: PamFacts, *, is_needed: bool) -> Finding:
    mend = "apt install --reinstall stepupd"
    if not facts.module:
        text = "pam_stepup.so is not installed where PAM looks"
        if is_needed:
            return bad("pam", f"{text}, and services name it: nobody gets in there.", mend)
        return warn("pam", f"{text}.", mend)
    if not facts.is_module_safe:
        text = f"{facts.module} can be written by others than root."
        return bad("pam", text, f"chown root:root {facts.module}; chmod 0644 {facts.module}")
    return ok("pam", f"{facts.module} is installed.")


def _check_stack(posture: Posture, facts: PamFacts) -> Iterator[Finding]:
    name = posture.service
    edit = f"stepup pam disable {name}; stepup pam enable {name}"
    if posture.problem:
        yield bad("pam", f"{name}: {posture.problem}.", edit)
        return
    for arguments in posture.arguments:
        for argument in arguments:
            if not _is_understood(argument):
                text = f"{name}: pam_stepup.so does not understand {argument!r}, so nobody gets in."
                yield bad("pam", text, "man pam_stepup")
    for module in posture.modules:
        if module in facts.missing:
            yield bad("pam", f"{name}: {module} is not there, so nobody gets in.", edit)
    if posture.how == FOR_SHOW:
        yield warn("pam", f"{name} asks for a step-up, but lets in without it.", edit)
        return
    if name in facts.unnamed:
        text = f"{name}: no rule of the policy names pam:{name}, so nobody gets in."
        yield bad("pam", text, f"stepup policy explain pam:{name}; man stepupd-policy")
    for leak in posture.leaks:
        yield warn("pam", f"{name}: {leak}.", f"stepup pam status {name}")
    yield ok("pam", f"{name} asks for a step-up {posture.how}.")


def _is_understood(argument: str) -> bool:
    found = _OPTION.fullmatch(argument)
    return found is not None and (found[1] is None or 1 <= int(found[1]) <= _LONGEST)
