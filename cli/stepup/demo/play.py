"""The story: enrol, step up, pass on the grant, be refused, run out of time, prove it all."""

import shutil
import sys
import tempfile
from pathlib import Path

from stepup.demo.stage import DemoError, Hand, Stage, ensure_session
from stepup.demo.sudo import enter_private_namespace, find_obstacle, play_sudo

DENIED, TIMED_OUT, CANCELLED, DAMAGED = 1, 4, 5, 9
"""Exit statuses, as stepup(1) lists them."""


def main(*, yes: bool) -> int:
    """Play it; return 0 if every step did what it says, else 1."""
    obstacle = find_obstacle()
    if not obstacle:
        enter_private_namespace(yes=yes)
    ensure_session()
    directory = Path(tempfile.mkdtemp(prefix="stepup-demo-"))
    directory.chmod(0o755)
    try:
        with Stage(directory, by_itself=yes or not sys.stdin.isatty()) as stage:
            play(stage, obstacle)
    except DemoError as error:
        print(f"\nstepup demo: failed at {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("\nstepup demo: stopped.", file=sys.stderr)
        return CANCELLED
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print("\nThat was all of it: one daemon, one key, every answer on record.")
    print("Next: README.md says how to add an action of your own.")
    return 0


def play(stage: Stage, obstacle: str) -> None:
    """Play every step, in order."""
    print("A step-up from end to end, in a scratch directory. The key is simulated:")
    print("real signatures, no real proof. Nothing outside the directory is touched.")
    stage.begin("A daemon, a policy of three rules, a key")
    stage.start_daemon()
    enrol(stage)
    step_up(stage)
    refuse(stage)
    stage.begin("The same for real sudo")
    if obstacle:
        stage.say(f"Left out here: {obstacle}.")
    else:
        play_sudo(stage)
    prove(stage)


def enrol(stage: Stage) -> None:
    """Enrol the key: two touches, one to make it and one to try it."""
    stage.begin("Enrol the key: one touch makes it, a second one tries it")
    stage.run_stepup("enroll", "--name", "blue", hands=[Hand.TOUCH, Hand.TOUCH])


def step_up(stage: Stage) -> None:
    """Ask for a step-up, then show that the grant spares the second touch."""
    stage.begin("A script asks for a step-up")
    ask = ("verify", "--action", "cli:deploy", "--reason", "deploy version 2")
    stage.run_stepup(*ask, hands=[Hand.TOUCH])
    stage.begin("It asks again: policy remembers the touch for five minutes")
    if "ouch" in stage.run_stepup(*ask):
        stage.fail("a touch was asked for under a live grant")
    stage.say("Allowed, and nobody was interrupted.")


def refuse(stage: Stage) -> None:
    """Show a denial by policy, one by the person, and a timeout."""
    stage.begin("Policy says no")
    stage.run_stepup("verify", "--action", "cli:format-disk", expect=DENIED)
    stage.begin("The person says no")
    erase = ("verify", "--action", "cli:erase-backups")
    stage.run_stepup(*erase, expect=CANCELLED, hands=[Hand.DECLINE])
    stage.begin("Nobody answers: five seconds, then no")
    launch = ("verify", "--action", "cli:launch")
    stage.run_stepup(*launch, expect=TIMED_OUT, hands=[Hand.WAIT])


def prove(stage: Stage) -> None:
    """Verify the audit log, then a copy of it with one byte changed."""
    stage.begin("What happened is on record, and the record can be proven")
    log = stage.state / "audit.log"
    stage.run_stepup("audit", "show", unshown=["--log", str(log)])
    stage.run_stepup("audit", "verify", unshown=_name_files(stage, log))
    stage.begin("One byte changed in a copy: found")
    copy = stage.directory / "copy.log"
    content = bytearray(log.read_bytes())
    content[content.index(b'"deny"') + 1] ^= 1
    copy.write_bytes(content)
    stage.run_stepup("audit", "verify", unshown=_name_files(stage, copy), expect=DAMAGED)


def _name_files(stage: Stage, log: Path) -> list[str]:
    checkpoint, key = stage.state / "audit.checkpoint", stage.state / "audit.vkey"
    return ["--log", str(log), "--checkpoint", str(checkpoint), "--key", str(key)]
