"""`stepup policy replay`: then and now, as tables, as JSON and as a page."""

import html.parser
import json
import re
from dataclasses import replace

import pytest
from policy_support import (
    HERE,
    NOW,
    THEN,
    live_for_weeks,
    make_invoke,
    make_policy_verb,
)
from replay_support import FakeDaemon, make_request, read_policy

from stepupd.store import past_log
from stepupd.store.past_log import Task, replay_log
from stepupd.store.toml_files import parse_document

MARKUP = '<script>alert(1)</script>"&\x1b[31m\u202e'


@pytest.fixture
def invoke(capsys, monkeypatch, tmp_path):
    return make_invoke(capsys, monkeypatch, tmp_path)


@pytest.fixture
def policy(invoke, tmp_path):
    return make_policy_verb(invoke, tmp_path)


@pytest.fixture
def daemon():
    return live_for_weeks()


@pytest.fixture
def log(daemon, tmp_path):
    path = tmp_path / "audit.log"
    path.write_bytes(daemon.log)
    return path


def test_replay_compares_then_and_now(policy, log):
    code, out, err = policy("replay", "--candidate", "it.toml", "--log", str(log), it=NOW)

    assert (code, err) == (0, "")
    assert "141 requests of 1 person." in out
    assert "prompts" in out.splitlines()[4]
    assert "newly caught 1, newly missed 0" in out
    assert "touch -> verify" in out
    assert max(map(len, out.splitlines()[1:])) <= 80


def test_replaying_what_is_installed_shows_no_difference(policy, log):
    document = json.loads(
        policy("replay", "--candidate", "it.toml", "--log", str(log), "--json", it=THEN)[1]
    )

    assert document["differences"] == 0
    assert document["prompts"] == {"before": 71, "after": 71}


def test_replay_says_where_nothing_was_observed(policy, tmp_path):
    """Under a policy without risk the log tells of no circumstances."""
    bare = FakeDaemon(read_policy(THEN))
    bare.ask(make_request(), HERE)
    (tmp_path / "bare").write_bytes(bare.log)
    arguments = ("replay", "--candidate", "it.toml", "--log", str(tmp_path / "bare"))

    assert "Of 1 request no circumstances were recorded" in policy(*arguments, it=NOW)[1]
    assert "circumstances" not in policy(*arguments, it=THEN)[1]


def test_replay_counts_only_what_came_since(policy, log, daemon):
    """What came before still teaches."""
    since = json.loads(daemon.lines[-1])["time"]
    code, out, _ = policy(
        "replay", "--candidate", "it.toml", "--log", str(log), "--since", since, "--json", it=NOW
    )

    document = json.loads(out)
    assert (code, document["requests"], document["risky"]["newly_caught"]) == (0, 1, 1)


def test_lines_that_cannot_be_read_are_damage(policy, log):
    """Replayed all the same, and said."""
    log.write_bytes(log.read_bytes() + b"{broken\n")
    code, out, err = policy("replay", "--candidate", "it.toml", "--log", str(log), it=NOW)

    assert code == 9
    assert "141 requests" in out
    assert "cannot be read" in err


