"""The relay door: one request, questions and answers, one verdict (docs/protocol.md).

The law of this file: who speaks is what the kernel says. A root peer (sudo, sshd, login) is taken
at its word for subject, service, terminal and ssh key. Any other peer's session is looked up in
the kernel, it has no ssh key, its service is only a name, its subject only a wish that the service
refuses unless it is its own account, and what it earns serves no root peer. Anything unexpected is
answered "unavailable".
"""

import logging
import re
from collections.abc import Iterator
from functools import partial

from stepupd.api.admission import Admission
from stepupd.api.connection import Connection
from stepupd.api.conversation import Conversation
from stepupd.api.house import House
from stepupd.api.limits import Limits
from stepupd.api.listener import Entrance
from stepupd.api.relay_frames import (
    Frame,
    FrameDecoder,
    Kind,
    RelayRequest,
    VerdictCode,
    decode_answer,
    encode_text,
    encode_verdict,
)
from stepupd.api.service import Peer, Service
from stepupd.core.call import Result, StepUpCall
from stepupd.core.effects import TroubleKind
from stepupd.core.errors import RequestError, StepUpError
from stepupd.core.model import Answer, Claim, Door, Reason, Session
from stepupd.core.risk.ssh_auth import UNKNOWN_KEY, read_ssh_key

_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FORBIDDEN = frozenset(
    {
        Reason.NO_RULE,
        Reason.RULE_DENIES,
        Reason.RULE_IN_ERROR,
        Reason.RISK_DENIES,
        Reason.NOT_PERMITTED,
    }
)

log = logging.getLogger(__name__)


def relay_entrance(service: Service, admission: Admission, limits: Limits) -> Entrance:
    """Return what a `Listener` needs to serve the relay."""
    return Entrance(
        Door.RELAY,
        partial(RelayDialogue, house=House(service, admission, limits)),
        encode_refusal,
    )


def encode_refusal(error: RequestError) -> bytes:
    """Return the verdict for a request that was not heard."""
    is_forbidden = error.reason == Reason.NOT_PERMITTED.value
    code = VerdictCode.FORBIDDEN if is_forbidden else VerdictCode.UNAVAILABLE
    return encode_verdict(code, error.reason)


def encode_result(result: Result) -> bytes:
    """Return the frames that end a ceremony: a text for the person, if any, and the verdict."""
    verdict = result.verdict
    if verdict.is_allow and result.entry is None:
        # Without an audit entry nothing was allowed, whatever else the result says.
        return encode_verdict(VerdictCode.UNAVAILABLE, Reason.INTERNAL.value)
    kind = Kind.INFO if verdict.is_allow else Kind.ERROR
    text = encode_text(kind, verdict.text) if verdict.text else b""
    return text + encode_verdict(choose_code(verdict.answer, verdict.reason), verdict.reason.value)


def choose_code(answer: Answer, reason: Reason) -> VerdictCode:
    """Return the byte that the module turns into a PAM code."""
    if answer is Answer.ALLOW:
        return VerdictCode.ALLOW
    if reason in _FORBIDDEN:
        return VerdictCode.FORBIDDEN
    if answer is Answer.UNAVAILABLE:
        return VerdictCode.UNAVAILABLE
    if reason is Reason.TOO_MANY_TRIES:
        return VerdictCode.MAX_TRIES
    return VerdictCode.DENY


def make_call(request: RelayRequest, peer: Peer) -> StepUpCall:
    """Turn a request into a call; `RequestError` for a service name that is none."""
    if not _SERVICE.fullmatch(request.service):
        raise RequestError("the PAM service name has characters that none has")
    return StepUpCall(
        action=f"pam:{request.service}",
        subject=request.subject,
        session=_told_session(request) if peer.caller.is_privileged else peer.find_session(),
        claim=Claim(
            command=_drop_blanks(request.command),
            command_is_cut=request.command_is_cut,
            ruser=request.ruser,
            rhost=request.rhost,
        ),
        ssh_key=_told_ssh_key(request) if peer.caller.is_privileged else "",
    )


