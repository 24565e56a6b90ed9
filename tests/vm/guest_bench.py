"""The guest's part of `bench.py`: runs sudo under one PAM stack after the other, and times it.

    guest_bench.py ROUNDS        as root; prints one JSON object of lists of milliseconds

Interleaved: every round takes each stack once, so that a busy moment of the host hits all alike.
Only what lies between the start of sudo and its end is timed; the key is touched as it blinks.
"""

import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from stepupd.devices.simulated import Control

SERVICE = Path("/etc/pam.d/sudo")
STAMP = Path("/run/bench-stack")
KEY = Control(Path("/run/software-key/key.sock"))
TAIL = "@include common-account\n@include common-session-noninteractive\n"
FIRST = f"auth optional /root/pam_stamp.so {STAMP}\n"

PERMIT, U2F, TOUCH, GRANT = "pam_permit", "pam_u2f", "stepupd", "stepupd, granted"
MODULES = {
    PERMIT: "pam_permit.so",
    U2F: "pam_u2f.so authfile=/etc/u2f_mappings",
    TOUCH: "pam_stepup.so",
    GRANT: "pam_stepup.so",
}


def main() -> None:
    """Measure, and print what was measured."""
    KEY.script(touch_after_ms=0)
    times: dict[str, list[float]] = defaultdict(list)
    for stack in MODULES:
        run_sudo(stack)  # a warm start for everyone, and the grant
    for number in range(int(sys.argv[1])):
        for stack in rotate(list(MODULES), number):
            for name, taken in run_sudo(stack).items():
                times[name].append(taken)
    print(json.dumps(times))  # noqa: T201 - the result


def run_sudo(stack: str) -> dict[str, float]:
    """Run `sudo true` as ada once; return its times in milliseconds."""
    new = SERVICE.with_suffix(".new")
    new.write_text(f"{FIRST}auth required {MODULES[stack]}\n{TAIL}")
    new.replace(SERVICE)
    blinks = KEY.state()["blinks"]
    start = time.monotonic()
    # A session of its own has no grant; the granted runs share this program's.
    subprocess.run(
        ["/usr/bin/sudo", "true"],
        check=True,
        user="ada",
        group="ada",
        extra_groups=["sudo"],
        start_new_session=stack != GRANT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    end = time.monotonic()
    reached = int(STAMP.read_text()) / 1e9
    found = {"whole": end - start, "to the stack": reached - start}
    state = KEY.state()
    if state["blinks"] != blinks:
        found["to the blink"] = state["blinked_at"] - start
        found["from stack to blink"] = state["blinked_at"] - reached
    return {f"{stack}: {name}": seconds * 1000 for name, seconds in found.items()}


def rotate(items: list[str], number: int) -> list[str]:
    """Return the items, beginning with another one each time."""
    at = number % len(items)
    return items[at:] + items[:at]


if __name__ == "__main__":
    main()
