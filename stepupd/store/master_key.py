"""The one secret of the machine, and the keys made from it.

The law of this file: 32 random bytes, made once, readable by us alone, never printed. A key file
that is in any way wrong stops the daemon with the command that mends it; it is never replaced,
because a new key makes every enrolment unreadable. Each purpose has its own key (HKDF-SHA256, RFC
5869), so that nothing made for one can pass for another.
"""

import os
import shlex
from dataclasses import dataclass, field
from enum import StrEnum, unique
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from stepupd.core.errors import ConfigError
from stepupd.store.durable_files import create_file
from stepupd.store.file_checks import (
    OTHERS_ANY,
    OTHERS_WRITE,
    open_trusted_directory,
    read_trusted_file,
)

KEY_SIZE = 32
CREDENTIAL_NAME = "stepupd.key"
"""The name systemd's `LoadCredentialEncrypted=` gives the key."""

_OTHERS_OPEN = OTHERS_WRITE | 0o007
"""systemd grants us a credential by ACL, which shows as group-readable."""


@unique
class Purpose(StrEnum):
    """What a derived key is for. The text is part of the key: it never changes."""

    STORE_MAC = "stepup store mac v1"
    RECOVERY_MAC = "stepup recovery mac v1"
    AUDIT_SIGNING = "stepup audit signing v1"
    """The 32-byte seed of an Ed25519 key (RFC 8032)."""


@dataclass(frozen=True, slots=True)
class MasterKey:
    """The master key. Its bytes do not print."""

    secret: bytes = field(repr=False)


def load_master_key(path: Path, *, credentials_directory: Path | None = None) -> MasterKey:
    """Return the key that systemd hands over, else the one in `path`, which is made if missing.

    `credentials_directory` is $CREDENTIALS_DIRECTORY. Raises ConfigError.
    """
    if credentials_directory is not None:
        handed = credentials_directory / CREDENTIAL_NAME
        try:
            return _check_size(
                read_trusted_file(handed, limit=1024, forbidden=_OTHERS_OPEN), handed
            )
        except FileNotFoundError:
            pass  # Credentials of other names are none of our business.
    try:
        return _read(path)
    except FileNotFoundError:
        return _create(path)


def derive_key(master: MasterKey, purpose: Purpose) -> bytes:
    """Return the 32-byte key for one purpose."""
    kdf = HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=None, info=purpose.value.encode("ascii"))
    return kdf.derive(master.secret)


def _read(path: Path) -> MasterKey:
    return _check_size(read_trusted_file(path, limit=1024, forbidden=OTHERS_ANY), path)


def _create(path: Path) -> MasterKey:
    try:
        directory = open_trusted_directory(path.parent)
    except FileNotFoundError as error:
        where = shlex.quote(str(path.parent))
        raise ConfigError(
            "no such directory",
            file=str(path.parent),
            hint=f"install -d -m 0700 -o {os.geteuid()} {where}",
        ) from error
    try:
        create_file(directory, path.name, os.urandom(KEY_SIZE))
    except FileExistsError:
        pass  # Another start was first; its key counts.
    except OSError as error:
        raise ConfigError(f"cannot be created: {error.strerror}", file=str(path)) from error
    finally:
        os.close(directory)
    return _read(path)


def _check_size(content: bytes, path: Path) -> MasterKey:
    if len(content) != KEY_SIZE:
        raise ConfigError(
            f"a master key has {KEY_SIZE} bytes, this file has {len(content)}",
            file=str(path),
            hint="restore it from a backup; without it every key must be enrolled again, after "
            f"mv {shlex.quote(str(path))} {shlex.quote(str(path) + '.broken')}",
        )
    return MasterKey(content)
