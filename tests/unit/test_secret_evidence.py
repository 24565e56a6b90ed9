"""Two values with a law of their own: a secret never prints, evidence is never made by hand."""

import ast
import copy
import logging
import pickle
import traceback
from dataclasses import fields, replace
from pathlib import Path

import pytest
from core_support import NONCE, RP_ID, make_key, make_request, make_snapshot

import stepupd
from stepupd.core.assertion import Expectation, check_assertion
from stepupd.core.client_data import ClientDataType, make_client_data, origin_of
from stepupd.core.effects import Ask, AssertFido2, Typed, Use
from stepupd.core.errors import InternalError
from stepupd.core.evidence import Evidence
from stepupd.core.model import Level
from stepupd.core.secret import Secret

PIN = "hunter2-4711"
SOURCES = sorted(Path(stepupd.__file__).parent.rglob("*.py"))


def operation() -> AssertFido2:
    return AssertFido2("rp", b"{}", (b"id",), is_uv=True, pin=Secret(PIN), authenticator="key")


@pytest.mark.parametrize(
    "value",
    [
        Secret(PIN),
        Typed(Secret(PIN)),
        operation(),
        Use((operation(),), "Touch.", 0.0),
        [Secret(PIN)],
        {"pin": Secret(PIN)},
        Ask("PIN: ", 0.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_secret_prints_as_nothing(value):
    """Neither by itself nor inside of anything, in whichever way it becomes text (attack 117)."""
    shown = [repr(value), str(value), f"{value}", f"{value!r}", "{}".format(value), "%s" % (value,)]  # noqa: UP031, UP032 - each is a way out

    assert not any(PIN in text for text in shown)


def test_a_secret_formats_as_nothing():
    """Also padded or cut."""
    secret = Secret(PIN)
    assert f"{secret:>40}" == f"{secret:.3}" == repr(secret)


def fail_about(secret: Secret) -> None:
    raise ValueError(secret)


def test_a_secret_is_not_in_a_traceback_or_a_log(caplog):
    """Not even where the error is about it."""
    secret = Secret(PIN)
    with pytest.raises(ValueError, match="Secret") as caught:
        fail_about(secret)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(shown.format())
    logging.getLogger("test").error("failed with %s", secret, exc_info=caught.value)

    assert PIN not in text
    assert PIN not in caplog.text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol):
    """It does not leave the process."""
    with pytest.raises(TypeError):
        pickle.dumps(Secret(PIN), protocol)
    with pytest.raises(TypeError):
        copy.deepcopy(Secret(PIN))


def test_a_secret_has_no_other_way_in():
    """No dictionary to dump, no attribute that is called like it."""
    assert not hasattr(Secret(PIN), "__dict__")
    assert PIN not in repr(vars(Secret))
    with pytest.raises(TypeError):
        iter(Secret(PIN))


def test_secrets_compare_by_text_and_know_when_they_are_empty():
    """So that tests and ceremonies need not reveal them."""
    assert Secret(PIN) == Secret(PIN) != Secret("other")
    assert Secret(PIN) != PIN
    assert len({Secret(PIN), Secret(PIN)}) == 1
    assert not Secret("")
    assert Secret(PIN).reveal() == PIN


def make_evidence() -> Evidence:
    """Return evidence the only way there is."""
    key = make_key()
    now = make_snapshot(key.credential(), request=make_request(), nonce=NONCE)
    data = make_client_data(ClientDataType.GET, now.challenge, origin_of(RP_ID))
    reply = key.sign(AssertFido2(RP_ID, data, (key.id,), is_uv=False))
    expected = Expectation(RP_ID, now.challenge, 1000, now.credentials, is_uv_required=False)
    return check_assertion(reply, expected)


def test_evidence_is_not_made_by_hand():
    """The constructor, and every object that is not the seal, are refused."""
    values = {field.name: getattr(make_evidence(), field.name) for field in fields(Evidence)}
    for seal in (None, True, object(), "seal", ...):
        with pytest.raises(InternalError):
            Evidence(**values | {"seal": seal})
    with pytest.raises(TypeError):
        Evidence(**{name: value for name, value in values.items() if name != "seal"})


def test_evidence_is_not_changed_or_unpickled():
    """It is frozen, and holds no seal that could be taken along to another level."""
    made = make_evidence()
    with pytest.raises(AttributeError):
        made.level = 4
    with pytest.raises(InternalError):
        replace(made, level=Level.ATTESTED, seal=None)
    with pytest.raises((TypeError, ValueError), match="seal"):  # the first since Python 3.13
        replace(made, level=Level.ATTESTED)
    assert not hasattr(made, "seal")


def imports_of(path: Path) -> set[str]:
    """Return every name that a source file imports or reaches through a module."""
    tree = ast.parse(path.read_text("utf-8"))
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_only_the_checkers_make_evidence():
    """Each maker is imported in one place, and the seal in none."""
    makers = {path.name for path in SOURCES if "make_evidence" in imports_of(path)}
    sealers = {path.name for path in SOURCES if "_SEAL" in imports_of(path)}

    recoverers = {path.name for path in SOURCES if "make_recovery_evidence" in imports_of(path)}

    assert makers == {"assertion.py"}
    assert recoverers == {"recovery_code.py"}
    assert sealers == set()
    assert len(SOURCES) > 50


def test_a_secret_is_revealed_in_few_places():
    """Where its length is bounded, where "yes" is read, where it is checked or sent to its key."""
    callers = {
        path.relative_to(Path(stepupd.__file__).parent).as_posix()
        for path in SOURCES
        if "reveal" in imports_of(path)
    }

    assert callers == {
        "api/dbus_ceremony.py",
        "api/jsonrpc.py",
        "core/pin.py",
        "core/recovery_code.py",
        "devices/verification.py",
    }
