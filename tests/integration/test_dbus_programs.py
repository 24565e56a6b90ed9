"""The whole daemon on a private bus, asked by other people's programs and by our examples."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from dbus_support import PrivateBus, caller

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 60
MANAGER = ["org.stepupd1", "/org/stepupd1", "org.stepupd1.Manager"]


@pytest.fixture
def bus(machine):
    made = PrivateBus(machine.base)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def on_bus(machine, bus):
    """Start a daemon with one enrolled key on a bus of its own."""
    machine.start(DBUS_SESSION_BUS_ADDRESS=bus.address)
    machine.enroll()
    return machine


def begin(machine, *command):
    """Start a program that asks, and return it once the key blinks."""
    program = subprocess.Popen(
        command,
        env=machine.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert machine.key().wait_for_blink(PATIENCE), program.communicate(timeout=PATIENCE)
    return program


def ask_busctl(bus, action):
    if shutil.which("busctl") is None:
        pytest.skip("busctl is not installed")
    command = ["busctl", f"--address={bus.address}", f"--timeout={PATIENCE}", "call", *MANAGER]
    return [*command, "Check", "sa{sv}", action, "0"]


def ask_gdbus(bus, action):
    if shutil.which("gdbus") is None:
        pytest.skip("gdbus is not installed")
    command = ["gdbus", "call", "--address", bus.address, "--timeout", str(PATIENCE)]
    place = ["--dest", MANAGER[0], "--object-path", MANAGER[1], "--method", f"{MANAGER[2]}.Check"]
    return [*command, *place, action, "{}"]


def ask_python(bus, action):
    return [sys.executable, str(EXAMPLES / "dbus_ask.py"), action, bus.address]


def ask_shell(bus, action):
    return [str(EXAMPLES / "dbus-ask.sh"), action, bus.address]


def test_busctl(on_bus, bus):
    program = begin(on_bus, *ask_busctl(bus, "cli:deploy"))
    on_bus.key().touch()
    out, _ = program.communicate(timeout=PATIENCE)

    assert out.startswith('sssa{sv} "allow" "proved" ""')


@pytest.mark.usefixtures("on_bus")
def test_busctl_introspects(bus):
    """The tool understands what is served, and shows it with its properties."""
    if shutil.which("busctl") is None:
        pytest.skip("busctl is not installed")
    done = subprocess.run(
        ["busctl", f"--address={bus.address}", "introspect", *MANAGER[:2]],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )

    assert ".StepUpFor" in done.stdout
    assert '"user"' in done.stdout


def test_gdbus(on_bus, bus):
    program = begin(on_bus, *ask_gdbus(bus, "cli:deploy"))
    on_bus.key().touch()
    out, _ = program.communicate(timeout=PATIENCE)

    assert out.startswith("('allow', 'proved', '', {")


@pytest.mark.parametrize("ask", [ask_python, ask_shell])
def test_the_examples_go_on_after_a_touch_and_stop_without(on_bus, bus, ask):
    if ask is ask_shell:
        ask_gdbus(bus, "")  # skips where neither tool is
    allowed = begin(on_bus, *ask(bus, "cli:one"))
    on_bus.key().touch()
    _, shown = allowed.communicate(timeout=PATIENCE)
    denied = begin(on_bus, *ask(bus, "cli:two"))
    on_bus.key().deny()
    denied.communicate(timeout=PATIENCE)

    assert (allowed.returncode, denied.returncode) == (0, 1), shown
    assert ask is ask_shell or "cli:one" in shown


def test_the_shell_example_works_with_busctl_alone(on_bus, bus, tmp_path):
    """Where there is no gdbus the script takes busctl, and reads its words as strictly."""
    ask_busctl(bus, "")  # skips where it is not installed
    for tool in ("sh", "busctl"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    environment = {**on_bus.environment, "PATH": str(tmp_path)}
    on_bus.key().script(touch_after_ms=0)
    done = subprocess.run(ask_shell(bus, "cli:three"), env=environment, check=False, timeout=60)

    assert done.returncode == 0


def test_a_program_that_is_killed_ends_its_ceremony(on_bus, bus):
    program = begin(on_bus, *ask_python(bus, "cli:deploy"))
    program.kill()
    program.communicate()

    assert on_bus.key().wait_for_idle(PATIENCE)
    on_bus.stop()
    assert on_bus.read_verdicts()[-1] == ("step-up", "caller-gone")


def test_an_unplugged_key_is_no_pass(on_bus, bus):
    program = begin(on_bus, *ask_python(bus, "cli:deploy"))
    on_bus.key().unplug()
    program.communicate(timeout=PATIENCE)

    assert program.returncode == 1
    assert on_bus.read_verdicts()[-1] == ("step-up", "device-gone")


def test_the_log_says_which_door_and_account(on_bus, bus):
    on_bus.key().script(touch_after_ms=0)
    subprocess.run(ask_python(bus, "cli:deploy"), env=on_bus.environment, check=True, timeout=60)
    request = on_bus.read_entries()[-1]["request"]

    assert (request["door"], request["caller_uid"], request["action"]) == ("bus", 0, "cli:deploy")
    assert "session" not in request


async def test_a_grant_of_a_session_is_earned_and_spent_by_pidfd(on_bus, bus):
    """One touch is enough for one terminal session, and for no other."""
    on_bus.key().script(touch_after_ms=0)
    reasons = []
    async with caller(bus) as service:
        with session() as first, session() as second:
            for pidfd in (first, first, second):
                reply = await service.call(
                    "CheckForProcess", "hsa{sv}", 0, "cli:deploy", {}, passed=[pidfd]
                )
                reasons.append(tuple(reply.body[:2]))

    assert reasons == [("allow", "proved"), ("allow", "grant"), ("allow", "proved")]
    assert "session" in on_bus.read_entries()[-1]["request"]


@contextmanager
def session():
    """Give the pidfd of a process in a session of its own."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True)
    pidfd = os.pidfd_open(process.pid)
    yield pidfd
    os.close(pidfd)
    process.communicate()


def test_a_daemon_on_a_bus_that_nobody_uses_loads_no_codec(on_bus):
    """Idle memory: the library is mapped with the first call over D-Bus, not before."""
    maps = Path(f"/proc/{on_bus.process.pid}/maps").read_text()

    assert "dbus_fast" not in maps


def test_without_a_bus_the_daemon_serves_its_sockets(machine):
    machine.start(DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent")
    machine.enroll()
    with machine.client() as client:
        status = client.call("Status")

    assert status["mode"] == "user"


def test_the_sockets_live_on_when_the_bus_dies(on_bus, bus):
    bus.stop()
    with on_bus.client() as client:
        assert client.call("Status")["credentials"] == 1


def test_the_service_file_starts_the_unit_and_nothing_else():
    """Activation goes through systemd: the bus itself never runs the daemon, as whomever."""
    lines = (EXAMPLES.parent / "dbus" / "org.stepupd1.service").read_text().splitlines()

    assert "SystemdService=stepupd.service" in lines
    assert "Exec=/bin/false" in lines
    assert os.access("/bin/false", os.X_OK)
