"""Where things live: fixed for the machine, XDG directories for a person's own daemon."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Places:
    """The directories of one daemon, and what is in them."""

    configuration: Path
    state: Path
    log: Path
    runtime: Path

    @classmethod
    def of_system(cls) -> Self:
        """Return the places of the daemon that serves the machine."""
        return cls(
            configuration=Path("/etc/stepupd"),
            state=Path("/var/lib/stepupd"),
            log=Path("/var/log/stepupd"),
            runtime=Path("/run/stepupd"),
        )

    @classmethod
    def of_user(cls) -> Self:
        """Return the places of a daemon that serves one person (XDG base directories)."""
        home = Path.home()
        state = _find_base("XDG_STATE_HOME", home / ".local/state") / "stepupd"
        return cls(
            configuration=_find_base("XDG_CONFIG_HOME", home / ".config") / "stepupd",
            state=state,
            log=state,
            runtime=_find_base("XDG_RUNTIME_DIR", Path(f"/run/user/{os.getuid()}")) / "stepupd",
        )

    @property
    def master_key(self) -> Path:
        """The key that everything secret derives from, unless systemd hands one over."""
        return self.state / "master.key"

    @property
    def database(self) -> Path:
        """Enrolled credentials and their counters."""
        return self.state / "credentials.db"

    @property
    def recovery_codes(self) -> Path:
        """What is kept of recovery codes, a file for each subject."""
        return self.state / "recovery"

    @property
    def profiles(self) -> Path:
        """What is usual for each subject, a file each."""
        return self.state / "profiles"

    @property
    def audit_log(self) -> Path:
        """The audit log."""
        return self.log / "audit.log"

    @property
    def checkpoint(self) -> Path:
        """The audit log's signed head, kept apart from it."""
        return self.state / "audit.checkpoint"

    @property
    def grants(self) -> Path:
        """Live grants: gone when the machine goes down."""
        return self.runtime / "grants"

    @property
    def alerts(self) -> Path:
        """Alerts that hold: gone when the machine goes down."""
        return self.runtime / "alerts"

    @property
    def relay_socket(self) -> Path:
        """Where the PAM module comes in."""
        return self.runtime / "pam.sock"

    @property
    def rpc_socket(self) -> Path:
        """Where everything else comes in."""
        return self.runtime / "stepupd.sock"

    def make(self) -> None:
        """Make what is missing. The runtime directory is open to pass through, no other is."""
        for directory, mode in (
            (self.state, 0o700),
            (self.recovery_codes, 0o700),
            (self.profiles, 0o700),
            (self.log, 0o750),
            (self.runtime, 0o755),
            (self.grants, 0o700),
            (self.alerts, 0o700),
        ):
            if not directory.exists():
                directory.mkdir(parents=True)
                directory.chmod(mode)


def _find_base(variable: str, default: Path) -> Path:
    """Return an XDG directory; a relative one is ignored, as the specification says."""
    value = Path(os.environ.get(variable, ""))
    return value if value.is_absolute() else default
