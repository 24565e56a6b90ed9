"""Build dist/stepupd_VERSION_ARCH.deb, and its bill of materials beside it: `make deb`.

    /usr/bin/python3 -I packaging/deb

The package is for the Debian release it is built on: run it with that release's own Python. The
same source gives the same bytes, wherever, whenever and by whomever it is built; the time in it is
that of packaging/debian/changelog, or SOURCE_DATE_EPOCH.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

sys.dont_write_bytecode = True

from bill import normalize_name, spell_licence, write_bill  # noqa: E402 - after the line above
from tree import PRIVATE, PYTHON, Layout, make_tree, settle, write_gzip  # noqa: E402 - as above
from wheels import Wheel, WheelError, fetch_wheels  # noqa: E402 - as above

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = ROOT / "packaging" / "debian"
SCRIPTS = ("postinst", "prerm", "postrm")
KEPT = ("PATH", "HOME", "SOURCE_DATE_EPOCH", "PIP_", "SSL_CERT", "http_proxy", "https_proxy")
"""How the variables begin that a build may see: how to reach the package index, and no flags."""


@dataclass(frozen=True, slots=True)
class Release:
    """What the changelog says about the newest version, and the machine about itself."""

    version: str
    epoch: int
    arch: str


def main() -> None:
    """Build both files and print their names."""
    _settle_environment()
    if Path(sys.executable).resolve() != Path("/usr/bin/python3").resolve():
        sys.exit("the package is for Debian's own Python: /usr/bin/python3 -I packaging/deb")
    release = _read_release()
    multiarch = _ask("dpkg-architecture", "-qDEB_HOST_MULTIARCH")
    layout = Layout(ROOT, ROOT / "build" / "deb", multiarch)
    layout.work.mkdir(parents=True, exist_ok=True)
    with (layout.work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            wheels = fetch_wheels(ROOT / "packaging/wheels.txt", layout.work / "wheels")
        except WheelError as error:
            sys.exit(f"{error}\nsee packaging/lock_wheels.py")
        make_tree(layout, wheels)
        _write_documents(layout, wheels)
        _write_records(layout, release)
        settle(layout.tree, release.epoch)
        package = _pack(layout, release)
        bill = package.with_suffix(".cdx.json")
        bill.write_text(
            write_bill(
                version=release.version,
                arch=release.arch,
                epoch=release.epoch,
                deb_sha256=hashlib.sha256(package.read_bytes()).hexdigest(),
                wheels=wheels,
            )
        )
    for path in (package, bill):
        path.chmod(0o644)
        print(path.relative_to(ROOT))  # noqa: T201 - a script


def _settle_environment() -> None:
    for name in list(os.environ):
        if not name.startswith(KEPT):
            del os.environ[name]
    os.environ |= {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    os.umask(0o022)


def _read_release() -> Release:
    changelog = (DEBIAN / "changelog").read_text()
    first = re.match(r"stepupd \((?P<version>[^)]+)\)", changelog)
    date = re.search(r"^ -- .*>  (?P<date>.+)$", changelog, re.MULTILINE)
    own = re.search(r'__version__ = "(.+)"', (ROOT / "stepupd/__init__.py").read_text())
    if first is None or date is None or own is None:
        sys.exit("packaging/debian/changelog or stepupd/__init__.py: no version")
    if first["version"] != own[1]:
        sys.exit(f"packaging/debian/changelog says {first['version']}, the program {own[1]}")
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or parsedate_to_datetime(date["date"]).timestamp()
    os.environ["SOURCE_DATE_EPOCH"] = str(int(epoch))
    return Release(own[1], int(epoch), _ask("dpkg", "--print-architecture"))


def _write_documents(layout: Layout, wheels: Sequence[Wheel]) -> None:
    folder = layout.tree / "usr/share/doc/stepupd"
    write_gzip(folder / "changelog.gz", (DEBIAN / "changelog").read_bytes())
    write_gzip(folder / "NEWS.gz", (ROOT / "CHANGELOG.md").read_bytes())
    with (folder / "copyright").open("a") as copyright_file:
        for wheel in wheels:
            copyright_file.write(_describe_copyright(layout, wheel))


def _describe_copyright(layout: Layout, wheel: Wheel) -> str:
    """Return the paragraph about one library; its notices are in its own folder."""
    name = normalize_name(wheel.name).replace("-", "_")
    [info] = [
        path.name
        for path in layout.packages.glob("*.dist-info")
        if normalize_name(path.name.split("-")[0]).replace("-", "_") == name
    ]
    place = f"/{PRIVATE}/lib/{PYTHON}/site-packages/{info}/"
    # One short name for each library: what is in the notices is what counts.
    short = f"{name}-licence"
    return (
        f"\nFiles: {PRIVATE}/lib/{PYTHON}/site-packages/{name}*\n"
        f"Copyright: {wheel.author or f'the authors of {wheel.name}'}\n"
        f"License: {short}\n"
        f" {spell_licence(wheel.licence) or wheel.licence}, see {place}\n"
    )


def _write_records(layout: Layout, release: Release) -> None:
    records = layout.tree / "DEBIAN"
    files = [p for p in sorted(layout.tree.rglob("*")) if p.is_file() and not p.is_symlink()]
    records.mkdir()
    (records / "control").write_text(_fill_control(layout, release, files))
    (records / "conffiles").write_bytes((DEBIAN / "conffiles").read_bytes())
    (records / "md5sums").write_text(
        "".join(
            f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {name}\n"
            for path in files
            if not (name := str(path.relative_to(layout.tree))).startswith("etc/")
        )
    )
    for name in SCRIPTS:
        (records / name).write_bytes((DEBIAN / name).read_bytes())
        (records / name).chmod(0o755)


def _fill_control(layout: Layout, release: Release, files: Sequence[Path]) -> str:
    """Return the control file: the template's binary paragraph, with what only a build knows."""
    source, _, binary = (DEBIAN / "control").read_text().partition("\n\n")
    fields = [
        line for line in source.splitlines() if line.startswith(("Section", "Priority", "Ma"))
    ]
    size = sum(-(-path.stat().st_size // 1024) for path in files)
    size += sum(path.is_dir() for path in layout.tree.rglob("*"))
    major, minor = sys.version_info[:2]
    known = {
        "${python}": f"python3 (>= {major}.{minor}~), python3 (<< {major}.{minor + 1})",
        "${shlibs}": _find_libraries(layout),
        "Architecture: any": "\n".join(
            (
                f"Version: {release.version}",
                f"Architecture: {release.arch}",
                *fields,
                f"Installed-Size: {size}",
            )
        ),
        ",\n ": ", ",
    }
    for name, value in known.items():
        binary = binary.replace(name, value)
    return binary


def _find_libraries(layout: Layout) -> str:
    """Return the packages that the compiled parts need, as dpkg-shlibdeps finds them."""
    compiled = sorted(layout.tree.rglob("*.so"))
    folder = layout.work / "shlibdeps"
    (folder / "debian").mkdir(parents=True, exist_ok=True)
    (folder / "debian/control").write_bytes((DEBIAN / "control").read_bytes())
    options = (f"-e{path}" for path in compiled)
    answer = _ask("dpkg-shlibdeps", "-O", "--warnings=0", *options, folder=folder)
    return answer.removeprefix("shlibs:Depends=")


def _pack(layout: Layout, release: Release) -> Path:
    name = f"stepupd_{release.version}_{release.arch}.deb"
    built = layout.work / name
    # One thread: the blocks that several make depend on how many there are.
    _ask(
        *("dpkg-deb", "--root-owner-group", "-Zxz", "--threads-max=1", "--build"),
        *(str(layout.tree), str(built)),
    )
    package = ROOT / "dist" / name
    package.parent.mkdir(exist_ok=True)
    return built.replace(package)


def _ask(*command: str, folder: Path | None = None) -> str:
    return subprocess.run(  # noqa: S603 - the build's own programs
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder
    ).stdout.strip()


if __name__ == "__main__":
    main()
