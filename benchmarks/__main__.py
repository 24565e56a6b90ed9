"""The figures, side by side in one run: `python benchmarks [NAME ...]`.

Each figure has a file of its own; docs/performance.md says what they mean.
"""

import importlib
import os
import platform
import sys

from measure import Row, print_head, print_row

FIGURES = {
    "sudo": "sudo true under a grant, against pam_permit",
    "command": "stepup verify under a grant, against python3 -I -c pass",
    "relay": "the PAM module, 300 requests a second beside 1,000 connections",
    "sockets": "JSON-RPC with 1, 100 and 1,000 connections",
    "decision": "deciding with 10 and 1,000 rules",
    "conditions": "loading 10,000 rules, 2,000 of them with a condition",
    "entries": "appending to the audit log and verifying it",
    "replay": "a candidate policy over the audit log",
    "growth": "latency with many credentials and many audit entries",
    "population": "200 people, 90 days: who is asked, and what is caught",
    "idle": "memory and wake-ups of an idle daemon",
}


def main() -> None:
    """Run the figures that were named, or all."""
    names = sys.argv[1:] or list(FIGURES)
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        sys.exit(f"no such figure: {', '.join(unknown)}; there are: {', '.join(FIGURES)}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load}\n")
    print_head()
    missed = 0
    for name in names:
        module = importlib.import_module(name)
        for line in module.measure():
            if isinstance(line, Row):
                print_row(line)
                missed += line.reached == "NO"
            else:
                print(f"({line})")
            sys.stdout.flush()
    print(f"\n{missed} missed; docs/performance.md says what each figure is." if missed else "")


if __name__ == "__main__":
    main()
