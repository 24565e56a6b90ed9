"""`stepup policy test`: the tests that a policy brings along."""

from collections.abc import Sequence
from pathlib import Path

from stepup.errors import CommandError
from stepup.exits import ExitCode
from stepup.policy.files import explain_config_error, load
from stepup.policy.words import count, name_rule, wrap
from stepup.terminal import clean, print_json, print_result
from stepupd.core.errors import ConfigError
from stepupd.core.rehearsal.case import Result, run_case
from stepupd.store.policy_tests import read_cases

_INDENT = " " * 8


def run_cases(files: Sequence[Path], *, is_json: bool) -> ExitCode:
    """Run every test and say how each ended; return the status."""
    try:
        loaded = load(files)
        cases = read_cases(loaded.documents, loaded.policy)
    except ConfigError as error:
        raise explain_config_error(error) from None
    if not cases:
        raise CommandError(
            "there is no test",
            ExitCode.DENIED,
            reason="no-test",
            hint="write [[test]] tables beside the rules, see stepupd-policy(5)",
        )
    results = [(document.file, run_case(loaded.policy, case)) for document, case in cases]
    failed = sum(not result.is_passed for _, result in results)
    if is_json:
        print_json(
            {"tests": len(results), "failed": failed, "results": [_describe(*r) for r in results]}
        )
    else:
        _print(results, failed)
    return ExitCode.DENIED if failed else ExitCode.ALLOWED


def _print(results: Sequence[tuple[str, Result]], failed: int) -> None:
    shown = ""
    for file, result in results:
        if file != shown:
            print_result(clean(file))
            shown = file
        print_result(_say(result))
    passed = len(results) - failed
    print_result(f"{count(len(results), 'test')}: {passed} passed, {failed} failed.")


def _say(result: Result) -> str:
    name = result.case.name
    if result.is_passed:
        return wrap(name, "  ok    ", _INDENT)
    lines = [wrap(name, "  FAIL  ", _INDENT)]
    case, decision = result.case, result.decision
    wanted = case.expect if case.rule is None else f"{case.expect} by {name_rule(case.rule)}"
    lines.append(wrap(f"expected {wanted}", _INDENT, _INDENT))
    lines.append(wrap(f"got {result.got} by {name_rule(decision.rule)}", _INDENT, _INDENT))
    if decision.risk.signals:
        parts = ", ".join(f"{signal.name} {signal.weight}" for signal in decision.risk.signals)
        lines.append(wrap(f"at risk {decision.risk.score}: {parts}", _INDENT, _INDENT))
    return "\n".join(lines)


def _describe(file: str, result: Result) -> dict[str, object]:
    decision = result.decision
    return {
        "file": file,
        "name": result.case.name,
        "is_passed": result.is_passed,
        "expected": result.case.expect,
        "expected_rule": result.case.rule,
        "got": result.got,
        "rule": decision.rule,
        "risk": {
            "score": decision.risk.score,
            "signals": {signal.name: signal.weight for signal in decision.risk.signals},
        },
    }
