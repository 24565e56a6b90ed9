"""Looking around a request: real processes, and only what is wanted."""

import os
import shutil
import subprocess
import sys
import threading

import pytest
from circumstances_support import (
    AT_THE_DESK,
    NOW,
    Sessions,
    chain_of_shells,
    make_circumstances,
    make_proc,
    make_request,
)
from mmdb_support import write_mmdb

from stepupd.core.errors import InternalError
from stepupd.core.model import Door
from stepupd.core.risk.asker import Asker, find_asker
from stepupd.core.risk.facts import Advice, Facts, Observer
from stepupd.core.risk.ssh_auth import UNKNOWN_KEY
from stepupd.host.geo import GeoDatabase
from stepupd.host.logins import Belonging, Login
from stepupd.host.programs import MAX_DEPTH, read_programs
from stepupd.host.source import UNKNOWN_SOURCE


def observe(*wanted, request=None, **changes):
    return make_circumstances(**changes).observe(request or make_request(), frozenset(wanted), NOW)


def test_a_chain_of_real_processes_is_read_to_its_end():
    """Pins names, order and end: the program, its shells, us, and on to the first process."""
    with chain_of_shells(3) as pid:
        programs = read_programs(pid)

    own = read_programs(os.getpid())
    assert programs[0].startswith("python")
    assert programs[1 : -len(own)] == ("sh",) * (len(programs) - len(own) - 1)
    assert len(programs) - len(own) >= 4
    assert programs[-len(own) :] == own


@pytest.fixture
def long_named(short_path):
    """Start a program whose name is longer than the kernel keeps, and delete its file; its pid."""
    program = short_path / "a-program-of-twenty-five"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "600"]) as running:
        program.unlink()
        yield running.pid
        running.kill()


def test_a_file_names_its_program_after_it_is_deleted(long_named):
    """Pins the file over the short name, where the kernel lets us see the file."""
    assert read_programs(long_named)[0] == "a-program-of-twenty-five"


def test_without_privileges_a_program_has_its_short_name(long_named):
    """Pins what the daemon's own account sees of others' programs: all of the chain, cut names."""
    code = (
        "import os; from stepupd.host.programs import *; os.setgid(1); os.setuid(1);"
        f"print(*read_programs({long_named}), sep=chr(10))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    names = done.stdout.splitlines()
    assert names[0] == "a-program-of-tw"
    assert len(names) == len(read_programs(long_named))


def test_a_script_has_the_name_it_gives_itself():
    """Pins that an interpreter's file, which says nothing, does not hide an agent."""
    code = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'claude', 0, 0, 0);"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as agent:
        agent.stdout.readline()
        programs = read_programs(agent.pid)
        agent.stdin.close()

    assert programs[0] == "claude"
    assert find_asker(programs, "pts/0") is Asker.AGENT


@pytest.mark.parametrize("name", ["a) S 1 (b", "((", "))", " ", "\\", "x\n7 (y) S 1"])
def test_no_name_breaks_the_line_it_stands_in(tmp_path, name):
    proc = make_proc(tmp_path, {7: (name, 1, 50), 1: ("init", 0, 1)})

    assert read_programs(7, proc) == (name, "init")


def test_a_name_that_is_no_text_is_still_one(tmp_path):
    """Pins that names reach the log as text that can be encoded."""
    stat = b"7 (\xff\x80) S 0 " + b"0 " * 17 + b"50 0\n"

    assert read_programs(7, make_proc(tmp_path, {7: stat})) == ("\\xff\\x80",)


@pytest.mark.parametrize(
    "processes",
    [
        {},
        {7: ("sudo", 6, 50)},
        {7: ("sudo", 6, 50), 6: ("bash", 0, 51)},
        {7: ("sudo", 7, 50)},
        {7: ("sudo", 6, 50), 6: ("bash", 7, 50)},
        {7: ("sudo", -1, 50)},
        {7: b""},
        {7: b"7 (sudo) S 0"},
        {7: b"7 sudo S 0 " + b"0 " * 20},
        {7: b"7 )sudo( S 0 " + b"0 " * 20},
        {7: ("sudo", 6, 50), 6: b"\x00" * 100},
    ],
)
def test_a_chain_that_is_not_whole_is_an_error(tmp_path, processes):
    """Gone, reused (a parent younger than its child), a circle, or junk: never a shorter chain."""
    with pytest.raises(InternalError):
        read_programs(7, make_proc(tmp_path, processes))


def test_a_process_that_is_replaced_meanwhile_is_read_anew(tmp_path):
    """Pins that names of a process that is gone do not count for the one that has its number."""
    proc = make_proc(tmp_path / "proc", {7: ("old", 1, 50), 1: b""})
    later = make_proc(tmp_path / "later", {7: ("new", 1, 60), 1: ("init", 0, 1)})
    (proc / "1" / "stat").unlink()
    os.mkfifo(proc / "1" / "stat")

    def replace():
        with (proc / "1" / "stat").open("wb") as pipe:  # opens once somebody reads: 7 was read
            init = (later / "1" / "stat").read_bytes()
            for pid in ("7", "1"):
                (later / pid / "stat").replace(proc / pid / "stat")
            pipe.write(init)

    replacing = threading.Thread(target=replace)
    replacing.start()
    programs = read_programs(7, proc)
    replacing.join()

    assert programs == ("new", "init")


@pytest.mark.parametrize("pid", [0, -1])
def test_nobody_has_no_chain(pid):
    with pytest.raises(InternalError):
        read_programs(pid)


