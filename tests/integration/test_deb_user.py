"""The units of a person: valid, not enabled, and at work in a real user manager without root."""

import re
import shutil
import subprocess
from time import monotonic

import pytest
from deb_support import PATIENCE, ROOT

pytestmark = pytest.mark.timeout(900)  # building and examining it, on a busy machine

UNITS = ROOT / "systemd" / "user"
BUS_NAME = "dbus-org.stepupd1.service"
NEEDS_PRIVILEGES = (
    r"(Protect\w+|Private\w+|ReadWritePaths|StateDirectory|LogsDirectory|CapabilityBoundingSet"
    r"|DevicePolicy|DeviceAllow|IPAddress\w+|User|Group|AmbientCapabilities|LoadCredential\w*)="
)
ADA = ("setpriv", "--reuid=ada", "--regid=ada", "--init-groups", "env", "-i", "HOME=/home/ada")
MANAGER = """
mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR"
chown ada "$XDG_RUNTIME_DIR"
chmod 0700 "$XDG_RUNTIME_DIR"
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
group=$(mktemp -d /sys/fs/cgroup/stepup-test.XXXXXX)
chown -R ada "$group"
(echo 0 >"$group/cgroup.procs"; exec "$@" /lib/systemd/systemd --user --log-target=console)
find "$group" -depth -type d -exec rmdir {} +
"""
"""As logind and user@.service would; afterwards the machine's control groups are as before."""


class Login:
    """A person in a copy of this machine, with a service manager."""

    def __init__(self, copy):
        copy.run("useradd", "--create-home", "ada")
        self._copy = copy
        self._runtime = f"/run/user/{copy.run('id', '-u', 'ada').strip()}"
        environment = {"XDG_RUNTIME_DIR": self._runtime}
        as_ada = (*ADA, "PATH=/usr/bin:/bin", f"XDG_RUNTIME_DIR={self._runtime}")
        self._as_ada = as_ada
        self._manager = copy.start("sh", "-ec", MANAGER, "sh", *as_ada, **environment)
        deadline = monotonic() + PATIENCE
        while self.try_out("systemctl", "--user", "is-active", "default.target")[0] != 0:
            assert self._manager.poll() is None, self._manager.stdout.read()
            assert monotonic() < deadline

    def try_out(self, *command):
        return self._copy.try_out(*self._as_ada, *command)

    def run(self, *command):
        return self._copy.run(*self._as_ada, *command)

    def show(self, name):
        return self.run("systemctl", "--user", "show", "--value", "-p", name, "stepupd.service")

    def close(self):
        self.try_out("systemctl", "--user", "exit")
        self._manager.communicate(timeout=PATIENCE)


@pytest.fixture
def ada(installed):
    login = Login(installed)
    yield login
    login.close()


def test_systemd_understands_every_line(tmp_path):
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/sbin/stepupd", shutil.which("true"))
        (tmp_path / unit.name).write_text(text)
    units = [tmp_path / unit.name for unit in UNITS.iterdir()]
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", *units],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
        | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert len(units) == 2
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_asks_for_nothing_that_needs_root():
    """What a user manager cannot do, it leaves out without a word, or nothing starts."""
    lines = (UNITS / "stepupd.service").read_text().splitlines()

    assert not [line for line in lines if re.match(NEEDS_PRIVILEGES, line)]
    assert {"NoNewPrivileges=yes", "RestrictNamespaces=yes", "UMask=0077"} <= set(lines)


def test_the_session_bus_starts_it_only_where_it_is_enabled():
    """By a name that the unit has once a person has enabled it."""
    service = (ROOT / "dbus" / "org.stepupd1.session").read_text().splitlines()

    assert {"Name=org.stepupd1", f"SystemdService={BUS_NAME}"} <= set(service)
    assert f"Alias={BUS_NAME}" in (UNITS / "stepupd.service").read_text().splitlines()


def test_they_ship_and_nobody_has_them_unasked(installed):
    listed = installed.run("dpkg", "--listfiles", "stepupd").split()
    links = installed.run("find", "/etc/systemd/user", "/usr/lib/systemd/user", "-type", "l")

    for name in ("stepupd.socket", "stepupd.service"):
        assert f"/usr/lib/systemd/user/{name}" in listed
    assert "stepupd" not in links


def test_the_library_for_the_keyring_is_inside(installed):
    """As every optional part."""
    code = "import secretstorage, keyring.backends.SecretService"
    installed.run("/usr/lib/stepupd/bin/python3", "-I", "-c", code)


def test_a_person_turns_it_on_and_the_first_request_starts_it(ada):
    """Socket activation in a manager without root: sandboxed, private, ready, stopped cleanly."""
    ada.run("systemctl", "--user", "enable", "--now", "stepupd.socket")
    before = ada.show("ActiveState")
    names = set(ada.show("Names").split())
    status = ada.run("stepup", "status")
    pid = ada.show("MainPID").strip()
    kernel = ada.run("grep", "-E", "^(NoNewPrivs|Seccomp|CapEff|Uid):", f"/proc/{pid}/status")
    modes = ada.run("sh", "-c", "stat -c '%a %U' $XDG_RUNTIME_DIR/stepupd/*.sock ~/.local/state/*")
    ada.run("systemctl", "--user", "reload", "stepupd.service")
    ada.run("systemctl", "--user", "stop", "stepupd.service", "stepupd.socket")

    assert before == "inactive\n"
    # What the session bus starts: nothing else has that name, so nobody has it unasked.
    assert names == {"stepupd.service", BUS_NAME}
    assert "user mode" in status
    assert kernel.split()[-6:] == ["CapEff:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]
    assert set(modes.splitlines()) == {"600 ada", "700 ada"}
    assert ada.show("Result") == "success\n"
    assert ada.show("NRestarts") == "0\n"
