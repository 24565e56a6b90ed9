"""Credentials a simulated key holds, and their form in its state file.

All of them are stored, also those that are not discoverable; a private key never shows in `repr`.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stepupd.devices.simulated.signing import Algorithm


@dataclass(frozen=True, slots=True)
class User:
    """The account a credential was made for; names may be empty."""

    id: bytes
    name: str
    display_name: str

    def describe(self, *, with_names: bool) -> dict[str, object]:
        """Give the user entity of a reply; names only for a verified person (CTAP 2.1, 6.2.2)."""
        entity: dict[str, object] = {"id": self.id}
        if with_names:
            names = {"name": self.name, "displayName": self.display_name}
            entity.update({key: name for key, name in names.items() if name})
        return entity


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential. `number` orders them by age; `counter` is used with per-credential counters.

    `is_resident` is CTAP's "rk": found without an allow list.
    """

    id: bytes
    rp_id: str
    user: User
    algorithm: Algorithm
    private: bytes = field(repr=False)
    is_resident: bool
    backup_eligible: bool
    number: int
    counter: int = 0

    def counted(self) -> "Credential":
        """Give the credential with its own counter advanced."""
        return replace(self, counter=self.counter + 1)


def write_credential(credential: Credential) -> dict[str, object]:
    """Give a credential as JSON-ready data."""
    return {
        "id": b64encode(credential.id).decode(),
        "rp_id": credential.rp_id,
        "user_id": b64encode(credential.user.id).decode(),
        "user_name": credential.user.name,
        "display_name": credential.user.display_name,
        "algorithm": int(credential.algorithm),
        "private": b64encode(credential.private).decode(),
        "is_resident": credential.is_resident,
        "backup_eligible": credential.backup_eligible,
        "number": credential.number,
        "counter": credential.counter,
    }


def read_credential(stored: Mapping[str, object]) -> Credential:
    """Read what `write_credential` wrote. KeyError, TypeError or ValueError if it is not that."""
    return Credential(
        id=b64decode(str(stored["id"]), validate=True),
        rp_id=str(stored["rp_id"]),
        user=User(
            id=b64decode(str(stored["user_id"]), validate=True),
            name=str(stored["user_name"]),
            display_name=str(stored["display_name"]),
        ),
        algorithm=Algorithm(int(str(stored["algorithm"]))),
        private=b64decode(str(stored["private"]), validate=True),
        is_resident=stored["is_resident"] is True,
        backup_eligible=stored["backup_eligible"] is True,
        number=int(str(stored["number"])),
        counter=int(str(stored["counter"])),
    )
