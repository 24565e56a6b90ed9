"""Walk through an audit log and see that it is one unbroken chain under its signed heads.

Law: a line counts only if it is an entry, has its number, and names the hash of the line before;
at the size of each head the tree has the signed root. The fault names the first line that is not
as it was written, as nearly as the log itself can tell.

Not done here: what the entries prove.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from stepupd.core.checkpoint import Checkpoint
from stepupd.core.entry import LINE_LIMIT, Entry, parse_line
from stepupd.core.errors import InternalError
from stepupd.core.merkle import EMPTY_ROOT, Frontier, hash_leaf
from stepupd.store.audit_report import BrokenLogError

_HASHES_HELD = 4096
"""Leaf hashes kept before they go into the tree, which is cheaper in bulk."""


class Chain:
    """One pass over a log. `covered` grows as heads agree; `torn` is known at the end."""

    def __init__(self, stream: BinaryIO, heads: Sequence[Checkpoint]) -> None:
        """Expect the stream at its start, and the log to agree with every one of `heads`."""
        self.covered = 0
        self.torn = 0
        self._stream = stream
        self._due = sorted(heads, key=lambda head: head.size, reverse=True)
        self._frontier, self._hashes = Frontier(), list[bytes]()
        self._last = EMPTY_ROOT

    def walk(self) -> Iterator[tuple[int, bytes, Entry]]:
        """Return each line's number, bytes and entry. Raises BrokenLogError."""
        lines = self._read_lines()
        number = 0
        self._compare(number)
        for number, line in enumerate(lines, 1):
            entry = _parse(number, line)
            if entry.seq != number - 1:
                text = f"entry {number - 1} should be here, entry {entry.seq} is"
                raise BrokenLogError(number, "out-of-order", text)
            if entry.previous != self._last:
                raise self._blame(number, line, next(lines, b""))
            self._last = hash_leaf(line)
            self._hashes.append(self._last)
            self._compare(number)
            yield number, line, entry
        if self._due:
            missing = self._due[0].size - number
            raise BrokenLogError(number + 1, "truncated", f"{missing} signed entries are missing")

    def _read_lines(self) -> Iterator[bytes]:
        while line := self._stream.readline(LINE_LIMIT + 2):
            if not line.endswith(b"\n") and len(line) <= LINE_LIMIT:
                self.torn = len(line)
                return
            yield line.removesuffix(b"\n")

    def _compare(self, size: int) -> None:
        is_due = bool(self._due) and self._due[-1].size == size
        if is_due or len(self._hashes) == _HASHES_HELD:
            self._frontier = self._frontier.extend(self._hashes)
            self._hashes.clear()
        while self._due and self._due[-1].size == size:
            head = self._due.pop()
            if head.last != self._last:
                raise _changed(size, "it is not the entry that was signed as the last one")
            if head.frontier.root != self._frontier.root:
                first = self.covered + 1
                raise _changed(first, f"entries up to line {size} are not those that were signed")
            self.covered = size

    def _blame(self, number: int, line: bytes, following: bytes) -> BrokenLogError:
        """Line `number` does not fit the one before: say which of the two was changed.

        What comes after a line tells what it was when it was written.
        """
        proofs = {head.last for head in self._due if head.size == number}
        with contextlib.suppress(InternalError):
            proofs.add(parse_line(following).previous)
        if hash_leaf(line) in proofs:
            return _changed(number - 1, "it is not the entry that the next one followed")
        return _changed(number, "it does not follow the entry before it")


def _parse(number: int, line: bytes) -> Entry:
    try:
        return parse_line(line)
    except InternalError as error:
        raise BrokenLogError(number, "bad-entry", str(error)) from None


def _changed(number: int, text: str) -> BrokenLogError:
    return BrokenLogError(number, "changed", text)
