"""What policy says: the decision, with the rule and the reasons that led to it."""

from dataclasses import dataclass

from stepupd.core.model import Grant, Reason, Requirement, Risk


@dataclass(frozen=True, slots=True)
class Deny:
    """No."""

    reason: Reason
    rule: str
    risk: Risk = Risk()


@dataclass(frozen=True, slots=True)
class Allow:
    """Yes without proof: a rule says `allow = true`. Still recorded."""

    rule: str
    risk: Risk = Risk()


@dataclass(frozen=True, slots=True)
class Satisfied:
    """Yes: a grant already meets the requirement."""

    grant: Grant
    requirement: Requirement
    rule: str
    risk: Risk = Risk()


@dataclass(frozen=True, slots=True)
class StepUp:
    """Ask for proof that meets the requirement."""

    requirement: Requirement
    rule: str
    risk: Risk = Risk()


Decision = Deny | Allow | Satisfied | StepUp
