"""Everything a ceremony knows of the world, read once before it starts."""

from dataclasses import dataclass, field

from stepupd.core.challenge import make_challenge
from stepupd.core.model import Credential, Grant, Moment, RecoveryCode, StepUpRequest
from stepupd.core.policy import Policy
from stepupd.core.risk.activity import Activity
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Profile


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
    facts: Facts = field(default_factory=Facts)
    profile: Profile | None = None
    """What is usual for the subject; None where policy weighs nothing, and nothing is learned."""
    crowd: Profile | None = None
    """What is usual for everybody together."""
    activity: Activity = field(default_factory=Activity)

    @property
    def observation(self) -> Observation:
        """What signals and conditions may look at."""
        return Observation(
            request=self.request,
            now=self.now,
            facts=self.facts,
            profile=self.profile or Profile(self.request.subject.uid),
            activity=self.activity,
            credentials=self.credentials,
            grants=self.grants,
            crowd=self.crowd,
            denied_models=self.policy.denied_models,
        )

    @property
    def challenge(self) -> bytes:
        """The challenge, which commits to this request and no other."""
        return make_challenge(self.nonce, self.request, self.rp_id, self.now)
