"""Signed notes and verifier keys (C2SP signed-note), with Ed25519 alone.

Law: the text of a note means nothing until the key that was expected has signed it. Signatures by
unknown keys are ignored; a bad one by the known key refuses the whole note.

Not done here: finding out which key to expect. That comes from whoever trusts it.
"""

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from stepupd.core.errors import ConfigError, InternalError

NOTE_LIMIT = 64 * 1024
"""Characters. Ours take about 1,000; the rest is room for the signatures of witnesses."""

_ED25519 = b"\x01"
_KEY_SIZE = 32
_KEY_ID_SIZE = 4
_MARK = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A name and the Ed25519 public key (32 bytes, RFC 8032) that signs under it."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(map(_is_space, self.name)):
            raise ConfigError("a key's name is one word without a plus sign")
        if len(self.public_key) != _KEY_SIZE:
            raise ConfigError("an Ed25519 public key has 32 bytes")

    @property
    def id(self) -> bytes:
        """The four bytes that tell one key of this name from another."""
        whole = self.name.encode() + b"\n" + _ED25519 + self.public_key
        return sha256(whole).digest()[:_KEY_ID_SIZE]

    def encode(self) -> str:
        """Return the key as text ("vkey"): name, id and key."""
        return f"{self.name}+{self.id.hex()}+{b64encode(_ED25519 + self.public_key).decode()}"


def parse_vkey(text: str) -> VerifierKey:
    """Read a verifier key. Raises ConfigError if it is not exactly what `encode` returns."""
    name, _, rest = text.partition("+")
    blob = _decode_base64(rest.partition("+")[2])
    if blob is None or blob[:1] != _ED25519:
        raise ConfigError("not an Ed25519 verifier key")
    key = VerifierKey(name, blob[1:])
    if key.encode() != text:
        raise ConfigError("the id in the verifier key does not belong to the key")
    return key


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key with what others know it by."""

    vkey: VerifierKey
    key_id: bytes
    private_key: Ed25519PrivateKey = field(repr=False)


def make_signer(name: str, private_key: Ed25519PrivateKey) -> Signer:
    """Let a key sign under a name. Raises ConfigError if the name is none."""
    vkey = VerifierKey(name, private_key.public_key().public_bytes_raw())
    return Signer(vkey, vkey.id, private_key)


def sign_note(text: str, signer: Signer) -> str:
    """Return the signed note. The text ends in a newline and has no control character but that."""
    if not text.endswith("\n") or _has_control(text):
        raise InternalError("a note is made of whole lines without control characters")
    signature = b64encode(signer.key_id + signer.private_key.sign(text.encode())).decode()
    return f"{text}\n{_MARK}{signer.vkey.name} {signature}\n"


def open_note(note: str, vkey: VerifierKey) -> str:
    """Return the text of a note that `vkey` signed. Raises InternalError (`bad-note`)."""
    if len(note) > NOTE_LIMIT or _has_control(note):
        raise _refuse("too long, or holds control characters")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise _refuse("no signatures")
    text += "\n"
    found = [
        blob[_KEY_ID_SIZE:]
        for name, blob in map(_parse_signature, signatures[:-1].split("\n"))
        if name == vkey.name and blob[:_KEY_ID_SIZE] == vkey.id
    ]
    if not found:
        raise _refuse("not signed by the expected key")
    try:
        key = Ed25519PublicKey.from_public_bytes(vkey.public_key)
        for signature in found:
            key.verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        raise _refuse("the signature does not match") from None
    return text


def split_notes(text: str) -> tuple[str, ...]:
    """Cut a file of notes apart; blank lines between them do not count. Nothing is verified.

    For notes whose own text has no blank line, as checkpoints have none.
    """
    notes: list[list[str]] = []
    is_ended = True
    for line in text.split("\n"):
        if not line.strip():
            continue
        is_signature = line.startswith(_MARK)
        if is_ended and not is_signature:
            notes.append([])
        if not notes:
            raise _refuse("a signature without a text")
        if is_signature and not is_ended:
            notes[-1].append("")
        notes[-1].append(line)
        is_ended = is_signature
    return tuple("".join(f"{line}\n" for line in lines) for lines in notes)


def _parse_signature(line: str) -> tuple[str, bytes]:
    name, _, rest = line.removeprefix(_MARK).partition(" ")
    blob = _decode_base64(rest)
    if not line.startswith(_MARK) or not name or blob is None or len(blob) <= _KEY_ID_SIZE:
        raise _refuse("malformed signature line")
    return name, blob


def _decode_base64(text: str) -> bytes | None:
    try:
        blob = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return blob if b64encode(blob).decode() == text else None


def _has_control(text: str) -> bool:
    return not text.replace("\n", "").isprintable() and any(c < " " and c != "\n" for c in text)


def _is_space(character: str) -> bool:
    return character.isspace() or character < " "


def _refuse(what: str) -> InternalError:
    return InternalError(f"note refused: {what}", reason="bad-note")
