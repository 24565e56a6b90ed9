"""One key, its credential and its maker; and the questions what a checker says of them."""

from dataclasses import replace

from stepupd.core.assertion import check_assertion
from stepupd.core.attestation import check_registration
from tests.vectors.refusal import reason_of
from tests.vectors.webauthn.soft_key import (
    CHALLENGE,
    ES256,
    NOW,
    RP_ID,
    Maker,
    SoftKey,
    make_expectation,
)

KEY = SoftKey()
CREDENTIAL = KEY.make_credential()
EXPECTED = make_expectation(CREDENTIAL)
MAKER = Maker()


class Chain:
    """A maker whose certificates are given."""

    def __init__(self, leaf_key, chain, algorithm=ES256):
        self.leaf_key, self.chain, self.algorithm = leaf_key, chain, algorithm


def register(maker=MAKER, style="packed", **changes):
    return KEY.make_registration(style=style, maker=maker, **changes)


def check(reply, *, roots=(), is_uv_required=False, now_wall=NOW):
    return check_registration(
        reply,
        rp_id=RP_ID,
        challenge=CHALLENGE,
        roots=roots,
        now_wall=now_wall,
        is_uv_required=is_uv_required,
    )


def enrol(reply, *roots):
    return check(reply, roots=roots)


def verdict(reply, expected=EXPECTED):
    return reason_of(check_assertion, reply, expected)


def move_counter(expected, evidence):
    """Store the counter of an assertion, as whoever commits an outcome does."""
    stored = replace(expected.credentials[0], sign_count=evidence.sign_count)
    return replace(expected, credentials=(stored,))
