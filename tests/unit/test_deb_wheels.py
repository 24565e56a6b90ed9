"""What of a wheel gets into the package."""

import sys
import zipfile
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging" / "deb"


@pytest.fixture
def wheels(monkeypatch):
    """Import the builder's module, which is no part of the program."""
    monkeypatch.syspath_prepend(PACKAGING)
    yield __import__("wheels")
    sys.modules.pop("wheels")


def make_wheel(module, path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return module.Wheel(path, "", "made", "1", "", "", "")


def list_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_only_what_can_be_imported_is_unpacked(wheels, tmp_path):
    """No programs, no lists for pip, no tree that the wheel was built in."""
    made = make_wheel(
        wheels,
        tmp_path / "made.whl",
        "made/__init__.py",
        "made/data/words-of-two.txt",
        "_made.cpython-313-x86_64-linux-gnu.so",
        "made-1.dist-info/METADATA",
        "made-1.dist-info/RECORD",
        "made-1.data/scripts/made",
        "made-1.data/purelib/more.py",
        "bazel-project/external/rules_python+/tests/x.py",
    )

    wheels.unpack((made,), tmp_path / "out")

    assert list_files(tmp_path / "out") == [
        "_made.cpython-313-x86_64-linux-gnu.so",
        "made-1.dist-info/METADATA",
        "made/__init__.py",
        "made/data/words-of-two.txt",
        "more.py",
    ]


@pytest.mark.parametrize("name", ["../made.py", "/made.py", "made.pth"])
def test_a_file_that_reaches_further_is_refused(wheels, tmp_path, name):
    """Outside the environment, or run at every start."""
    made = make_wheel(wheels, tmp_path / "made.whl", name)

    with pytest.raises(wheels.WheelError):
        wheels.unpack((made,), tmp_path / "out")
