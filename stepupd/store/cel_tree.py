"""What the CEL checker found out about an expression: the names in it, and whether all is typed.

The library hands it out as a CheckedExpr (cel/expr/checked.proto) within a google.protobuf.Any.
Two of its fields matter here: `reference_map`, what each name refers to, and `type_map`, the type
of each part. Only protobuf's framing is read (protobuf.dev, "Encoding"); nothing is evaluated.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_CONTENT = 2
"""Of Any: `value`."""
_REFERENCE_MAP, _TYPE_MAP = 2, 3
"""Of CheckedExpr."""
_VALUE = 2
"""Of a map's entry."""
_NAME = 1
"""Of Reference."""
_DYN = b"\x0a\x00"
"""Type.dyn, field 1, an empty message. Nothing else in a type is written so."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What is known of a checked expression."""

    names: frozenset[str]
    """Variables, what loops call their elements, functions and types."""
    is_typed: bool
    """Whether each part, and what is in it, has a type that is fixed before it runs."""


def inspect_tree(serialized: bytes) -> Tree:
    """Return what a serialized expression says. Raises ValueError for anything else."""
    names = set()
    is_typed = True
    try:
        for number, entry in _list_fields(dict(_list_fields(serialized))[_CONTENT]):
            if number == _REFERENCE_MAP:
                reference = dict(_list_fields(dict(_list_fields(entry))[_VALUE]))
                names.add(reference[_NAME].decode() if _NAME in reference else "")
            elif number == _TYPE_MAP and _DYN in entry:
                is_typed = False
    except (KeyError, IndexError) as error:
        raise ValueError("this is no CheckedExpr") from error
    return Tree(frozenset(names), is_typed)


def _list_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a message; of one that is a number, no content."""
    at = 0
    while at < len(message):
        tag, at = _read_number(message, at)
        length = 0
        if tag & 7 == 2:  # noqa: PLR2004 - wire type LEN
            length, at = _read_number(message, at)
        elif tag & 7 == 0:
            _, at = _read_number(message, at)
        else:
            raise ValueError("a wire type that neither message has")
        yield tag >> 3, message[at : at + length]
        at += length


def _read_number(message: bytes, at: int) -> tuple[int, int]:
    """Return the base-128 number that begins there, and where it ends."""
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:  # noqa: PLR2004 - the last byte has no top bit
            return number, at
