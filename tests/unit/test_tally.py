"""Sums of replays: parts add up to the whole, and names of figures mean what they say."""

from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.rehearsal.replay import DENIED, PASSED, Answer, Row
from stepupd.core.rehearsal.tally import EXAMPLES, Tally

MET = st.sampled_from([PASSED, 1, 2, 3, 4, DENIED])
ANSWERS = st.builds(Answer, MET, st.sampled_from(["a", "b", ""]), st.integers(0, 90))


def make_row(seq, uid, before, after, *, allowed, person):
    time = f"2026-03-{1 + seq % 5:02}T10:00:00.000000Z"
    return Row(seq, time, uid, f"user{uid}", "x", allowed, before, after, person)


ROWS = st.lists(
    st.tuples(st.integers(0, 3), ANSWERS, ANSWERS, st.booleans(), st.none() | st.floats(1, 5000)),
    max_size=60,
).map(
    lambda rows: [
        make_row(seq, uid, before, after, allowed=allowed, person=person)
        for seq, (uid, before, after, allowed, person) in enumerate(rows)
    ]
)


def add_all(rows):
    tally = Tally(30)
    for row in rows:
        tally.add(row)
    return tally


@given(ROWS)
def test_parts_by_subject_add_up_to_the_whole(rows):
    """So that two processes may share a log."""
    whole = add_all(rows)
    joined = add_all([row for row in rows if row.uid % 2])
    joined.merge(add_all([row for row in rows if not row.uid % 2]))
    for name in ("requests", "risky", "caught", "missed", "denials_added", "denials_removed"):
        assert getattr(joined, name) == getattr(whole, name), name
    assert joined.people == whole.people
    assert joined.met == whole.met
    assert joined.count_rules() == whole.count_rules()
    assert (joined.first, joined.last) == (whole.first, whole.last)
    assert (joined.better, joined.worse) == (whole.better[:EXAMPLES], whole.worse[:EXAMPLES])
    assert joined.list_days() == whole.list_days()


@given(ROWS)
def test_every_request_is_counted_once(rows):
    tally = add_all(rows)
    assert sum(tally.met.values()) == tally.requests == len(rows)
    assert sum(then.requests for then, _ in tally.count_rules().values()) == len(rows)
    assert sum(now.requests for _, now in tally.count_rules().values()) == len(rows)
    prompts = sum(row.after.is_prompt for row in rows)
    assert sum(person.after for person in tally.people.values()) == prompts
    assert tally.caught + tally.missed <= tally.risky


def test_a_risky_request_is_caught_where_it_meets_more():
    rows = [
        make_row(0, 1, Answer(2, "a", 40), Answer(3, "a", 40), allowed=True, person=None),
        make_row(1, 1, Answer(3, "a", 0), Answer(2, "a", 40), allowed=True, person=None),
        make_row(2, 1, Answer(2, "a", 29), Answer(3, "a", 29), allowed=True, person=None),
    ]
    tally = add_all(rows)
    assert (tally.risky, tally.caught, tally.missed) == (2, 1, 1)


def test_a_person_without_a_measured_proof_takes_everybodys_median():
    rows = [
        make_row(0, 1, Answer(2, "a", 0), Answer(2, "a", 0), allowed=True, person=4000.0),
        make_row(1, 2, Answer(0, "a", 0), Answer(2, "a", 0), allowed=True, person=None),
    ]
    assert add_all(rows).count_seconds() == (4.0, 8.0)
