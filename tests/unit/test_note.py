"""Signed notes and verifier keys, against what other implementations publish."""

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stepupd.core.errors import ConfigError, InternalError
from stepupd.core.note import (
    NOTE_LIMIT,
    VerifierKey,
    make_signer,
    open_note,
    parse_vkey,
    sign_note,
    split_notes,
)

# golang.org/x/mod/sumdb/note, its documentation and tests.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2p"
    "ZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
GO_OTHER_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
# A key whose base64 has a plus sign (github.com/transparency-dev/formats).
PLUS_VKEY = "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6"
# C2SP signed-note, examples.
EXAMPLE_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2"
    "ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)


def go_signer():
    return make_signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(GO_SEED))


@pytest.mark.parametrize("text", [GO_VKEY, GO_OTHER_VKEY, PLUS_VKEY, EXAMPLE_VKEY])
def test_published_keys_are_read_and_written_back(text):
    assert parse_vkey(text).encode() == text


@pytest.mark.parametrize(("note", "vkey"), [(GO_NOTE, GO_VKEY), (EXAMPLE_NOTE, EXAMPLE_VKEY)])
def test_published_notes_open(note, vkey):
    assert open_note(note, parse_vkey(vkey)) == note.rpartition("\n\n")[0] + "\n"


def test_we_sign_byte_for_byte_as_go_does():
    assert sign_note(GO_TEXT, go_signer()) == GO_NOTE
    assert go_signer().vkey == parse_vkey(GO_VKEY)


def test_no_part_of_a_key_is_a_key():
    whole = GO_VKEY
    for start in range(len(whole)):
        for end in range(start + 1, len(whole) + 1):
            if (start, end) != (0, len(whole)):
                with pytest.raises(ConfigError):
                    parse_vkey(whole[start:end])


def test_no_changed_character_leaves_a_key():
    for at, character in enumerate(GO_VKEY):
        with pytest.raises(ConfigError):
            parse_vkey(GO_VKEY[:at] + chr(ord(character) + 1) + GO_VKEY[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        GO_VKEY + "\n",
    ],
)
def test_keys_of_another_length_or_kind_are_refused(text):
    with pytest.raises(ConfigError):
        parse_vkey(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "a\u2003b", "\x01"])
def test_a_name_is_one_word_without_plus(name):
    with pytest.raises(ConfigError):
        VerifierKey(name, bytes(32))


def test_no_changed_character_leaves_a_note():
    key = parse_vkey(GO_VKEY)
    for at, character in enumerate(GO_NOTE):
        with pytest.raises(InternalError):
            open_note(GO_NOTE[:at] + chr(ord(character) ^ 1) + GO_NOTE[at + 1 :], key)


def test_no_cut_note_opens():
    key = parse_vkey(GO_VKEY)
    for end in range(len(GO_NOTE)):
        with pytest.raises(InternalError):
            open_note(GO_NOTE[:end], key)


def test_another_key_of_the_same_name_does_not_open_it():
    other = make_signer("PeterNeumann", Ed25519PrivateKey.generate())
    with pytest.raises(InternalError, match="expected key"):
        open_note(GO_NOTE, other.vkey)


def test_signatures_of_strangers_are_ignored():
    """C2SP signed-note: a witness may have added its own."""
    other = make_signer("EnochRoot", Ed25519PrivateKey.generate())
    line = sign_note(GO_TEXT, other).rpartition("\n\n")[2]
    assert open_note(GO_NOTE + line, parse_vkey(GO_VKEY)) == GO_TEXT


def test_one_bad_signature_of_the_known_key_refuses_the_note():
    bad = sign_note("other\n", go_signer()).rpartition("\n\n")[2]
    with pytest.raises(InternalError):
        open_note(GO_NOTE + bad, parse_vkey(GO_VKEY))


@pytest.mark.parametrize("text", ["no newline", "tab\there\n", "cr\r\n"])
def test_what_is_no_text_is_not_signed(text):
    with pytest.raises(InternalError):
        sign_note(text, go_signer())


def test_a_note_longer_than_the_limit_is_refused_unread():
    note = sign_note("x" * NOTE_LIMIT + "\n", go_signer())
    with pytest.raises(InternalError):
        open_note(note, go_signer().vkey)


def test_notes_in_one_file_come_apart_again():
    other = make_signer("EnochRoot", Ed25519PrivateKey.generate())
    notes = [sign_note(f"{number}\n", go_signer()) for number in range(3)]
    notes[1] += sign_note("1\n", other).rpartition("\n\n")[2]
    assert split_notes("".join(notes)) == tuple(notes)
    assert split_notes("\n\n" + "\n\n".join(notes) + "\n") == tuple(notes)
    assert split_notes("") == ()


def test_a_signer_does_not_show_its_key():
    assert "private" not in repr(go_signer())
