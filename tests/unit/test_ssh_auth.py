"""What sshd says of keys becomes fingerprints: those of ssh-keygen, or `UNKNOWN_KEY`."""

import subprocess
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.risk.ssh_auth import UNKNOWN_KEY, read_ssh_key

MADE = {
    "ed25519": ["-t", "ed25519"],
    "rsa": ["-t", "rsa", "-b", "2048"],
    "ecdsa-256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa-384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa-521": ["-t", "ecdsa", "-b", "521"],
}
"""Kinds of keys, with the options of ssh-keygen that make one."""

POINT = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
"""The base point of P-256: some public key."""


def join(*strings):
    return b"".join(len(string).to_bytes(4) + string for string in strings)


def write_key(kind, *fields):
    """Return TYPE and BASE64."""
    return f"{kind} {b64encode(join(kind.encode(), *fields)).decode()}"


ED25519 = write_key("ssh-ed25519", b"\x01" * 32)
WRITTEN = {
    "sk-ed25519": write_key("sk-ssh-ed25519@openssh.com", b"\x01" * 32, b"ssh:"),
    "sk-ecdsa": write_key("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", POINT, b"ssh:"),
}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def list_fingerprint(path):
    """Return what the real ssh-keygen says."""
    return run("ssh-keygen", "-l", "-E", "sha256", "-f", path).split()[1]


def make_key(folder, kind, name="key"):
    public = folder / f"{name}.pub"
    if kind in WRITTEN:
        public.write_text(f"{WRITTEN[kind]} ada@laptop\n")
    else:
        run("ssh-keygen", "-q", *MADE[kind], "-N", "", "-C", "ada@laptop", "-f", folder / name)
    return public


def read_public(path):
    """Return TYPE and BASE64, without the comment, as sshd writes them."""
    return " ".join(path.read_text().split()[:2])


@pytest.mark.parametrize("kind", [*MADE, *WRITTEN])
def test_a_key_and_its_certificate_have_the_fingerprint_of_ssh_keygen(tmp_path, kind):
    """Differential, with real keys and certificates: both are the same key."""
    public = make_key(tmp_path, kind)
    make_key(tmp_path, "ed25519", "authority")
    run("ssh-keygen", "-q", "-s", tmp_path / "authority", "-I", "ada", "-n", "ada", public)
    certificate = tmp_path / "key-cert.pub"
    expected = list_fingerprint(public)

    assert list_fingerprint(certificate) == expected
    assert read_ssh_key(f"publickey {read_public(public)}\n") == expected
    assert read_ssh_key(f"publickey {read_public(certificate)}\n") == expected


def test_what_sshd_adds_to_a_line_changes_nothing():
    """Of a security key it tells the signature counter."""
    assert read_ssh_key(f"publickey {ED25519} signature count = 7\n") == read_ssh_key(
        f"publickey {ED25519}\n"
    )


@pytest.mark.parametrize(
    "text",
    ["", "\n", "password\n", "keyboard-interactive/pam\n", f"hostbased {ED25519} client user x\n"],
)
def test_without_a_key_there_is_none(text):
    """Also a host's key is nobody's login key."""
    assert read_ssh_key(text) == ""


def test_several_keys_are_all_told_in_order():
    """AuthenticationMethods can ask for two; which two, and in what order, is one value."""
    first, second = f"publickey {ED25519}\n", f"publickey {WRITTEN['sk-ecdsa']}\n"

    found = read_ssh_key(first + "password\n" + second)

    assert found == f"{read_ssh_key(first)} {read_ssh_key(second)}"
    assert found != read_ssh_key(second + first)


def test_a_kind_of_key_from_the_future_has_a_fingerprint():
    """Its digest needs no knowledge of what is in it."""
    assert read_ssh_key("publickey " + write_key("ssh-new", b"a", b"b")).startswith("SHA256:")


CERTIFICATE = "ssh-ed25519-cert-v01@openssh.com"


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 é",
        ED25519[:-1],
        ED25519[:-8],
        ED25519 + "=",
        ED25519.replace(" ", "  "),
        ED25519.replace("ssh-ed25519", "ssh-rsa", 1),
        ED25519.replace("ssh-ed25519", "", 1),
        write_key("ssh-ed25519"),
        write_key("ssh-ed25519", b"a", b"b"),
        write_key("ssh-new"),
        write_key("ssh-new-cert-v01@openssh.com", b"nonce", b"a"),
        write_key(CERTIFICATE),
        write_key(CERTIFICATE, b"nonce"),
    ],
)
def test_what_is_no_key_is_unknown_and_not_none(rest):
    """A line that cannot be read never looks like a login without a key, nor hides behind one."""
    assert read_ssh_key(f"publickey {rest}\n") == UNKNOWN_KEY
    assert read_ssh_key(f"publickey {ED25519}\npublickey {rest}\n") == UNKNOWN_KEY
    assert read_ssh_key("publickey") == UNKNOWN_KEY


@given(st.one_of(st.text(), st.text().map("publickey ".__add__)))
def test_any_text_is_a_key_none_or_unknown(text):
    """Nothing is raised, whatever stands there."""
    found = read_ssh_key(text)

    assert found in ("", UNKNOWN_KEY) or found.startswith("SHA256:")


@given(st.binary(max_size=80), st.sampled_from(["ssh-ed25519", CERTIFICATE, "ssh-new"]))
def test_any_bytes_are_a_key_or_unknown(blob, kind):
    """Lengths that lie are no key, and cost nothing."""
    whole = join(kind.encode()) + blob

    found = read_ssh_key(f"publickey {kind} {b64encode(whole).decode()}")

    assert found == UNKNOWN_KEY or found.startswith("SHA256:")
