"""The part with real sudo: its own /etc/pam.d/sudo, seen by nobody else.

The whole demonstration runs in a private mount namespace, where a few files of /etc are covered by
copies with an account more and our module in sudo's stack. They are gone when it ends.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from stepup.demo.stage import Hand, Stage

_MARK = "STEPUP_DEMO_IN_NAMESPACE"
_PRIVATELY = ("unshare", "--mount", "--propagation", "private")
_ACCOUNT = "ada"
_UID = 61_000
_SYSTEM_MODULES = "/lib/*/security/pam_stepup.so"
_BUILT_MODULE = Path(__file__).parents[3] / "build" / "pam" / "pam_stepup.so"


def find_obstacle() -> str:
    """Return why real sudo cannot be shown here, empty if it can."""
    if os.geteuid() != 0:
        return "it needs root"
    missing = [tool for tool in ("sudo", "unshare", "setpriv", "mount") if not shutil.which(tool)]
    if missing:
        return f"{missing[0]} is not installed"
    if find_module() is None:
        return "pam_stepup.so is not built (it needs a C compiler and libpam0g-dev)"
    if not _can_be_private():
        return "it needs a mount namespace of its own, which most containers do not give"
    return ""


def _can_be_private() -> bool:
    """Return whether mounts can be nobody else's: in most containers they cannot."""
    if _MARK in os.environ:
        return True
    trial = subprocess.run([*_PRIVATELY, "true"], check=False, capture_output=True)  # noqa: S603 - a fixed command
    return trial.returncode == 0


def find_module() -> Path | None:
    """Return the PAM module: the one just built, else the installed one."""
    found = [_BUILT_MODULE, *Path("/").glob(_SYSTEM_MODULES.lstrip("/"))]
    return next((path for path in found if path.is_file()), None)


def enter_private_namespace(*, yes: bool) -> None:
    """Start the demonstration anew where mounts are nobody else's; returns once it is there."""
    if os.environ.pop(_MARK, ""):
        return
    os.environ[_MARK] = "1"
    again = [sys.executable, "-I", "-m", "stepup", "demo", *(["--yes"] if yes else [])]
    sys.stdout.flush()
    os.execvp(_PRIVATELY[0], [*_PRIVATELY, *again])  # noqa: S606 - no shell is the point


def play_sudo(stage: Stage) -> None:
    """Run real sudo as an account of the demonstration: touch, grant, another session."""
    _cover_files(stage)
    stage.say(
        f"In a mount namespace of its own, sudo's PAM stack is pam_stepup.so, and there is "
        f"an account {_ACCOUNT}, for which root enrols the key:"
    )
    stage.run_stepup("enroll", "--user", _ACCOUNT, "--name", "blue", hands=[Hand.TOUCH, Hand.TOUCH])
    stage.say("A touch for the first sudo in a session, none for the second:")
    twice = "sudo true && echo 'first: ran' && sudo true && echo 'second: ran, no touch'"
    shown = ["sudo", "true", "&&", "sudo", "true"]
    output = stage.run(_as_account(twice), shown=shown, hands=[Hand.TOUCH], in_new_session=True)
    if "second: ran" not in output or output.count("Touch") != 1:
        stage.fail("sudo did not ask exactly once")
    stage.say("Another session has to ask again, and this time the person declines:")
    refused = _as_account("sudo true || echo refused")
    output = stage.run(refused, shown=["sudo", "true"], hands=[Hand.DECLINE], in_new_session=True)
    if "refused" not in output:
        stage.fail("another session got through")


def _as_account(script: str) -> list[str]:
    number = str(_UID)
    drop = ["setpriv", "--reuid", number, "--regid", number, "--clear-groups"]
    return [*drop, "sh", "-c", script]


def _cover_files(stage: Stage) -> None:
    """Put our copies over the files that sudo reads, in this namespace only."""
    scratch = stage.directory / "etc"
    scratch.mkdir(mode=0o755)
    account = f"{_ACCOUNT}:x:{_UID}:{_UID}::/:/bin/sh\n"
    for name, mode, text in (
        ("passwd", 0o644, Path("/etc/passwd").read_text() + account),
        ("group", 0o644, Path("/etc/group").read_text() + f"{_ACCOUNT}:x:{_UID}:\n"),
        ("shadow", 0o600, Path("/etc/shadow").read_text() + f"{_ACCOUNT}:*:20000::::::\n"),
        ("sudoers", 0o440, _make_sudoers()),
        ("pam.d/sudo", 0o644, _make_stack(stage)),
    ):
        copy = scratch / name.replace("/", "-")
        copy.write_text(text)
        copy.chmod(mode)
        target = Path("/etc") / name
        target.touch()
        stage.mount(copy, target)


def _make_sudoers() -> str:
    # One try, and no cache of sudo's own: the daemon's grants are what is shown.
    defaults = "Defaults passwd_tries=1, timestamp_timeout=0, !lecture, !use_pty\n"
    return f"{defaults}{_ACCOUNT} ALL=(ALL) ALL\n"


def _make_stack(stage: Stage) -> str:
    socket = stage.runtime / "pam.sock"
    return (
        f"auth    required {find_module()} socket={socket}\n"
        "account required pam_permit.so\n"
        "session required pam_permit.so\n"
    )
