"""What every door offers: step-up, and managing keys and grants.

Permission comes from the table in `core.management`; where it says "proof", the proof is a
ceremony like any other, with its own audit entry, before anything changes. Each change has an
entry too, written first; what takes away (a removal, a revocation) is recorded once it is done, a
removal before as well.
"""

import asyncio
import hashlib
from dataclasses import replace

from stepupd import __version__
from stepupd.broker import Broker
from stepupd.core.authentication import authenticate
from stepupd.core.call import Result, Status, StepUpCall
from stepupd.core.effects import Ceremony
from stepupd.core.errors import RequestError
from stepupd.core.management import FALLBACK_RULE, Permission, Verb, check_name, permit
from stepupd.core.model import (
    Answer,
    Caller,
    Claim,
    Credential,
    Grant,
    Level,
    Moment,
    Reason,
    RecoveryCode,
    Verdict,
)
from stepupd.core.policy import Mode
from stepupd.core.record import describe_change, describe_credential, encode_bytes
from stepupd.core.recovery_code import SALT_SIZE, make_codes, store_code
from stepupd.core.risk.alerts import Pushed, SecurityEvent
from stepupd.core.risk.profile import Profile
from stepupd.core.snapshot import Snapshot
from stepupd.events import push_event
from stepupd.world import Conversation, KeyTurn

_DONE = Verdict(Answer.ALLOW, Reason.PROVED)


