"""pam_stepup.so as a file: what it exports, imports and holds; and its manual."""

import subprocess

import pytest
from pam_support import SOURCE, build


@pytest.fixture(scope="session")
def built():
    return build()


def undefined_symbols(path):
    listing = subprocess.run(
        ["nm", "-D", "--undefined-only", path], capture_output=True, text=True, check=True
    ).stdout
    return {line.split()[-1].split("@")[0] for line in listing.splitlines()}


def test_two_entry_points_are_exported(built):
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", built / "pam_stepup.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert {line.split()[-1] for line in listing.splitlines()} == {
        "pam_sm_authenticate",
        "pam_sm_setcred",
    }


def test_only_libc_and_libpam_are_needed(built):
    """Where the loader holds the stack guard (arm64) it is named too."""
    listing = subprocess.run(
        ["readelf", "-dW", built / "pam_stepup.so"], capture_output=True, text=True, check=True
    ).stdout
    needed = {
        line.rpartition("[")[2].rstrip("]") for line in listing.splitlines() if "(NEEDED)" in line
    }

    assert {name for name in needed if not name.startswith("ld-linux")} == {
        "libc.so.6",
        "libpam.so.0",
    }


def test_the_module_is_hardened(built):
    """Read-only relocations, bound at load, no executable stack, checked buffers."""
    headers = subprocess.run(
        ["readelf", "-ldW", built / "pam_stepup.so"], capture_output=True, text=True, check=True
    ).stdout

    assert "GNU_RELRO" in headers
    assert "NOW" in headers
    assert any("GNU_STACK" in line and " RW " in line for line in headers.splitlines())
    assert "__stack_chk_fail" in undefined_symbols(built / "pam_stepup.so")


def test_the_module_holds_no_mutable_state(built):
    """No writable data of ours: what the linker itself puts there is all there is."""
    listing = subprocess.run(
        ["nm", built / "pam_stepup.so"], capture_output=True, text=True, check=True
    ).stdout
    writable = {line.split()[-1] for line in listing.splitlines() if line.split()[-2] in "bBdDsS"}

    linker = ("__", "completed.", "_GLOBAL_OFFSET_TABLE_", "_DYNAMIC")
    assert [name for name in writable if not name.startswith(linker)] == []


def test_the_manual_is_well_formed_and_names_every_option():
    page = SOURCE.parent / "man" / "pam_stepup.8"
    lint = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False
    )

    assert (lint.returncode, lint.stdout) == (0, "")
    for word in ("socket", "timeout", "debug", "passwd_tries", "PAM_AUTHINFO_UNAVAIL"):
        assert word in page.read_text()


def test_make_rebuilds_nothing_when_nothing_changed(built):
    """`make` twice is idle the second time: tests and packages see the same file."""
    before = (built / "pam_stepup.so").stat().st_mtime_ns

    subprocess.run(["make", "-C", SOURCE], check=True, capture_output=True)

    assert (built / "pam_stepup.so").stat().st_mtime_ns == before
