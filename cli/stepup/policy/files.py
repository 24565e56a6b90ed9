"""Policies as files: the installed one, or those that were named, which make up one policy."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stepup.errors import CommandError
from stepup.exits import ExitCode
from stepup.log_paths import explain_file_error
from stepupd.core.errors import ConfigError
from stepupd.core.policy import Policy
from stepupd.store.configuration import POLICY_FILE, POLICY_FOLDER, load_policy
from stepupd.store.policy_entries import PolicyEntry
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import MAX_FILE_SIZE, Document, parse_document, read_document

_SYSTEM = Path("/etc/stepupd")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy, and the files that it was made of."""

    documents: tuple[Document, ...]
    policy: Policy

    def locate(self, number: int | None) -> tuple[str, int, int]:
        """Return file, line and column of a rule, counted from 0 through all files."""
        left = 0 if number is None else number
        for document in self.documents:
            count = len(document.convert(PolicyEntry).rule)
            if number is None or left < count:
                at = ("risk",) if number is None else ("rule", left)
                fault = document.fault(at, "")
                return fault.file, fault.line, fault.column
            left -= count
        return "", 0, 0

    def quote(self, file: str, line: int) -> str:
        """Return a line of a file, "" if there is none."""
        return quote_line(self.documents, file, line)


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


def quote_line(documents: Sequence[Document], file: str, line: int) -> str:
    """Return a line of a file, "" if there is none."""
    for document in documents:
        lines = document.text.split("\n")
        if document.file == file and 0 < line <= len(lines):
            return lines[line - 1]
    return ""


def explain_config_error(error: ConfigError) -> CommandError:
    """Return a file that is wrong as the end of a verb."""
    return CommandError(str(error), ExitCode.DENIED, reason=error.reason, hint=error.hint)


def _read_file(path: Path) -> Document:
    """Read a file that the person named: whose it is, is his own affair."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise explain_file_error(error, path) from None
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
