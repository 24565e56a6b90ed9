"""Where the core meets the world: gather, drive, commit.

The law of this file:
* gather: everything a ceremony knows is read once, before it starts;
* drive: every effect gets one reply, and whatever goes wrong becomes a `Trouble`;
* commit: the audit entry is durable before anything else happens. No entry: no counter, no grant,
  no allow. A failure of ours is "unavailable", never "allow";
* what the machine slept through is cancelled: a touch after that is for nothing from before.

Nothing is decided here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

from stepupd.attempt import Attempt
from stepupd.commit import Ended, commit, look_again
from stepupd.core.authentication import authenticate
from stepupd.core.call import Result, StepUpCall
from stepupd.core.challenge import NONCE_SIZE
from stepupd.core.conclude import refuse, refuse_trouble
from stepupd.core.effects import (
    Ask,
    Ceremony,
    Effect,
    Notice,
    Reply,
    Show,
    Trouble,
    TroubleKind,
    Typed,
    Use,
)
from stepupd.core.errors import InternalError, RequestError
from stepupd.core.grants import drop_orphans
from stepupd.core.model import Caller, Reason, StepUpRequest, Subject
from stepupd.core.outcome import Outcome
from stepupd.core.prompts import say_notice
from stepupd.core.snapshot import Snapshot
from stepupd.habits import look_around, note
from stepupd.interruption import Interruption, Start
from stepupd.world import Conversation, KeyTurn, World

LOOKUP_DEADLINE = 2.0
"""Seconds for accounts and store to answer: a hanging directory service must not hang us."""

LOOKING_DEADLINE = 5.0
"""Seconds for everything that is looked at around a request; each observer keeps a shorter one."""

READERS = 8
"""Threads that look up. As many accounts that a directory service hangs on are waited for."""

GRACE = 1.0
"""Seconds past its deadline that an effect may take to report why it failed."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Run:
    """One ceremony on its way: who is spoken to, since when, and what took how long."""

    conversation: Conversation
    start: Start
    kind: str
    started: float = field(default_factory=perf_counter)
    latencies: dict[str, float] = field(default_factory=lambda: {"gather": 0.0, "person": 0.0})
    """Milliseconds, for the audit entry."""


class Begun(NamedTuple):
    """A ceremony that has to do with somebody; `step` is its first effect."""

    now: Snapshot
    steps: Ceremony
    step: Effect


