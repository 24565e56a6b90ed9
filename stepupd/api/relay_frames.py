"""The relay's wire: frames and the request, as bytes and as values (docs/protocol.md).

Law: any bytes become frames or a `RequestError`, in memory bounded by what was fed plus one frame,
whole or one byte at a time alike. What is not said exactly is not said: a duplicate key, an unknown
key, an empty value, a number with a leading zero is an error, not a guess.
Not done here: no socket, no clock, and no trust. A request's `subject` and `service` are what the
module wrote; whether the peer may say so is decided from the kernel's answer elsewhere. Cleaning
text for a terminal is the sender's part and, once more, the module's.
"""

import struct
from dataclasses import dataclass, field
from enum import Enum, IntEnum, unique

from stepupd.core.errors import InternalError, RequestError
from stepupd.core.secret import Secret

MAX_FRAME = 8192
"""Bytes of kind and payload; a whole request with its largest values takes 7.6 KiB."""

MAX_ANSWER = 4096
"""Bytes a person may type; the module refuses longer answers."""

MAX_VALUE = 256
"""Bytes of one request value: more than any account, terminal or host name (RFC 1035: 255)."""

MAX_COMMAND = 2048
"""Bytes of the claimed command, which alone may be cut."""

MAX_SSH_AUTH = 4096
"""Bytes of what sshd says; what is longer is left out, and that is said."""

_VERSION = "1"
_ARGUMENT_SEPARATOR = "\x1f"
_LENGTH = struct.Struct(">I")
_KEYS = frozenset(
    [
        "version",
        "service",
        "subject",
        "ruser",
        "tty",
        "rhost",
        "leader",
        "leader_start",
        "command",
        "command_cut",
        "ssh_auth",
        "ssh_auth_long",
    ]
)
_LONGER = {"command": MAX_COMMAND, "ssh_auth": MAX_SSH_AUTH}
_PID_MAX = 2**22  # proc_sys_kernel(5): the largest pid_max
_TICKS_MAX = 2**64 - 1


@unique
class Kind(IntEnum):
    """What a frame is."""

    REQUEST = 0x01
    ANSWER = 0x02
    INFO = 0x11
    ERROR = 0x12
    ASK_HIDDEN = 0x13
    ASK_VISIBLE = 0x14
    VERDICT = 0x20


FROM_MODULE = frozenset({Kind.REQUEST, Kind.ANSWER})
FROM_DAEMON = frozenset(Kind) - FROM_MODULE
_TEXTS = FROM_DAEMON - {Kind.VERDICT}


@unique
class VerdictCode(Enum):
    """The first byte of a verdict and, in brackets, what the module makes of it."""

    ALLOW = b"A"
    """(PAM_SUCCESS)"""
    DENY = b"D"
    """(PAM_AUTH_ERR)"""
    FORBIDDEN = b"P"
    """By policy, whatever is proved (PAM_PERM_DENIED)."""
    MAX_TRIES = b"M"
    """(PAM_MAXTRIES)"""
    UNAVAILABLE = b"U"
    """Nothing to prove with, or a failure of ours (PAM_AUTHINFO_UNAVAIL)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. The payload may be an answer, so it never prints."""

    kind: Kind
    payload: bytes = field(repr=False)


def encode(frame: Frame) -> bytes:
    """Return the frame's bytes; `InternalError` if the payload does not fit."""
    size = 1 + len(frame.payload)
    if size > MAX_FRAME:
        raise InternalError(f"a frame of {size} bytes does not fit the relay")
    return _LENGTH.pack(size) + bytes([frame.kind]) + frame.payload


def encode_text(kind: Kind, text: str) -> bytes:
    """Return a text frame, cut on a character boundary when too long for one frame."""
    if kind not in _TEXTS:
        raise InternalError(f"{kind.name} carries no text")
    cut = text.encode("utf-8", "replace")[: MAX_FRAME - 1]
    return encode(Frame(kind, cut.decode("utf-8", "ignore").encode()))


def encode_verdict(code: VerdictCode, reason: str = "") -> bytes:
    """Return a verdict frame; `reason` is an ASCII code for debug logs."""
    return encode(Frame(Kind.VERDICT, code.value + reason.encode("ascii", "replace")))


def decode_answer(payload: bytes) -> Secret:
    """Return what was typed; it may be empty."""
    if len(payload) > MAX_ANSWER or b"\0" in payload:
        raise RequestError("the answer is too long or holds a NUL", reason="bad-answer")
    try:
        return Secret(payload.decode())
    except UnicodeDecodeError:
        # `from None`: the error would carry what was typed.
        raise RequestError("the answer is not UTF-8", reason="bad-answer") from None


