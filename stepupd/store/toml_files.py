"""TOML from a file to typed entries; whatever is wrong comes with file, line and column.

The law of this file: everything the bytes can be wrong in is a ConfigError that points at it.
Unknown keys are errors, since a misspelt one would silently mean less than was meant.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from stepupd.core.errors import ConfigError
from stepupd.store import toml_positions
from stepupd.store.file_checks import read_trusted_file
from stepupd.store.spelling import suggest
from stepupd.store.toml_strings import locate_character

MAX_FILE_SIZE = 1 << 20
"""Far more than anybody writes by hand; bounds what a wrong path can make us read."""

_Entry = TypeVar("_Entry")

_AT = re.compile(r"(?P<what>.*?) - at `\$(?P<path>.*)`", re.DOTALL)
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)
_UNKNOWN_KEY = "unknown key"
_PARSER_AT = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all tables that a file may hold."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file, and where everything in it stands."""

    file: str
    text: str
    data: dict[str, Any]

    def fault(
        self, path: toml_positions.Path, message: str, hint: str = "", *, index: int | None = None
    ) -> ConfigError:
        """Return the error for what stands at the path; `index` is a character of its string."""
        try:
            if index is None:
                line, column = toml_positions.locate(self.text, path)
            else:
                line, column = locate_character(self.text, path, index)
        except RecursionError:
            line, column = 1, 1
        return ConfigError(message, file=self.file, line=line, column=column, hint=hint)

    def convert(self, entry: type[_Entry]) -> _Entry:
        """Return the document as an entry. Raises ConfigError."""
        try:
            return msgspec.convert(self.data, entry)
        except msgspec.ValidationError as error:
            path, message = _read_complaint(str(error))
            hint = ""
            if path and message.startswith(_UNKNOWN_KEY):
                hint = suggest(str(path[-1]), _list_keys(entry, path[:-1]))
            raise self.fault(path, message, hint) from error


def read_document(path: Path) -> Document:
    """Read and parse a file that only root or we can have written.

    Raises FileNotFoundError, ConfigError.
    """
    return parse_document(str(path), read_trusted_file(path, limit=MAX_FILE_SIZE))


def parse_document(file: str, content: bytes) -> Document:
    """Parse the content of a file. Raises ConfigError."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        line, column = toml_positions.to_line_and_column(before, len(before))
        raise ConfigError("not UTF-8", file=file, line=line, column=column) from error
    text = text.replace("\r\n", "\n")  # As tomllib does.
    try:
        return Document(file, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _explain_syntax(file, text, str(error)) from error
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        raise ConfigError(what, file=file, line=1, column=1) from error


def _explain_syntax(file: str, text: str, message: str) -> ConfigError:
    found = _PARSER_AT.search(message)
    line, column = toml_positions.to_line_and_column(text, len(text.rstrip()))
    if found is not None and found["line"]:
        line, column = int(found["line"]), int(found["column"])
    return ConfigError(_PARSER_AT.sub("", message), file=file, line=line, column=column)


def _read_complaint(complaint: str) -> tuple[toml_positions.Path, str]:
    """Return path and message of what msgspec says."""
    found = _AT.fullmatch(complaint)
    what, where = (found["what"], found["path"]) if found else (complaint, "")
    path: toml_positions.Path = tuple(
        step["key"] if step["index"] is None else int(step["index"])
        for step in _STEP.finditer(where)
    )
    unknown = _UNKNOWN.fullmatch(what)
    if unknown is not None:
        return (*path, unknown["key"]), f"{_UNKNOWN_KEY} {unknown['key']!r}"
    what = what.replace("Object missing required field", "missing key")
    return path, what.replace("`object`", "a table").replace("`array`", "a list")


def _list_keys(entry: Any, path: toml_positions.Path) -> list[str]:  # noqa: ANN401 - any type
    """Return the keys of the table at that path."""
    found = msgspec.inspect.type_info(entry)
    for step in path:
        found = _find_part(found, step)
    return [field.encode_name for field in getattr(_choose(found), "fields", ())]


def _find_part(table: msgspec.inspect.Type, step: str | int) -> msgspec.inspect.Type:
    """Return the type of an element, or of the field with that key."""
    chosen = _choose(table)
    if isinstance(step, int):
        return getattr(chosen, "item_type", chosen)
    fields = getattr(chosen, "fields", ())
    return next((field.type for field in fields if field.encode_name == step), chosen)


def _choose(found: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """Return the table or list that a key may hold beside nothing."""
    parts = getattr(found, "types", (found,))
    return next((part for part in parts if not isinstance(part, msgspec.inspect.NoneType)), found)
