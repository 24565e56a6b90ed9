"""The libraries inside the package: wheels, each one checked against packaging/wheels.txt.

The law of this file: nothing is used whose SHA-256 is not in the lock, wherever it came from, and
nothing of a wheel is run. What a wheel would install as a program is left out.
"""

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_DROPPED = frozenset({"RECORD", "INSTALLER", "REQUESTED"})
"""Of a dist-info folder: lists of files for pip, which has no business here."""


class WheelError(Exception):
    """A wheel is missing, or is not the one that was locked."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A line of the lock."""

    name: str
    version: str
    hashes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that is in the lock, and what it says about itself."""

    path: Path
    sha256: str
    name: str
    version: str
    summary: str
    licence: str
    author: str


def read_lock(path: Path) -> tuple[Pin, ...]:
    """Return the pins. Raises WheelError for a line without a hash."""
    pins = []
    for entry in path.read_text().replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.startswith("#"):
            continue
        found = _PINNED.match(entry)
        hashes = frozenset(_HASH.findall(entry))
        if found is None or not hashes:
            raise WheelError(f"{path}: not a pinned version with hashes: {entry[:60]}")
        pins.append(Pin(found["name"], found["version"], hashes))
    return tuple(pins)


def fetch_wheels(lock: Path, folder: Path) -> tuple[Wheel, ...]:
    """Return one wheel for each pin, in order; pip downloads what is not in `folder`."""
    pins = read_lock(lock)
    folder.mkdir(parents=True, exist_ok=True)
    present = _index(folder)
    if any(pin.hashes.isdisjoint(present) for pin in pins):
        _download(lock, folder)
        present = _index(folder)
    return tuple(_describe(_choose(pin, present)) for pin in pins)


def unpack(wheels: tuple[Wheel, ...], target: Path) -> None:
    """Unpack the importable part of each. Raises WheelError if two have the same file."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel.path) as archive:
            for name in sorted(archive.namelist()):
                place = _place(name)
                if place is None:
                    continue
                path = target / place
                if path.exists():
                    raise WheelError(f"{wheel.path.name}: {place} is in another wheel as well")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))


def _place(name: str) -> PurePosixPath | None:
    """Return where a file of a wheel belongs, None if nowhere (binary distribution format)."""
    path = PurePosixPath(name)
    if name.endswith("/"):
        return None
    if path.is_absolute() or ".." in path.parts:
        raise WheelError(f"a file outside: {name}")
    top = path.parts[0]
    if top.endswith(".data"):
        return PurePosixPath(*path.parts[2:]) if path.parts[1] in {"purelib", "platlib"} else None
    is_about = top.endswith(".dist-info")
    if is_about and path.name in _DROPPED:
        return None
    if len(path.parts) > 1 and not (is_about or top.isidentifier()):
        return None  # nothing can import it: some wheels carry the tree they were built in
    if path.suffix == ".pth":
        raise WheelError(f"a file that runs at every start: {name}")
    return path


def _index(folder: Path) -> dict[str, Path]:
    return {
        hashlib.sha256(path.read_bytes()).hexdigest(): path for path in sorted(folder.glob("*.whl"))
    }


def _choose(pin: Pin, present: dict[str, Path]) -> tuple[str, Path]:
    matching = sorted(pin.hashes & present.keys(), key=lambda sha: present[sha].name)
    if len(matching) != 1:
        raise WheelError(f"{pin.name} {pin.version}: {len(matching)} wheels of the lock")
    return matching[0], present[matching[0]]


def _download(lock: Path, folder: Path) -> None:
    command = (
        *(sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--require-hashes", "--only-binary=:all:", "--disable-pip-version-check"),
        *("--dest", str(folder), "--requirement", str(lock)),
    )
    subprocess.run(command, check=True, env=os.environ)  # noqa: S603 - pip, our own words


def _describe(chosen: tuple[str, Path]) -> Wheel:
    sha256, path = chosen
    with zipfile.ZipFile(path) as archive:
        [name] = [n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    classified = [
        value.rpartition(" :: ")[2]
        for value in metadata.get_all("Classifier", [])
        if value.startswith("License ::")
    ]
    short = (metadata["License"] or "").strip()
    if "\n" in short:
        short = ""
    return Wheel(
        path=path,
        sha256=sha256,
        name=metadata["Name"],
        version=metadata["Version"],
        summary=(metadata["Summary"] or "").strip(),
        licence=metadata["License-Expression"] or short or " and ".join(classified),
        author=metadata["Author"] or metadata["Author-email"] or "",
    )
