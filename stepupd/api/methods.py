"""The methods of the JSON-RPC door: one table from name to parameters, call and result.

The law of this file: no parameter says who is asking. `subject` is a wish that the service checks
against the caller the kernel attests; every method takes both, and a method is served only if it is
in this table. Texts are bounded and names printable before anything else sees them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from stepupd.api import results
from stepupd.api.conversation import Conversation
from stepupd.api.service import Peer, Service
from stepupd.core.call import StepUpCall
from stepupd.core.model import Claim, Level
from stepupd.core.risk.alerts import DAY, MOST_SECONDS, EventName, SecurityEvent

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"
_Account = Annotated[str, msgspec.Meta(max_length=256, pattern=_PRINTABLE)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]
_Which = Annotated[str, msgspec.Meta(min_length=1, max_length=2046, pattern=_PRINTABLE)]
"""A name, or the start of an id in hex: ids have up to 1023 bytes (WebAuthn section 4)."""
_Action = Annotated[
    str,
    msgspec.Meta(max_length=128, pattern=r"^[a-z][a-z0-9-]*:[A-Za-z0-9._/@:-]+\Z"),
]
_MaxAge = Annotated[float, msgspec.Meta(ge=0, le=366 * 24 * 3600)]
_Reason = Annotated[str, msgspec.Meta(max_length=512)]
_Command = Annotated[tuple[str, ...], msgspec.Meta(max_length=1024)]
COMMAND_WORDS = 256
COMMAND_CHARACTERS = 4096
"""Of a claimed command, what is handed on: twice what the relay takes. Every request is logged, and
nobody reads more before a touch."""
_Word = Literal["code", "touch", "verify", "attested"]


class StepUpParams(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`level` and `max_age` (seconds) may only sharpen what policy asks."""

    action: _Action
    subject: _Account = ""
    level: _Word | None = None
    max_age: _MaxAge | None = None
    command: _Command = ()
    reason: _Reason = ""


class StatusParams(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Nothing."""


class EnrollParams(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The name of the new key."""

    name: _Name
    subject: _Account = ""


class SubjectParams(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whose."""

    subject: _Account = ""


class RenameParams(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which key, and its new name."""

    credential: _Which
    name: _Name
    subject: _Account = ""


class RemoveParams(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which key."""

    credential: _Which
    subject: _Account = ""


class RevokeParams(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which grant; all of the subject's if empty."""

    grant: Annotated[str, msgspec.Meta(max_length=64, pattern=_PRINTABLE)] = ""
    subject: _Account = ""


class PushParams(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What happened to whom; an alert that it raises `lasts` that many seconds."""

    subject: Annotated[_Account, msgspec.Meta(min_length=1)]
    event: EventName
    reason: _Reason = ""
    lasts: Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)] = DAY


@dataclass(frozen=True, slots=True)
class Context:
    """What a method gets beside its parameters."""

    service: Service
    peer: Peer
    conversation: Conversation


@dataclass(frozen=True, slots=True)
class Method:
    """How one method is decoded and called. A ceremony may show and ask; only one runs at once."""

    params: "msgspec.json.Decoder[Any]"
    call: Callable[[Context, Any], Awaitable[object]]
    is_ceremony: bool = False


def cut_command(words: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """Return the beginning of a claimed command that is handed on, and whether it was cut."""
    kept: list[str] = []
    room = COMMAND_CHARACTERS
    for word in words[:COMMAND_WORDS]:
        kept.append(word[:room])
        if len(word) > room:
            return tuple(kept), True
        room -= len(word)
    return tuple(kept), len(words) > COMMAND_WORDS


async def _step_up(context: Context, params: StepUpParams) -> object:
    command, is_cut = cut_command(params.command)
    call = StepUpCall(
        action=params.action,
        subject=params.subject,
        session=context.peer.find_session(),
        claim=Claim(command=command, command_is_cut=is_cut, reason=params.reason),
        level=None if params.level is None else Level[params.level.upper()],
        max_age=params.max_age,
    )
    result = await context.service.step_up(context.peer.caller, call, context.conversation)
    return results.describe_result(result)


async def _get_status(context: Context, _params: StatusParams) -> object:
    return await context.service.get_status(context.peer.caller)


async def _enroll(context: Context, params: EnrollParams) -> object:
    result = await context.service.enroll(
        context.peer.caller, params.subject, params.name, context.conversation
    )
    return results.describe_result(result)


async def _list_credentials(context: Context, params: SubjectParams) -> object:
    found = await context.service.list_credentials(context.peer.caller, params.subject)
    codes = await context.service.count_recovery_codes(context.peer.caller, params.subject)
    return {
        "credentials": [results.describe_credential(one) for one in found],
        "recovery_codes": codes,
    }


async def _make_codes(context: Context, params: SubjectParams) -> object:
    result, codes = await context.service.make_recovery_codes(
        context.peer.caller, params.subject, context.conversation
    )
    return results.describe_codes(result, codes)


async def _rename(context: Context, params: RenameParams) -> object:
    result = await context.service.rename_credential(
        context.peer.caller, params.subject, params.credential, params.name, context.conversation
    )
    return results.describe_result(result)


async def _remove(context: Context, params: RemoveParams) -> object:
    result = await context.service.remove_credential(
        context.peer.caller, params.subject, params.credential, context.conversation
    )
    return results.describe_result(result)


async def _list_grants(context: Context, params: SubjectParams) -> object:
    grants, now = await context.service.list_grants(context.peer.caller, params.subject)
    return {"grants": [results.describe_grant(grant, now) for grant in grants]}


async def _revoke(context: Context, params: RevokeParams) -> object:
    count = await context.service.revoke(context.peer.caller, params.subject, params.grant)
    return {"revoked": count}


async def _show_profile(context: Context, params: SubjectParams) -> object:
    found, now = await context.service.show_profile(context.peer.caller, params.subject)
    return results.describe_profile(found, now)


async def _forget_profile(context: Context, params: SubjectParams) -> object:
    result = await context.service.forget_profile(
        context.peer.caller, params.subject, context.conversation
    )
    return results.describe_result(result)


async def _push_event(context: Context, params: PushParams) -> object:
    event = SecurityEvent(params.subject, params.event, params.reason, params.lasts)
    return results.describe_push(await context.service.push_event(context.peer.caller, event))


METHODS = {
    "StepUp": Method(msgspec.json.Decoder(StepUpParams), _step_up, is_ceremony=True),
    "Status": Method(msgspec.json.Decoder(StatusParams), _get_status),
    "Enroll": Method(msgspec.json.Decoder(EnrollParams), _enroll, is_ceremony=True),
    "ListCredentials": Method(msgspec.json.Decoder(SubjectParams), _list_credentials),
    "RenameCredential": Method(msgspec.json.Decoder(RenameParams), _rename, is_ceremony=True),
    "RemoveCredential": Method(msgspec.json.Decoder(RemoveParams), _remove, is_ceremony=True),
    "MakeRecoveryCodes": Method(msgspec.json.Decoder(SubjectParams), _make_codes, is_ceremony=True),
    "ListGrants": Method(msgspec.json.Decoder(SubjectParams), _list_grants),
    "ShowProfile": Method(msgspec.json.Decoder(SubjectParams), _show_profile),
    "ForgetProfile": Method(msgspec.json.Decoder(SubjectParams), _forget_profile, is_ceremony=True),
    "Revoke": Method(msgspec.json.Decoder(RevokeParams), _revoke),
    "PushEvent": Method(msgspec.json.Decoder(PushParams), _push_event),
}
