"""The documents keep up with the code: the map, the threat model, the reasons, the manual."""

import re
import subprocess
from pathlib import Path

import pytest

from stepupd.core.model import Reason

ROOT = Path(__file__).parents[2]
THREATS = ROOT / "docs" / "threat-model.md"
MAN_PAGES = sorted((ROOT / "man").glob("*.[1-9]"))

CATALOGUE = {
    "A": (1, 2, 3, 4, 6, 7, 9, 10, 11, 12, 13, 14, 15, 17, 18),
    "B": (19, 20, 21, 22, 23, 24, 26, 28, 29, 30, 31, 32, 34, 35),
    "C": (37, 38, 39, 40, 42, 44, 45, 46, 48, 49, 50, 51, 53, 54, 55, 57),
    "D": (58, 59, 61, 62, 63, 64, 65, 66, 67, 69, 70),
    "G": (94, 95, 96, 97, 99, 100, 101, 103, 104, 105),
    "H": (107, 108, 109, 110, 111, 113),
    "J": (126, 128, 129, 130, 131, 132),
    "K": (135, 136, 137, 139, 140, 141, 142, 144, 145),
    "L": (146, 147, 148, 150),
}


def list_tracked():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [Path(line) for line in listed.stdout.splitlines()]


def read_map():
    text = (ROOT / "README.md").read_text()
    return next(
        b
        for b in re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
        if "stepupd/core" in b or "  core/" in b
    )


def test_the_map_shows_every_folder():
    """Each top-level folder, and each under stepupd/, stands in README's map."""
    tracked = list_tracked()
    top = {path.parts[0] for path in tracked if len(path.parts) > 1}
    inside = {
        path.parts[1] for path in tracked if path.parts[0] == "stepupd" and len(path.parts) > 2
    }
    shown = read_map()

    missing = [
        name
        for name in sorted(top | inside)
        if f"{name}/" not in shown and not name.startswith(".")
    ]

    assert not missing


def test_the_map_shows_nothing_else():
    for name in re.findall(r"(?:^|\s)([a-z_][\w./-]*/)(?=\s)", read_map()):
        assert any(ROOT.glob(name)) or any((ROOT / "stepupd").glob(name)), name


def list_rows():
    """Return the threat model's rows: number and the rest of its line."""
    return dict(re.findall(r"^\| *(\d+) *\|(.*)$", THREATS.read_text(), re.MULTILINE))


def test_every_attack_is_answered():
    """Each row of the catalogue names a test, or the later work that brings it."""
    rows = list_rows()
    for group, numbers in CATALOGUE.items():
        for number in numbers:
            row = rows.get(str(number), "")
            assert "::test_" in row or "later" in row or "out of scope" in row, (group, number)


def test_every_named_test_exists():
    for file, name in re.findall(r"([\w/]+\.py)::(test_\w+)", THREATS.read_text()):
        path = ROOT / "tests" / file.removeprefix("tests/")
        assert path.exists(), file
        assert re.search(rf"def {name}\b", path.read_text()), f"{file}::{name}"


@pytest.mark.parametrize("page", MAN_PAGES, ids=lambda page: page.name)
def test_man_pages_are_clean(page):
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False
    )

    assert done.stdout == ""


def test_every_reason_is_documented():
    """A reason code that a program may meet stands in the protocol document."""
    text = (ROOT / "docs" / "protocol.md").read_text()

    assert not [reason.value for reason in Reason if f"`{reason.value}`" not in text]


def test_decisions_name_their_price():
    """Every ADR says what it costs."""
    records = sorted((ROOT / "docs" / "adr").glob("0*.md"))

    assert records
    for record in records:
        assert re.search(
            r"^#+ .*(negative|cost|price)", record.read_text(), re.IGNORECASE | re.MULTILINE
        ), record.name


def test_no_lock_file_names_a_host():
    assert "://" not in (ROOT / "constraints.txt").read_text()
