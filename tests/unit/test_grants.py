"""Grants cover what they say and not a hair more."""

from dataclasses import replace

import pytest
from core_support import ADA, NONCE, NOW, SUDO, TERMINAL, make_grant, make_request

from stepupd.core.evidence import make_evidence
from stepupd.core.grants import covers
from stepupd.core.grants import make_grant as earn_grant
from stepupd.core.model import Caller, Door, Level, Method, Requirement, Scope, Session, Subject

ASKED = Requirement(Level.TOUCH, max_age=300, scope=Scope.SESSION)
OTHER = Session(4000, 999999, "pts/3")
EVERYWHERE = replace(ASKED, scope=Scope.SUBJECT)


@pytest.mark.parametrize(
    ("what", "grant", "request_", "asked", "now", "expected"),
    [
        ("as earned", {}, {}, ASKED, {}, True),
        ("other subject", {}, {"subject": Subject(1001, "bob")}, ASKED, {}, False),
        ("other action", {}, {"action": "pam:su"}, ASKED, {}, False),
        ("same leader pid, started later", {}, {"session": OTHER}, ASKED, {}, False),
        ("other tty", {}, {"session": replace(TERMINAL, tty="pts/9")}, ASKED, {}, False),
        ("no session", {}, {"session": None}, ASKED, {}, False),
        ("no session anywhere", {"session": None}, {"session": None}, ASKED, {}, False),
        ("higher level asked", {}, {}, replace(ASKED, level=Level.VERIFY), {}, False),
        ("higher level earned", {"level": Level.VERIFY}, {}, ASKED, {}, True),
        ("method not accepted", {}, {}, replace(ASKED, methods=frozenset()), {}, False),
        ("too old for today's rule", {}, {}, replace(ASKED, max_age=60), {}, False),
        ("no age allowed", {"auth_time": NOW.boot}, {}, replace(ASKED, max_age=0), {}, False),
        ("run out", {}, {}, ASKED, {"boot": NOW.boot + 240}, False),
        ("from the future", {}, {}, ASKED, {"boot": NOW.boot - 61}, False),
        ("another boot", {}, {}, ASKED, {"boot_id": "c" * 36}, False),
        ("wall clock set back", {}, {}, ASKED, {"wall": 0.0}, True),
        ("wall clock set forward", {}, {}, ASKED, {"wall": 4e9}, True),
        ("one request only", {"scope": Scope.REQUEST}, {}, ASKED, {}, False),
        ("rule wants each time", {}, {}, replace(ASKED, scope=Scope.REQUEST), {}, False),
        ("wide grant, narrow rule", {"scope": Scope.SUBJECT}, {"session": OTHER}, ASKED, {}, False),
        ("narrow grant, wide rule", {}, {"session": OTHER}, EVERYWHERE, {}, False),
        ("wide both", {"scope": Scope.SUBJECT}, {"session": OTHER}, EVERYWHERE, {}, True),
        (
            "earned by an ordinary process, root asks",
            {"caller_uid": 1000},
            {},
            ASKED,
            {},
            False,
        ),
        (
            "earned by one service, another one asks",
            {"caller_uid": 500},
            {"caller": Caller(501, 1, Door.SOCKET)},
            ASKED,
            {},
            False,
        ),
        (
            "earned by the subject, a service asks",
            {"caller_uid": 1000},
            {"caller": Caller(500, 1, Door.SOCKET)},
            ASKED,
            {},
            False,
        ),
        (
            "earned for a service, the same service asks",
            {"caller_uid": 500},
            {"caller": Caller(500, 1, Door.SOCKET)},
            ASKED,
            {},
            True,
        ),
        (
            "earned for root, an ordinary process asks",
            {},
            {"caller": Caller(1000, 1, Door.SOCKET)},
            ASKED,
            {},
            True,
        ),
    ],
)
def test_coverage(what, grant, request_, asked, now, expected):
    """One row each of what a grant covers (attacks 94, 95, 97, 99)."""
    found = covers(make_grant(**grant), make_request(**request_), asked, replace(NOW, **now))

    assert found is expected, what


def make_proof(level=Level.TOUCH):
    return make_evidence(
        level=level,
        credential_id=b"id",
        credential_name="blue",
        is_uv=False,
        is_simulated=False,
        sign_count=1,
        backed_up=False,
        authenticator_data=b"",
        client_data_json=b"",
        signature=b"",
    )


def test_a_grant_carries_what_was_proved():
    """Level and method come from the proof, scope and age from the rule, the session as asked."""
    grant = earn_grant(make_request(), ASKED, make_proof(Level.VERIFY), NOW, NONCE)

    assert grant.level is Level.VERIFY
    assert grant.method is Method.FIDO2
    assert grant.subject_uid == ADA.uid
    assert (grant.session, grant.boot_id) == (TERMINAL, NOW.boot_id)
    assert grant.expires - grant.auth_time == ASKED.max_age
    assert grant.caller_uid == SUDO.uid


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        ({}, replace(ASKED, scope=Scope.REQUEST)),
        ({}, replace(ASKED, max_age=0)),
        ({"session": None}, ASKED),
    ],
)
def test_nothing_is_remembered_without_scope_age_and_session(request_, asked):
    assert earn_grant(make_request(**request_), asked, make_proof(), NOW, NONCE) is None