class FrameDecoder:
    """Bytes in, frames out; after an error every further `feed` raises it again."""

    def __init__(self, kinds: frozenset[Kind] = FROM_MODULE) -> None:
        """Accept only `kinds`: a frame that travels the wrong way is an error."""
        self._kinds = kinds
        self._buffer = bytearray()
        self._error: RequestError | None = None

    @property
    def is_between_frames(self) -> bool:
        """Whether the stream may end here."""
        return not self._buffer and self._error is None

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes; `RequestError` for bytes that are none."""
        if self._error is not None:
            raise self._error
        self._buffer += chunk
        frames: list[Frame] = []
        try:
            while (frame := self._take_frame()) is not None:
                frames.append(frame)
        except RequestError as error:
            self._error = error
            self._buffer.clear()
            raise
        return frames

    def _take_frame(self) -> Frame | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._buffer)
        if not 1 <= size <= MAX_FRAME:
            raise RequestError(f"a frame claims {size} bytes", reason="bad-frame")
        if len(self._buffer) == _LENGTH.size:
            return None
        kind = self._check_kind(self._buffer[_LENGTH.size])
        end = _LENGTH.size + size
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[_LENGTH.size + 1 : end])
        del self._buffer[:end]
        return Frame(kind, payload)

    def _check_kind(self, number: int) -> Kind:
        for kind in self._kinds:
            if kind == number:
                return kind
        raise RequestError(f"a frame of kind {number:#04x} has no place here", reason="bad-frame")


@dataclass(frozen=True, slots=True)
class RelayRequest:
    r"""What the module wrote. "" and 0 mean: not said.

    `leader` and `leader_start` (clock ticks since boot) are both known or both 0. `command` is a
    claim, one string an argument. `ssh_auth` is sshd's SSH_AUTH_INFO_0 as it stands in the PAM
    environment, which any module of the stack may have written. In both, bytes that are no UTF-8
    are written as `\xNN`.
    """

    service: str
    subject: str
    ruser: str = ""
    tty: str = ""
    rhost: str = ""
    leader: int = 0
    leader_start: int = 0
    command: tuple[str, ...] = ()
    command_is_cut: bool = False
    ssh_auth: str = ""
    ssh_auth_is_long: bool = False

    @classmethod
    def parse(cls, payload: bytes) -> "RelayRequest":
        """Read `key=value` pairs separated by NUL; `RequestError` for anything else."""
        pairs = _split_pairs(payload)
        if pairs.pop("version", None) != _VERSION:
            raise RequestError("the module speaks another version", reason="bad-version")
        if missing := {"service", "subject"} - pairs.keys():
            raise _bad_request(f"{min(missing)} is missing")
        if ("leader" in pairs) != ("leader_start" in pairs):
            raise _bad_request("leader and leader_start come together")
        if pairs.get("command_cut", "1") != "1" or ("command_cut" in pairs) > ("command" in pairs):
            raise _bad_request("command_cut is 1 and follows a command")
        if pairs.get("ssh_auth_long", "1") != "1" or {"ssh_auth", "ssh_auth_long"} <= pairs.keys():
            raise _bad_request("ssh_auth_long is 1 and stands for ssh_auth")
        if not pairs["subject"].isprintable():
            raise _bad_request("subject has characters that no account name has")
        return cls(
            service=pairs["service"],
            subject=pairs["subject"],
            ruser=pairs.get("ruser", ""),
            tty=pairs.get("tty", ""),
            rhost=pairs.get("rhost", ""),
            leader=_read_number(pairs.get("leader"), _PID_MAX),
            leader_start=_read_number(pairs.get("leader_start"), _TICKS_MAX),
            command=_split_command(pairs.get("command")),
            command_is_cut="command_cut" in pairs,
            ssh_auth=pairs.get("ssh_auth", ""),
            ssh_auth_is_long="ssh_auth_long" in pairs,
        )


def _bad_request(message: str) -> RequestError:
    return RequestError(message, reason="bad-request")


def _split_pairs(payload: bytes) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for pair in payload.split(b"\0"):
        raw_key, equals, value = pair.partition(b"=")
        key = raw_key.decode("ascii", "replace")
        if not equals or key not in _KEYS:
            raise _bad_request("a key is unknown or has no value")
        if key in pairs:
            raise _bad_request(f"{key} is said twice")
        pairs[key] = _decode_value(key, value)
    return pairs


def _decode_value(key: str, value: bytes) -> str:
    if not 1 <= len(value) <= _LONGER.get(key, MAX_VALUE):
        raise _bad_request(f"{key} is empty or too long")
    try:
        # Arguments are any bytes, and a file with an old name must not lock its owner out; no more
        # may the name that a ticket of Kerberos carries.
        return value.decode("utf-8", "backslashreplace" if key in _LONGER else "strict")
    except UnicodeDecodeError:
        raise _bad_request(f"{key} is not UTF-8") from None


def _read_number(text: str | None, limit: int) -> int:
    if text is None:
        return 0
    # The length first: int() of a long number takes time, then refuses.
    if len(text) > len(str(limit)) or not (text.isascii() and text.isdigit()) or text[0] == "0":
        raise _bad_request("a number is written in no way that the module writes")
    if int(text) > limit:
        raise _bad_request("a number is too large")
    return int(text)


def _split_command(text: str | None) -> tuple[str, ...]:
    return () if text is None else tuple(text.split(_ARGUMENT_SEPARATOR))
