"""Sudo side by side, on a real hidraw node: pam_permit, pam_u2f and ours. `make vm-bench`.

And a check over D-Bus: polkit's and ours.

    bench.py [--quick] [--parallel] [--gadget]

Interleaved, 25 rounds, or 5 with --quick. By default the machine counts instructions: repeatable
to a hundredth on any host, but with one processor, so that daemon and sudo never work at the same
time. --parallel: two processors in real time; then only a quiet host gives figures that mean
anything. Either way only ratios do. --gadget: the key is a USB device, behind usbhid.
"""

import argparse
import json
import statistics
import subprocess
from pathlib import Path
from typing import cast

from virtual_machine import HERE, VirtualMachine
from vm_support import POLICY, Guest, find_package

ROUNDS, QUICK_ROUNDS = 25, 5
LIMIT_S = 900

BLINKS = ("from stack to blink", "to the blink, past sudo's own way")
BLINK_GOAL, GADGET_BLINK_GOAL = 0.2, 0.45
GOALS = (
    ("to the blink", "stepupd", "pam_u2f", 0.7),
    ("whole", "stepupd", "pam_u2f", 0.9),
    ("whole", "stepupd, granted", "pam_permit", 1.06),
)

RATIOS = (
    ("one check", "stepupd, by rule", "polkit"),
    ("one check", "stepupd, granted", "polkit"),
)

# Over D-Bus no grant of scope "session" is spent.
BUS_RULES = """
[[rule]]
name = "listed"
action = "cli:listed"
allow = true

[[rule]]
name = "of the account"
action = "cli:verify"
require = "touch"
max_age = "10m"
scope = "subject"
"""

Times = dict[str, list[float]]


def main() -> None:
    """Boot, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="5 rounds in place of 25")
    parser.add_argument("--parallel", action="store_true", help="two processors, in real time")
    parser.add_argument("--gadget", action="store_true", help="a key on USB, in place of uhid")
    options = parser.parse_args()
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    with VirtualMachine(is_counted=not options.parallel) as machine:
        guest = Guest(machine)
        guest.start_key(is_gadget=options.gadget)
        guest.connect()
        guest.install(find_package())
        guest.configure()
        times = measure(guest, rounds) | measure_bus(guest, rounds)
        blink_goal = GADGET_BLINK_GOAL if options.gadget else BLINK_GOAL
        print(report(times, rounds, blink_goal))  # noqa: T201 - the result


def measure(guest: Guest, rounds: int) -> Times:
    """Return milliseconds under each name."""
    machine = guest.machine
    machine.copy(build_stamp(), "/root")
    machine.copy(HERE / "guest_bench.py", "/root")
    guest.key.script(touch_after_ms=0)
    guest.run("pamu2fcfg -u ada >/etc/u2f_mappings")
    command = f"PYTHONPATH=/opt/key python3 /root/guest_bench.py {rounds}"
    times: Times = json.loads(guest.run(command, limit=LIMIT_S))
    own_way = find_median(times, "pam_permit", "to the stack")
    for stack in ("pam_u2f", "stepupd"):
        blinks = times[f"{stack}: to the blink"]
        times[f"{stack}: to the blink, past sudo's own way"] = [at - own_way for at in blinks]
    return times


def measure_bus(guest: Guest, rounds: int) -> Times:
    """Return milliseconds of checks over D-Bus."""
    guest.machine.copy(HERE / "guest_bus.py", "/opt/bench")
    guest.write("/etc/stepupd/policy.toml", BUS_RULES + POLICY)
    guest.run("systemctl reload stepupd")
    blinks = cast("int", guest.key.state()["blinks"])
    times: Times = json.loads(guest.run(f"python3 /opt/bench/guest_bus.py {rounds}", "ada"))
    if guest.key.state()["blinks"] != blinks + 1:
        raise AssertionError("more than the first check asked for a touch")
    return times


def build_stamp() -> Path:
    """Compile the module that says when sudo reached its stack."""
    target = HERE.parents[1] / "build" / "vm" / "pam_stamp.so"
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
    subprocess.run(["cc", *flags, HERE / "pam_stamp.c", "-o", target], check=True)
    return target


def report(times: Times, rounds: int, blink_goal: float) -> str:
    """Return medians with their quartiles, then each ratio beside its goal."""
    lines = [
        f"{rounds} interleaved rounds, milliseconds of an emulated machine",
        "",
        f"{'':42} {'median':>8} {'25%':>8} {'75%':>8}",
    ]
    for name in sorted(times):
        low, middle, high = statistics.quantiles(times[name], n=4)
        lines.append(f"{name:42} {middle:8.1f} {low:8.1f} {high:8.1f}")
    lines.append("")
    blinks = [(what, "stepupd", "pam_u2f", blink_goal) for what in BLINKS]
    for what, ours, theirs, goal in (*blinks, *GOALS):
        ratio = find_median(times, ours, what) / find_median(times, theirs, what)
        verdict = "reached" if ratio <= goal else "missed"
        lines.append(f"{what}: {ours} / {theirs} = {ratio:.3f} (goal {goal}: {verdict})")
    for what, ours, theirs in RATIOS:
        ratio = find_median(times, ours, what) / find_median(times, theirs, what)
        lines.append(f"{what} over D-Bus: {ours} / {theirs} = {ratio:.3f}")
    return "\n".join(lines)


def find_median(times: Times, stack: str, what: str) -> float:
    """Return the median of one row."""
    return statistics.median(times[f"{stack}: {what}"])


if __name__ == "__main__":
    main()
