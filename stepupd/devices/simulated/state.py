"""What a simulated key remembers without power, and its file.

Law: the file is replaced as a whole, so a crash leaves the old or the new state; its mode is 0600,
since it holds private keys. A file that cannot be understood is an error, never a fresh key. Power
loss right after a write may lose that write: nothing here is worth a disk flush.
"""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp

from stepupd.core.errors import ConfigError
from stepupd.devices.simulated.attestation import Batch, make_batch
from stepupd.devices.simulated.credentials import (
    Credential,
    read_credential,
    write_credential,
)
from stepupd.devices.simulated.entropy import Entropy
from stepupd.devices.simulated.model import AAGUID, PIN_RETRIES, UV_RETRIES

_VERSION = 1


@dataclass(slots=True)
class KeyState:
    """The memory of a key. `pin_hash` is LEFT(SHA-256(PIN), 16), as CTAP 2.1 stores it."""

    serial: str
    batch: Batch
    pin_hash: bytes | None = field(default=None, repr=False)
    pin_retries: int = PIN_RETRIES
    uv_retries: int = UV_RETRIES
    counter: int = 0
    made: int = 0
    credentials: dict[bytes, Credential] = field(default_factory=dict)

    def forget(self) -> None:
        """Erase what `authenticatorReset` erases; serial, attestation and counter stay."""
        self.credentials.clear()
        self.pin_hash = None
        self.pin_retries, self.uv_retries = PIN_RETRIES, UV_RETRIES


def make_state(entropy: Entropy) -> KeyState:
    """Make the memory of a key that leaves the factory."""
    return KeyState(serial=entropy.take(4).hex(), batch=make_batch(entropy))


def save_state(path: Path, state: KeyState, draws: int) -> None:
    """Write the state; `draws` is how much of a seeded stream is used up."""
    text = json.dumps(_write_state(state, draws), indent=1)
    handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load_state(path: Path) -> tuple[KeyState, int] | None:
    """Read the state and the number of draws; None if there is no file. ConfigError if broken."""
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the simulated key: {error}", file=str(path)) from error
    try:
        return _read_state(stored)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError("this is not a simulated key's file", file=str(path)) from error


def _write_state(state: KeyState, draws: int) -> dict[str, object]:
    return {
        "version": _VERSION,
        "aaguid": AAGUID.hex(),
        "serial": state.serial,
        "attestation": {
            "root": b64encode(state.batch.root).decode(),
            "certificate": b64encode(state.batch.certificate).decode(),
            "private": b64encode(state.batch.private).decode(),
        },
        "pin_hash": None if state.pin_hash is None else state.pin_hash.hex(),
        "pin_retries": state.pin_retries,
        "uv_retries": state.uv_retries,
        "counter": state.counter,
        "made": state.made,
        "draws": draws,
        "credentials": [write_credential(item) for item in state.credentials.values()],
    }


def _read_state(stored: Mapping[str, object]) -> tuple[KeyState, int]:
    if stored["version"] != _VERSION or stored["aaguid"] != AAGUID.hex():
        raise ValueError("another version")
    attestation, credentials = stored["attestation"], stored["credentials"]
    if not isinstance(attestation, dict) or not isinstance(credentials, list):
        raise TypeError("not a map and a list")
    pin_hash = stored["pin_hash"]
    state = KeyState(
        serial=str(stored["serial"]),
        batch=Batch(**{name: b64decode(text) for name, text in attestation.items()}),
        pin_hash=None if pin_hash is None else bytes.fromhex(str(pin_hash)),
        pin_retries=int(str(stored["pin_retries"])),
        uv_retries=int(str(stored["uv_retries"])),
        counter=int(str(stored["counter"])),
        made=int(str(stored["made"])),
    )
    for item in map(read_credential, credentials):
        state.credentials[item.id] = item
    return state, int(str(stored["draws"]))
