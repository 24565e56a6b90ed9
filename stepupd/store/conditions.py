"""A rule's `when`: CEL text to a condition that says yes, no, or "in error", and nothing else.

The law of this file:
* the library's errors are values that count as true, so only the boolean `true` itself is a yes,
  only `false` itself a no, and whatever else comes back, or is raised, is an error: None;
* names and types are checked when the file is read; a part whose type is open until it runs would
  compare a number with a text in silence, so it is refused;
* the library cuts text at a NUL, so text that holds one never reaches it.

The library is loaded with the first `when`; a policy without one never loads it. Its own limits
hold besides ours: 32 levels of nesting, a budget of iterations, regular expressions in linear time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stepupd.core.condition import Condition, Variable
from stepupd.core.variables import VARIABLES, Kind
from stepupd.store.cel_complaints import explain
from stepupd.store.cel_tree import inspect_tree
from stepupd.store.toml_files import Document
from stepupd.store.toml_positions import Path

MAX_TEXT = 2000
"""Characters: a condition that takes more than a page is one that nobody reviews."""

_TYPES = {
    Kind.BOOL: bool,
    Kind.INT: int,
    Kind.STRING: str,
    Kind.STRINGS: tuple,
}


class Conditions:
    """Compiles conditions; equal texts once."""

    def __init__(self) -> None:
        self._compiled: dict[str, _CelCondition] = {}
        self._environment: Any = None

    def read(self, document: Document, path: Path, text: str) -> Condition:
        """Return the condition that stands at the path. Raises ConfigError."""
        condition = self._compiled.get(text)
        if condition is None:
            condition = self._compiled[text] = self._compile(document, path, text)
        return condition

    def _compile(self, document: Document, path: Path, text: str) -> "_CelCondition":
        if len(text) > MAX_TEXT:
            raise document.fault(path, f"a condition has at most {MAX_TEXT} characters", index=0)
        if "\0" in text:
            raise document.fault(path, "a NUL character is no part of a condition", index=0)
        if self._environment is None:
            self._environment = _load_environment(document, path)
        try:
            expression = self._environment.compile(text)
            tree = inspect_tree(expression.serialize())
        except Exception as error:
            raise explain(document, path, text, str(error)) from error
        found = expression.return_type().name()
        if found != "BOOL":
            raise document.fault(
                path, f"a condition is true or false, and this is a {found}", index=0
            )
        if not tree.is_typed:
            raise document.fault(
                path,
                "the type of a part of it is open: it would compare unlike things in silence",
                "leave out dyn(), and lists and maps that mix types",
                index=0,
            )
        return _CelCondition(text, tree.names & VARIABLES.keys(), expression)


def _load_environment(document: Document, path: Path) -> Any:  # noqa: ANN401 - it has no types
    try:
        # 14 MB, loaded by the first `when`; it declares no types.
        from cel_expr_python import cel  # type: ignore[import-untyped]  # noqa: PLC0415 - see above
    except ImportError as error:
        raise document.fault(
            path, "`when` needs the CEL library", "install cel-expr-python", index=0
        ) from error

    types = {
        Kind.BOOL: cel.Type.BOOL,
        Kind.INT: cel.Type.INT,
        Kind.STRING: cel.Type.STRING,
        Kind.STRINGS: cel.Type.List(cel.Type.STRING),
    }
    return cel.NewEnv(variables={name: types[row.kind] for name, row in VARIABLES.items()})


@dataclass(frozen=True, slots=True, eq=False)
class _CelCondition:
    """A checked expression.

    `names` may hold too many: what a loop calls its element counts as the variable of that name.
    It never holds too few, for only the variables that it names are handed over.
    """

    text: str
    names: frozenset[str]
    _expression: Any

    def holds(self, variables: Mapping[str, Variable]) -> bool | None:
        """Return whether it holds; None if it is in error.

        A variable that is not there is an error only where the answer turns on it.
        """
        try:
            given = {
                name: _hand_over(name, variables[name]) for name in self.names if name in variables
            }
            answer = self._expression.eval(data=given)
            if answer.type().name() != "BOOL":
                return None
            value = answer.value()
        except Exception:  # noqa: BLE001 - whatever fails in there is a rule in error
            return None
        return value if value is True or value is False else None


def _hand_over(name: str, value: Variable) -> object:
    """Return the value as the library takes it. TypeError for one that is not as declared."""
    if type(value) is not _TYPES[VARIABLES[name].kind]:
        raise TypeError(name)
    if isinstance(value, (str, tuple)) and any("\0" in part for part in _list_texts(value)):
        raise TypeError(name)
    return list(value) if isinstance(value, tuple) else value


def _list_texts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
