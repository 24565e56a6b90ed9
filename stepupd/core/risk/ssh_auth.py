"""Which ssh key opened a login, as sshd tells the modules of its own PAM stack.

The law of this file: what is not exactly a line of sshd's is no guess but `UNKNOWN_KEY`, which
nobody may take for "no key". sshd writes a line for each method that has succeeded, and lines of
other methods than "publickey" say nothing here (auth2_update_session_info in OpenSSH's auth2.c).

A certificate counts as the key inside it, as `ssh-keygen -l` has it: who gets a new certificate
every day has no new key. Formats: RFC 4251 section 5 (strings), RFC 4253 section 6.6 (keys),
PROTOCOL.certkeys of OpenSSH (certificates).
Not done here: no signature is checked and no key is known to be anybody's; sshd did that.
"""

from base64 import b64decode, b64encode
from hashlib import sha256

UNKNOWN_KEY = "unknown"
"""Stands for a key that sshd tells in a way we cannot read."""

_METHOD = "publickey"
_LENGTH = 4
_CERTIFICATE = "-cert-v01@openssh.com"
_FIELDS = {
    "ssh-rsa": 2,
    "ssh-dss": 4,
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
    "ssh-mldsa44-ed25519@openssh.com": 1,
}
"""Strings that follow the type in a key; of a type that is not here, any number may."""


def read_ssh_key(text: str) -> str:
    """Return the fingerprint of the key in what SSH_AUTH_INFO_0 says, as `SHA256:...`.

    Of several keys, all, in the order in which they were used and a space between; "" where no key
    was used; `UNKNOWN_KEY` where one of them cannot be read.
    """
    found = []
    for line in text.split("\n"):
        method, _, rest = line.partition(" ")
        if method != _METHOD:
            continue
        key = _read_key(rest)
        if key is None:
            return UNKNOWN_KEY
        found.append("SHA256:" + b64encode(sha256(key).digest()).decode().rstrip("="))
    return " ".join(found)


def _read_key(text: str) -> bytes | None:
    """Return the key in `TYPE BASE64`, after which sshd may say more; None if there is none."""
    kind, _, rest = text.partition(" ")
    encoded = rest.partition(" ")[0]
    try:
        blob = b64decode(encoded)
        if encoded != b64encode(blob).decode():
            return None
        head, at = _take_strings(blob, 0, 1)
        if not kind or head != _join(kind.encode()):
            return None
        if kind.endswith(_CERTIFICATE):
            return _open_certificate(kind.removesuffix(_CERTIFICATE), blob, at)
        _, end = _take_strings(blob, at, _FIELDS.get(kind, 1))
        while end < len(blob) and kind not in _FIELDS:
            _, end = _take_strings(blob, end, 1)
    except ValueError:  # also what is not ASCII, and what is no base64
        return None
    return blob if end == len(blob) else None


def _open_certificate(kind: str, blob: bytes, at: int) -> bytes | None:
    """Return the key in a certificate, after its nonce; None for a kind that we do not know."""
    plain = kind if kind in _FIELDS else f"{kind}@openssh.com"
    if plain not in _FIELDS:
        return None
    _, at = _take_strings(blob, at, 1)
    fields, _ = _take_strings(blob, at, _FIELDS[plain])
    return _join(plain.encode()) + fields


def _take_strings(blob: bytes, at: int, count: int) -> tuple[bytes, int]:
    """Return so many strings with their lengths, and where they end. ValueError if cut short."""
    start = at
    for _ in range(count):
        at += _LENGTH + int.from_bytes(blob[at : at + _LENGTH])
        if at > len(blob):
            raise ValueError("a string ends before its end")
    return blob[start:at], at


def _join(text: bytes) -> bytes:
    return len(text).to_bytes(_LENGTH) + text
