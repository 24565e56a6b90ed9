"""The tree that the package unpacks to: our program and its libraries, and what `install` lists.

The environment is a virtual one in its smallest form: a link to the interpreter, `pyvenv.cfg` and
site-packages. Python finds the rest by itself, so `python3 -I` sees these libraries, the standard
library, and nothing that anybody installed for other programs.
"""

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wheels import Wheel, unpack

PRIVATE = Path("usr/lib/stepupd")
PROGRAMS = {
    "usr/sbin/stepupd": "stepupd",
    "usr/bin/stepup": "stepup",
}
"""Path and package of each program."""
LAUNCHER = """\
#!/usr/lib/stepupd/bin/python3 -I
from {package}.__main__ import main

# The log verifier's workers import this file once more.
if __name__ == "__main__":
    main()
"""
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/stepup",
    "zsh": "usr/share/zsh/vendor-completions/_stepup",
    "fish": "usr/share/fish/vendor_completions.d/stepup.fish",
}
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a build takes things from, and puts them."""

    source: Path
    work: Path
    multiarch: str

    @property
    def tree(self) -> Path:
        """What becomes /."""
        return self.work / "tree"

    @property
    def private(self) -> Path:
        """The private environment."""
        return self.tree / PRIVATE

    @property
    def packages(self) -> Path:
        """Its importable part."""
        return self.private / "lib" / PYTHON / "site-packages"


def make_tree(layout: Layout, wheels: Sequence[Wheel]) -> None:
    """Fill an empty tree with everything but the package's own records."""
    shutil.rmtree(layout.tree, ignore_errors=True)
    layout.packages.mkdir(parents=True)
    unpack(tuple(wheels), layout.packages)
    _copy_program(layout)
    _strip(layout)
    _compile(layout)
    _write_completions(layout)
    _write_manuals(layout)
    _install_listed(layout)
    _build_module(layout)


def settle(tree: Path, epoch: int) -> None:
    """Give everything the modes and times that it has in the package, whatever the umask was."""
    for folder, folders, files in os.walk(tree, topdown=False):
        for name in (*folders, *files):
            path = Path(folder, name)
            if not path.is_symlink():
                is_program = path.is_dir() or path.stat().st_mode & 0o100
                path.chmod(0o755 if is_program else 0o644)
            os.utime(path, (epoch, epoch), follow_symlinks=False)
    tree.chmod(0o755)
    os.utime(tree, (epoch, epoch))


def write_gzip(path: Path, content: bytes) -> None:
    """Write a compressed file that says neither its name nor the time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 9, mtime=0))


def _copy_program(layout: Layout) -> None:
    for package in ("stepupd", "cli/stepup"):
        source = layout.source / package
        for path in sorted(source.rglob("*.py")):
            target = layout.packages / source.name / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (layout.private / "bin").mkdir()
    (layout.private / "bin/python3").symlink_to(f"../../../bin/{PYTHON}")
    (layout.private / "pyvenv.cfg").write_text(
        "home = /usr/bin\ninclude-system-site-packages = false\n"
    )
    for name, package in PROGRAMS.items():
        path = layout.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(LAUNCHER.format(package=package))
        path.chmod(0o755)


def _strip(layout: Layout) -> None:
    for path in sorted(layout.packages.rglob("*.so")):
        _run("strip", "--strip-unneeded", "--remove-section=.comment", path)


def _compile(layout: Layout) -> None:
    # Unchecked: the source's time is not looked at, which differs on every machine. The seed is for
    # the order of sets; -I would ignore it.
    _run(
        *(sys.executable, "-s", "-m", "compileall", "-q", "-f"),
        *("--invalidation-mode", "unchecked-hash", "-s", layout.tree, "-p", "/"),
        layout.packages,
        PYTHONHASHSEED="0",
    )


def _write_completions(layout: Layout) -> None:
    for shell, name in COMPLETIONS.items():
        path = layout.tree / name
        path.parent.mkdir(parents=True)
        command = (sys.executable, "-s", "-m", "stepup", "completion", shell)
        path.write_text(_run(*command, PYTHONPATH=str(layout.packages)))


def _write_manuals(layout: Layout) -> None:
    for page in sorted((layout.source / "man").glob("*.[1-9]")):
        folder = layout.tree / f"usr/share/man/man{page.suffix[1:]}"
        write_gzip(folder / f"{page.name}.gz", page.read_bytes())


def _install_listed(layout: Layout) -> None:
    for entry in (layout.source / "packaging/debian/install").read_text().splitlines():
        if not entry.strip() or entry.startswith("#"):
            continue
        pattern, folder, *more = entry.split()
        mode, name = int(more[0] if more else "0644", 8), more[1] if len(more) > 1 else ""
        found = sorted(layout.source.glob(pattern.removeprefix("?")))
        if not found and not pattern.startswith("?"):
            raise FileNotFoundError(pattern)
        for path in found:
            if path.is_file():
                target = layout.tree / folder / (name or path.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
                target.chmod(mode)


def _build_module(layout: Layout) -> None:
    built = layout.work / "pam"
    _run("make", "--silent", "-C", layout.source / "pam", "clean", "all", f"OUT={built}")
    target = layout.tree / "usr/lib" / layout.multiarch / "security/pam_stepup.so"
    target.parent.mkdir(parents=True)
    target.write_bytes((built / "pam_stepup.so").read_bytes())
    _run("strip", "--strip-unneeded", "--remove-section=.comment", target)


def _run(*command: str | Path, **environment: str) -> str:
    return subprocess.run(  # noqa: S603 - the build's own programs
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    ).stdout
