"""Help and manual: they fit, they agree with the code, they name everything."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from stepup.app import run
from stepup.exits import ExitCode
from stepup.verbs import build_app
from stepupd import __version__

MAN_PAGE = Path(__file__).parents[2] / "man" / "stepup.1"


def walk(command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(build_app())))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_80_columns(path, capsys, monkeypatch):
    """Of every verb, with nothing cut off and no colour."""
    monkeypatch.setenv("COLUMNS", "80")

    assert run([*path, "--help"]) == 0

    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert out.isascii()
    assert "..." not in out.replace("[ARGS]...", "").replace("COMMAND...", "")
    assert "\x1b" not in out


def test_help_ends_with_the_exit_statuses(capsys):
    """As one line each, the same as in the table."""
    run(["--help"])

    out = capsys.readouterr().out
    rows = re.findall(r"^ +(\d+)  (.*)$", out, re.MULTILINE)
    assert rows == [(str(code.value), code.text) for code in ExitCode]


@pytest.mark.parametrize("path", [path for path in COMMANDS if path], ids=" ".join)
def test_the_manual_names_every_verb_and_option(path):
    """A verb or an option that the manual does not know fails here."""
    lines = MAN_PAGE.read_text().splitlines()
    words = " ".join(path)

    assert any(f"{line} ".startswith(f".Cm {words} ") for line in lines)
    assert any(line.startswith((f".It Cm {words}", f".It Cm {path[0]}")) for line in lines)
    for parameter in COMMANDS[path].params:
        options = {option for option in parameter.opts if option.startswith("-")} - {"--help"}
        names = [f"Fl {option.removeprefix('-')}" for option in options]
        assert not names or any(name in line for name in names for line in lines), options


def test_the_manual_is_clean():
    """Lint finds nothing to complain of but manuals that are not installed here."""
    found = subprocess.run(
        ["mandoc", "-T", "lint", MAN_PAGE], capture_output=True, text=True, check=False
    )

    lines = [line for line in found.stdout.splitlines() if "manual not found" not in line]
    assert lines == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell, capsys):
    """It calls the command itself by name."""
    assert run(["completion", shell]) == 0

    assert "stepup" in capsys.readouterr().out


def test_the_completion_for_bash_parses(capsys):
    """The shell accepts what it is to evaluate."""
    run(["completion", "bash"])

    script = capsys.readouterr().out
    done = subprocess.run(["bash", "-n"], input=script, text=True, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ke"], {"keys"}),
        (["keys", "re"], {"remove", "rename"}),
        (["verify", "--level", "a"], {"attested"}),
        (["verify", "--max"], {"--max-age"}),
    ],
)
def test_the_shell_is_told_what_may_come_next(words, found, capsys, monkeypatch):
    """As bash asks: verbs, options and their values."""
    monkeypatch.setenv("_STEPUP_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(["stepup", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))

    assert run([]) == 0
    assert set(capsys.readouterr().out.split()) == found


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["keys"],
        ["audit"],
        ["nonsense"],
        ["verify", "--nonsense"],
        ["verify", "--level", "code"],
        ["verify", "--max-age", "soon"],
        ["verify", "extra"],
        ["run"],
        ["keys", "rename", "blue"],
        ["keys", "remove"],
        ["revoke"],
        ["revoke", "abc", "--all"],
        ["completion", "tcsh"],
        ["audit", "show", "x"],
        ["audit", "show", "--since", "yesterday"],
        ["audit", "tail", "-n", "-1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_says_so_on_stderr(arguments, capsys):
    """Nothing goes to stdout, where a program would take it for a result."""
    assert run(arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(("stepup: error: ", "Usage: "))
    assert "Traceback" not in err


def test_the_version_is_the_daemons(capsys):
    """One version for all of it."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"stepup {__version__}\n"
