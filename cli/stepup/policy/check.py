"""`stepup policy check`: what is wrong with a policy, and where."""

from collections.abc import Sequence
from pathlib import Path

from stepup.exits import ExitCode
from stepup.policy.files import Loaded, explain_config_error, load
from stepup.policy.groups import is_account, is_group
from stepup.policy.words import count, say_located
from stepup.terminal import print_json, print_result
from stepupd.core.errors import ConfigError
from stepupd.core.policy import Policy
from stepupd.core.rehearsal.finding import Finding, Grade
from stepupd.core.rehearsal.lint import find_faults
from stepupd.core.rehearsal.lint_names import find_strangers
from stepupd.store.policy_tests import read_cases


def check_policy(files: Sequence[Path], *, is_json: bool) -> ExitCode:
    """Print errors and findings; return the status."""
    try:
        loaded = load(files)
        cases = read_cases(loaded.documents, loaded.policy)
    except ConfigError as error:
        if not is_json:
            raise explain_config_error(error) from None
        print_json({"findings": [_describe_error(error)]})
        return ExitCode.DENIED
    findings = _find_all(loaded.policy)
    if is_json:
        print_json(_describe(loaded, findings, len(cases)))
    else:
        _print(loaded, findings, len(cases))
    is_bad = any(finding.grade is Grade.WARNING for finding in findings)
    return ExitCode.DENIED if is_bad else ExitCode.ALLOWED


def _find_all(policy: Policy) -> list[Finding]:
    """Return all findings in the order of the rules, those of the policy as a whole last."""
    found = [*find_faults(policy), *find_strangers(policy.rules, is_account, is_group)]
    return sorted(found, key=lambda one: len(policy.rules) if one.rule is None else one.rule)


def _print(loaded: Loaded, findings: Sequence[Finding], cases: int) -> None:
    for finding in findings:
        where = loaded.locate(finding.rule)
        print_result(say_located(where, finding.grade.value, finding.text, finding.hint))
    warnings = sum(finding.grade is Grade.WARNING for finding in findings)
    said = [count(warnings, "warning"), count(len(findings) - warnings, "note")]
    files = count(len(loaded.documents), "file")
    rules, tests = count(len(loaded.policy.rules), "rule"), count(cases, "test")
    found = " and ".join(said) if findings else "nothing to complain of"
    print_result(f"{files}, {rules}, {tests}: {found}.")


def _describe(loaded: Loaded, findings: Sequence[Finding], cases: int) -> dict[str, object]:
    rules = loaded.policy.rules
    described = []
    for finding in findings:
        file, line, column = loaded.locate(finding.rule)
        described.append(
            {
                "grade": finding.grade.value,
                "kind": finding.kind,
                "rule": None if finding.rule is None else rules[finding.rule].name,
                "file": file,
                "line": line,
                "column": column,
                "text": finding.text,
                "hint": finding.hint,
            }
        )
    return {
        "files": [document.file for document in loaded.documents],
        "rules": len(rules),
        "tests": cases,
        "digest": loaded.policy.digest,
        "findings": described,
    }


def _describe_error(error: ConfigError) -> dict[str, object]:
    return {
        "grade": "error",
        "kind": error.reason,
        "rule": None,
        "file": error.file,
        "line": error.line,
        "column": error.column,
        "text": str(error),
        "hint": error.hint,
    }
