"""The JSON-RPC door: calls in, results out, and in between texts and questions to the person.

The law of this file: each call gets exactly one response; a connection runs one ceremony and a few
calls, more are refused at once; closing it, or `Cancel`, ends its ceremony; and of our own failures
the caller hears that we failed, never how. A client that only ends its own sending is still there:
what it asked is answered, but it can be asked nothing any more.
"""

import logging
from collections.abc import Iterator
from functools import partial

from stepupd.api.admission import Admission
from stepupd.api.connection import Connection
from stepupd.api.conversation import Conversation
from stepupd.api.house import House
from stepupd.api.jsonrpc import (
    Call,
    Code,
    LineDecoder,
    MessageId,
    Reply,
    RpcError,
    decode_answer,
    decode_message,
    decode_params,
    encode_call,
    encode_error,
    encode_result,
)
from stepupd.api.limits import Limits
from stepupd.api.listener import Entrance
from stepupd.api.methods import METHODS, Context, Method
from stepupd.api.service import Service
from stepupd.core.effects import TroubleKind
from stepupd.core.errors import AuthenticatorError, RequestError, StepUpError
from stepupd.core.model import Door

log = logging.getLogger(__name__)


def rpc_entrance(service: Service, admission: Admission, limits: Limits) -> Entrance:
    """Return what a `Listener` needs to serve JSON-RPC."""
    return Entrance(
        Door.SOCKET,
        partial(RpcDialogue, house=House(service, admission, limits)),
        encode_refusal,
    )


def encode_refusal(error: RequestError, message_id: MessageId | None = None) -> bytes:
    """Return the error line for the caller's own mistakes."""
    if isinstance(error, RpcError):
        return encode_error(message_id if error.id is None else error.id, error.code, error)
    return encode_error(message_id, Code.REFUSED, error)


def encode_failure(message_id: MessageId, error: Exception) -> bytes:
    """Return the error line for a failure; only what is the caller's to mend is told."""
    if isinstance(error, RequestError):
        return encode_refusal(error, message_id)
    if isinstance(error, AuthenticatorError):
        return encode_error(message_id, Code.REFUSED, error)
    if isinstance(error, StepUpError):
        log.error("%s: %s", error.reason, error)
        reason = error.reason
    else:
        log.error("the JSON-RPC door failed", exc_info=error)
        reason = "internal"
    told = RequestError("stepupd failed", reason=reason, hint="Its log says why.")
    return encode_error(message_id, Code.REFUSED, told)


