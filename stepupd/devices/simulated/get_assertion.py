"""authenticatorGetAssertion and authenticatorGetNextAssertion (CTAP 2.1, 6.2 and 6.3).

Law: a signature made without a touch (a pre-flight) has UP = 0. The accounts that follow the first
are signed for the same client data, with the same flags, within 30 seconds.
"""

from dataclasses import dataclass
from typing import Final

from fido2.ctap import CtapError

from stepupd.devices.simulated.auth_data import AuthData, choose_flags
from stepupd.devices.simulated.consent import Ask, Consent, Person
from stepupd.devices.simulated.credentials import Credential
from stepupd.devices.simulated.lies import distort_data, distort_signature, distort_signer
from stepupd.devices.simulated.model import MAX_CREDENTIALS_IN_LIST
from stepupd.devices.simulated.parts import Parts
from stepupd.devices.simulated.pin_token import Permission
from stepupd.devices.simulated.request import Fields, read_credential_ids
from stepupd.devices.simulated.signing import sign

_ERR = CtapError.ERR
_NEXT_LIMIT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Remaining:
    """The accounts that `authenticatorGetNextAssertion` still has to answer for."""

    ask: Ask
    consent: Consent
    credentials: tuple[Credential, ...]
    since: float


def get_assertion(
    parts: Parts, person: Person, fields: Fields
) -> tuple[dict[int, object], Remaining | None]:
    """Sign with a credential; return the reply and what remains. CtapError: a refusal."""
    ask = _read_ask(fields)
    allowed = read_credential_ids(fields.find_maps(3))
    if len(allowed) > MAX_CREDENTIALS_IN_LIST:
        raise CtapError(_ERR.LIMIT_EXCEEDED)
    consent = person.verify(ask)
    found = _find(parts, ask.rp_id, allowed)
    if not found:
        raise CtapError(_ERR.NO_CREDENTIALS)
    if ask.options.get("up", True):
        consent = person.be_present(consent)
    else:
        consent = Consent(is_verified=consent.is_verified)
    count = 1 if allowed else len(found)
    reply = _answer(parts, ask, consent, found[0], with_names=count > 1)
    if count == 1:
        return reply, None
    reply[5] = count
    return reply, Remaining(ask, consent, tuple(found[1:]), parts.clock())


def get_next_assertion(
    parts: Parts, remaining: Remaining | None
) -> tuple[dict[int, object], Remaining | None]:
    """Sign for the next account. CtapError NOT_ALLOWED if there is none."""
    if remaining is None or parts.clock() - remaining.since > _NEXT_LIMIT_S:
        raise CtapError(_ERR.NOT_ALLOWED)
    first, *rest = remaining.credentials
    reply = _answer(parts, remaining.ask, remaining.consent, first, with_names=True)
    if not rest:
        return reply, None
    return reply, Remaining(remaining.ask, remaining.consent, tuple(rest), parts.clock())


def _read_ask(fields: Fields) -> Ask:
    options = fields.find_flags(5)
    if "rk" in options:
        raise CtapError(_ERR.UNSUPPORTED_OPTION)
    return Ask(
        permission=Permission.GET_ASSERTION,
        rp_id=fields.require(1, str),
        client_data_hash=fields.require(2, bytes),
        options=options,
        code=fields.find(6, bytes),
        protocol=fields.find(7, int),
    )


def _find(parts: Parts, rp_id: str, allowed: list[bytes]) -> list[Credential]:
    """Find the RP's credentials, the newest first: those allowed, or the discoverable ones."""
    found = [
        item
        for item in parts.state.credentials.values()
        if item.rp_id == rp_id and (item.id in allowed if allowed else item.is_resident)
    ]
    return sorted(found, key=lambda item: item.number, reverse=True)


def _answer(
    parts: Parts, ask: Ask, consent: Consent, credential: Credential, *, with_names: bool
) -> dict[int, object]:
    # By id: a stored credential may have counted on since it was found.
    credential, counter = parts.count_up(parts.state.credentials[credential.id])
    parts.keep(credential)
    flags = choose_flags(
        parts.model, credential, is_present=consent.is_present, is_verified=consent.is_verified
    )
    lie = parts.script.lie
    signer = distort_signer(lie, credential, [*parts.state.credentials.values()], parts.entropy)
    data = distort_data(lie, AuthData(ask.rp_id, flags, counter)).encode()
    signature = sign(signer.algorithm, signer.private, data + ask.client_data_hash)
    reply: dict[int, object] = {
        1: {"id": signer.id, "type": "public-key"},
        2: data,
        3: distort_signature(lie, signature),
    }
    if credential.is_resident:
        reply[4] = credential.user.describe(with_names=with_names and consent.is_verified)
    return reply
