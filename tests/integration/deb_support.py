"""The package as `make deb` builds it, and a copy of this machine to try it on.

A copy is an overlay over / whose changes are in memory, in namespaces of its own: nothing reaches
the machine, and what runs there ends with it. Root only.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from time import monotonic

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60
AS_SERVICE = (
    *("setpriv", "--reuid=stepupd", "--regid=stepupd", "--clear-groups", "--no-new-privs"),
    *("--bounding-set=-all", "/usr/sbin/stepupd"),
)
"""As the unit starts it, as far as that goes without systemd."""
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
_SETUP = """
mount -t tmpfs -o mode=755 tmpfs {base}
mkdir {base}/upper {base}/work {base}/root
mount -t overlay overlay -o lowerdir=/,upperdir={base}/upper,workdir={base}/work {base}/root
cd {base}/root
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
echo ready
exec cat
"""
_UNSHOWN = shutil.ignore_patterns(".git", ".venv", "build", "dist", ".*_cache", "__pycache__")


def copy_source(target, *, of=ROOT):
    """Copy the source tree, and the wheels that are there already."""
    shutil.copytree(of, target, ignore=_UNSHOWN, symlinks=True)
    wheels = of / "build/deb/wheels"
    if wheels.is_dir():
        shutil.copytree(wheels, target / "build/deb/wheels")


def build(source, *, umask="022", **environment):
    """Run `make deb` there; return the package."""
    subprocess.run(
        ["sh", "-c", f"umask {umask}; exec make --silent deb"],
        cwd=source,
        env=os.environ | environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    [package] = (source / "dist").glob("*.deb")
    return package


def build_once(shared):
    """Build the package for all workers of a test run; `shared` is a folder they share."""
    source = shared / "stepupd-source"
    with (shared / "stepupd-build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = list((source / "dist").glob("*.cdx.json"))
        if not done:
            shutil.rmtree(source, ignore_errors=True)
            copy_source(source)
            build(source)
    [package] = (source / "dist").glob("*.deb")
    return package


def read_bill(package):
    return json.loads(package.with_suffix(".cdx.json").read_text())


class Copy:
    """A copy of this machine."""

    def __init__(self, base):
        self.base = base
        self._started = []
        self._holder = subprocess.Popen(
            [*_UNSHARE, "sh", "-ec", _SETUP.format(base=base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout.readline() == b"ready\n"
        listed = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text()
        self._inside = ["nsenter", "--mount", "--pid", "--target", listed.strip(), "--"]

    def close(self):
        self._holder.communicate(timeout=PATIENCE)
        for process in self._started:
            process.communicate(timeout=PATIENCE)

    def start(self, *command, **environment):
        """Start a program there; it ends with the copy at the latest."""
        process = subprocess.Popen(
            [*self._inside, "chroot", f"{self.base}/root", *command],
            env=_ENVIRONMENT | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def try_out(self, *command, **environment):
        """Run a program there; return its exit status and what it said."""
        process = self.start(*command, **environment)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    def run(self, *command, **environment):
        """Run a program there, which has to succeed; return what it said."""
        status, said = self.try_out(*command, **environment)
        assert status == 0, said
        return said

    def install(self, package):
        subprocess.run(
            [*self._inside, "sh", "-c", f"cat >{self.base}/root/run/stepupd.deb"],
            input=package.read_bytes(),
            check=True,
        )
        return self.run("dpkg", "--install", "/run/stepupd.deb")

    def read(self, path):
        return self.run("cat", path)

    def write(self, path, text):
        self.run("sh", "-c", 'printf %s "$1" >"$2"', "sh", text, path)

    def list_changes(self):
        """Return what is not as on the machine: files that are new or differ, or are gone."""
        found = subprocess.run(
            [*self._inside, "find", f"{self.base}/upper", "-mindepth", "1", "-printf", r"%y %P\n"],
            capture_output=True,
            text=True,
            check=True,
        )
        changed = []
        for line in found.stdout.splitlines():
            kind, _, name = line.partition(" ")
            if kind == "d" and Path("/", name).is_dir():
                continue
            if kind == "f" and Path("/", name).is_file() and self._is_same(name):
                continue
            changed.append(f"/{name}")
        return changed

    def _is_same(self, name):
        same = ["cmp", "--silent", f"{self.base}/upper/{name}", f"/{name}"]
        return subprocess.run([*self._inside, *same], check=False).returncode == 0


def wait_for(happened, process):
    """Wait until something is so; a process that ends before that fails the test."""
    deadline = monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, process.stdout.read()
        assert monotonic() < deadline


def start_daemon(machine, **environment):
    """Start the daemon as its unit would; return it once it answers."""
    write_pid = 'echo $$ >/run/stepupd.pid; exec "$@"'
    process = machine.start("sh", "-c", write_pid, "sh", *AS_SERVICE, **environment)
    wait_for(lambda: machine.try_out("stepup", "status")[0] == 0, process)
    return process


def stop_daemon(machine, process):
    """Stop the daemon as systemd would."""
    machine.run("sh", "-c", "kill $(cat /run/stepupd.pid)")
    assert process.wait(PATIENCE) == 0


@pytest.fixture(scope="session")
def package(tmp_path_factory, request):
    """Build the package once for a run of the tests, however many workers it has."""
    base = tmp_path_factory.getbasetemp()
    return build_once(base.parent if hasattr(request.config, "workerinput") else base)


@pytest.fixture(scope="session")
def unpacked(package, tmp_path_factory):
    """Unpack the package, with its scripts."""
    target = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "--raw-extract", package, target / "tree"], check=True)
    return target / "tree"


@pytest.fixture
def fresh():
    """Make a copy of this machine."""
    base = Path(tempfile.mkdtemp(prefix="stepup-deb-"))
    copy = Copy(base)
    yield copy
    copy.close()
    shutil.rmtree(base)


@pytest.fixture
def installed(fresh, package):
    """Make a copy of this machine with the package installed."""
    fresh.install(package)
    return fresh