class Service:
    """The calls of `docs/protocol.md`, behind any door."""

    def __init__(
        self,
        broker: Broker,
        *,
        mode: str,
        own_uid: int,
        is_first_key_open: bool,
        is_simulated: bool,
    ) -> None:
        self._broker = broker
        self._own_uid = own_uid
        self._world = broker.world
        self._mode = mode
        self._is_first_key_open = is_first_key_open
        self._is_simulated = is_simulated

    async def step_up(self, caller: Caller, call: StepUpCall, conversation: Conversation) -> Result:
        """Answer one request for proof."""
        return await self._broker.step_up(caller, call, conversation)

    async def enroll(
        self, caller: Caller, subject: str, name: str, conversation: Conversation
    ) -> Result:
        """Enrol the key that is touched, under `name`, and try it at once."""
        start = self._broker.interruption.mark_start()
        now = await self._look(Verb.ENROLL, caller, subject)
        check_name(name, now.credentials)

        def gather() -> Snapshot:
            return self._broker.gather(caller, StepUpCall(Verb.ENROLL.action, subject))

        # Only here: certificates cost more than a megabyte, and most daemons enrol once a year.
        from stepupd.core.registration import register  # noqa: PLC0415

        def ceremony(now: Snapshot) -> Ceremony:
            return register(now, name, _make_user_id(now))

        # One turn for the proof and both touches: nobody else's prompt comes in between.
        async with self._world.authenticators.turn(now.request.subject.uid) as turn:
            refusal = await self._clear(Verb.ENROLL, now, conversation, turn, name)
            if refusal is not None:
                return refusal
            return await self._broker.hold(
                gather, ceremony, conversation, kind="enrol", turn=turn, start=start
            )

    async def list_credentials(self, caller: Caller, subject: str) -> tuple[Credential, ...]:
        """Return a subject's keys."""
        return (await self._open(Verb.LIST, caller, subject)).credentials

    async def rename_credential(
        self, caller: Caller, subject: str, which: str, name: str, conversation: Conversation
    ) -> Result:
        """Give the key that `which` names another name."""
        now = await self._look(Verb.RENAME, caller, subject)
        found = find_credential(now.credentials, which)
        check_name(name, now.credentials)
        refusal = await self._clear(Verb.RENAME, now, conversation, None, found.name, name)
        if refusal is not None:
            return refusal
        async with self._broker.changing:
            now = await self._look(Verb.RENAME, caller, subject)
            found = find_credential(now.credentials, encode_bytes(found.id))
            check_name(name, now.credentials)
            renamed = replace(found, name=name)
            entry = await self._record("rename", caller, renamed)
            uid = found.subject_uid
            await self._broker.store(lambda: self._world.credentials.rename(uid, found.id, name))
        return Result(_DONE, entry, credential=renamed)

    async def remove_credential(
        self, caller: Caller, subject: str, which: str, conversation: Conversation
    ) -> Result:
        """Forget the key that `which` names, and every grant it earned."""
        now = await self._look(Verb.REMOVE, caller, subject)
        found = find_credential(now.credentials, which)
        refusal = await self._clear(Verb.REMOVE, now, conversation, None, found.name)
        if refusal is not None:
            return refusal
        async with self._broker.changing:
            now = await self._look(Verb.REMOVE, caller, subject)
            found = find_credential(now.credentials, encode_bytes(found.id))
            await self._record("removing", caller, found)
            self._world.grants.revoke(credential_id=found.id)
            uid = found.subject_uid
            await self._broker.store(lambda: self._world.credentials.remove(uid, found.id))
            # For whoever verifies the log the key ends here: earlier, a crash might keep it alive.
            entry = await self._record("remove", caller, found)
        return Result(_DONE, entry, credential=found)

    async def make_recovery_codes(
        self, caller: Caller, subject: str, conversation: Conversation
    ) -> tuple[Result, tuple[str, ...]]:
        """Make a new set of recovery codes in place of the old one, and show it this once."""
        now = await self._look(Verb.MAKE_CODES, caller, subject)
        refusal = await self._clear(Verb.MAKE_CODES, now, conversation, None)
        if refusal is not None:
            return refusal, ()
        uid = now.request.subject.uid
        codes = make_codes(self._world.make_nonce)
        # Ten hashes that are slow on purpose: on a small machine that takes seconds.
        kept = await asyncio.to_thread(self._store_codes, codes)
        record = describe_change("recovery-codes", caller, uid, count=len(codes))
        async with self._broker.changing:
            entry = await self._world.journal.append(record)
            await self._broker.store(lambda: self._world.recovery_codes.replace_codes(uid, kept))
        return Result(_DONE, entry), codes

    def _store_codes(self, codes: tuple[str, ...]) -> tuple[RecoveryCode, ...]:
        return tuple(store_code(code, self._world.make_nonce(SALT_SIZE)) for code in codes)

    async def count_recovery_codes(self, caller: Caller, subject: str) -> int:
        """Return how many of a subject's recovery codes are unused."""
        return len((await self._open(Verb.LIST, caller, subject)).recovery_codes)

    async def list_grants(self, caller: Caller, subject: str) -> tuple[tuple[Grant, ...], Moment]:
        """Return a subject's live grants and the moment they were read."""
        now = await self._open(Verb.LIST_GRANTS, caller, subject)
        return now.grants, now.now

    async def revoke(self, caller: Caller, subject: str, grant_id: str) -> int:
        """Forget one grant, or with an empty id all of the subject's; return how many."""
        now = await self._open(Verb.REVOKE, caller, subject)
        uid = now.request.subject.uid
        await self._world.journal.append(describe_change("revoke", caller, uid, grant=grant_id))
        return self._world.grants.revoke(uid=uid, grant_id=grant_id or None)

    async def show_profile(self, caller: Caller, subject: str) -> tuple[Profile, Moment]:
        """Return what was learned to be usual for a subject, and the moment it was read."""
        now = await self._open(Verb.SHOW_PROFILE, caller, subject)
        uid = now.request.subject.uid
        return await self._broker.look_up(lambda: self._world.profiles.find(uid)), now.now

    async def forget_profile(
        self, caller: Caller, subject: str, conversation: Conversation
    ) -> Result:
        """Forget what was learned of a subject; everything is new then."""
        now = await self._look(Verb.FORGET_PROFILE, caller, subject)
        refusal = await self._clear(Verb.FORGET_PROFILE, now, conversation, None)
        if refusal is not None:
            return refusal
        uid = now.request.subject.uid
        entry = await self._world.journal.append(describe_change("forget-profile", caller, uid))
        await self._broker.store(lambda: self._world.profiles.forget(uid))
        return Result(_DONE, entry)

    async def push_event(self, caller: Caller, event: SecurityEvent) -> Pushed:
        """Take in what a trusted caller tells of a subject."""
        return await push_event(self._broker, caller, event)

    async def get_status(self, caller: Caller) -> Status:
        """Return what the daemon tells about itself."""
        now = await self._look(Verb.LIST, caller, "")
        # What the whole machine does is its owner's to see, and in user mode the person's.
        is_owner = caller.is_privileged or caller.uid == self._own_uid
        return Status(
            version=__version__,
            mode=self._mode,
            rp_id=self._world.rp_id,
            policy_digest=now.policy.digest,
            rules=len(now.policy.rules),
            is_observed=now.policy.mode is Mode.OBSERVE,
            authenticators=self._world.authenticators.list_names() if is_owner else (),
            credentials=len(now.credentials),
            grants=len(now.grants),
            entries=self._world.journal.count() if is_owner else 0,
            is_simulated=self._is_simulated,
        )

    async def _look(self, verb: Verb, caller: Caller, subject: str) -> Snapshot:
        return await self._broker.look_up(
            lambda: self._broker.gather(caller, StepUpCall(verb.action, subject))
        )

    async def _open(self, verb: Verb, caller: Caller, subject: str) -> Snapshot:
        """Return the snapshot for a verb that needs no proof, or raise RequestError."""
        now = await self._look(verb, caller, subject)
        if self._permit(verb, now) is not Permission.GRANTED:
            raise _not_permitted()
        return now

    async def _clear(
        self,
        verb: Verb,
        now: Snapshot,
        conversation: Conversation,
        turn: KeyTurn | None,
        *what: str,
    ) -> Result | None:
        """Return None once the caller may go on, or the result that says why not.

        `what` is to be done, and to whom: the prompt shows it and the signature covers it.
        """
        match self._permit(verb, now):
            case Permission.GRANTED:
                return None
            case Permission.REFUSED:
                raise _not_permitted()
            case Permission.PROOF:
                claim = Claim(command=("stepup", verb.value, *what))
                result = await self._prove(verb, now, claim, conversation, turn)
                return None if result.verdict.is_allow else result

    async def _prove(
        self,
        verb: Verb,
        now: Snapshot,
        claim: Claim,
        conversation: Conversation,
        turn: KeyTurn | None,
    ) -> Result:
        """Ask for a fresh touch at least; the administrator's rules may ask for more."""
        request = now.request
        call = StepUpCall(
            verb.action, request.subject.name, claim=claim, level=Level.TOUCH, max_age=0
        )

        def gather() -> Snapshot:
            fresh = self._broker.gather(request.caller, call)
            rules = (*fresh.policy.rules, FALLBACK_RULE)
            return replace(fresh, policy=replace(fresh.policy, rules=rules))

        return await self._broker.hold(gather, authenticate, conversation, turn=turn)

    def _permit(self, verb: Verb, now: Snapshot) -> Permission:
        return permit(
            verb,
            now.request.caller,
            now.request.subject.uid,
            has_credentials=bool(now.credentials),
            is_first_key_open=self._is_first_key_open,
        )

    async def _record(self, kind: str, caller: Caller, credential: Credential) -> int:
        record = describe_change(
            kind, caller, credential.subject_uid, credential=describe_credential(credential)
        )
        return await self._world.journal.append(record)


ID_PREFIX = 6


def find_credential(credentials: tuple[Credential, ...], which: str) -> Credential:
    """Return the one key with that name, that id, or that start of its id in hex.

    Raises RequestError where none fits, or more than one.
    """
    found = [item for item in credentials if which in {item.name, encode_bytes(item.id)}]
    if not found and len(which) >= ID_PREFIX:
        found = [item for item in credentials if item.id.hex().startswith(which.lower())]
    if len(found) != 1:
        raise RequestError(
            "there is no such key" if not found else "more than one key fits",
            reason="no-such-key",
            hint="stepup keys list shows names and ids",
        )
    return found[0]


def _make_user_id(now: Snapshot) -> bytes:
    """Return the WebAuthn user handle: opaque, and the same for all of a subject's keys here."""
    text = f"{now.rp_id}\0{now.request.subject.uid}"
    return hashlib.sha256(b"stepup user handle v1\0" + text.encode()).digest()


def _not_permitted() -> RequestError:
    return RequestError(
        "you may not do this",
        reason=Reason.NOT_PERMITTED.value,
        hint="a first key is for root to enrol: sudo stepup enroll --user NAME",
    )
