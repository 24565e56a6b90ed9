"""A TPM 2.0 in software (swtpm), for QEMU to put in front of the guest's kernel."""

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

TIME_TO_START_S = 20


class VirtualTpm:
    """One chip, as long as the `with` block: a new one, whose seeds no other has."""

    def __init__(self) -> None:
        # Short, because a socket lies in it.
        self._temporary = tempfile.TemporaryDirectory(prefix="stepupd-tpm-")
        self._socket = Path(self._temporary.name) / "control"

    def __enter__(self) -> Self:
        """Start it. TimeoutError: it does not."""
        state, control = f"dir={self._temporary.name}", f"type=unixio,path={self._socket}"
        # It ends with us, however we end; a machine that is switched off must not end it.
        command = ["setpriv", "--pdeathsig", "KILL", "swtpm", "socket", "--tpm2"]
        self._process = subprocess.Popen(
            [*command, "--tpmstate", state, "--ctrl", control], stdin=subprocess.DEVNULL
        )
        end = time.monotonic() + TIME_TO_START_S
        while not self._socket.exists():
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise TimeoutError("swtpm did not start")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._temporary.cleanup()

    def describe(self) -> list[str]:
        """Return QEMU's options for it."""
        return [
            *("-chardev", f"socket,id=tpm,path={self._socket}"),
            *("-tpmdev", "emulator,id=chip,chardev=tpm"),
            *("-device", "tpm-tis,tpmdev=chip"),
        ]
