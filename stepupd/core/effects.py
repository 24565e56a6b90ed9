"""All that a ceremony may ask of the world, and all that the world may answer.

A ceremony is a generator: it yields an effect, is sent a reply, and returns one outcome. Both are
frozen data, so a test can play every script and the device side can live in another process.
Whatever goes wrong outside comes back as a `Trouble`: nothing is ever thrown into a ceremony.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum, StrEnum, unique

from stepupd.core.outcome import Outcome
from stepupd.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Show:
    """Tell the person something. The reply is None."""

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the person. The reply is `Typed` or `Trouble`."""

    text: str
    deadline: float
    """On the boot clock, in seconds."""
    is_hidden: bool = True


@dataclass(frozen=True, slots=True)
class AssertFido2:
    """CTAP 2.1 section 6.2, authenticatorGetAssertion, on any key that holds one of `allow`.

    `is_uv` asks for user verification. `pin` and `authenticator` come together: a PIN belongs to
    the one key whose `PinNeeded` led to it.
    """

    rp_id: str
    client_data_json: bytes
    allow: tuple[bytes, ...]
    is_uv: bool
    pin: Secret | None = None
    authenticator: str = ""
    retries: int = 0
    """How many tries the person was told of; with fewer left the PIN is not sent."""


@dataclass(frozen=True, slots=True)
class RegisterFido2:
    """CTAP 2.1 section 6.1, authenticatorMakeCredential, on whichever key is touched."""

    rp_id: str
    client_data_json: bytes
    user_id: bytes
    user_name: str
    algorithms: tuple[int, ...]
    exclude: tuple[bytes, ...]
    pin: Secret | None = None
    authenticator: str = ""
    retries: int = 0


Operation = AssertFido2 | RegisterFido2


@dataclass(frozen=True, slots=True)
class Use:
    """Run operations side by side; the first answer wins, the others are cancelled.

    `touch_text` is shown when an authenticator reports that it waits for the person.
    """

    operations: tuple[Operation, ...]
    touch_text: str
    deadline: float
    """On the boot clock, in seconds."""
    insert_deadline: float | None = None
    """When to stop waiting for a first key, where there is another way; None waits as long."""


@unique
class Notice(Enum):
    """What an authenticator wants the person to know while an effect runs."""

    TOUCH = "touch"
    """A key waits for its touch."""
    INSERT = "insert"
    """No key is plugged in."""
    WRONG_KEY = "wrong-key"
    """The key that was touched is not the subject's."""
    BUSY = "busy"
    """Another program is using the key."""
    QUEUED = "queued"
    """Another request is being answered first."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What the person typed."""

    secret: Secret


@dataclass(frozen=True, slots=True)
class Asserted:
    """An authenticator's answer to `AssertFido2`: foreign bytes, nothing checked yet."""

    credential_id: bytes
    authenticator_data: bytes
    signature: bytes
    client_data_json: bytes
    is_simulated: bool = False
    authenticator: str = ""
    """The plugged-in key that answered: ours to say, not the key's."""


@dataclass(frozen=True, slots=True)
class Registered:
    """An authenticator's answer to `RegisterFido2`: foreign bytes, nothing checked yet."""

    attestation_object: bytes
    """WebAuthn section 6.5.4: the CBOR map {fmt, attStmt, authData}."""
    client_data_json: bytes
    authenticator: str
    is_simulated: bool = False


@dataclass(frozen=True, slots=True)
class PinNeeded:
    """The chosen key can only verify the person by PIN. `retries` is what the key has left."""

    authenticator: str
    name: str
    retries: int


@unique
class TroubleKind(StrEnum):
    """Everything that can go wrong outside a ceremony: a closed set."""

    HANG_UP = "hang-up"
    """The caller went away."""
    CANCELLED = "cancelled"
    """The person or the caller asked to stop."""
    TIMEOUT = "timeout"
    NO_AUTHENTICATOR = "no-authenticator"
    """No key was plugged in before the deadline."""
    NO_CREDENTIALS = "no-credentials"
    """Keys were there, none of them the subject's."""
    DECLINED = "declined"
    """The person pressed "no" on the authenticator."""
    BUSY = "busy"
    """Another program is using the key."""
    QUEUE_FULL = "queue-full"
    """Too many requests wait already."""
    GONE = "gone"
    """The key was unplugged."""
    SILENT = "silent"
    """The key stopped speaking."""
    GARBLED = "garbled"
    """The key answered something that is no answer."""
    UNSUPPORTED = "unsupported"
    """The key cannot do what is asked."""
    EXCLUDED = "excluded"
    """The key is enrolled already."""
    PIN_INVALID = "pin-invalid"
    PIN_AUTH_BLOCKED = "pin-auth-blocked"
    """Three wrong PINs in a row: the key wants to be unplugged."""
    PIN_BLOCKED = "pin-blocked"
    """No PIN tries left: the key must be reset."""
    PIN_NOT_SET = "pin-not-set"
    PIN_UNSPENT = "pin-unspent"
    """The person kept the key's last PIN tries."""
    UV_INVALID = "uv-invalid"
    """The built-in reader did not recognise the person."""
    UV_BLOCKED = "uv-blocked"
    INTERNAL = "internal"
    """Our own failure."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A reply that is no answer. `retries` is set where a PIN or UV try was spent."""

    kind: TroubleKind
    authenticator: str = ""
    retries: int | None = None


Effect = Show | Ask | Use
Reply = Typed | Asserted | Registered | PinNeeded | Trouble | None
Ceremony = Generator[Effect, Reply, Outcome]