def test_an_empty_log_replays_to_nothing(policy, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    code, out, _ = policy(
        "replay", "--candidate", "it.toml", "--log", str(tmp_path / "empty"), it=NOW
    )

    assert (code, "No request in that time." in out) == (0, True)


def test_two_processes_find_what_one_does(log, daemon):
    """Subjects do not depend on each other."""
    for _ in range(20):
        daemon.ask(make_request("bob"), HERE)
        daemon.wait(3000)
    log.write_bytes(daemon.log)
    task = Task(log, (parse_document("it.toml", NOW.encode()),), lowest=30)
    one, two = replay_log(task, 1), replay_log(task, 2)

    assert (one.people, one.met, one.bare) == (two.people, two.met, two.bare)
    assert (one.caught, one.entries, one.policies) == (two.caught, two.entries, two.policies)
    assert [row.seq for row in one.better] == [row.seq for row in two.better]


def test_where_everybody_counts_one_process_sees_everybody(log, monkeypatch):
    """A subject's likelihood rests on what is usual for all."""
    text = NOW.replace("[risk]\n", '[risk]\nscore = "likelihood"\n')
    task = Task(log, (parse_document("it.toml", text.encode()),), lowest=30)
    monkeypatch.setattr(past_log, "ProcessPoolExecutor", None)

    assert replay_log(task, 2).requests == 141


class Reader(html.parser.HTMLParser):
    """Collects what a page is made of."""

    def __init__(self):
        super().__init__()
        self.tags = set()
        self.attributes = set()
        self.text = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def page(policy, daemon, log, tmp_path):
    """Make the page of a log and a policy whose names are markup."""
    subject = daemon.lines[0].replace(b'"ada"', json.dumps(MARKUP).encode())
    action = daemon.lines[-1].replace(b'"pam:sudo"', json.dumps(f"pam:{MARKUP}").encode())
    log.write_bytes(b"\n".join([subject, *daemon.lines[1:-1], action, b""]))
    named = NOW.replace('name = "sudo"', "name = '<b onload=\"x\">&amp;'")
    out = tmp_path / "<i>page.html"
    code, _, _ = policy(
        "replay", "--candidate", "it.toml", "--log", str(log), "--html", str(out), it=named
    )
    assert code == 0
    return out.read_text()


def test_attack_names_with_markup_stay_text(page):
    """No name from the log or a policy becomes part of the page; nothing hides or reorders."""
    reader = Reader()
    reader.feed(page)

    assert reader.tags <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "br", "span", "b",
        "div", "table", "thead", "tbody", "tr", "th", "td", "svg", "g", "rect", "line", "text",
    }  # fmt: skip
    assert not any(name.startswith("on") or name in {"href", "src"} for name in reader.attributes)
    assert any("<script>alert(1)</script>" in text for text in reader.text)
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_the_page_is_whole_in_itself(page):
    """It loads nothing and runs nothing, and tells the browser so."""
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert "url(" not in page
    assert page.count("<svg") == 2
    assert len(page) < 200_000


def test_the_plots_say_what_their_axes_show(page):
    """And the colours have a key at each of them."""
    for name in ("day", "prompts of everybody", "prompts in a day", "days of a person"):
        assert f">{name}</text>" in page
    assert page.count(">under the candidate</span>") == 2


def test_the_page_is_made_for_dark_rooms_too(page):
    """Every ink that is set for light is set for dark, and paper is always light."""
    light, dark = re.findall(r":root \{(.*?)\}", page, re.DOTALL)

    assert set(re.findall(r"--\w+(?=:)", light)) == set(re.findall(r"--\w+(?=:)", dark))
    assert "@media screen and (prefers-color-scheme: dark)" in page


def test_days_without_a_request_have_their_place(policy, tmp_path):
    """A gap in time is a gap in the plot; of a long log, it shows the newest and says so."""
    daemon = FakeDaemon(read_policy(THEN))
    for days in (0, 9, 200):
        daemon.wait(days * 86400)
        daemon.ask(make_request(), HERE)
    (tmp_path / "gaps").write_bytes(b"\n".join([*daemon.lines[:2], b""]))
    (tmp_path / "long").write_bytes(daemon.log)
    pages = []
    for name in ("gaps", "long"):
        arguments = ["--candidate", "it.toml", "--log", str(tmp_path / name)]
        policy("replay", *arguments, "--html", str(tmp_path / "page"), it=NOW)
        pages.append((tmp_path / "page").read_text().partition("<h2>Days of a person")[0])

    assert [page.count("<title>") - 1 for page in pages] == [10, 120]
    assert ["The last 120 days." in page for page in pages] == [False, True]


def test_since_leaves_out_and_still_teaches(log):
    """Each request is met as in a replay of the whole log: the days that are left are the same."""
    task = Task(log, (parse_document("it.toml", NOW.encode()),), lowest=30)
    whole = replay_log(task, 1)
    middle = sorted(whole.list_days())[17]
    late = replay_log(replace(task, since=f"{middle}T00:00:00Z"), 1)

    assert late.list_days() == {d: n for d, n in whole.list_days().items() if d >= middle}
    assert (late.caught, late.missed, late.risky) == (whole.caught, 0, 1)
    assert 0 < late.requests < whole.requests


def test_a_page_that_cannot_be_written_is_said(policy, log):
    code, _, err = policy(
        "replay", "--candidate", "it.toml", "--log", str(log), "--html", "/nonexistent/x", it=NOW
    )

    assert code == 2
    assert "/nonexistent/x" in err
