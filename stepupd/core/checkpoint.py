"""Checkpoints: the signed head of the log (C2SP tlog-checkpoint).

Law: a checkpoint is a note whose text is the origin, the number of entries and the root hash. Our
extension lines say where the log ended, what its last entry hashes to, and the frontier, so that
a restart needs this and the entries after it, not the whole log.

Not done here: comparing a checkpoint with a log.
"""

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass

from stepupd.core.errors import InternalError
from stepupd.core.merkle import EMPTY_ROOT, EMPTY_TREE, HASH_SIZE, Frontier
from stepupd.core.note import Signer, VerifierKey, open_note, sign_note


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log's head. `end` is the size in bytes, `last` the leaf hash of the last entry.

    An empty log has EMPTY_ROOT for `last`.
    """

    frontier: Frontier = EMPTY_TREE
    end: int = 0
    last: bytes = EMPTY_ROOT

    def __post_init__(self) -> None:
        is_empty = self.frontier.size == 0
        if self.end < 0 or (is_empty and (self.end, self.last) != (0, EMPTY_ROOT)):
            raise InternalError("no log has such a checkpoint")

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.frontier.size


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """Return the signed note. The origin is the name of the key, as the specification advises."""
    return sign_note(_describe(checkpoint, signer.vkey.name), signer)


def open_checkpoint(note: str, vkey: VerifierKey) -> Checkpoint:
    """Return what a note states, once `vkey` has signed it. Raises InternalError (`bad-note`)."""
    text = open_note(note, vkey)
    try:
        checkpoint = _parse(text.split("\n"))
    except (ValueError, IndexError, InternalError):
        checkpoint = None
    # Written again it must be the same text: one checkpoint, one spelling.
    if checkpoint is None or _describe(checkpoint, vkey.name) != text:
        raise InternalError("note refused: not a checkpoint of this log", reason="bad-note")
    return checkpoint


def _describe(checkpoint: Checkpoint, origin: str) -> str:
    nodes = " ".join(map(_encode, checkpoint.frontier.nodes))
    lines = (
        origin,
        str(checkpoint.size),
        _encode(checkpoint.frontier.root),
        f"end {checkpoint.end}",
        f"last {_encode(checkpoint.last)}",
        f"frontier {nodes}",
    )
    return "".join(f"{line}\n" for line in lines)


def _parse(lines: list[str]) -> Checkpoint:
    nodes = lines[5].removeprefix("frontier ").split()
    frontier = Frontier(int(lines[1]), tuple(map(_decode, nodes)))
    return Checkpoint(
        frontier=frontier,
        end=int(lines[3].removeprefix("end ")),
        last=_decode(lines[4].removeprefix("last ")),
    )


def _encode(value: bytes) -> str:
    return b64encode(value).decode()


def _decode(text: str) -> bytes:
    value = b64decode(text, validate=True)
    if len(value) != HASH_SIZE:
        raise binascii.Error("not a SHA-256")
    return value
