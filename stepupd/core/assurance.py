"""Assurance: what a proof is worth in the words of the standards.

`amr` values are those of RFC 8176 section 2, the authenticator assurance level that of NIST SP
800-63B-4 section 2.
"""

from stepupd.core.evidence import Evidence
from stepupd.core.model import Level, Method

_AAL = {Level.CODE: 1, Level.TOUCH: 1, Level.VERIFY: 2, Level.ATTESTED: 3}


def list_methods_references(evidence: Evidence) -> tuple[str, ...]:
    """Return the `amr` of a proof; a simulated key is `swk`, whatever else it says."""
    if evidence.method is Method.RECOVERY:
        return ("otp",)
    key = "swk" if evidence.is_simulated else "hwk"
    return (key, "pop", "user") if evidence.is_uv else (key, "pop")


def find_assurance_level(evidence: Evidence) -> int:
    """Return the AAL, 1 to 3. A simulated key never gets past 1."""
    return 1 if evidence.is_simulated else _AAL[evidence.level]
