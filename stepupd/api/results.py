"""What the JSON-RPC door says about results: fixed fields in a fixed order.

Programs may compare a response's bytes, so a field is never left out, only null or empty; new
fields go to the end. No public key, no uid and no secret is among them.
"""

from base64 import urlsafe_b64encode

import msgspec

from stepupd.core.call import Result
from stepupd.core.errors import InternalError
from stepupd.core.model import Credential, Grant, Moment
from stepupd.core.risk.alerts import Pushed
from stepupd.core.risk.profile import Profile


class CredentialView(msgspec.Struct, frozen=True):
    """A key. `id` is base64url; times are seconds since the epoch, 0 for never."""

    id: str
    name: str
    rp_id: str
    aaguid: str
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    is_attested: bool
    is_simulated: bool
    created: float
    last_used: float
    is_suspect: bool


class GrantView(msgspec.Struct, frozen=True):
    """A live grant. `age` and `expires_in` are seconds."""

    id: str
    action: str
    scope: str
    tty: str
    level: str
    method: str
    credential: str
    age: float
    expires_in: float
    is_privileged: bool


class HabitView(msgspec.Struct, frozen=True):
    """One value that is usual. Times are seconds since the epoch; `weight` is as of `seen`."""

    feature: str
    value: str
    weight: float
    since: float
    seen: float


class ProfileView(msgspec.Struct, frozen=True):
    """What is usual for a subject; `requests` is how many taught it, the old ones faded."""

    requests: float
    proved: float | None
    habits: tuple[HabitView, ...]


class ResultView(msgspec.Struct, frozen=True):
    """The end of a ceremony. `grant` is an id; `auth_age` is seconds since the proof."""

    verdict: str
    reason: str
    text: str
    entry: int | None
    rule: str
    level: str | None
    amr: tuple[str, ...]
    auth_age: float | None
    grant: str | None
    credential: CredentialView | None


class PushView(msgspec.Struct, frozen=True):
    """What came of an event. `lasts` is seconds, 0 where it raised no alert."""

    entry: int
    revoked: int
    lasts: float


class CodesView(ResultView, frozen=True):
    """The end of a ceremony that made recovery codes: here they are, this once."""

    codes: tuple[str, ...]


def describe_codes(result: Result, codes: tuple[str, ...]) -> CodesView:
    """Return new recovery codes with the result they came with."""
    return CodesView(**msgspec.structs.asdict(describe_result(result)), codes=codes)


def describe_push(pushed: Pushed) -> PushView:
    """Return what came of an event as the client sees it."""
    return PushView(pushed.entry, pushed.revoked, pushed.lasts)


def describe_result(result: Result) -> ResultView:
    """Return a result as the client sees it; `InternalError` for an allow that was not recorded."""
    verdict = result.verdict
    if verdict.is_allow and result.entry is None:
        raise InternalError("an allow without an audit entry reached the door")
    return ResultView(
        verdict=verdict.answer.value,
        reason=verdict.reason.value,
        text=verdict.text,
        entry=result.entry,
        rule=result.rule,
        level=None if result.level is None else result.level.word,
        amr=result.amr,
        auth_age=result.auth_age,
        grant=None if result.grant is None else result.grant.id,
        credential=None if result.credential is None else describe_credential(result.credential),
    )


def describe_credential(credential: Credential) -> CredentialView:
    """Return a key as the client sees it."""
    return CredentialView(
        id=_encode_id(credential.id),
        name=credential.name,
        rp_id=credential.rp_id,
        aaguid=credential.aaguid.hex(),
        sign_count=credential.sign_count,
        backup_eligible=credential.backup_eligible,
        backed_up=credential.backed_up,
        is_attested=credential.is_attested,
        is_simulated=credential.is_simulated,
        created=credential.created,
        last_used=credential.last_used,
        is_suspect=credential.is_suspect,
    )


def describe_grant(grant: Grant, now: Moment) -> GrantView:
    """Return a grant as the client sees it at `now`."""
    return GrantView(
        id=grant.id,
        action=grant.action,
        scope=grant.scope.value,
        tty=grant.session.tty if grant.session else "",
        level=grant.level.word,
        method=grant.method.value,
        credential=_encode_id(grant.credential_id),
        age=round(now.boot - grant.auth_time, 3),
        expires_in=round(grant.expires - now.boot, 3),
        is_privileged=grant.is_privileged,
    )


def _encode_id(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def describe_profile(profile: Profile, now: Moment) -> ProfileView:
    """Return what was learned of a subject, faded to now; the most usual first in each feature."""
    habits = [
        HabitView(
            feature.value,
            value,
            round(profile.weigh(feature, value, now.wall), 3),
            one.since,
            one.at,
        )
        for feature, values in profile.seen.items()
        for value, one in values.items()
    ]
    return ProfileView(
        requests=round(profile.count_requests(now.wall), 3),
        proved=profile.proved,
        habits=tuple(sorted(habits, key=lambda one: (one.feature, -one.weight, one.value))),
    )
