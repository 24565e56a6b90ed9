"""The boundary to keys: every status and every exception becomes a `Trouble`, and nothing else."""

from contextlib import suppress
from threading import Event

import pytest
from fido2.ctap import STATUS, CtapError
from fido2.hid import ConnectionFailure
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.effects import Trouble, TroubleKind
from stepupd.core.errors import AuthenticatorError
from stepupd.devices.ctap import GET_INFO, explain, run_command

ERR = CtapError.ERR
NAMED = {
    ERR.INVALID_COMMAND: TroubleKind.UNSUPPORTED,
    ERR.CHANNEL_BUSY: TroubleKind.BUSY,
    ERR.TIMEOUT: TroubleKind.TIMEOUT,
    ERR.USER_ACTION_TIMEOUT: TroubleKind.TIMEOUT,
    ERR.ACTION_TIMEOUT: TroubleKind.TIMEOUT,
    ERR.KEEPALIVE_CANCEL: TroubleKind.CANCELLED,
    ERR.OPERATION_DENIED: TroubleKind.DECLINED,
    ERR.NO_CREDENTIALS: TroubleKind.NO_CREDENTIALS,
    ERR.INVALID_CREDENTIAL: TroubleKind.NO_CREDENTIALS,
    ERR.CREDENTIAL_EXCLUDED: TroubleKind.EXCLUDED,
    ERR.UNSUPPORTED_ALGORITHM: TroubleKind.UNSUPPORTED,
    ERR.UNSUPPORTED_OPTION: TroubleKind.UNSUPPORTED,
    ERR.INVALID_OPTION: TroubleKind.UNSUPPORTED,
    ERR.KEY_STORE_FULL: TroubleKind.UNSUPPORTED,
    ERR.PIN_INVALID: TroubleKind.PIN_INVALID,
    ERR.PIN_AUTH_INVALID: TroubleKind.PIN_INVALID,
    ERR.PIN_POLICY_VIOLATION: TroubleKind.PIN_INVALID,
    ERR.PIN_AUTH_BLOCKED: TroubleKind.PIN_AUTH_BLOCKED,
    ERR.PIN_BLOCKED: TroubleKind.PIN_BLOCKED,
    ERR.PIN_NOT_SET: TroubleKind.PIN_NOT_SET,
    ERR.PUAT_REQUIRED: TroubleKind.PIN_NOT_SET,
    ERR.UV_INVALID: TroubleKind.UV_INVALID,
    ERR.UV_BLOCKED: TroubleKind.UV_BLOCKED,
}


@pytest.mark.parametrize("code", range(256))
def test_every_status_has_a_trouble(code):
    """The statuses people meet are told apart; any other is a key that makes no sense."""
    trouble = explain(CtapError(code), "key")

    assert trouble == Trouble(NAMED.get(code, TroubleKind.GARBLED), "key")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError("silent"), TroubleKind.SILENT),
        (OSError(5, "EIO"), TroubleKind.GONE),
        (PermissionError("no"), TroubleKind.GONE),
        (ConnectionFailure("wrong channel"), TroubleKind.GARBLED),
        (AuthenticatorError("no map"), TroubleKind.GARBLED),
        *[(error("x"), TroubleKind.GARBLED) for error in (ValueError, KeyError, TypeError)],
        *[(error("x"), TroubleKind.GARBLED) for error in (RecursionError, IndexError, MemoryError)],
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_every_exception_has_a_trouble(error, kind):
    """Whatever a library stumbles over is the key's fault, by name."""
    assert explain(error) == Trouble(kind)


class Answering:
    """A link that gives one answer, after keepalives."""

    def __init__(self, answer: bytes, *keepalives: STATUS) -> None:
        self.answer = answer
        self.keepalives = keepalives
        self.sent: list[bytes] = []

    def call(self, _command, data, _event, on_keepalive):
        self.sent.append(data)
        for status in self.keepalives:
            on_keepalive(status)
        return self.answer


def ask(answer: bytes):
    return run_command(Answering(answer), GET_INFO, {}, Event())


def test_a_reply_is_a_status_and_a_map():
    """Success without a map is an empty one."""
    assert ask(b"\0") == {}
    assert ask(b"\0\xa1\x01\x02") == {1: 2}


@pytest.mark.parametrize(
    "answer",
    [b"", b"\0\x01", b"\0\x80", b"\0\xa1\x01", b"\0\xa0\xa0", b"\0\xb8\x01\x01\x02", b"\0\xff"],
    ids=bytes.hex,
)
def test_what_is_no_reply_is_an_error(answer):
    """Empty, no map, cut, trailing bytes, not canonical, no CBOR."""
    with pytest.raises(AuthenticatorError):
        ask(answer)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_a_typed_error(answer):
    """A key may say anything."""
    with suppress(AuthenticatorError, CtapError):
        assert isinstance(ask(answer), dict)


def test_only_a_wait_for_the_person_is_told():
    """`on_wait` is called when the key wants a touch, not while it computes."""
    told = []
    link = Answering(b"\0", STATUS.PROCESSING, STATUS.UPNEEDED)
    run_command(link, GET_INFO, {}, Event(), lambda: told.append("touch"))
    run_command(link, GET_INFO, {}, Event())

    assert told == ["touch"]
    assert link.sent == [b"\x04", b"\x04"]
