"""False statements in registrations and assertions, for testing those who check them.

Everything false here is well formed, and signed by the right key unless the lie is the signature.
"""

from dataclasses import replace

from stepupd.devices.simulated.auth_data import AuthData, Flag
from stepupd.devices.simulated.credentials import Credential
from stepupd.devices.simulated.entropy import Entropy
from stepupd.devices.simulated.script import Lie
from stepupd.devices.simulated.signing import Algorithm, make_private


def distort_data(lie: Lie | None, data: AuthData) -> AuthData:
    """Distort what is about to be signed."""
    match lie:
        case Lie.COUNTER_BACK:
            return replace(data, counter=1)
        case Lie.WRONG_RP_ID:
            return replace(data, rp_id=f"not-{data.rp_id}")
        case Lie.NO_USER_PRESENCE:
            return replace(data, flags=data.flags & ~Flag.UP)
        case Lie.NO_USER_VERIFICATION:
            return replace(data, flags=data.flags & ~Flag.UV)
        case _:
            return data


def distort_signature(lie: Lie | None, signature: bytes) -> bytes:
    """Flip a bit in the last byte, which leaves DER intact."""
    if lie is not Lie.BAD_SIGNATURE:
        return signature
    return signature[:-1] + bytes([signature[-1] ^ 1])


def distort_signer(
    lie: Lie | None, signer: Credential, credentials: list[Credential], entropy: Entropy
) -> Credential:
    """Choose who signs and whose id is named in an assertion, in place of `signer`."""
    match lie:
        case Lie.UNKNOWN_CREDENTIAL:
            return replace(signer, id=entropy.take(len(signer.id)))
        case Lie.OTHER_CREDENTIAL:
            others = [item for item in credentials if item.id != signer.id]
            return others[0] if others else _make_stranger(signer, entropy)
        case Lie.WRONG_ALGORITHM:
            other = other_algorithm(signer.algorithm)
            return replace(signer, algorithm=other, private=make_private(other, entropy))
        case _:
            return signer


def other_algorithm(algorithm: Algorithm) -> Algorithm:
    """Give the algorithm that was not agreed on."""
    return Algorithm.ES256 if algorithm is Algorithm.EDDSA else Algorithm.EDDSA


def _make_stranger(signer: Credential, entropy: Entropy) -> Credential:
    private = make_private(signer.algorithm, entropy)
    return replace(signer, id=entropy.take(len(signer.id)), private=private)
