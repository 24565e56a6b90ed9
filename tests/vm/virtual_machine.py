"""Debian with its own kernel and systemd, in QEMU without KVM: what no other test can have.

One machine, shut off from every network but ssh on loopback. `save` keeps a state in memory and on
disk alike, `load` goes back to it within seconds: so tests need not clean up after each other.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stepupd-vm"
IMAGE = CACHE / "image"

MEMORY_MIB = 1024
PARALLEL = {"smp": "2", "accel": "tcg,thread=multi,tb-size=512"}
COUNTED = {"smp": "1", "accel": "tcg,thread=single,tb-size=512", "icount": "shift=1"}
BOOT_LIMIT_S = 600
COMMAND_LIMIT_S = 300

KERNEL_OPTIONS = (
    "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 mitigations=off nokaslr"
    " random.trust_cpu=on net.ifnames=0"
)


class VirtualMachine:
    """A machine that runs as long as the `with` block.

    `is_counted`: one processor, whose clock goes on by 2 ns with every instruction. What is timed
    then is how much is done, to a hundredth, however busy the host is; two things never overlap.
    """

    def __init__(self, *, is_counted: bool = False) -> None:
        # Short, because sockets lie in it.
        self._temporary = tempfile.TemporaryDirectory(prefix="stepupd-vm-")
        self._directory = Path(self._temporary.name)
        self._disk = self._directory / "disk.qcow2"
        self._port = _find_free_port()
        self._qemu: subprocess.Popen[bytes] | None = None
        self._connections = 0
        self._processor = COUNTED if is_counted else PARALLEL
        self._ready = IMAGE / f"ready-{self._processor['smp']}.qcow2"
        self._hardware: Sequence[str] = ()

    def __enter__(self) -> Self:
        """Return once systemd has started everything; only the first time does that take long."""
        with ExitStack() as undo:
            undo.callback(self.close)
            subprocess.run([HERE / "build"], check=True)
            if not self._ready.exists():
                self._make_ready()
            shutil.copyfile(self._ready, self._disk)
            self._start("-loadvm", "ready")
            self._set_clock()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Switch the machine off."""
        self._stop()
        self._temporary.cleanup()

    def run(
        self, command: str, user: str = "root", *, check: bool = True, limit: float | None = None
    ) -> str:
        """Run a shell command and return what it printed, both streams. AssertionError: failed."""
        done = subprocess.run(
            [*self._ssh(user), command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit or COMMAND_LIMIT_S,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command!r} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def log_in(self, user: str, command: str) -> list[str]:
        """Return the command line that runs `command` on a terminal of its own."""
        self.run("true", user)
        return [*self._ssh(user, "-tt"), command]

    def copy(self, source: Path, target: str) -> None:
        """Copy a file or a directory's contents into the machine."""
        name = "." if source.is_dir() else source.name
        directory = source if source.is_dir() else source.parent
        pack: list[str | Path] = [
            "tar",
            "-C",
            directory,
            "--exclude=__pycache__",
            "--owner=0",
            "--group=0",
        ]
        unpack = f"mkdir -p {shlex.quote(target)} && tar -xmf - -C {shlex.quote(target)}"
        with subprocess.Popen([*pack, "-cf", "-", name], stdout=subprocess.PIPE) as packed:
            subprocess.run([*self._ssh("root"), unpack], stdin=packed.stdout, check=True)

    def forward(self, socket_in_guest: str) -> Path:
        """Return a socket here that leads to one in the machine, until the next `load`."""
        path = self._directory / f"{Path(socket_in_guest).name}-{self._connections}"
        self.run("true")
        route = f"{path}:{socket_in_guest}"
        subprocess.run([*self._ssh("root", "-O", "forward", "-L", route)], check=True)
        return path

    def save(self, name: str) -> None:
        """Keep the state of the whole machine."""
        self.run("sync")
        self._hang_up()
        self._monitor(f"savevm {name}")

    def load(self, name: str) -> None:
        """Go back to a state. Every connection is lost; only the wall clock knows of the time."""
        if self._hardware:
            # Which no state knows of.
            self._stop()
            self._hardware = ()
            self._start("-loadvm", name)
        else:
            self._hang_up()
            self._monitor(f"loadvm {name}")
            self._await_ssh()
        self._set_clock()

    def reset(self) -> None:
        """Cut the power and boot again."""
        self._hang_up()
        self._monitor("system_reset")
        self._await_ssh()

    def rebuild(self, hardware: Sequence[str]) -> None:
        """Cut the power, put `hardware` in, as QEMU's options, and boot; until the next `load`."""
        self._stop()
        self._hardware = hardware
        self._start()

    def _make_ready(self) -> None:
        """Boot, and keep the state for every later run."""
        image = f"backing_file={IMAGE / 'root.img'},backing_fmt=raw"
        create: list[str | Path] = [
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            "-o",
            image,
            self._disk,
        ]
        subprocess.run(create, check=True)
        self._start()
        self.run("systemctl is-system-running --wait || systemctl --failed", check=False)
        self.save("ready")
        self._stop()
        shutil.copyfile(self._disk, self._ready)

    def _start(self, *options: str) -> None:
        # It ends with us, however we end.
        command = ["setpriv", "--pdeathsig", "KILL", *self._describe_machine(), *options]
        self._qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        self._await_ssh()

    def _stop(self) -> None:
        self._hang_up()
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None

    def _set_clock(self) -> None:
        self.run(f"date -s @{time.time()}")

    def _ssh(self, user: str, *options: str) -> list[str]:
        fixed = {
            "UserKnownHostsFile": IMAGE / "known_hosts",
            "HostKeyAlias": "stepupd-vm",
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "ConnectTimeout": 20,
            "ControlMaster": "auto",
            "ControlPersist": "yes",
        }
        # The first value counts: a caller's option comes before ours.
        control = ["-o", f"ControlPath={self._directory}/{user}-{self._connections}"]
        settings = [f"-o{name}={value}" for name, value in fixed.items()]
        target = ["-p", str(self._port), f"{user}@127.0.0.1"]
        key = ["-F", "none", "-i", str(IMAGE / "id_ed25519")]
        return ["ssh", *options, *control, *settings, *key, *target]

    def _hang_up(self) -> None:
        for path in self._directory.glob(f"*-{self._connections}"):
            if not path.name.endswith(f".sock-{self._connections}"):
                end = ["ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", "vm"]
                subprocess.run(end, check=False, capture_output=True)
        self._connections += 1

    def _await_ssh(self) -> None:
        end = time.monotonic() + BOOT_LIMIT_S
        while time.monotonic() < end:
            if self._qemu is None or self._qemu.poll() is not None:
                raise OSError("qemu ended")
            with suppress(AssertionError, subprocess.TimeoutExpired):
                self.run("true", limit=30)
                return
            time.sleep(0.2)
        console = self._directory / "console"
        raise TimeoutError(f"no ssh after {BOOT_LIMIT_S} s:\n{console.read_text()[-2000:]}")

    def _monitor(self, command: str) -> None:
        """Have QEMU's monitor do something. OSError: it could not."""
        with socket.socket(socket.AF_UNIX) as monitor, monitor.makefile("rw") as lines:
            monitor.connect(str(self._directory / "monitor"))
            lines.readline()
            for request in (
                {"execute": "qmp_capabilities"},
                {
                    "execute": "human-monitor-command",
                    "arguments": {"command-line": command},
                },
            ):
                lines.write(json.dumps(request))
                lines.flush()
                while "return" not in (answer := json.loads(lines.readline())):
                    if "error" in answer:
                        raise OSError(str(answer["error"]))
        if answer["return"]:
            raise OSError(answer["return"])

    def _describe_machine(self) -> list[str]:
        network = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self._port}-:22"
        options = {
            "machine": "q35",
            **self._processor,
            "cpu": "max",
            "m": str(MEMORY_MIB),
            "display": "none",
            "kernel": str(IMAGE / "vmlinuz"),
            "initrd": str(IMAGE / "initrd.gz"),
            "append": KERNEL_OPTIONS,
            "drive": f"file={self._disk},if=virtio,format=qcow2,cache=unsafe",
            "netdev": network,
            "serial": f"file:{self._directory / 'console'}",
            "qmp": f"unix:{self._directory / 'monitor'},server=on,wait=off",
        }
        listed = [word for name, value in options.items() for word in (f"-{name}", value)]
        devices = ["-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci"]
        return [
            "qemu-system-x86_64",
            "-nodefaults",
            "-no-user-config",
            *listed,
            *devices,
            *self._hardware,
        ]


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
