"""Write packaging/wheels.txt: every wheel the package may contain, by version and by hash.

    python3 -m venv /tmp/uv && /tmp/uv/bin/pip install uv
    python3 packaging/lock_wheels.py /tmp/uv/bin/uv

Run it when a dependency or constraints.txt changes. Versions are those of constraints.txt; the
hashes cover all platforms, so that one file serves every release and architecture of Debian.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "packaging" / "wheels.txt"


def main(uv: str) -> None:
    """Let uv resolve the run-time dependencies, the optional ones included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = sorted(set(project.get("optional-dependencies", {})) - {"dev"})
    subprocess.run(  # noqa: S603 - the program named on the command line
        [
            *(uv, "pip", "compile", "--quiet", "pyproject.toml"),
            *(f"--extra={extra}" for extra in extras),
            *("--constraint=constraints.txt", "--only-binary=:all:", "--generate-hashes"),
            *("--python-version=3.11", "--python-platform=linux"),
            *("--no-header", "--no-annotate", f"--output-file={LOCK}"),
        ],
        cwd=ROOT,
        check=True,
    )


if __name__ == "__main__":
    main(sys.argv[1])
