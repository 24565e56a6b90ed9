"""`stepup doctor`: look at everything, say what is wrong and what mends it."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stepup import options
from stepup.exits import ExitCode
from stepup.terminal import BOLD, RED, YELLOW, clean, paint, print_json, print_result

if TYPE_CHECKING:
    from stepup.doctor.findings import Finding

_STYLES = {"ok": BOLD, "warn": YELLOW, "bad": RED}


def doctor(*, is_json: options.Json = False) -> ExitCode:
    """Look for what is wrong here, and say what mends it.

    As root it sees more. The exit status is 1 if something is broken.
    """
    from stepup.doctor.examine import examine
    from stepup.doctor.findings import Status

    findings = list(examine())
    if is_json:
        print_json({"findings": [finding.to_json() for finding in findings]})
    else:
        print_result("\n".join(line for finding in findings for line in _say(finding)))
    is_bad = any(finding.status is Status.BAD for finding in findings)
    return ExitCode.DENIED if is_bad else ExitCode.ALLOWED


def _say(finding: "Finding") -> Iterator[str]:
    word = finding.status.value
    yield paint(f"{word:<5}", _STYLES[word], sys.stdout) + clean(finding.text)
    if finding.mend:
        yield f"     -> {clean(finding.mend)}"
