"""A candidate over the past: what it would have asked, and that the past itself is unchanged."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as change
from replay_support import FakeDaemon, make_request, read_policy
from risk_support import OFFICE, observe

from stepupd.core.judge import judge
from stepupd.core.policy import Score
from stepupd.core.rehearsal.history import History
from stepupd.core.rehearsal.past import parse_past
from stepupd.core.rehearsal.quick_judge import QuickJudge
from stepupd.core.rehearsal.replay import DENIED, PASSED, Replay
from stepupd.core.rehearsal.tally import Tally
from stepupd.core.risk.facts import Facts, Observer
from stepupd.core.snapshot import Snapshot

HERE = Facts(hour=9, weekday=1, source="192.0.2.7", country="NO", latitude=59.9, longitude=10.7)
ABROAD = Facts(
    hour=9, weekday=1, source="203.0.113.9", country="NZ", latitude=-41.0, longitude=174.0
)
TOUCH, VERIFY = 2, 3

QUIET = """
[[rule]]
name = "sudo"
action = "pam:*"
require = "touch"
max_age = "1h"
scope = "session"
"""
EACH = QUIET.replace('max_age = "1h"\nscope = "session"\n', "")
ALLOW = '[[rule]]\nname = "free"\naction = "*"\nallow = true\n'
DENY = '[[rule]]\nname = "shut"\naction = "*"\ndeny = true\n'
RISKY = (
    QUIET
    + """
