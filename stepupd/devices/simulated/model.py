"""What kind of key is simulated: its abilities, as a data sheet would list them."""

from dataclasses import dataclass
from enum import StrEnum

from stepupd.devices.simulated.signing import Algorithm

AAGUID = b"stepupd simulate"  # 73746570-7570-6420-7369-6d756c617465
NAME = "simulated key"

MAX_MESSAGE = 7609  # what CTAPHID can carry in packets of 64 bytes (CTAP 2.1, 11.2.4)
MAX_CREDENTIALS_IN_LIST = 64
CREDENTIAL_ID_LENGTH = 32
MIN_PIN_LENGTH = 4  # code points, CTAP 2.1, 6.5.1
PIN_RETRIES = 8
UV_RETRIES = 3


class AttestationFormat(StrEnum):
    """How a new credential is attested (WebAuthn 6.5.4)."""

    CERTIFIED = "certified"
    SELF = "self"
    NONE = "none"


class CounterKind(StrEnum):
    """What the signature counter counts (WebAuthn 6.1.1)."""

    GLOBAL = "global"
    PER_CREDENTIAL = "perCredential"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Model:
    """The abilities of a key; the default resembles a common key with a PIN and no fingerprint.

    `pin_protocols` in order of preference; empty: the key has neither PIN nor tokens.
    `capacity` limits stored credentials. `backup_eligible` and `backed_up` are the BE and BS
    flags, not kept consistent on purpose.
    """

    algorithms: tuple[Algorithm, ...] = (Algorithm.ES256, Algorithm.EDDSA)
    pin_protocols: tuple[int, ...] = (2, 1)
    has_builtin_uv: bool = False
    always_uv: bool = False
    registers_without_uv: bool = True
    attestation: AttestationFormat = AttestationFormat.CERTIFIED
    counter: CounterKind = CounterKind.GLOBAL
    capacity: int = 100
    backup_eligible: bool = False
    backed_up: bool = False
