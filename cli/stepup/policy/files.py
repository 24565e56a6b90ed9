"""Policies as files: the installed one, or those that were named, which make up one policy."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stepup.errors import CommandError, refuse_usage
from stepup.exits import ExitCode
from stepup.log_paths import explain_file_error
from stepupd.core.errors import ConfigError
from stepupd.core.policy import Policy
from stepupd.store.configuration import POLICY_FILE, POLICY_FOLDER, load_policy
from stepupd.store.policy_entries import PolicyEntry
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import MAX_FILE_SIZE, Document, parse_document, read_document
from stepupd.store.toml_positions import Path as TomlPath

_SYSTEM = Path("/etc/stepupd")
_SHOWN = 76
"""Characters of a wrong line: a terminal's 80 columns less what stands before them."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy, and the files that it was made of."""

    documents: tuple[Document, ...]
    policy: Policy

    def locate(self, number: int | None) -> tuple[str, int, int]:
        """Return file, line and column of a rule, counted from 0 through all files.

        None is what belongs to no rule: where `[risk]` stands, or the first file begins.
        """
        left = 0 if number is None else number
        for document in self.documents:
            count = len(document.convert(PolicyEntry).rule)
            if number is not None and left < count:
                return _place(document, ("rule", left))
            if number is None and "risk" in document.data:
                return _place(document, ("risk",))
            left -= count
        return _place(self.documents[0], ()) if self.documents else ("", 0, 0)


def load(files: Sequence[Path]) -> Loaded:
    """Return the policy of the files, the installed one if there are none.

    Raises ConfigError, CommandError.
    """
    documents = read_documents(files)
    return Loaded(documents, make_policy(documents))


def read_documents(files: Sequence[Path]) -> tuple[Document, ...]:
    """Return the files, parsed. Raises ConfigError, CommandError."""
    if not files:
        return _read_installed(find_installed())
    return tuple(_read_file(path) for path in files)


def find_installed() -> Path:
    """Return the directory of the installed policy: the machine's, else the person's own."""
    if _SYSTEM.exists():
        return _SYSTEM
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".config") / "stepupd"


def explain_config_error(error: ConfigError) -> CommandError:
    """Return a file that is wrong as the end of a verb, with the place in it drawn."""
    return CommandError(
        f"{error}{_draw_place(error)}", ExitCode.DENIED, reason=error.reason, hint=error.hint
    )


def _draw_place(error: ConfigError) -> str:
    """Return the line that is wrong and a caret below it, "" if the error has drawn it itself."""
    if not error.file or error.line < 1 or "\n" in str(error):
        return ""
    try:
        with Path(error.file).open("rb") as stream:
            lines = stream.read(MAX_FILE_SIZE).decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    if error.line > len(lines):
        return ""
    line, at = _show(lines[error.line - 1]), error.column - 1
    start = max(0, at - _SHOWN // 2) if len(line) > _SHOWN else 0
    return f"\n  {line[start : start + _SHOWN]}\n  {' ' * (at - start)}^"


def _show(line: str) -> str:
    """Return a line with one column for each character."""
    return "".join(letter if letter.isprintable() else " " for letter in line).rstrip()


def _place(document: Document, path: TomlPath) -> tuple[str, int, int]:
    fault = document.fault(path, "")
    return fault.file, fault.line, fault.column


def _read_file(path: Path) -> Document:
    """Read a file that the person named: whose it is, is his own affair."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_SIZE + 1)
    except PermissionError as error:
        raise explain_file_error(error, path) from None
    except OSError as error:
        raise refuse_usage(f"{path}: {error.strerror}") from None
    if len(content) > MAX_FILE_SIZE:
        raise ConfigError(f"larger than {MAX_FILE_SIZE} bytes", file=str(path))
    return parse_document(str(path), content)


def _read_installed(directory: Path) -> tuple[Document, ...]:
    try:
        load_policy(directory, is_reload=True)  # As the daemon does, with all that it refuses.
        folder = directory / POLICY_FOLDER
        names = sorted(path for path in folder.glob("*.toml") if not path.name.startswith("."))
        return tuple(read_document(path) for path in (directory / POLICY_FILE, *names))
    except PermissionError as error:
        raise explain_file_error(error, directory) from None
