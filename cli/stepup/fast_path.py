"""The fast path: `stepup verify` under a live grant, in one round trip and without a parser.

The law of this file:
* 0 comes only from one whole line that begins with exactly the bytes of an "allow"; whatever else
  comes in is handed on, unread, with the connection it came on, so that nobody is asked twice;
* what is not understood at once (an option, a character, a missing socket) is left to `app`, and
  so is a daemon that says nothing for a second: `stepupd.client` knows how long to wait;
* nothing is imported that costs time: no typer, json, re, enum, dataclasses or typing.

Not done here: prompts, explanations, errors.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

_ALLOW = b'{"jsonrpc":"2.0","id":1,"result":{"verdict":"allow"'
_RESULT = b'{"jsonrpc":"2.0","id":1,"result":{'

_SYSTEM_SOCKET = b"/run/stepupd/stepupd.sock"
_LONGEST_LINE = 64 * 1024
_LOOK = 1.0
"""Seconds that one system call may block."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .:_-/@+,=")
"""Characters that mean themselves in JSON."""
_NAMES = {
    "--action": "action",
    "--level": "level",
    "--max-age": "max_age",
    "--reason": "reason",
    "--user": "subject",
}
_LEVELS = ("touch", "verify", "attested")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def try_verify(arguments: list[str]) -> "int | tuple[socket, bytes] | None":
    """Return 0 if allowed, a connection and what came on it if not yet, None if not even asked.

    `arguments` are those after the verb.
    """
    request = encode_request(arguments)
    sock = None if request is None else _connect()
    if request is None or sock is None:
        return None
    received = _exchange(sock, request)
    if received is None:
        return None
    is_one_line = received.find(b"\n") == len(received) - 1
    if is_one_line and received.startswith((_ALLOW + b",", _ALLOW + b"}")):
        sock.close()
        return 0
    return sock, received


def try_status(arguments: list[str]) -> bool:
    """Print the status; False if anything is unusual. Asking again does no harm."""
    if arguments not in ([], ["--json"]):
        return False
    sock = _connect()
    if sock is None:
        return False
    line = _exchange(sock, b'{"jsonrpc":"2.0","id":1,"method":"Status","params":{}}\n')
    sock.close()
    if line is None or not line.startswith(_RESULT):
        return False
    import json

    from stepup.errors import CommandError
    from stepup.status_text import say_status
    from stepup.terminal import print_json, print_result

    try:
        answer = json.loads(line)["result"]
        text = say_status(answer)
    except (ValueError, RecursionError, CommandError):
        return False
    if arguments:
        print_json(answer)
    else:
        print_result(text)
    return True


def encode_request(arguments: list[str]) -> bytes | None:
    """Return the request as one JSON line, or None if there is anything to think about."""
    params = {"action": '"cli:verify"'}
    rest = list(reversed(arguments))
    while rest:
        word = rest.pop()
        if word in ("-q", "--quiet"):
            continue
        option, equals, value = word.partition("=")
        if option not in _NAMES or not (equals or rest):
            return None
        encoded = _encode(option, value if equals else rest.pop())
        if encoded is None:
            return None
        params[_NAMES[option]] = encoded
    fields = ",".join(f'"{name}":{value}' for name, value in params.items())
    return f'{{"jsonrpc":"2.0","id":1,"method":"StepUp","params":{{{fields}}}}}\n'.encode("ascii")


def _encode(option: str, value: str) -> str | None:
    if not value or not _PLAIN.issuperset(value):
        return None
    if option == "--level" and value not in _LEVELS:
        return None
    if option != "--max-age":
        return f'"{value}"'
    number, unit = (value[:-1], _UNITS[value[-1]]) if value[-1] in _UNITS else (value, 1)
    return str(int(number) * unit) if number.isdigit() and len(number) <= 9 else None  # noqa: PLR2004 - as `times`


def _connect() -> "socket | None":
    from _socket import AF_UNIX, SO_PEERCRED, SOCK_STREAM, SOL_SOCKET, socket
    from posix import geteuid

    path = _find_socket()
    if path is None:
        return None
    sock = socket(AF_UNIX, SOCK_STREAM)
    sock.settimeout(_LOOK)
    try:
        sock.connect(path)
        # struct ucred: pid, uid, gid, of whoever called listen(). Others than these are left to
        # `stepupd.client`, which knows the service's account too.
        credentials = sock.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
        if int.from_bytes(credentials[4:8], sys.byteorder) in (0, geteuid()):
            return sock
    except OSError:
        pass
    sock.close()
    return None


def _exchange(sock: "socket", request: bytes) -> bytes | None:
    """Return what came first, up to a whole line; None if the request could not be sent."""
    try:
        sock.sendall(request)
    except OSError:
        sock.close()
        return None
    received = b""
    while b"\n" not in received and len(received) <= _LONGEST_LINE:
        try:
            piece = sock.recv(_LONGEST_LINE)
        except OSError:
            break
        if not piece:
            break
        received += piece
    return received


def _find_socket() -> bytes | None:
    from posix import environ, stat

    chosen = environ.get(b"STEPUP_SOCKET")
    if chosen:
        return chosen
    try:
        stat(_SYSTEM_SOCKET)
    except OSError:
        directory = environ.get(b"XDG_RUNTIME_DIR")
        return directory + b"/stepupd/stepupd.sock" if directory else None
    return _SYSTEM_SOCKET
