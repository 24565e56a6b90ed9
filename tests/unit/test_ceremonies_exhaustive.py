"""Both ceremonies, every reply script: no road to "allow" but a checked proof."""

from functools import partial

import pytest
from core_support import (
    RP_ID,
    UP,
    UV,
    make_key,
    make_policy,
    make_request,
    make_rule,
    make_snapshot,
)
from explore import explore

from stepupd.core.authentication import authenticate
from stepupd.core.effects import (
    Ask,
    Asserted,
    AssertFido2,
    PinNeeded,
    Registered,
    RegisterFido2,
    Show,
    Trouble,
    TroubleKind,
    Typed,
    Use,
)
from stepupd.core.model import Answer, Claim, Level, Reason
from stepupd.core.pin import GUARDED_RETRIES, MAX_WRONG_PINS
from stepupd.core.registration import register
from stepupd.core.secret import Secret

TROUBLES = [Trouble(kind, "tiny", 5) for kind in TroubleKind]
STRAYS = [None, Typed(Secret("stray"))]
PINS = [PinNeeded("tiny", "tiny key", 8), PinNeeded("tiny", "tiny key", 3), PinNeeded("t", "t", 0)]
# Registration asks twice, so its scripts are the square of these: one trouble of each kind of path.
PATHS = [Trouble(kind, "tiny", 5) for kind in (TroubleKind.PIN_INVALID, TroubleKind.HANG_UP)]
TYPED = [Typed(Secret("1234")), Typed(Secret("")), Typed(Secret("yes"))]
ASK_TROUBLES = [Trouble(TroubleKind.CANCELLED), Trouble(TroubleKind.HANG_UP)]


class Player:
    """Offers every reply there is, good and bad, and remembers which were good."""

    def __init__(self, level: Level, troubles=TROUBLES) -> None:
        self.troubles = troubles
        self.is_first = troubles is TROUBLES
        self.key = make_key()
        self.stranger = make_key()
        self.good: set[int] = set()
        self.kept: list[object] = []
        self.level = level

    def list_replies(self, effect, replies):
        match effect:
            case Show():
                return [None]
            case Ask():
                return [*TYPED, *ASK_TROUBLES, None][:: 1 if self.is_first else 2]
            case Use(operations=(AssertFido2() as operation,)):
                pins, strays = PINS, STRAYS
                if not self.is_first:  # the second touch of a registration
                    pin_was_asked = any(isinstance(reply, PinNeeded) for reply in replies)
                    pins, strays = [] if pin_was_asked else PINS[:2], []
                return [*self.sign(operation), *pins, *self.troubles, *strays]
            case Use(operations=(RegisterFido2() as operation,)):
                return [*self.make(operation), *PINS, *TROUBLES, *STRAYS]

    def sign(self, operation):
        self.key.counter = 7
        sign = partial(self.key.sign, operation)
        good = [sign(flags=UP | UV)]
        if self.is_first and self.level < Level.VERIFY:
            good.append(sign())
        bad = [
            sign(flags=0),
            sign(flags=UV),
            sign(tamper=True),
            sign(rp_id="other." + RP_ID),
            sign(client_data_json=operation.client_data_json.replace(b"get", b"create")),
            self.stranger.sign(operation),
            self.stranger.sign(operation, credential_id=self.key.id),
        ]
        if self.level >= Level.VERIFY:
            bad.append(sign())
        return self.keep(good) + (bad if self.is_first else bad[:1])

    def make(self, operation):
        self.key.counter = 0
        good = [self.key.make(operation)]
        bad = [
            self.key.make(operation, flags=0),
            self.key.make(operation, attestation_object=b"\xa0"),
            self.key.make(operation, client_data_json=b"{}"),
        ]
        return self.keep(good) + bad

    def keep(self, replies):
        self.kept += replies
        self.good |= {id(reply) for reply in replies}
        return replies


def is_allow(run):
    return run.outcome.verdict.answer is Answer.ALLOW


@pytest.mark.parametrize("level", [Level.TOUCH, Level.VERIFY])
def test_authentication_allows_only_after_a_good_assertion(level):
    """Over every script, "allow" follows the good assertion and nothing else, with evidence."""
    player = Player(level)
    snapshot = make_snapshot(player.key.credential(), policy=make_policy(make_rule(level)))

    runs = list(explore(lambda: authenticate(snapshot), player.list_replies))

    assert len(runs) > 200
    for run in runs:
        last = run.replies[-1]
        assert is_allow(run) == (isinstance(last, Asserted) and id(last) in player.good)
        assert (run.outcome.evidence is not None) == is_allow(run)
        assert run.outcome.grant is None
    assert any(is_allow(run) for run in runs)


def test_registration_allows_only_after_both_touches():
    """A credential is stored only when it was made well and then proved to work."""
    player = Player(Level.TOUCH, PATHS)
    snapshot = make_snapshot(request=make_request(claim=Claim()))

    runs = list(explore(lambda: register(snapshot, "blue", b"user"), player.list_replies))

    assert len(runs) > 500
    for run in runs:
        made = [r for r in run.replies if isinstance(r, Registered) and id(r) in player.good]
        proved = isinstance(run.replies[-1], Asserted) and id(run.replies[-1]) in player.good
        assert is_allow(run) == (bool(made) and proved)
        assert (run.outcome.credential is not None) == is_allow(run)
    assert any(is_allow(run) for run in runs)


@pytest.mark.parametrize("ceremony", ["authenticate", "register"])
def test_pins_are_guarded(ceremony):
    """A PIN goes only to the key that asked, at most twice, and the last tries only after "yes"."""
    player = Player(Level.VERIFY, PATHS)
    snapshot = make_snapshot(
        *([player.key.credential()] if ceremony == "authenticate" else []),
        policy=make_policy(make_rule(Level.VERIFY)),
        request=make_request(claim=Claim()),
    )
    start = {
        "authenticate": lambda: authenticate(snapshot),
        "register": lambda: register(snapshot, "blue", b"user"),
    }[ceremony]

    for run in explore(start, player.list_replies):
        per_use: dict[str, int] = {}
        needed = None
        consented = False
        for effect, reply in zip(run.effects, run.replies, strict=True):
            if isinstance(effect, Use) and effect.operations[0].pin is not None:
                operation = effect.operations[0]
                assert needed is not None
                assert operation.authenticator == needed.authenticator
                assert needed.retries > GUARDED_RETRIES or consented
                kind = type(operation).__name__
                per_use[kind] = per_use.get(kind, 0) + 1
            if isinstance(reply, PinNeeded):
                needed, consented = reply, False
            if isinstance(effect, Ask) and not effect.is_hidden and isinstance(reply, Typed):
                consented = reply.secret.reveal() == "yes"
        assert all(count <= MAX_WRONG_PINS for count in per_use.values())


def test_every_trouble_has_a_reason_and_no_allow():
    """Each kind of trouble ends a ceremony in a refusal with a stable reason and a sentence."""
    player = Player(Level.TOUCH)
    snapshot = make_snapshot(player.key.credential())
    seen = set()

    for run in explore(lambda: authenticate(snapshot), player.list_replies):
        if isinstance(run.replies[-1], Trouble):
            seen.add(run.replies[-1].kind)
            assert not is_allow(run)
            assert run.outcome.verdict.text
    assert seen == set(TroubleKind)


def test_nothing_is_asked_without_a_credential():
    """An empty list of credentials is a refusal before any device is touched (attack 46)."""
    (run,) = explore(lambda: authenticate(make_snapshot()), lambda *_: [])

    assert run.effects == ()
    assert run.outcome.verdict.reason is Reason.NO_CREDENTIAL
