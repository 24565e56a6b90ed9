"""What the command may import, and what its fast path must not."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "integration"))

from cli_support import GRANTED, STATUS, listening, make_environment

CLI = Path(__file__).parents[2] / "cli" / "stepup"
ALLOWED_EVERYWHERE = {"stepupd.client", "stepupd"}
ALLOWED_LATER = {
    "log_check.py": {
        "stepupd.core.note": "the signed notes of the log are read by the code that signs them",
        "stepupd.store.audit_report": "what the verifier says",
        "stepupd.store.audit_verify": "the verifier is the daemon's own, used offline",
        "stepupd.store.checkpoint_file": "the checkpoint's file format",
    }
}
SLOW = {"typer", "rich", "asyncio", "fido2", "json", "re", "dataclasses", "typing", "enum"}
SLOW |= {"msgspec", "cryptography", "socket", "subprocess", "logging", "argparse", "stepup.app"}


def list_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize(
    "path",
    [path for path in CLI.glob("*.py") if not path.name.startswith("demo")],
    ids=lambda path: path.name,
)
def test_the_command_imports_the_client_and_nothing_else_of_the_daemon(path):
    """Everything goes through the socket; the log is verified by the daemon's own code."""
    ours = {name for name in list_imports(path) if name.split(".")[0] == "stepupd"}

    assert ours <= ALLOWED_EVERYWHERE | set(ALLOWED_LATER.get(path.name, {}))


def test_what_verifies_the_log_is_loaded_only_for_that():
    """Nobody else imports it at the top of a file."""
    for path in CLI.glob("*.py"):
        top = {
            node.module
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ImportFrom)
        }
        assert "stepup.log_check" not in top, path.name


def test_only_main_exits():
    """Everything else returns a status or raises what becomes one."""
    for path in CLI.glob("*.py"):
        text = path.read_text()
        is_main = path.name == "__main__.py"
        assert ("sys.exit" in text) == is_main, path.name
        assert "os._exit" not in text, path.name


@pytest.mark.parametrize(
    ("arguments", "answer", "forbidden"),
    [
        (["verify", "--action", "cli:x", "--max-age", "10m"], {"StepUp": GRANTED}, SLOW),
        (["verify", "-q", "--reason=a b"], {"StepUp": GRANTED}, SLOW),
        (["status"], {"Status": STATUS}, {"typer", "rich", "asyncio", "fido2", "msgspec"}),
    ],
)
def test_the_fast_path_imports_next_to_nothing(arguments, answer, forbidden):
    """Under a live grant, a script pays for Python's own start and one round trip."""
    program = (
        "import sys; before = set(sys.modules); sys.argv[0] = 'stepup'\n"
        "from stepup.__main__ import _run\n"
        "code = _run(sys.argv[1:])\n"
        "loaded = sorted(set(sys.modules) - before)\n"
        "print(code, *loaded, file=sys.stderr)\n"
    )
    with listening(answer) as daemon:
        done = subprocess.run(
            [sys.executable, "-I", "-c", program, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=make_environment(daemon.path),
        )

    code, *loaded = done.stderr.split()
    assert code == "0"
    assert "stepup.fast_path" in loaded
    assert not set(loaded) & forbidden


def test_the_script_that_is_installed_does_nothing_but_start():
    """No generated entry point: those import `re` first."""
    lines = (CLI.parent / "bin" / "stepup").read_text().splitlines()

    assert [line for line in lines if line and not line.startswith("# ")] == [
        "#!python",
        "from stepup.__main__ import main",
        'if __name__ == "__main__":',
        "    main()",
    ]