[risk]
ladder = [
    { score = 30, require = "touch" },
    { score = 60, require = "verify" },
    { score = 140, deny = true },
]
"""
)


def replay(daemon, candidate, lowest=None):
    """Return rows and sum."""
    policy = read_policy(candidate) if isinstance(candidate, str) else candidate
    fold, tally = Replay(policy, History()), Tally(lowest)
    rows = [fold.take(parse_past(line)) for line in daemon.lines]
    for row in rows:
        if row is not None:
            tally.add(row)
    return rows, tally


@pytest.fixture
def daemon():
    """Three requests in one terminal, a quarter of an hour apart, under a quiet policy."""
    made = FakeDaemon(read_policy(QUIET))
    for _ in range(3):
        made.ask(make_request(), HERE)
        made.wait(900)
    return made


def met(rows, which):
    return [getattr(row, which).met for row in rows if row is not None]


def test_the_same_policy_changes_nothing(daemon):
    rows, tally = replay(daemon, QUIET)
    assert met(rows, "before") == met(rows, "after") == [TOUCH, PASSED, PASSED]
    assert tally.differences == 0


def test_a_grant_counts_by_the_candidates_own_rule(daemon):
    """Without max_age each request is a prompt; each is answered, as it was allowed then."""
    rows, tally = replay(daemon, EACH)
    assert met(rows, "after") == [TOUCH] * 3
    assert tally.people[1000].days == {rows[0].day: [1, 3]}


def test_a_grant_of_the_candidate_runs_out_by_its_age(daemon):
    """Twenty minutes: the third request, half an hour later, asks again."""
    rows, _ = replay(daemon, QUIET.replace("1h", "20m"))
    assert met(rows, "after") == [TOUCH, PASSED, TOUCH]


def test_a_grant_of_the_candidate_reaches_as_far_as_it_says():
    """Scope subject: another terminal needs no proof of its own."""
    made = FakeDaemon(read_policy(QUIET))
    made.ask(make_request(tty=1), HERE)
    made.ask(make_request(tty=2), HERE)
    assert met(replay(made, QUIET)[0], "after") == [TOUCH, TOUCH]
    assert met(replay(made, QUIET.replace('"session"', '"subject"'))[0], "after") == [TOUCH, PASSED]


def test_who_was_refused_answers_no_prompt_and_earns_nothing():
    """The law: a replay never lets in somebody who proved nothing then."""
    made = FakeDaemon(read_policy(DENY))
    made.ask(make_request(), HERE)
    made.ask(make_request(), HERE)
    rows, tally = replay(made, QUIET)
    assert met(rows, "after") == [TOUCH, TOUCH]
    assert tally.denials_removed == 2
    assert tally.count_seconds() == (0, 0)


def test_a_denial_of_what_was_allowed_is_counted(daemon):
    rows, tally = replay(daemon, DENY)
    assert met(rows, "after") == [DENIED] * 3
    assert tally.denials_added == 3


def test_measured_seconds_are_kept_and_new_prompts_take_the_median(daemon):
    """Two seconds were measured; two new prompts take as long."""
    assert replay(daemon, QUIET)[1].count_seconds() == (2.0, 2.0)
    assert replay(daemon, EACH)[1].count_seconds() == (2.0, 6.0)
    assert replay(daemon, ALLOW)[1].count_seconds() == (2.0, 0.0)


def test_a_revoked_grant_is_revoked_in_the_replay():
    made = FakeDaemon(read_policy(QUIET))
    made.ask(make_request(), HERE)
    record = {"kind": "revoke", "caller_uid": 1000, "caller_pid": 1, "subject_uid": 1000}
    made.write(record | {"grant": ""})
    made.grants[1000] = []
    made.ask(make_request(), HERE)
    rows, tally = replay(made, QUIET)
    assert met(rows, "after") == [TOUCH, TOUCH]
    assert tally.differences == 0


def test_an_event_that_revokes_ends_grants_and_one_that_alerts_is_weighed():
    """As pushed by an identity provider."""
    made = FakeDaemon(read_policy(QUIET))
    made.ask(make_request(), HERE)
    event = {"kind": "event", "caller_uid": 0, "subject_uid": 1000, "subject": "ada", "reason": "x"}
    made.write(event | {"event": "credential-compromise", "revoked": 1, "lasts": 600.0})
    made.wait(60)
    made.ask(make_request(), HERE)
    made.wait(1200)
    made.ask(make_request(tty=2), HERE)
    rows, _ = replay(made, RISKY)
    assert met(rows, "after") == [TOUCH, VERIFY, TOUCH]
    assert "alert" in rows[2].after.signals


def test_no_grant_outlives_the_key_that_earned_it():
    made = FakeDaemon(read_policy(QUIET))
    made.ask(make_request(), HERE)
    made.write(
        {"kind": "remove", "caller_uid": 0, "subject_uid": 1000, "credential": {"id": "a2V5"}}
    )
    made.grants[1000] = []
    made.ask(make_request(), HERE)
    assert met(replay(made, QUIET)[0], "after") == [TOUCH, TOUCH]


@pytest.mark.parametrize("recorded", [EACH, QUIET])
def test_what_was_withdrawn_earned_nothing(recorded):
    """The entry was written, its grant could not be stored."""
    made = FakeDaemon(read_policy(recorded))
    made.ask(make_request(), HERE)
    made.write({"kind": "withdrawn", "entry": 0})
    made.ask(make_request(), HERE)
    assert met(replay(made, QUIET)[0], "after") == [TOUCH, TOUCH]


def test_a_restart_of_the_machine_ends_every_grant(daemon):
    """The boot clock began anew."""
    daemon.boot = 10.0
    daemon.grants = {}
    rows = replay(FakeDaemonAfterBoot(daemon), QUIET)[0]
    assert met(rows, "after") == [TOUCH, PASSED, PASSED, TOUCH]


class FakeDaemonAfterBoot:
    """The same log with one more request, ten seconds into the next boot, a day later."""

    def __init__(self, daemon):
        other = FakeDaemon(daemon.policy, boot=86400.0)
        other.ask(make_request(), HERE)
        line = other.lines[0].replace(b'"boot":86400.0', b'"boot":10.0')
        assert line != other.lines[0]
        self.lines = [*daemon.lines, line]


def make_habit(policy):
    """Return a daemon that has known ada at one place for weeks."""
    made = FakeDaemon(policy)
    for _ in range(60):
        made.ask(make_request(), HERE)
        made.wait(12 * 3600.0)
    return made


def test_a_stranger_is_caught_by_a_candidate_that_weighs():
    """Profiles are rebuilt from the log; the recorded policy weighed nothing at all."""
    made = make_habit(read_policy(QUIET + "[risk]\nladder = []\n"))
    made.ask(make_request(tty=9), ABROAD)
    rows, tally = replay(made, RISKY, lowest=30)
    assert rows[-1].after.met > rows[-1].before.met
    assert "new_country" in rows[-1].after.signals
    assert (tally.caught, tally.missed) == (1, 0)
    assert [row.seq for row in tally.better] == [len(made.lines) - 1]


def test_a_candidate_without_risk_misses_what_was_caught():
    made = make_habit(read_policy(RISKY))
    made.ask(make_request(tty=9), ABROAD, answers=False)
    tally = replay(made, QUIET, lowest=30)[1]
    assert (tally.caught, tally.missed) == (0, 1)


def test_a_candidate_that_is_only_watched_is_replayed_as_if_in_force():
    made = make_habit(read_policy(RISKY))
    made.ask(make_request(tty=9), ABROAD)
    watched = read_policy(RISKY + '[policy]\nmode = "observe"\n')
    assert replay(made, watched)[1].differences == 0


def test_managing_keys_needs_no_rule_of_the_candidate():
    """As in the daemon: a built-in rule comes last."""
    made = FakeDaemon(read_policy(QUIET))
    made.ask(make_request(action="stepup:enroll"), HERE)
    rows, _ = replay(made, QUIET)
    assert rows[0].after.met == TOUCH


def test_old_entries_without_facts_are_replayed():
    """Written before there were any: the machine observed nothing then."""
    line = (
        b'{"seq":0,"prev":"","time":"2026-03-02T10:00:00.000000Z","kind":"step-up","request":'
        b'{"action":"pam:sudo","subject":"ada","subject_uid":1000,"caller_uid":0},"verdict":'
        b'{"answer":"allow","reason":"grant"},"decision":{"is":"satisfied","rule":"sudo"}}'
    )
    row = Replay(read_policy(RISKY), History()).take(parse_past(line))
    assert (row.before.met, row.after.met) == (PASSED, TOUCH)


ASKED = st.tuples(
    st.sampled_from(["ada", "bob"]),
    st.sampled_from(["pam:sudo", "pam:su", "cli:x"]),
    st.integers(0, 2),
    st.sampled_from([HERE, ABROAD, replace(HERE, programs=("sh", "nginx")), Facts()]),
    st.booleans(),
    st.sampled_from([1.0, 70.0, 1000.0, 4000.0, 90_000.0]),
)
SCORES = st.sampled_from(list(Score))
POLICIES = st.sampled_from(
    [
        QUIET,
        RISKY,
        ALLOW + RISKY.replace('action = "pam:*"', 'action = "pam:su"'),
        '[[rule]]\nname = "ops"\naction = "*"\ngroup = "ops"\nallow = true\n' + RISKY,
        '[[rule]]\nname = "w"\naction = "*"\nwhen = "since_proved < 100"\nallow = true\n' + RISKY,
        RISKY.replace('"session"', '"subject"').replace("1h", "10m"),
    ]
)


@settings(deadline=None, max_examples=60)
@given(POLICIES, SCORES, st.lists(ASKED, min_size=1, max_size=30))
def test_replaying_the_recorded_policy_gives_no_difference(text, score, asked):
    """Whatever happened: each request is met as it was, at the same score, for the same reasons."""
    policy = replace(read_policy(text), score=score)
    made = FakeDaemon(policy)
    for subject, action, tty, facts, answers, pause in asked:
        made.ask(make_request(subject, action, tty=tty), facts, answers=answers)
        made.wait(pause)
    rows, tally = replay(made, policy, lowest=1)
    for row in rows:
        assert row.before == row.after
    assert (tally.differences, tally.caught, tally.missed) == (0, 0, 0)
    assert (tally.denials_added, tally.denials_removed) == (0, 0)


@settings(deadline=None, max_examples=60)
@given(POLICIES, SCORES, st.lists(ASKED, min_size=1, max_size=15))
def test_the_quick_judge_says_what_the_judge_says(text, score, asked):
    """Kept decisions are the same ones, risk, rule and grant included."""
    policy = replace(read_policy(text), score=score)
    quick, made, history = QuickJudge(policy), FakeDaemon(policy), History()
    for subject, action, tty, facts, answers, pause in asked:
        request = make_request(subject, action, tty=tty)
        made.ask(request, facts, answers=answers)
        made.wait(pause)
        grants = tuple(made.grants[request.subject.uid])
        past = parse_past(made.lines[-1])
        seen = history.observe(past, policy, grants)
        assert quick.judge(seen) == judge(make_snapshot(policy, seen))
        history.take_in(past, seen)


@pytest.mark.parametrize("observer", Observer)
def test_the_quick_judge_counts_what_could_not_be_seen(observer):
    """A usual request of which an observer failed: new values count in full, unseen as they are."""
    policy = read_policy(RISKY)
    seen = observe(replace(OFFICE, missing=frozenset({observer})))

    assert QuickJudge(policy).judge(seen) == judge(make_snapshot(policy, seen))


BETWEEN = st.sampled_from(
    [
        {"kind": "start"},
        {"kind": "revoke", "caller_uid": 0, "subject_uid": 1000, "grant": ""},
        {"kind": "forget-profile", "caller_uid": 0, "subject_uid": 1001},
        {"kind": "remove", "caller_uid": 0, "credential": {"id": "a2V5"}},
        {"kind": "withdrawn", "entry": 0},
        {"kind": "event", "subject_uid": 1000, "event": "account-disabled", "lasts": 9000.0},
    ]
)


HAPPENED = st.lists(ASKED | ASKED | ASKED | st.just("boot") | BETWEEN, min_size=10, max_size=30)


@settings(deadline=None, max_examples=100)
@given(POLICIES, SCORES, HAPPENED, st.integers(1, 30))
def test_taking_subject_by_subject_is_taking_one_by_one(text, score, happened, cut):
    """Rows, their order and what is known at the end are the same, wherever a batch ends."""
    policy = replace(read_policy(text), score=score)
    made, started, entries = FakeDaemon(policy), 0.0, []
    for one in happened:
        if one == "boot":
            started = made.boot
        elif isinstance(one, dict):
            made.write(one)
            entries.append(parse_past(made.lines[-1]))
        else:
            subject, action, tty, facts, answers, pause = one
            made.ask(make_request(subject, action, tty=tty), facts, answers=answers)
            made.wait(pause)
            entries.append(shift_boot(made.lines[-1], started))
    plain, quick = Replay(policy, History()), Replay(policy, History())
    plain.history.has_rates = quick.history.has_rates = score is Score.LIKELIHOOD

    rows = [(past, plain.take(past)) for past in entries]

    assert [*quick.take_all(iter(entries[:cut])), *quick.take_all(iter(entries[cut:]))] == rows
    assert quick.history.people == plain.history.people
    assert quick.history.crowd == plain.history.crowd
    for uid in plain.history.people:
        assert quick.list_grants(uid) == plain.list_grants(uid)


def shift_boot(line, started):
    """Return the request as if the machine had booted so late."""
    past = parse_past(line)
    return change(past, request=change(past.request, boot=past.request.boot - started))


def test_a_request_is_withdrawn_however_many_of_others_are_taken_after_it():
    """By subject, ada's last comes before all of bob's; by time, it is the newest."""
    made = FakeDaemon(read_policy(EACH))
    for _ in range(2):
        made.ask(make_request("ada"), HERE)
    for tty in range(1, 600):
        made.ask(make_request("bob", tty=tty), HERE)
    made.ask(make_request("ada", tty=2), HERE)
    made.write({"kind": "withdrawn", "entry": len(made.lines) - 1})
    made.ask(make_request("ada", tty=2), HERE)
    fold = Replay(read_policy(QUIET), History())
    fold.history.has_rates = False
    taken = fold.take_all(map(parse_past, made.lines))

    assert [row.after.met for _, row in taken if row][-2:] == [TOUCH, TOUCH]


def make_snapshot(policy, seen):
    """Return what the daemon's own judge takes."""
    names = ("request", "credentials", "grants", "now", "facts", "profile", "crowd", "activity")
    parts = {name: getattr(seen, name) for name in names}
    return Snapshot(policy=policy, nonce=b"", rp_id="", **parts)
