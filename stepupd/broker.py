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
from contextlib import nullcontext, suppress
from dataclasses import replace
from time import perf_counter
from typing import Any, TypeVar

from stepupd.core.authentication import authenticate
from stepupd.core.call import Result, StepUpCall
from stepupd.core.challenge import NONCE_SIZE
from stepupd.core.conclude import refuse, refuse_trouble
from stepupd.core.confirm import confirm
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
from stepupd.core.record import describe_step_up, describe_withdrawal
from stepupd.core.report import report
from stepupd.core.snapshot import Snapshot
from stepupd.habits import look_around, note
from stepupd.interruption import Interruption, Start
from stepupd.world import Conversation, KeyTurn, World

LOOKUP_DEADLINE = 2.0
"""Seconds for accounts and store to answer: a hanging directory service must not hang us."""

LOOKING_DEADLINE = 5.0
"""Seconds for everything that is looked at around a request; each observer keeps a shorter one."""

GRACE = 1.0
"""Seconds past its deadline that an effect may take to report why it failed."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Broker:
    """Runs ceremonies. One instance per daemon."""

    def __init__(self, world: World) -> None:
        self.world = world
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
            begun = start or self.interruption.mark_start()
            return await self._hold(gather, ceremony, conversation, kind, turn, begun)

    async def _hold(
        self,
        gather: Callable[[], Snapshot],
        ceremony: Callable[[Snapshot], Ceremony],
        conversation: Conversation,
        kind: str,
        turn: KeyTurn | None,
        start: Start,
    ) -> Result:
        started = perf_counter()
        now = await self.look_up(gather)
        if now.policy.is_weighing:
            unseen = now
            now = await self.look_up(lambda: look_around(self.world, unseen), LOOKING_DEADLINE)
        latencies = {"gather": _since(started), "person": 0.0}
        own = self.world.authenticators.turn(now.request.subject.uid)
        async with nullcontext(turn) if turn is not None else own as keys:
            outcome = await self._drive(ceremony(now), conversation, keys, latencies, start)
        latencies["whole"] = _since(started)
        if outcome.evidence is None:
            return await self._commit(now, outcome, latencies, kind)
        async with self.changing:
            outcome = await self.look_up(lambda: self._confirm(now, outcome))
            return await self._commit(now, outcome, latencies, kind)

    def _learn(self, now: Snapshot, outcome: Outcome) -> None:
        """Take in how it ended; nobody waits until it is on the disk."""
        if outcome.decision is not None and now.profile is not None:
            # Only here: where nothing is weighed, nothing of it is loaded.
            from stepupd.lessons import teach  # noqa: PLC0415

            note(self.world, now, outcome)
            self._writer.submit(teach, self.world, now, outcome).add_done_callback(_tell)

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

    async def look_up(self, read: Callable[[], _T], deadline: float = LOOKUP_DEADLINE) -> _T:
        """Read something that may block, in a worker thread, with a deadline in seconds."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline):
                return await loop.run_in_executor(None, read)
        except TimeoutError as error:
            raise InternalError("accounts or store did not answer in time") from error

    async def store(self, write: Callable[[], _T]) -> _T:
        """Write something durable, one after another; a slow disk is waited for, not guessed at."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, write)

    def close(self) -> None:
        """Finish what is being written."""
        self._writer.shutdown()

    def _confirm(self, now: Snapshot, outcome: Outcome) -> Outcome:
        uid = now.request.subject.uid
        credentials = self.world.credentials.list_credentials(uid)
        return confirm(outcome, credentials, self.world.recovery_codes.list_codes(uid))

    async def _drive(
        self,
        ceremony: Ceremony,
        conversation: Conversation,
        keys: KeyTurn,
        latencies: dict[str, float],
        start: Start,
    ) -> Outcome:
        try:
            step = _advance(ceremony, None)
            while not isinstance(step, Outcome):
                started = perf_counter()
                reply = await self._perform(step, conversation, keys, start)
                latencies["person"] += _since(started)
                step = await self._answer(ceremony, reply)
        except Exception:  # noqa: BLE001 - whatever failed in us, the answer is no
            _log.exception("a ceremony failed")
            return refuse(Reason.INTERNAL)
        if step.verdict.is_allow and conversation.gone.done():
            return refuse_trouble(Trouble(conversation.gone.result()), step.decision)
        if step.verdict.is_allow and self.interruption.is_cut(start):
            return refuse_trouble(Trouble(TroubleKind.CANCELLED), step.decision)
        return step

    async def _answer(self, ceremony: Ceremony, reply: Reply) -> Effect | Outcome:
        """Send a reply; what was typed may be a code, whose hash is slow on purpose."""
        if isinstance(reply, Typed):
            return await self.look_up(lambda: _advance(ceremony, reply))
        return _advance(ceremony, reply)

    async def _perform(
        self, effect: Effect, conversation: Conversation, keys: KeyTurn, start: Start
    ) -> Reply:
        if not isinstance(effect, Show) and self.interruption.is_cut(start):
            return Trouble(TroubleKind.CANCELLED)
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

    async def _commit(
        self, now: Snapshot, outcome: Outcome, latencies: dict[str, float], kind: str
    ) -> Result:
        try:
            entry = await self.world.journal.append(describe_step_up(now, outcome, latencies, kind))
        except Exception:  # noqa: BLE001 - no entry, no allow
            _log.exception("the audit entry could not be written")
            return Result(refuse(Reason.INTERNAL).verdict)
        if outcome.alarm:
            _log.warning("entry %d, %s: %s", entry, now.request.subject.name, outcome.alarm)
        try:
            await self._remember(now, outcome)
        except Exception:  # noqa: BLE001 - what is not stored was not given
            _log.exception("the result of entry %d could not be stored", entry)
            await self._withdraw(entry, outcome)
            return replace(Result(refuse(Reason.INTERNAL).verdict), entry=entry)
        self._learn(now, outcome)
        return report(now, outcome, entry)

    async def _withdraw(self, entry: int, outcome: Outcome) -> None:
        """Say in the log that an entry did not come true; best effort, the disk is in trouble."""
        with suppress(InternalError):
            await self.world.journal.append(describe_withdrawal(entry, outcome))

    async def _remember(self, now: Snapshot, outcome: Outcome) -> None:
        credentials = self.world.credentials
        evidence, credential = outcome.evidence, outcome.credential
        if credential is not None:
            await self.store(lambda: credentials.add(credential))
        elif outcome.suspect:
            await self.store(lambda: credentials.mark_suspect(outcome.suspect))
        elif evidence is not None and evidence.recovery_tag:
            uid = now.request.subject.uid
            await self.store(lambda: self.world.recovery_codes.consume(uid, evidence.recovery_tag))
        elif evidence is not None:
            await self.store(
                lambda: credentials.record_use(
                    evidence.credential_id,
                    sign_count=evidence.sign_count,
                    backed_up=evidence.backed_up,
                    last_used=now.now.wall,
                )
            )
        if outcome.grant is not None:
            self.world.grants.add(outcome.grant)


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