def _drop_blanks(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command without empty words at its end: login(1) blanks its own."""
    while command and not command[-1]:
        command = command[:-1]
    return command


def _told_session(request: RelayRequest) -> Session | None:
    if request.leader == 0:
        return None
    return Session(request.leader, request.leader_start, request.tty.removeprefix("/dev/"))


def _told_ssh_key(request: RelayRequest) -> str:
    return UNKNOWN_KEY if request.ssh_auth_is_long else read_ssh_key(request.ssh_auth)


class RelayDialogue:
    """One connection of the module. It is also the `Line` of its conversation."""

    __slots__ = ("_answers", "_connection", "_conversation", "_decoder", "_house", "_questions")

    def __init__(self, connection: Connection, house: House) -> None:
        self._connection = connection
        self._house = house
        self._decoder = FrameDecoder()
        self._conversation: Conversation | None = None
        self._questions = 0
        self._answers = 0

    def receive(self, chunk: bytes) -> Iterator[None]:
        """Take bytes of the module; anything wrong ends the connection."""
        try:
            for frame in self._decoder.feed(chunk):
                self._take(frame)
                yield
        except RequestError as error:
            self._connection.refuse(error)

    def end_input(self) -> bool:
        """Hang up: the module needs both halves, and its program may just have died."""
        return False

    def lose(self) -> None:
        """Tell the ceremony that its caller is gone."""
        if self._conversation is not None:
            self._conversation.end(TroubleKind.HANG_UP)

    def send_show(self, text: str, *, is_error: bool) -> None:
        """Send a text, a frame for each line: PAM knows lines, and the module no line ends."""
        kind = Kind.ERROR if is_error else Kind.INFO
        self._connection.send(b"".join(encode_text(kind, line) for line in text.split("\n")))

    def send_ask(self, text: str, *, is_hidden: bool) -> int:
        """Send a question. The module answers in turn, so counting tells which is meant."""
        self._questions += 1
        kind = Kind.ASK_HIDDEN if is_hidden else Kind.ASK_VISIBLE
        context, _, question = text.rpartition("\n")
        if context:
            self.send_show(context, is_error=False)
        self._connection.send(encode_text(kind, question))
        return self._questions

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.REQUEST and self._conversation is None:
            self._house.admission.spend(self._connection.peer.caller.uid)
            call = make_call(RelayRequest.parse(frame.payload), self._connection.peer)
            self._connection.expect(None)  # from here on the ceremony's own deadlines count
            self._conversation = Conversation(self)
            self._connection.spawn(self._serve(call, self._conversation))
        elif frame.kind is Kind.ANSWER and self._answers < self._questions:
            self._take_answer(frame.payload)
        else:
            raise RequestError("a frame came out of turn")

    def _take_answer(self, payload: bytes) -> None:
        self._answers += 1
        if len(payload) > self._house.limits.answer:
            raise RequestError("the answer is too long", reason="bad-answer")
        if self._conversation is not None:
            self._conversation.answer(self._answers, decode_answer(payload))

    async def _serve(self, call: StepUpCall, conversation: Conversation) -> None:
        caller = self._connection.peer.caller
        try:
            with self._house.admission.ceremony(caller.uid):
                result = await self._house.service.step_up(caller, call, conversation)
            reply = encode_result(result)
        except RequestError as error:
            reply = encode_refusal(error)
        except StepUpError as error:
            log.error("%s: %s", error.reason, error)  # noqa: TRY400 - says whose fault it is
            reply = encode_verdict(VerdictCode.UNAVAILABLE, error.reason)
        except Exception:
            log.exception("the relay door failed")
            reply = encode_verdict(VerdictCode.UNAVAILABLE, Reason.INTERNAL.value)
        self._connection.send(reply)
        self._connection.finish()
