"""Files and functions stay small enough to be read in one go."""

import ast
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = [p for folder in ("stepupd", "cli") for p in sorted((ROOT / folder).rglob("*.py"))]
EVERYTHING = [
    *CODE,
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "pam").glob("*.[ch]")),
]

MAX_FILE = 400
MAX_FUNCTION = 60
MEDIAN_FILE = 150

VAGUE = re.compile(r"util|helper|manager|misc|common|stuff")


def measure(path):
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_long(path):
    assert measure(path) <= MAX_FILE


def test_the_median_file_is_short():
    assert statistics.median(measure(path) for path in CODE) <= MEDIAN_FILE


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_is_long(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < MAX_FUNCTION, node.name


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_say_what_is_inside(path):
    assert not VAGUE.search(path.name)
    assert "assert " not in re.sub(r'"""[\s\S]*?"""|#.*', "", path.read_text())


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text())), path
