"""authenticatorMakeCredential (CTAP 2.1, 6.1).

Law: nothing is stored before a touch; an excluded credential is told only after one.
"""

from collections.abc import Iterable

from fido2.ctap import CtapError

from stepupd.devices.simulated.attestation import attest
from stepupd.devices.simulated.auth_data import AuthData, choose_flags, describe_credential
from stepupd.devices.simulated.consent import Ask, Person
from stepupd.devices.simulated.credentials import Credential, User
from stepupd.devices.simulated.lies import distort_data, distort_signature, other_algorithm
from stepupd.devices.simulated.model import CREDENTIAL_ID_LENGTH, MAX_CREDENTIALS_IN_LIST
from stepupd.devices.simulated.parts import Parts
from stepupd.devices.simulated.pin_token import Permission
from stepupd.devices.simulated.request import Fields, read_credential_ids
from stepupd.devices.simulated.script import Lie
from stepupd.devices.simulated.signing import Algorithm, make_private

_ERR = CtapError.ERR


def make_credential(parts: Parts, person: Person, fields: Fields) -> dict[int, object]:
    """Make, store and attest a credential; return the reply. CtapError: a refusal."""
    ask = _read_ask(fields)
    algorithm = _choose_algorithm(parts, fields.require_maps(4))
    user = _read_user(fields.require_map(3))
    if fields.find(10, int) is not None:
        raise CtapError(_ERR.INVALID_PARAMETER)  # enterprise attestation is not offered
    excluded = _read_excluded(fields)
    consent = person.verify(ask)
    is_excluded = any(item.rp_id == ask.rp_id for item in _known(parts, excluded))
    consent = person.be_present(consent)
    if is_excluded:
        raise CtapError(_ERR.CREDENTIAL_EXCLUDED)
    is_resident = ask.options.get("rk", False)
    if is_resident:
        _forget_predecessor(parts, ask.rp_id, user)
    parts.require_room()
    credential = _draw(parts, ask.rp_id, user, algorithm, is_resident=is_resident)
    return _reply(parts, ask, credential, is_verified=consent.is_verified)


def _read_ask(fields: Fields) -> Ask:
    options = fields.find_flags(7)
    if not options.get("up", True):
        raise CtapError(_ERR.INVALID_OPTION)
    return Ask(
        permission=Permission.MAKE_CREDENTIAL,
        rp_id=fields.require_map(2).require("id", str),
        client_data_hash=fields.require(1, bytes),
        options=options,
        code=fields.find(8, bytes),
        protocol=fields.find(9, int),
    )


def _read_user(entity: Fields) -> User:
    return User(
        id=entity.require("id", bytes),
        name=entity.find("name", str) or "",
        display_name=entity.find("displayName", str) or "",
    )


def _choose_algorithm(parts: Parts, wanted: Iterable[Fields]) -> Algorithm:
    """Take the platform's first choice that the key can do."""
    for item in wanted:
        kind, number = item.require("type", str), item.require("alg", int)
        for algorithm in parts.model.algorithms:
            if kind == "public-key" and number == algorithm:
                lies = parts.script.lie is Lie.WRONG_ALGORITHM
                return other_algorithm(algorithm) if lies else algorithm
    raise CtapError(_ERR.UNSUPPORTED_ALGORITHM)


def _read_excluded(fields: Fields) -> list[bytes]:
    ids = read_credential_ids(fields.find_maps(5))
    if len(ids) > MAX_CREDENTIALS_IN_LIST:
        raise CtapError(_ERR.LIMIT_EXCEEDED)
    return ids


def _known(parts: Parts, ids: list[bytes]) -> list[Credential]:
    stored = parts.state.credentials
    return [stored[item] for item in ids if item in stored]


def _forget_predecessor(parts: Parts, rp_id: str, user: User) -> None:
    """Drop the account's discoverable credential: a new one replaces it (CTAP 2.1, 6.1.2)."""
    for item in [*parts.state.credentials.values()]:
        if item.is_resident and (item.rp_id, item.user.id) == (rp_id, user.id):
            del parts.state.credentials[item.id]


def _draw(
    parts: Parts, rp_id: str, user: User, algorithm: Algorithm, *, is_resident: bool
) -> Credential:
    parts.state.made += 1
    return Credential(
        id=parts.entropy.take(CREDENTIAL_ID_LENGTH),
        rp_id=rp_id,
        user=user,
        algorithm=algorithm,
        private=make_private(algorithm, parts.entropy),
        is_resident=is_resident,
        backup_eligible=parts.model.backup_eligible,
        number=parts.state.made,
    )


def _reply(
    parts: Parts, ask: Ask, credential: Credential, *, is_verified: bool
) -> dict[int, object]:
    credential, counter = parts.count_up(credential)
    parts.keep(credential)
    flags = choose_flags(parts.model, credential, is_present=True, is_verified=is_verified)
    data = AuthData(ask.rp_id, flags, counter, describe_credential(credential))
    lie = parts.script.lie
    encoded = distort_data(lie, data).encode()
    statement = attest(
        parts.model.attestation,
        parts.state.batch,
        credential.algorithm,
        credential.private,
        encoded + ask.client_data_hash,
    )
    signature = statement.fields.get("sig")
    if isinstance(signature, bytes):
        statement.fields["sig"] = distort_signature(lie, signature)
    return {1: statement.format, 2: encoded, 3: statement.fields}
