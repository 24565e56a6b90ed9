"""Where words go: prompts to the person, results to the program.

The law of this file: stdout carries results only. Prompts and errors go to stderr; where stderr
is no terminal but the person has one, prompts go there. Foreign text is shown without anything a
terminal would act on. What is typed at a hidden question is never echoed, kept or printed.
"""

import contextlib
import json
import os
import sys
import termios
from collections.abc import Iterator
from typing import TextIO

from stepup.errors import CommandError
from stepup.exits import ExitCode
from stepup.waiting import wait_readable

_TTY = "/dev/tty"
_LONGEST_ANSWER = 4096
"""Bytes: what a terminal hands over as one line."""

BOLD, RED, YELLOW = "1", "1;31", "33"


def clean(text: str) -> str:
    """Return foreign text with every invisible or active character but the newline escaped."""
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in text
    )


def paint(text: str, style: str, stream: TextIO) -> str:
    """Return the text in a colour, if the stream is a terminal that wants any."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    return text if is_plain or not stream.isatty() else f"\x1b[{style}m{text}\x1b[0m"


def print_result(text: str) -> None:
    """Print a result; a reader that has gone away changes nothing about the outcome."""
    if sys.stdout is None:  # the caller closed it
        return
    try:
        print(text, flush=True)
    except OSError as error:
        drop_output()
        if not isinstance(error, BrokenPipeError):
            raise CommandError(f"cannot write: {error.strerror}", ExitCode.FAILED) from None


def print_json(document: object) -> None:
    """Print one JSON document on one line, ASCII only."""
    print_result(json.dumps(document))


def print_error(label: str, message: str, hint: str = "") -> None:
    """Print `stepup: LABEL: message`, and what to do next on a line of its own."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError):
        head = paint(f"{label}:", RED, sys.stderr)
        print(f"stepup: {head} {clean(message)}", file=sys.stderr)
        if hint:
            print(f"{paint('hint:', YELLOW, sys.stderr)} {clean(hint)}", file=sys.stderr)


def show(text: str, *, is_error: bool = False) -> None:
    """Show the daemon's words to the person."""
    with contextlib.suppress(OSError), _open_prompt() as stream:
        if stream is not None:
            style = RED if is_error else BOLD
            print(paint(clean(text), style, stream), file=stream, flush=True)


def ask(text: str, *, is_hidden: bool) -> str | None:
    """Return what the person typed; None without a terminal, at its end or if it is no UTF-8."""
    with _open_input() as fd:
        if fd is None:
            print_error("error", "a question has to be answered, but there is no terminal")
            return None
        # Before the question: nothing typed from there on may be echoed, nothing before counts.
        with _open_prompt() as stream, _prepare(fd, is_hidden=is_hidden):
            if stream is not None:
                print(paint(clean(text), BOLD, stream), end="", file=stream, flush=True)
            answer = _read_line(fd)
            if stream is not None and is_hidden:
                print(file=stream, flush=True)
    with contextlib.suppress(UnicodeDecodeError):
        return None if answer is None else answer.decode("utf-8")
    return None


def has_terminal() -> bool:
    """Return whether there is a person to ask."""
    with _open_input() as fd:
        return fd is not None


def drop_output() -> None:
    """Send what is left for stdout nowhere, so that nothing fails when Python exits."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def _open_prompt() -> Iterator[TextIO | None]:
    if sys.stderr is not None and sys.stderr.isatty():
        yield sys.stderr
        return
    with contextlib.ExitStack() as stack:
        stream = sys.stderr
        with contextlib.suppress(OSError):
            fd = os.open(_TTY, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
            stream = stack.enter_context(os.fdopen(fd, "w", errors="backslashreplace"))
        yield stream


@contextlib.contextmanager
def _open_input() -> Iterator[int | None]:
    if sys.stdin is not None and sys.stdin.isatty():
        yield sys.stdin.fileno()
        return
    try:
        fd = os.open(_TTY, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _prepare(fd: int, *, is_hidden: bool) -> Iterator[None]:
    before = termios.tcgetattr(fd)
    during = termios.tcgetattr(fd)
    if is_hidden:
        during[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(fd, termios.TCSAFLUSH, during)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _read_line(fd: int) -> bytes | None:
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST_ANSWER:
        wait_readable(fd)
        piece = os.read(fd, _LONGEST_ANSWER)
        if not piece:
            break
        line += piece
    return line.removesuffix(b"\n") if line else None
