"""JSON-RPC 2.0 over lines: bytes to messages and back (docs/protocol.md).

The law of this file: any bytes become messages or an `RpcError`, in memory bounded by one line,
whole or one byte at a time alike. Nothing is guessed: an unknown field, a duplicate key, a float
for an id, a batch, or text after the object is an error. Error texts never quote an answer.
Not done here: which methods there are and what their parameters mean.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, unique
from typing import Annotated, Literal, TypeVar

import msgspec

from stepupd.core.errors import RequestError, StepUpError
from stepupd.core.secret import Secret

MessageId = int | str


@unique
class Code(IntEnum):
    """Error codes: JSON-RPC 2.0 section 5.1, and one of ours for what the reason names."""

    PARSE = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    REFUSED = -32000


class RpcError(RequestError):
    """A message that cannot be served. `id` is None where it could not be read."""

    def __init__(self, code: Code, message: str, *, message_id: MessageId | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.id = message_id


@dataclass(frozen=True, slots=True)
class Call:
    """A request (`id` set) or a notification (`id` None)."""

    id: MessageId | None
    method: str
    params: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """The client's response to one of our requests; no `result` means that it declined."""

    id: str
    result: bytes | None = field(repr=False)


_Id = (
    Annotated[int, msgspec.Meta(ge=-(2**53) + 1, le=2**53 - 1)]
    | Annotated[str, msgspec.Meta(max_length=64)]
)


class _Message(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    jsonrpc: Literal["2.0"]
    id: _Id | msgspec.UnsetType = msgspec.UNSET
    method: Annotated[str, msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Answer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    answer: str


Struct = TypeVar("Struct", bound=msgspec.Struct)
_messages = msgspec.json.Decoder(_Message)
_answers = msgspec.json.Decoder(_Answer)
_encoder = msgspec.json.Encoder()
_MALFORMED = (ValueError, RecursionError)  # msgspec's errors are ValueErrors, bad UTF-8 too
_HEAD = b'{"jsonrpc":"2.0",'


class LineDecoder:
    """Bytes in, lines out; after an error every further `feed` raises it again."""

    __slots__ = ("_buffer", "_error", "_limit", "_scanned")

    def __init__(self, limit: int) -> None:
        """Accept lines of at most `limit` bytes, the line feed not counted."""
        self._limit = limit
        self._buffer = bytearray()
        self._scanned = 0
        self._error: RpcError | None = None

    @property
    def is_partial(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._buffer)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that `chunk` completes, then raise `RpcError` if one is too long."""
        if self._error is not None:
            raise self._error
        self._buffer += chunk
        # Only what is new is searched: a line that comes byte by byte costs no more.
        while 0 <= (end := self._buffer.find(b"\n", self._scanned)) <= self._limit:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._scanned = 0
            yield line
        self._scanned = len(self._buffer)
        if self._scanned > self._limit:
            self._buffer.clear()
            self._error = RpcError(Code.INVALID_REQUEST, f"a line exceeds {self._limit} bytes")
            raise self._error


def decode_message(line: bytes) -> Call | Reply:
    """Read one line; `RpcError` for anything that is no single JSON-RPC 2.0 message."""
    try:
        message = _messages.decode(line)
        _refuse_duplicates(line)
    except msgspec.ValidationError as error:
        raise RpcError(Code.INVALID_REQUEST, _shorten(error)) from None
    except _MALFORMED:
        raise RpcError(Code.PARSE, "the line is no JSON") from None
    if isinstance(message.method, str):
        return _make_call(message, message.method)
    if isinstance(message.id, str) and message.params is msgspec.UNSET:
        if isinstance(message.result, msgspec.Raw) and message.error is msgspec.UNSET:
            return Reply(message.id, bytes(message.result))
        if isinstance(message.error, msgspec.Raw) and message.result is msgspec.UNSET:
            return Reply(message.id, None)
    raise RpcError(Code.INVALID_REQUEST, "the message is neither a request nor a response")


def _make_call(message: _Message, method: str) -> Call:
    message_id = None if isinstance(message.id, msgspec.UnsetType) else message.id
    if message.result is not msgspec.UNSET or message.error is not msgspec.UNSET:
        raise RpcError(
            Code.INVALID_REQUEST, "a request has no result and no error", message_id=message_id
        )
    params = message.params
    return Call(message_id, method, bytes(params) if isinstance(params, msgspec.Raw) else b"{}")


def decode_params(call: Call, decoder: "msgspec.json.Decoder[Struct]") -> Struct:
    """Read a call's parameters; `RpcError` names the field that is wrong."""
    try:
        return decoder.decode(call.params)
    except _MALFORMED as error:
        raise RpcError(Code.INVALID_PARAMS, _shorten(error), message_id=call.id) from None


def decode_answer(result: bytes, limit: int) -> Secret:
    """Read what a person typed, at most `limit` bytes of UTF-8; it may be empty."""
    try:
        secret = Secret(_answers.decode(result).answer)
    except _MALFORMED:
        # Neither the error nor its cause is passed on: they might quote what was typed.
        raise RpcError(Code.INVALID_PARAMS, "the answer is no text") from None
    if len(secret.reveal().encode()) > limit:
        raise RpcError(Code.INVALID_PARAMS, "the answer is too long")
    return secret


def encode_result(message_id: MessageId, result: object) -> bytes:
    """Return the response line; fields come in the order in which they are declared."""
    return b'%b"id":%b,"result":%b}\n' % (
        _HEAD,
        _encoder.encode(message_id),
        _encoder.encode(result),
    )


def encode_error(message_id: MessageId | None, code: Code, error: StepUpError) -> bytes:
    """Return the error line; `data` holds the stable reason and a hint."""
    body = {
        "code": int(code),
        "message": str(error),
        "data": {"reason": error.reason, "hint": error.hint},
    }
    return b'%b"id":%b,"error":%b}\n' % (
        _HEAD,
        _encoder.encode(message_id),
        _encoder.encode(body),
    )


def encode_call(method: str, params: object, message_id: str | None = None) -> bytes:
    """Return a request line, or without an id a notification."""
    ident = b"" if message_id is None else b'"id":%b,' % _encoder.encode(message_id)
    return b'%b%b"method":%b,"params":%b}\n' % (
        _HEAD,
        ident,
        _encoder.encode(method),
        _encoder.encode(params),
    )


def _refuse_duplicates(line: bytes) -> None:
    # msgspec keeps the last of two equal keys. Its types have bounded the depth by now, except
    # below `params`, `result` and `error`: there json raises RecursionError.
    json.loads(line, object_pairs_hook=_check_pairs)


def _check_pairs(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise RpcError(Code.INVALID_REQUEST, "a key is said twice")


def _shorten(error: BaseException) -> str:
    text = str(error)
    what, _, where = text.partition(" matching regex ")
    if where:  # the pattern is for us, its place is for the caller
        what = f"{what} of another form" + (" such as cli:deploy" if "$.action" in where else "")
        text = what + " - at " + where.rpartition(" - at ")[2]
    return text[:200]
