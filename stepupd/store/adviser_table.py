"""`[[adviser]]` in `stepupd.toml`: whom to ask outside, and how.

The law of this file: an adviser has exactly one way to be asked. Without TLS that way ends on this
machine; a program is one that only root or we can have written.
"""

import os
import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from stepupd.core.errors import ConfigError
from stepupd.core.risk.advice import DEADLINE, LONGEST_DEADLINE, Address, AdviserPlan, Format
from stepupd.store.durations import parse_duration
from stepupd.store.file_checks import OTHERS_WRITE, read_trusted_start
from stepupd.store.toml_files import Document, Entry

MOST_ADVISERS = 4
"""A person waits for all of them."""
SHORTEST_DEADLINE = 0.05
"""Seconds: less would be a way to say that it always fails."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PORTS = {"http": 80, "https": 443}
_MAX_WORDS = 32
_MAX_SOCKET_PATH = 107
"""Bytes of sun_path but one, unix(7)."""


class AdviserEntry(Entry, frozen=True, rename={"program": "exec"}):
    """One `[[adviser]]`."""

    name: str
    program: str | tuple[str, ...] | None = None
    url: str | None = None
    socket: str | None = None
    deadline: float | str = DEADLINE
    format: str = Format.PLAIN.value
    send_command: bool = False


def check_program(path: Path) -> None:
    """Raise ConfigError unless this is a program that only root or we can have written."""
    try:
        read_trusted_start(path, size=1, forbidden=OTHERS_WRITE)
    except FileNotFoundError:
        raise ConfigError("no such file", file=str(path)) from None
    if not os.access(path, os.X_OK):
        raise ConfigError("cannot be executed", file=str(path))


def read_advisers(document: Document, written: tuple[AdviserEntry, ...]) -> tuple[AdviserPlan, ...]:
    """Return the advisers a document holds. Raises ConfigError."""
    if len(written) > MOST_ADVISERS:
        raise document.fault(
            ("adviser", MOST_ADVISERS), f"there are at most {MOST_ADVISERS} advisers"
        )
    plans: list[AdviserPlan] = []
    for index, entry in enumerate(written):
        if any(other.name == entry.name for other in plans):
            raise document.fault(("adviser", index, "name"), f"{entry.name!r} is there already")
        plans.append(_Reader(document, index, entry).read())
    return tuple(plans)


class _Reader:
    """Reads one entry; what is wrong is shown where it stands."""

    def __init__(self, document: Document, index: int, entry: AdviserEntry) -> None:
        self._document = document
        self._index = index
        self._entry = entry

    def read(self) -> AdviserPlan:
        entry = self._entry
        if not _NAME.fullmatch(entry.name):
            raise self._fault("name", "a name has 1 to 32 of a-z, 0-9 and -, a letter first")
        if (entry.program is None) == (entry.url is None and entry.socket is None):
            raise self._fault("name", "an adviser has either exec, or url or socket or both")
        return AdviserPlan(
            name=entry.name,
            program=self._read_program(),
            address=self._read_address(),
            socket=self._read_socket(),
            deadline=self._read_deadline(),
            format=self._read_format(),
            sends_command=entry.send_command,
        )

    def _read_program(self) -> tuple[str, ...]:
        written = self._entry.program
        if written is None:
            return ()
        words = (written,) if isinstance(written, str) else written
        if not 1 <= len(words) <= _MAX_WORDS or not all(word.isprintable() for word in words):
            raise self._fault("exec", f"a program has 1 to {_MAX_WORDS} printable words")
        if not Path(words[0]).is_absolute():
            raise self._fault("exec", "the path of a program starts with /")
        try:
            check_program(Path(words[0]))
        except ConfigError as error:
            raise self._fault("exec", str(error), error.hint) from error
        return words

    def _read_address(self) -> Address | None:
        if self._entry.program is not None:
            return None
        if self._entry.url is None:
            return Address("localhost", _PORTS["http"], "/")
        url = self._entry.url
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise self._fault("url", str(error)) from error
        if not _is_plain(url, parts) or not host:
            raise self._fault("url", "an adviser's URL is like https://risk.example.org/v1/score")
        is_secure = parts.scheme == "https"
        if self._entry.socket is not None and is_secure:
            raise self._fault("url", "at a socket there is only http")
        if self._entry.socket is None and not is_secure and not _is_here(host):
            raise self._fault(
                "url", f"{host} is another machine", "ask it with https, or a program on this one"
            )
        if host == "localhost" and not is_secure:
            host = "127.0.0.1"  # Whatever /etc/hosts says.
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        return Address(host, port or _PORTS[parts.scheme], target, is_secure)

    def _read_socket(self) -> str:
        path = self._entry.socket
        if path is None:
            return ""
        if not Path(path).is_absolute() or not path.isprintable():
            raise self._fault("socket", "the path of a socket starts with /")
        if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
            raise self._fault(
                "socket", f"the path of a socket has at most {_MAX_SOCKET_PATH} bytes"
            )
        return path

    def _read_deadline(self) -> float:
        seconds = parse_duration(self._entry.deadline)
        if seconds is None or not SHORTEST_DEADLINE <= seconds <= LONGEST_DEADLINE:
            raise self._fault(
                "deadline",
                f"a deadline is from {SHORTEST_DEADLINE} to {LONGEST_DEADLINE:.0f} seconds",
            )
        return seconds

    def _read_format(self) -> Format:
        try:
            return Format(self._entry.format)
        except ValueError:
            known = ", ".join(one.value for one in Format)
            raise self._fault("format", f"{self._entry.format!r} is none of {known}") from None

    def _fault(self, key: str, message: str, hint: str = "") -> ConfigError:
        return self._document.fault(("adviser", self._index, key), message, hint)


def _is_plain(url: str, parts: SplitResult) -> bool:
    """Return whether a URL has a scheme, a host and a path, and nothing that may be misread."""
    return (
        parts.scheme in _PORTS
        and url.isascii()
        and url.isprintable()
        and not set(url) & set(' "<>\\^`{|}#@')
    )


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