class Broker:
    """Runs ceremonies. One instance per daemon."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._readers = ThreadPoolExecutor(READERS, "look-up")
        self._writer = ThreadPoolExecutor(1, "store")
        self.changing = asyncio.Lock()
        """Held from the last look at the store until what was decided on it is stored."""
        self.interruption = Interruption(world.read_clock)

    async def step_up(self, caller: Caller, call: StepUpCall, conversation: Conversation) -> Result:
        """Answer one request for proof. Raises RequestError for a subject it may not name."""

        def gather() -> Snapshot:
            return self.gather(caller, call)

        return await self.hold(gather, authenticate, conversation)

    async def hold(
        self,
        gather: Callable[[], Snapshot],
        ceremony: Callable[[Snapshot], Ceremony],
        conversation: Conversation,
        *,
        kind: str = "step-up",
        turn: KeyTurn | None = None,
        start: Start | None = None,
    ) -> Result:
        """Gather, drive and commit one ceremony; it may share `turn` and `start` with another."""
        with self.interruption.running():
            run = Run(conversation, start or self.interruption.mark_start(), kind)
            begun = await self._begin(run, gather, ceremony)
            if not isinstance(begun, Begun):
                return begun
            own = self.world.authenticators.turn(begun.now.request.subject.uid)
            async with nullcontext(turn) if turn is not None else own as keys:
                outcome = await self._drive(run, begun, keys)
            return await self._end(run, begun.now, outcome)

    async def _begin(
        self,
        run: Run,
        gather: Callable[[], Snapshot],
        ceremony: Callable[[Snapshot], Ceremony],
    ) -> Begun | Result:
        """Do in one worker what needs nobody: to gather, to begin, and to commit where that is all.

        Most requests are covered by a grant or a rule, and each change of threads would cost them
        as much as deciding does.
        """
        attempt = Attempt()

        def begin() -> Begun | Result:
            now = look_around(self.world, gather())
            run.latencies["gather"] = _since(run.started)
            steps = ceremony(now)
            step = _start(steps)
            if not isinstance(step, Outcome):
                return Begun(now, steps, step)
            outcome = self._hold_back(run, step)
            if not attempt.seize():
                raise InternalError("nobody waits any more")
            return self._commit(run, now, outcome)

        is_weighing = self.world.read_policy().is_weighing
        deadline = LOOKUP_DEADLINE + (LOOKING_DEADLINE if is_weighing else 0)
        return await self.look_up(begin, deadline, attempt)

    async def _end(self, run: Run, now: Snapshot, outcome: Outcome) -> Result:
        if outcome.evidence is None:
            return await self.store(lambda: self._commit(run, now, outcome))
        async with self.changing:
            # Again, because a key may be gone by now, and a code used.
            return await self.store(
                lambda: self._commit(run, now, look_again(self.world, now, outcome))
            )

    def gather(self, caller: Caller, call: StepUpCall) -> Snapshot:
        """Read everything a ceremony may know. May block."""
        world = self.world
        subject = self.find_subject(caller, call.subject)
        now = world.read_clock()
        credentials = world.credentials.list_credentials(subject.uid)
        return Snapshot(
            request=StepUpRequest(
                subject=subject,
                caller=caller,
                action=call.action,
                session=call.session,
                claim=call.claim,
                level=call.level,
                max_age=call.max_age,
                ssh_key=call.ssh_key,
            ),
            policy=world.read_policy(),
            credentials=credentials,
            grants=drop_orphans(world.grants.list_grants(subject.uid, now), credentials),
            now=now,
            nonce=world.make_nonce(NONCE_SIZE),
            rp_id=world.rp_id,
            recovery_codes=world.recovery_codes.list_codes(subject.uid),
            is_simulated=world.is_simulated,
            attestation_roots=world.attestation_roots,
        )

    def find_subject(self, caller: Caller, name: str) -> Subject:
        """Return the account a caller may name; an empty name is its own. May block."""
        accounts = self.world.accounts
        if not name or not (caller.is_privileged or self.world.may_name_others(caller)):
            subject = accounts.find_subject_by_uid(caller.uid)
            if name and (subject is None or subject.name != name):
                # Nobody looked whether the account exists: neither words nor time can tell.
                _log.info("uid %d may not ask for another account", caller.uid)
                raise RequestError(
                    "you may only ask for your own account", reason=Reason.NOT_PERMITTED.value
                )
        else:
            subject = accounts.find_subject(name)
        if subject is None:
            raise RequestError("there is no such account", reason="no-such-account")
        return subject

    async def look_up(
        self,
        read: Callable[[], _T],
        deadline: float = LOOKUP_DEADLINE,
        attempt: Attempt | None = None,
    ) -> _T:
        """Read something that may block, in a worker thread, with a deadline in seconds.

        Work that has seized its `attempt` is waited for: its disk may be slow.
        """
        attempt = attempt or Attempt()
        work = self._readers.submit(read)
        try:
            async with asyncio.timeout(deadline):
                return await asyncio.wrap_future(work)
        except TimeoutError as error:
            if attempt.seize():
                raise InternalError("accounts or store did not answer in time") from error
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            attempt.seize()
            raise

    async def store(self, write: Callable[[], _T]) -> _T:
        """Write something durable, one after another; a slow disk is waited for, not guessed at."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, write)

    def close(self) -> None:
        """Finish what is being written."""
        self._readers.shutdown(wait=False)
        self._writer.shutdown()

    async def _drive(self, run: Run, begun: Begun, keys: KeyTurn) -> Outcome:
        step: Effect | Outcome = begun.step
        try:
            while not isinstance(step, Outcome):
                started = perf_counter()
                reply = await self._perform(run, step, keys)
                run.latencies["person"] += _since(started)
                step = await self._answer(begun.steps, reply)
        except Exception:  # noqa: BLE001 - whatever failed in us, the answer is no
            _log.exception("a ceremony failed")
            return refuse(Reason.INTERNAL)
        return self._hold_back(run, step)

    def _hold_back(self, run: Run, outcome: Outcome) -> Outcome:
        """Return the outcome, or a refusal where an allow comes too late to be any use."""
        if outcome.verdict.is_allow and run.conversation.gone.done():
            return refuse_trouble(Trouble(run.conversation.gone.result()), outcome.decision)
        if outcome.verdict.is_allow and self.interruption.is_cut(run.start):
            return refuse_trouble(Trouble(TroubleKind.CANCELLED), outcome.decision)
        return outcome

    async def _answer(self, ceremony: Ceremony, reply: Reply) -> Effect | Outcome:
        """Send a reply; what was typed may be a code, whose hash is slow on purpose."""
        if isinstance(reply, Typed):
            return await self.look_up(lambda: _advance(ceremony, reply))
        return _advance(ceremony, reply)

    async def _perform(self, run: Run, effect: Effect, keys: KeyTurn) -> Reply:
        if not isinstance(effect, Show) and self.interruption.is_cut(run.start):
            return Trouble(TroubleKind.CANCELLED)
        conversation = run.conversation
        match effect:
            case Show():
                await conversation.show(effect.text, is_error=effect.is_error)
                return None
            case Ask():
                return await self._race(self._ask(effect, conversation), effect, conversation)
            case Use():
                using = self._use(effect, conversation, keys)
                return await self._race(using, effect, conversation)

    async def _ask(self, ask: Ask, conversation: Conversation) -> Reply:
        typed = await conversation.ask(ask.text, is_hidden=ask.is_hidden)
        return Trouble(TroubleKind.CANCELLED) if typed is None else Typed(typed)

    async def _use(self, use: Use, conversation: Conversation, keys: KeyTurn) -> Reply:
        shown: dict[Notice, asyncio.Future[None]] = {}

        def notify(notice: Notice) -> None:
            if notice not in shown:
                text = say_notice(notice, use.touch_text)
                shown[notice] = asyncio.ensure_future(conversation.show(text, is_error=False))

        return await keys.use(use, notify)

    async def _race(
        self, work: Awaitable[Reply], effect: Ask | Use, conversation: Conversation
    ) -> Reply:
        """Return the reply, or why there is none: the caller left, time ran out, we failed."""
        task: asyncio.Future[Reply] = asyncio.ensure_future(work)
        left = max(0.0, effect.deadline - self.world.read_clock().boot) + GRACE
        gone, cut = conversation.gone, self.interruption.next_cut()
        first: tuple[asyncio.Future[Any], ...] = (task, gone, cut)
        try:
            await asyncio.wait(first, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            is_late = not task.done()
        finally:
            if not task.done():
                await _stop(task)
        if gone.done():
            return Trouble(gone.result())
        if cut.done():
            return Trouble(TroubleKind.CANCELLED)
        if is_late:
            return Trouble(TroubleKind.TIMEOUT)
        try:
            return task.result()
        except Exception:  # noqa: BLE001 - the ceremony hears of it and concludes
            _log.exception("an effect failed")
            return Trouble(TroubleKind.INTERNAL)

    def _commit(self, run: Run, now: Snapshot, outcome: Outcome) -> Result:
        run.latencies["whole"] = _since(run.started)
        return commit(self.world, Ended(now, outcome, run.latencies, run.kind), self._learn)

    def _learn(self, now: Snapshot, outcome: Outcome) -> None:
        """Take in how it ended; nobody waits until it is on the disk."""
        if outcome.decision is not None and now.profile is not None:
            # Only here: where nothing is weighed, nothing of it is loaded.
            from stepupd.lessons import teach  # noqa: PLC0415

            note(self.world, now, outcome)
            self._writer.submit(teach, self.world, now, outcome).add_done_callback(_tell)


def _start(steps: Ceremony) -> Effect | Outcome:
    """Return the first effect; whatever fails in us, the answer is no."""
    try:
        return _advance(steps, None)
    except Exception:  # noqa: BLE001 - see above
        _log.exception("a ceremony failed")
        return refuse(Reason.INTERNAL)


def _advance(ceremony: Ceremony, reply: Reply) -> Effect | Outcome:
    """Return the ceremony's next effect, or how it ended."""
    try:
        return ceremony.send(reply)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome


def _tell(learned: "Future[None]") -> None:
    if learned.exception() is not None:
        _log.error("nothing was learned of a request: %s", learned.exception())


async def _stop(task: asyncio.Future[Reply]) -> None:
    """Cancel an effect and wait for its end; its keys let go in the background."""
    task.cancel()
    await asyncio.wait({task})


def _since(started: float) -> float:
    """Return the milliseconds since a reading of `perf_counter`."""
    return (perf_counter() - started) * 1000
