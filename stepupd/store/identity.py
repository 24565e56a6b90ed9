"""The relying party's name: chosen once, stored, never changed by renaming the machine.

The law of this file: every credential is bound to the RP ID it was made for (WebAuthn section 4),
so a different one would silently orphan them all. The stored one counts; a configuration that says
otherwise stops the daemon with both values.
"""

import os
import string
from pathlib import Path

from stepupd.core.errors import ConfigError
from stepupd.store.credentials import CredentialStore

_LABEL = frozenset(string.ascii_lowercase + string.digits + "-")
_MAX_LABEL = 63  # RFC 1035 section 2.3.4.
_MAX_NAME = 253


def fix_rp_id(
    store: CredentialStore, *, configured: str | None, hostname: str, file: Path | None = None
) -> str:
    """Return the stored RP ID; at the first start, store the configured one or a new one.

    `file` is where `configured` came from. Raises ConfigError, InternalError.
    """
    where = "" if file is None else str(file)
    if configured is not None and not is_rp_id(configured):
        raise ConfigError(f"rp_id: {configured!r} is no lower-case domain name", file=where)
    stored = store.rp_id
    if not stored:
        chosen = configured or make_rp_id(hostname, os.urandom(3))
        store.fix_rp_id(chosen)
        return chosen
    if configured not in (None, stored):
        raise ConfigError(
            f"rp_id: the file says {configured!r}, this machine has been {stored!r} since its "
            "first start, and every enrolled key is bound to that",
            file=where,
            hint=f'write rp_id = "{stored}", or leave it out',
        )
    return stored


def make_rp_id(hostname: str, nonce: bytes) -> str:
    """Return `<hostname>.<hex of nonce>.stepup`; unlike a real domain, no web page can claim it."""
    first = hostname.lower().split(".")[0]
    label = "".join(letter for letter in first if letter in _LABEL)[:_MAX_LABEL].strip("-")
    return f"{label or 'localhost'}.{nonce.hex()}.stepup"


def is_rp_id(text: str) -> bool:
    """Return whether the text is a lower-case domain name (WebAuthn section 5.1.2)."""
    return 0 < len(text) <= _MAX_NAME and all(
        0 < len(label) <= _MAX_LABEL
        and set(label) <= _LABEL
        and not label.startswith("-")
        and not label.endswith("-")
        for label in text.split(".")
    )