def test_a_chain_deeper_than_the_limit_is_an_error(tmp_path):
    """Nobody hides who asks behind a pile of shells."""
    deepest = {pid: ("sh", pid - 1, pid) for pid in range(1, MAX_DEPTH + 1)}
    proc = make_proc(tmp_path, deepest | {MAX_DEPTH + 1: ("sh", MAX_DEPTH, 99)})

    assert len(read_programs(MAX_DEPTH, proc)) == MAX_DEPTH
    with pytest.raises(InternalError):
        read_programs(MAX_DEPTH + 1, proc)


def test_only_what_is_wanted_is_asked():
    """Pins that a policy without signals costs no look anywhere."""

    class Untouchable:
        def __getattr__(self, name):
            raise AssertionError(name)

    facts = observe(sessions=Untouchable(), since_resume=None, find_spot=Untouchable())

    assert facts == Facts(hour=facts.hour, weekday=facts.weekday)


def test_the_hour_is_the_machines_own():
    """Pins the local day, by a daemon in a zone five hours behind."""
    code = (
        "from stepupd.host.circumstances import Circumstances as C;"
        "from stepupd.core.model import Moment;"
        "f = C(None, None).observe(None, frozenset(), Moment(1_700_000_000, 1, ''));"
        "print(f.hour, f.weekday)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"TZ": "EST5"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["17", "1"]  # Tuesday, 14 November 2023, 22:13 UTC


def test_everything_is_seen_at_once(tmp_path):
    entry = {"country": {"iso_code": "DE"}, "location": {"latitude": 52.0, "longitude": 13.0}}
    database = GeoDatabase(write_mmdb(tmp_path / "g", {"5.1.0.0/16": entry}))
    ssh = Belonging(session=Login("7", is_remote=True, remote_host="::ffff:5.1.2.3"))

    facts = observe(
        *Observer,
        sessions=Sessions(ssh),
        since_resume=lambda now: now.boot - 4990,
        find_spot=database.find,
    )
    database.close()

    assert (facts.source, facts.country, facts.latitude) == ("5.1.2.3", "DE", 52.0)
    assert facts.programs == read_programs(os.getpid())
    assert facts.since_resume == 10
    assert facts.is_active is facts.is_locked is None  # it has no seat
    assert facts.missing == frozenset()


def test_a_country_needs_no_database():
    """Pins that without one a country is unknown, which is no failure."""
    facts = observe(Observer.GEO, request=make_request(uid=0, door=Door.RELAY, rhost="203.0.113.9"))

    assert (facts.source, facts.country, facts.missing) == ("203.0.113.9", "", frozenset())


def test_the_seat_is_that_of_the_session_or_of_the_desktop():
    desktop = Belonging(display=Login("3", has_seat=True, is_active=False))

    own = observe(Observer.SEAT, sessions=Sessions(AT_THE_DESK, is_locked=True))
    other = observe(Observer.SEAT, sessions=Sessions(desktop))
    none = observe(Observer.SEAT, sessions=Sessions(Belonging(unit="cron.service")))

    assert (own.is_active, own.is_locked) == (True, True)
    assert (other.is_active, other.is_locked) == (False, False)
    assert (none.is_active, none.is_locked, none.missing) == (None, None, frozenset())


def test_what_root_says_of_a_login_needs_no_logind():
    """Pins sshd's own PAM stack: there is no session yet."""

    class Absent:
        def find(self, _):
            raise InternalError("no logind")

    login = make_request(uid=0, door=Door.RELAY, rhost="203.0.113.9")

    assert observe(Observer.SOURCE, request=login, sessions=Absent()).source == "203.0.113.9"
    local = observe(Observer.SOURCE, sessions=Absent())
    assert (local.source, local.missing) == (UNKNOWN_SOURCE, {Observer.SOURCE})


def test_the_ssh_key_is_what_the_request_carries():
    login = make_request(uid=0, door=Door.RELAY, rhost="203.0.113.9", ssh_key="SHA256:abc")

    seen = observe(Observer.SOURCE, request=login)

    assert (seen.source, seen.ssh_key) == ("203.0.113.9", "SHA256:abc")
    assert observe(Observer.SEAT, request=login).ssh_key == ""
    assert observe(Observer.SOURCE).ssh_key == ""


def test_a_key_that_cannot_be_read_is_a_source_that_was_not_seen():
    """It never looks like a login without a key: the signals of the source count in full."""
    login = make_request(uid=0, door=Door.RELAY, rhost="203.0.113.9", ssh_key=UNKNOWN_KEY)

    seen = observe(Observer.SOURCE, request=login)

    assert (seen.missing, seen.source, seen.ssh_key) == ({Observer.SOURCE}, UNKNOWN_SOURCE, "")


class Says:
    def __init__(self, name, score):
        self.name, self.score, self.heard = name, score, None

    def advise(self, question):
        self.heard = question
        return Advice(self.name, self.score, "because")


def test_advisers_hear_what_was_seen():
    one, two = Says("one", 10), Says("two", 90)

    facts = observe(Observer.PROGRAMS, Observer.ADVICE, advisers=(one, two))

    assert [advice.score for advice in facts.advice] == [10, 90]
    assert one.heard["programs"] == list(read_programs(os.getpid()))
    assert facts.missing == frozenset()


def test_many_may_look_around_at_once():
    """Pins that observers are safe from any thread."""
    circumstances, seen = make_circumstances(), []

    def look():
        seen.append(circumstances.observe(make_request(), frozenset(Observer), NOW).missing)

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 6
