"""Everything a ceremony knows of the world, read once before it starts."""

from dataclasses import dataclass

from stepupd.core.challenge import make_challenge
from stepupd.core.model import Credential, Grant, Moment, RecoveryCode, StepUpRequest
from stepupd.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The input of both ceremonies. `nonce` is 32 fresh random bytes."""

    request: StepUpRequest
    policy: Policy
    credentials: tuple[Credential, ...]
    grants: tuple[Grant, ...]
    now: Moment
    nonce: bytes
    rp_id: str
    recovery_codes: tuple[RecoveryCode, ...] = ()
    is_simulated: bool = False
    """Whether the keys are simulated; then every prompt says so."""
    attestation_roots: tuple[bytes, ...] = ()
    """DER certificates that may vouch for an authenticator's model."""

    @property
    def challenge(self) -> bytes:
        """The challenge, which commits to this request and no other."""
        return make_challenge(self.nonce, self.request, self.rp_id, self.now)