class RpcDialogue:
    """One connection of a client. It is also the `Line` of its ceremony's conversation."""

    __slots__ = (
        "_calls",
        "_connection",
        "_conversation",
        "_house",
        "_is_ended",
        "_is_slow",
        "_limits",
        "_lines",
        "_malformed",
        "_questions",
    )

    def __init__(self, connection: Connection, house: House) -> None:
        self._connection = connection
        self._house = house
        self._limits = house.limits
        self._lines = LineDecoder(house.limits.line)
        self._conversation: Conversation | None = None
        self._calls = 0
        self._questions = 0
        self._malformed = 0
        self._is_slow = False
        self._is_ended = False

    def receive(self, chunk: bytes) -> Iterator[None]:
        """Take bytes of the client; a bad line is answered, many or an endless one end it."""
        try:
            for line in self._lines.feed(chunk):
                self._is_slow = False
                self._answer_for(line)
                yield
        except RpcError as error:
            self._connection.refuse(error)
        self._set_deadline()

    def end_input(self) -> bool:
        """Answer what was asked, then finish; questions are declined from here on."""
        self._is_ended = True
        if self._conversation is not None:
            self._conversation.stop_listening()
        self._connection.expect(None)
        self._finish_if_done()
        return True

    def lose(self) -> None:
        """Tell the ceremony that its caller is gone."""
        self._end_ceremony(TroubleKind.HANG_UP)

    def send_show(self, text: str, *, is_error: bool) -> None:
        """Send a `Show` notification."""
        self._connection.send(encode_call("Show", {"text": text, "is_error": is_error}))

    def send_ask(self, text: str, *, is_hidden: bool) -> int:
        """Send an `Ask` request under an id of our own."""
        self._questions += 1
        params = {"text": text, "is_hidden": is_hidden}
        self._connection.send(encode_call("Ask", params, f"d{self._questions}"))
        return self._questions

    def _answer_for(self, line: bytes) -> None:
        try:
            self._take(line)
        except RpcError as error:
            self._malformed += 1
            if self._malformed < self._limits.malformed:
                self._connection.send(encode_refusal(error))
            else:
                self._connection.refuse(error)

    def _take(self, line: bytes) -> None:
        message = decode_message(line)
        if isinstance(message, Reply):
            self._take_reply(message)
        elif message.id is not None:
            self._begin(message, message.id)
        elif message.method == "Cancel":
            if message.params != b"{}":
                raise RpcError(Code.INVALID_PARAMS, "Cancel takes no parameters")
            self._end_ceremony(TroubleKind.CANCELLED)
        else:
            raise RpcError(Code.INVALID_REQUEST, "a call needs an id")

    def _take_reply(self, reply: Reply) -> None:
        number = reply.id.removeprefix("d")
        if reply.id != f"d{number}" or not number.isdecimal() or len(number) > len("999999999"):
            raise RpcError(Code.INVALID_REQUEST, "a response to no question of ours")
        if self._conversation is None:
            return  # late: its ceremony is over
        try:
            secret = (
                None if reply.result is None else decode_answer(reply.result, self._limits.answer)
            )
        except RpcError:
            self._conversation.answer(int(number), None)
            raise
        self._conversation.answer(int(number), secret)

    def _begin(self, call: Call, message_id: MessageId) -> None:
        try:
            self._house.admission.spend(self._connection.peer.caller.uid)
        except RequestError as busy:
            self._connection.send(encode_refusal(busy, message_id))
            return
        method = METHODS.get(call.method)
        if method is None:
            raise RpcError(Code.METHOD_NOT_FOUND, "there is no such method", message_id=message_id)
        params = decode_params(call, method.params)
        is_busy = self._calls >= self._limits.calls
        if is_busy or (method.is_ceremony and self._conversation is not None):
            error = RequestError("this connection is busy", reason="busy", hint="Open another one.")
            self._connection.send(encode_refusal(error, message_id))
            return
        conversation = Conversation(self)
        if method.is_ceremony:
            self._conversation = conversation
        self._calls += 1
        context = Context(self._house.service, self._connection.peer, conversation)
        self._connection.spawn(self._serve(method, context, params, message_id))

    async def _serve(
        self, method: Method, context: Context, params: object, message_id: MessageId
    ) -> None:
        try:
            reply = encode_result(message_id, await self._run(method, context, params))
        except Exception as error:  # noqa: BLE001 - every failure becomes one error response
            reply = encode_failure(message_id, error)
        self._calls -= 1
        if method.is_ceremony:
            self._conversation = None
        self._connection.send(reply)
        self._set_deadline()
        self._finish_if_done()

    async def _run(self, method: Method, context: Context, params: object) -> object:
        if not method.is_ceremony:
            return await method.call(context, params)
        with self._house.admission.ceremony(context.peer.caller.uid):
            return await method.call(context, params)

    def _end_ceremony(self, kind: TroubleKind) -> None:
        if self._conversation is not None:
            self._conversation.end(kind)

    def _finish_if_done(self) -> None:
        if self._is_ended and not self._calls:
            self._connection.finish()

    def _set_deadline(self) -> None:
        if not self._connection.is_open or self._is_ended:
            return
        was_slow, self._is_slow = self._is_slow, self._lines.is_partial
        if self._is_slow:
            if not was_slow:  # counted from a line's first byte: later ones buy no time
                self._connection.expect(self._limits.message_seconds)
        else:
            self._connection.expect(None if self._calls else self._limits.idle_seconds)
