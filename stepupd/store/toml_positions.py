"""Where in a TOML text a key stands: `tomllib` does not say.

The text has been parsed before, so it is known to be TOML; this only walks it again and writes down
where each key, and each element of an array, begins (TOML 1.0). A path is a tuple of keys and
indexes: `("rule", 2, "require")`.
"""

import tomllib

Path = tuple[str | int, ...]

_BLANK = " \t"
_GAP = " \t\r\n"
_BARE_END = ",]}#\n"


def locate(text: str, path: Path) -> tuple[int, int]:
    """Return line and column, both from 1, of the path or of its nearest parent that is there."""
    offsets = find_offsets(text)
    while path and path not in offsets:
        path = path[:-1]
    return to_line_and_column(text, offsets.get(path, 0))


def to_line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, both from 1, of an offset in characters."""
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def find_offsets(text: str) -> dict[Path, int]:
    """Return the offset of every key and every array element."""
    scanner = _Scanner(text)
    scanner.scan_document()
    return scanner.offsets


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.offsets: dict[Path, int] = {}
        self.last: dict[Path, int] = {}
        """The index of the newest table of each array of tables."""

    def scan_document(self) -> None:
        table: Path = ()
        self.skip_gap()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self.scan_header()
            else:
                self.scan_pair(table)
            self.skip_gap()

    def scan_header(self) -> Path:
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        path: Path = ()
        for part, offset in self.scan_key():
            if path in self.last:
                path += (self.last[path],)
            path += (part,)
            self.offsets.setdefault(path, offset)
        if is_array:
            self.last[path] = self.last.get(path, -1) + 1
        if path in self.last:
            path += (self.last[path],)
        self.offsets.setdefault(path, offset)
        self.at += 2 if is_array else 1
        return path

    def scan_pair(self, table: Path) -> None:
        path = table
        for part, offset in self.scan_key():
            path += (part,)
            self.offsets.setdefault(path, offset)
        self.at += 1  # "="
        self.skip(_BLANK)
        self.scan_value(path)

    def scan_key(self) -> list[tuple[str, int]]:
        parts = []
        while True:
            self.skip(_BLANK)
            start = self.at
            if self.text[start] in "\"'":
                self.skip_string()
                raw = self.text[start : self.at]
                parts.append((str(tomllib.loads(f"key = {raw}")["key"]), start))
            else:
                self.skip_until(" \t.=]")
                parts.append((self.text[start : self.at], start))
            self.skip(_BLANK)
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def scan_value(self, path: Path) -> None:
        first = self.text[self.at]
        if first == "[":
            self.scan_array(path)
        elif first == "{":
            self.scan_inline_table(path)
        elif first in "\"'":
            self.skip_string()
        else:
            self.skip_until(_BARE_END)

    def scan_array(self, path: Path) -> None:
        self.at += 1
        index = 0
        self.skip_gap()
        while self.text[self.at] != "]":
            element = (*path, index)
            self.offsets[element] = self.at
            self.scan_value(element)
            self.skip_gap()
            if self.text[self.at] == ",":
                self.at += 1
                self.skip_gap()
            index += 1
        self.at += 1

    def scan_inline_table(self, path: Path) -> None:
        self.at += 1
        self.skip_gap()
        while self.text[self.at] != "}":
            self.scan_pair(path)
            self.skip_gap()
            if self.text[self.at] == ",":
                self.at += 1
                self.skip_gap()
        self.at += 1

    def skip_string(self) -> None:
        quote = self.text[self.at]
        is_long = self.text.startswith(quote * 3, self.at)
        end = quote * 3 if is_long else quote
        self.at += len(end)
        while not self.text.startswith(end, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += len(end)
        for _ in range(2 if is_long else 0):  # Up to two quotes may stand before the closing three.
            self.at += self.text.startswith(quote, self.at)

    def skip_gap(self) -> None:
        """Skip white space, line ends and comments."""
        self.skip(_GAP)
        while self.text.startswith("#", self.at):
            self.skip_until("\n")
            self.skip(_GAP)

    def skip(self, letters: str) -> None:
        while self.at < len(self.text) and self.text[self.at] in letters:
            self.at += 1

    def skip_until(self, letters: str) -> None:
        while self.at < len(self.text) and self.text[self.at] not in letters:
            self.at += 1
