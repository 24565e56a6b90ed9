"""The one secret of the machine or the person, and the keys made from it.

The law of this file: 32 random bytes, made once, readable by us alone, never printed. A key that is
in any way wrong, or away, stops the daemon with words that mend it; it is never replaced, because a
new key makes every enrolment unreadable. Where it is, the file says: it holds the key itself, or
the name of an item in the person's keyring, and that name is made from the key, so that another key
in its place shows. Each purpose has its own key (HKDF-SHA256, RFC 5869), so that nothing made for
one can pass for another.
"""

import os
import re
import shlex
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from stepupd.core.errors import ConfigError
from stepupd.store.durable_files import create_file, replace_durably
from stepupd.store.file_checks import (
    OTHERS_ANY,
    OTHERS_WRITE,
    open_trusted_directory,
    read_trusted_file,
)
from stepupd.store.secret_service import KeyringAwayError, SecretService

KEY_SIZE = 32
CREDENTIAL_NAME = "stepupd.key"
"""The name systemd's `LoadCredentialEncrypted=` gives the key."""

_OTHERS_OPEN = OTHERS_WRITE | 0o007
"""systemd grants us a credential by ACL, which shows as group-readable."""
_LIMIT = 1024
_NAME_SIZE = 16
_POINTER = re.compile(rb"secret-service ([0-9a-f]{32})\n")
"""In the key's file, where the key is in the keyring. A key is shorter."""


@unique
class Purpose(StrEnum):
    """What a derived key is for. The text is part of the key: it never changes."""

    STORE_MAC = "stepup store mac v1"
    RECOVERY_MAC = "stepup recovery mac v1"
    PROFILE_MAC = "stepup profile mac v1"
    AUDIT_SIGNING = "stepup audit signing v1"
    """The 32-byte seed of an Ed25519 key (RFC 8032)."""
    ITEM_NAME = "stepup keyring item v1"
    """What its item in the keyring is called; no secret."""


@dataclass(frozen=True, slots=True)
class MasterKey:
    """The master key. Its bytes do not print; `place` says where it is, for people."""

    secret: bytes = field(repr=False)
    place: str = field(default="", compare=False)


def load_master_key(
    path: Path,
    *,
    credentials_directory: Path | None = None,
    keyring: SecretService | None = None,
    has_store: bool = False,
    prefer_file: bool = False,
) -> MasterKey:
    """Return the key that systemd hands over, else the one in `path` or where `path` points.

    `credentials_directory` is $CREDENTIALS_DIRECTORY. A missing key is made, unless there is a
    store that belongs to it: in the keyring if there is one, else, or with `prefer_file`, in
    `path`. Raises ConfigError.
    """
    if credentials_directory is not None:
        handed = credentials_directory / CREDENTIAL_NAME
        try:
            content = read_trusted_file(handed, limit=_LIMIT, forbidden=_OTHERS_OPEN)
            return _check_size(content, handed, "handed over by systemd, as a credential")
        except FileNotFoundError:
            pass  # Credentials of other names are none of our business.
    try:
        return _read(path, keyring)
    except FileNotFoundError:
        if has_store:
            raise _missing(path) from None
        return _create(path, None if prefer_file else keyring)


def move_master_key(path: Path, keyring: SecretService, *, into_keyring: bool) -> MasterKey:
    """Put the key into the keyring, or back into `path`; the old place is not erased.

    Raises ConfigError; then the key is where it was. A daemon that runs does not notice.
    """
    try:
        master = _read(path, keyring)
    except FileNotFoundError as error:
        raise ConfigError("there is no key yet", file=str(path)) from error
    content = _keep(master, keyring) if into_keyring else master.secret
    directory = open_trusted_directory(path.parent)
    try:
        replace_durably(directory, path.name, content)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=str(path)) from error
    finally:
        os.close(directory)
    return _read(path, keyring)


def derive_key(master: MasterKey, purpose: Purpose) -> bytes:
    """Return the 32-byte key for one purpose."""
    kdf = HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=None, info=purpose.value.encode("ascii"))
    return kdf.derive(master.secret)


def name_item(master: MasterKey) -> str:
    """Return what the key's item in a keyring is called."""
    return derive_key(master, Purpose.ITEM_NAME)[:_NAME_SIZE].hex()


def _read(path: Path, keyring: SecretService | None) -> MasterKey:
    content = read_trusted_file(path, limit=_LIMIT, forbidden=OTHERS_ANY)
    pointer = _POINTER.fullmatch(content)
    if pointer is None:
        return _check_size(content, path, f"in the file {path}, mode 0600")
    return _fetch(path, pointer[1].decode("ascii"), keyring)


def _fetch(path: Path, name: str, keyring: SecretService | None) -> MasterKey:
    """Return the key from the keyring. One that is away, gone or another is an error."""
    if keyring is None:
        raise ConfigError("the key is in a keyring, and this daemon has none", file=str(path))
    try:
        secret = keyring.fetch(name)
    except KeyringAwayError as error:
        raise ConfigError(
            f"the key is in the keyring, and there only; {error}",
            file=str(path),
            hint=error.hint or "log in or unlock the keyring, then start stepupd again",
        ) from error
    if secret is None:
        what = "is not there any more"
    elif len(secret) != KEY_SIZE or name_item(MasterKey(secret)) != name:
        what = "was changed"
    else:
        return MasterKey(secret, f"in the keyring, as the item {name} of stepupd")
    raise ConfigError(
        f"the key is in the keyring, as the item {name} of stepupd, and {what}",
        file=str(path),
        hint=f"restore the keyring from a backup; {_begin_anew(path)}",
    )


def _create(path: Path, keyring: SecretService | None) -> MasterKey:
    new, why = MasterKey(os.urandom(KEY_SIZE)), ""
    content = new.secret
    if keyring is not None:
        try:
            content = _keep(new, keyring)
        except KeyringAwayError as error:
            why = f"; {error}"
    _write(path, content)
    made = _read(path, keyring)
    return replace(made, place=made.place + why)


def _keep(master: MasterKey, keyring: SecretService) -> bytes:
    """Put the key into the keyring; return what its file says then."""
    name = name_item(master)
    keyring.keep(name, master.secret)
    return f"secret-service {name}\n".encode("ascii")


def _write(path: Path, content: bytes) -> None:
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
        create_file(directory, path.name, content)
    except FileExistsError:
        pass  # Another start was first; its key counts.
    except OSError as error:
        raise ConfigError(f"cannot be created: {error.strerror}", file=str(path)) from error
    finally:
        os.close(directory)


def _check_size(content: bytes, path: Path, place: str) -> MasterKey:
    if len(content) != KEY_SIZE:
        raise ConfigError(
            f"a master key has {KEY_SIZE} bytes, this file has {len(content)}",
            file=str(path),
            hint=f"restore it from a backup; {_begin_anew(path)}",
        )
    return MasterKey(content, place)


def _missing(path: Path) -> ConfigError:
    return ConfigError(
        "the key is missing, and the store that was made under it is there",
        file=str(path),
        hint="restore the key, or the credential that systemd handed over, from a backup; "
        + _begin_anew(path),
    )


def _begin_anew(path: Path) -> str:
    folder, aside = shlex.quote(str(path.parent)), shlex.quote(f"{path.parent}.broken")
    return (
        "without it every key must be enrolled again, after "
        f"stepupd --set-aside-log && mv {folder} {aside}"
    )
