"""C2SP checkpoints."""

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from stepupd.core.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from stepupd.core.errors import InternalError
from stepupd.core.merkle import EMPTY_TREE, hash_leaf
from stepupd.core.note import make_signer, sign_note

SIGNER = make_signer("host.example/audit", Ed25519PrivateKey.generate())


def make_checkpoint(size=5):
    hashes = [hash_leaf(bytes([number % 256])) for number in range(size)]
    return Checkpoint(
        EMPTY_TREE.extend(hashes), 100 * size, hashes[-1] if size else Checkpoint().last
    )


@pytest.mark.parametrize("size", [0, 1, 2, 5, 64, 1000])
def test_a_checkpoint_comes_back_as_it_was(size):
    checkpoint = make_checkpoint(size)
    assert open_checkpoint(sign_checkpoint(checkpoint, SIGNER), SIGNER.vkey) == checkpoint


def test_the_first_lines_are_the_standard_ones():
    """tlog-checkpoint: origin, size, root; any other tool reads these."""
    root = b64encode(hash_leaf(b"\0")).decode()
    lines = sign_checkpoint(make_checkpoint(1), SIGNER).split("\n")
    assert lines[:3] == ["host.example/audit", "1", root]


@given(st.integers(0, 10**6), st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_no_flipped_bit_leaves_a_checkpoint(at, bit):
    note = bytearray(sign_checkpoint(make_checkpoint(), SIGNER).encode())
    note[at % len(note)] ^= 1 << bit
    with pytest.raises((InternalError, UnicodeDecodeError)):
        open_checkpoint(note.decode(), SIGNER.vkey)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n5\n", "\n05\n"),
        ("\n5\n", "\n4\n"),
        ("end 500", "end 0500"),
        ("end 500", "end -500"),
        ("end ", "END "),
        ("host.example", "other.example"),
        ("frontier ", "frontier  "),
    ],
)
def test_even_signed_a_checkpoint_has_one_spelling(old, new):
    """The key may sign other notes; only a checkpoint of this log is taken for one."""
    text = sign_checkpoint(make_checkpoint(), SIGNER).rpartition("\n\n")[0] + "\n"
    assert old in text
    with pytest.raises(InternalError, match="not a checkpoint"):
        open_checkpoint(sign_note(text.replace(old, new, 1), SIGNER), SIGNER.vkey)


@pytest.mark.parametrize("text", ["x\n", "host.example/audit\n5\n", "\n" * 9])
def test_other_signed_texts_are_no_checkpoints(text):
    with pytest.raises(InternalError):
        open_checkpoint(sign_note(text, SIGNER), SIGNER.vkey)
