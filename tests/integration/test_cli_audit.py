"""`stepup audit` on logs that the daemon's own code wrote, intact and damaged."""

import json
import signal
import subprocess
import sys

import audit_support as audit
import cli_support as support
import pytest
from audit_support import Site

from stepup.app import run


@pytest.fixture
def site(tmp_path):
    """Write a log of four entries: an enrolment, a grant, a proof, another grant."""
    found = Site(tmp_path)
    key = audit.Key()
    found.write([audit.enrol(key), audit.grant(1), audit.prove(key), audit.grant(2)])
    return found


@pytest.fixture
def invoke(site, capsys):
    """Run `stepup audit` on the site's log."""

    def call(*arguments, log=None):
        capsys.readouterr()
        code = run(["audit", *arguments, "--log", str(log or site.log)])
        return code, *capsys.readouterr()

    return call


def verify(site, *more):
    return ["verify", "--checkpoint", str(site.checkpoint), "--jobs", "1", *more]


def test_show_prints_one_line_for_each_entry(invoke):
    """Number, kind, verdict, who and what; claimed commands as claimed."""
    code, out, err = invoke("show")

    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3"]
    assert lines[1].endswith("step-up    allow (grant) ada pam:sudo $ systemctl restart db1")


def test_one_entry_is_shown_in_full(invoke, site):
    """As JSON, nothing left out."""
    code, out, _ = invoke("show", "2")

    assert code == 0
    assert json.loads(out) == site.entries()[2]


@pytest.mark.parametrize(
    ("arguments", "seqs"),
    [
        (["--kind", "enrol"], [0]),
        (["--kind", "nothing"], []),
        (["--since", "1h"], [0, 1, 2, 3]),
        (["--since", "9990-01-01T00:00:00Z"], []),
    ],
)
def test_entries_are_chosen_by_kind_and_time(invoke, arguments, seqs):
    """With --json as one document, a list."""
    code, out, _ = invoke("show", "--json", *arguments)

    assert code == 0
    assert [entry["seq"] for entry in json.loads(out)] == seqs


def test_an_entry_that_is_not_there_is_wrong_usage(invoke):
    """Nothing on stdout."""
    assert invoke("show", "99")[:2] == (2, "")


def test_tail_shows_the_end(invoke):
    """As many as asked for; one JSON document a line."""
    assert [line.split()[0] for line in invoke("tail", "-n", "2")[1].splitlines()] == ["2", "3"]
    assert invoke("tail", "-n", "0")[1] == ""
    shown = invoke("tail", "-n", "3", "--json")[1].splitlines()
    assert [json.loads(line)["seq"] for line in shown] == [1, 2, 3]


def test_a_line_that_cannot_be_read_is_shown_as_such(invoke, site):
    """Reading on is more use than stopping; the status says that something is wrong."""
    lines = site.lines()
    site.log.write_bytes(lines[0] + b"\xff garbage\n" + lines[2])

    code, out, err = invoke("show")

    assert code == 9
    assert "cannot be read" in out.splitlines()[1]
    assert "stepup audit verify" in err


def test_an_intact_log_verifies(invoke, site):
    """Status 0, and what was checked."""
    code, out, err = invoke(*verify(site))

    assert (code, err) == (0, "")
    assert out == "The audit log is intact: 4 entries, 1 signature of a key.\n"


def test_a_changed_entry_is_damage(invoke, site):
    """Status 9, with the line and the reason, on stderr."""
    site.log.write_bytes(site.log.read_bytes().replace(b'"db1"', b'"db9"'))

    code, out, err = invoke(*verify(site))

    assert (code, out) == (9, "")
    assert err.startswith("stepup: error: the audit log is damaged")


def test_a_lost_tail_is_damage(invoke, site):
    """The checkpoint knows how long the log was."""
    site.log.write_bytes(b"".join(site.lines()[:-1]))

    assert invoke(*verify(site))[0] == 9


def test_the_report_as_json(invoke, site):
    """One document, intact or not; the fault names its line."""
    code, out, _ = invoke(*verify(site, "--json"))
    assert (code, json.loads(out)["is_intact"]) == (0, True)

    site.log.write_bytes(b"".join(site.lines()[1:]))
    code, out, _ = invoke(*verify(site, "--json"))
    assert code == 9
    assert json.loads(out)["fault"]["line"] == 1


def test_an_anchor_finds_a_log_that_was_written_anew(invoke, site, tmp_path):
    """Even if log, checkpoint and all were replaced by whoever holds the signing key."""
    anchor = tmp_path / "anchor"
    anchor.write_text(site.note)
    assert "agrees with 1 anchor" in invoke(*verify(site, "--anchor", str(anchor)))[1]

    for path in (site.log, site.checkpoint):
        path.unlink()
    site.write([audit.grant(3)])
    assert invoke(*verify(site))[0] == 0
    assert invoke(*verify(site, "--anchor", str(anchor)))[0] == 9


def test_a_checkpoint_of_another_key_is_damage(invoke, site, tmp_path):
    """Nothing in it was signed by the key that was named."""
    other = Site(tmp_path / "other")
    other.write([audit.grant()])

    key = str(other.log.with_suffix(".vkey"))
    assert invoke(*verify(site, "--key", key))[0] == 9


@pytest.mark.parametrize("missing", ["log", "checkpoint", "key", "anchor"])
def test_a_missing_file_is_named(invoke, site, tmp_path, missing):
    """And is no verdict on the log."""
    gone = tmp_path / "gone"
    arguments = [] if missing == "log" else [f"--{missing}", str(gone)]
    if missing == "log":
        site.log.rename(gone)

    code, out, err = invoke(*verify(site, *arguments))

    assert (code, out) != (0, "")
    assert code in (2, 10)
    assert str(site.log if missing == "log" else gone) in err


def test_a_log_that_may_not_be_read_is_8(site):
    """To an ordinary user of the machine it says so, and who may."""
    site.log.chmod(0)
    program = (
        "import os, sys\n"
        "from stepup.app import run\n"
        "os.getuid() or os.setuid(65534)\n"
        "sys.exit(run(['audit', 'show', '--log', sys.argv[1]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, site.log], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (8, "")
    assert "hint: run this as root" in done.stderr


def test_following_shows_what_is_written_later(site):
    """Until Ctrl-C, which is 5."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stepup", "audit", "tail", "-f", "-n", "1", "--log", site.log],
        stdout=subprocess.PIPE,
        text=True,
        env=support.make_environment("/nonexistent"),
    )
    with process:
        first = process.stdout.readline()
        site.write([audit.grant(7)])
        second = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        code = process.wait(60)

    assert [first.split()[0], second.split()[0]] == ["3", "4"]
    assert code == 5
