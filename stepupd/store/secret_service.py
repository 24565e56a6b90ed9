"""The keyring of a person: the Secret Service on his session bus, asked by a process that ends.

The law of this file: no environment variable, file or plug-in chooses another backend, nobody is
shown a prompt, and whoever does not answer in `PATIENCE` seconds is away. So the library runs in
a process with an environment of one variable; a secret passes through a pipe, never on a command
line. Nothing is decided here: what it means that the keyring is away is for `master_key`.

Source: the freedesktop.org Secret Service API, draft 0.2.
"""

import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec

from stepupd.core.errors import ConfigError, InternalError

PATIENCE = 10.0
"""Seconds. A bus may have to start the service first; a start of ours must not hang on it."""
LIBRARIES = ("keyring", "secretstorage")
"""What the optional part `stepupd[keyring]` brings."""

_PROCESS = "stepupd.store.secret_service_process"


class KeyringAwayError(ConfigError):
    """There is no keyring to be had now; the message says why."""


@dataclass(frozen=True, slots=True)
class SecretService:
    """The Secret Service on the bus at one address."""

    address: str
    patience: float = PATIENCE

    def fetch(self, name: str) -> bytes | None:
        """Return the secret of that name, None where there is none. Raises KeyringAwayError."""
        word, text = self._ask("fetch", name)
        match word:
            case "found":
                return _decode(text)
            case "missing":
                return None
        raise InternalError(f"the process that asks the keyring answered {word!r}")

    def keep(self, name: str, secret: bytes) -> None:
        """Store a secret, and read it back. Raises KeyringAwayError."""
        word, _ = self._ask("keep", name, secret.hex())
        if word != "kept":
            raise InternalError(f"the process that asks the keyring answered {word!r}")

    def _ask(self, verb: str, name: str, secret: str = "") -> tuple[str, str]:
        for library in LIBRARIES:
            if find_spec(library) is None:
                raise KeyringAwayError(
                    f"the keyring cannot be used: the library {library} is not installed",
                    hint="pip install 'stepupd[keyring]'",
                )
        try:
            done = subprocess.run(  # noqa: S603 - our own module; the words are ours
                [sys.executable, "-I", "-m", _PROCESS, verb, name],
                env={"DBUS_SESSION_BUS_ADDRESS": self.address},
                input=secret,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # What a library says about a failure may be anything.
                timeout=self.patience,
                check=False,
                text=True,
            )
        except subprocess.TimeoutExpired as error:
            # Not `from error`: it holds what was written to the process.
            raise KeyringAwayError(
                f"the keyring did not answer within {error.timeout:.0f} seconds"
            ) from None
        except OSError as error:
            raise KeyringAwayError(
                f"the keyring cannot be used: no process for it: {error.strerror}"
            ) from error
        word, _, rest = done.stdout.strip().partition(" ")
        if done.returncode != 0:
            raise KeyringAwayError("the keyring cannot be used: its library failed")
        if word == "away":
            raise KeyringAwayError(f"the keyring cannot be used: {rest}")
        return word, rest


def _decode(text: str) -> bytes:
    """Return the bytes; what is no hexadecimal text is no key, so empty."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
