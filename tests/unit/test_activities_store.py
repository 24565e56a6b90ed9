"""What subjects did lately, and alerts: bounded, kept where it matters, never lost quietly."""

import json
import threading
from dataclasses import replace

import pytest

from stepupd.core.errors import ConfigError, InternalError
from stepupd.core.model import Moment
from stepupd.core.risk.activity import MAX_EVENTS, WINDOW, Activity, Alert, Event
from stepupd.core.risk.alerts import DAY
from stepupd.store import activities
from stepupd.store.activities import MOST_SUBJECTS, ActivityStore

NOW = Moment(1_790_000_000.0, 5000.0, "b" * 36)
ATTACKED = Alert("risk-level-change", "many wrong passwords", NOW.boot + 600)


def later(seconds):
    return replace(NOW, wall=NOW.wall + seconds, boot=NOW.boot + seconds)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "alerts"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def store(folder):
    made = ActivityStore(folder, NOW)
    yield made
    made.close()


def reopen(folder, now=NOW):
    opened = ActivityStore(folder, now)
    opened.close()
    return opened


def test_nothing_is_known_of_a_stranger(store):
    assert store.find(1000, NOW) == Activity()


def test_the_last_hour_is_known_oldest_first(store):
    first, second = Event(NOW.boot, "pam:sudo", True), Event(NOW.boot + 9, "cli:x", False)
    store.remember(1000, first)
    store.remember(1000, second)

    assert store.find(1000, later(10)).events == (first, second)
    assert store.find(1000, later(WINDOW)).events == (second,)
    assert store.find(1000, later(WINDOW + 9)).events == ()
    assert store.find(1001, later(10)).events == ()


def test_one_subject_cannot_fill_the_memory(store):
    for index in range(MAX_EVENTS + 10):
        store.remember(1000, Event(NOW.boot + index / 100, "cli:x", True))

    assert len(store.find(1000, later(10)).events) == MAX_EVENTS


def test_many_subjects_cannot_either(store):
    """Whoever asked longest ago gives way, but for his alerts."""
    store.alert(0, ATTACKED, NOW)
    for uid in range(MOST_SUBJECTS):
        store.remember(uid, Event(NOW.boot, "cli:x", True))
    store.remember(0, Event(NOW.boot + 1, "cli:x", True))
    for uid in range(MOST_SUBJECTS, MOST_SUBJECTS + 5):
        store.remember(uid, Event(NOW.boot + 2, "cli:x", True))

    known = [uid for uid in range(MOST_SUBJECTS + 5) if store.find(uid, later(3)).events]
    assert known == [0, *range(6, MOST_SUBJECTS + 5)]
    for uid in range(MOST_SUBJECTS, 2 * MOST_SUBJECTS):
        store.remember(uid, Event(NOW.boot + 3, "cli:x", True))
    assert store.find(0, later(4)) == Activity((), (ATTACKED,))


def test_an_alert_holds_until_its_time(store, folder):
    store.alert(1000, ATTACKED, NOW)

    assert store.find(1000, later(599)).alerts == (ATTACKED,)
    assert store.find(1001, later(599)).alerts == ()
    assert store.find(1000, later(600)).alerts == ()
    assert list(folder.iterdir()) == []


def test_an_alert_survives_a_restart(store, folder):
    """A daemon that is made to crash does not forget that somebody is under attack."""
    store.alert(1000, ATTACKED, NOW)
    store.remember(1000, Event(NOW.boot, "cli:x", True))

    assert reopen(folder, later(60)).find(1000, later(60)) == Activity((), (ATTACKED,))
    assert reopen(folder, later(600)).find(1000, later(600)) == Activity()


def test_an_alert_does_not_survive_the_boot(store, folder):
    """Its time is that of the boot clock, which begins anew."""
    store.alert(1000, ATTACKED, NOW)

    assert reopen(folder, replace(NOW, boot_id="c" * 36)).find(1000, NOW) == Activity()
    assert list(folder.iterdir()) == []


def test_only_root_ends_an_alert(store, folder):
    ended = replace(ATTACKED, until=NOW.boot)
    store.alert(1000, ATTACKED, NOW)
    store.alert(1000, ended, NOW)
    assert store.find(1000, NOW).alerts == (ATTACKED,)

    store.alert(1000, ended, NOW, may_shorten=True)

    assert store.find(1000, NOW).alerts == ()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 5000,
        b'{"boot_id":"x","alerts":[{}]}',
        json.dumps({"boot_id": NOW.boot_id, "alerts": [], "more": 1}).encode(),
        json.dumps({"boot_id": NOW.boot_id, "alerts": []}).encode() + b" " * 65536,
    ],
    ids=lambda content: str(content[:30]),
)
def test_a_damaged_file_counts_as_an_alert(folder, content):
    """What it warned of is not known; reading it as nothing would make everything look well."""
    (folder / "1000.alerts").write_bytes(content)

    (alert,) = reopen(folder).find(1000, NOW).alerts

    assert alert.until == NOW.boot + DAY
    assert "damaged" in alert.reason


def test_a_link_is_not_followed(folder, tmp_path):
    (tmp_path / "elsewhere").write_bytes(json.dumps({"boot_id": "x", "alerts": []}).encode())
    (folder / "1000.alerts").symlink_to(tmp_path / "elsewhere")

    assert len(reopen(folder).find(1000, NOW).alerts) == 1


@pytest.mark.parametrize(
    "name", [".1000.alerts.new", "x.alerts", "-1.alerts", "01.alerts", "1000", "99999999999.alerts"]
)
def test_what_is_no_file_of_ours_is_swept_away(folder, name):
    (folder / name).write_bytes(b"x")

    reopen(folder)

    assert list(folder.iterdir()) == []


def test_an_alert_that_cannot_be_written_holds_nevertheless(store, folder):
    """The caller hears that it would not survive a restart."""
    (folder / ".1000.alerts.new").mkdir()

    with pytest.raises(InternalError) as failed:
        store.alert(1000, ATTACKED, NOW)

    assert failed.value.reason == "store-unavailable"
    assert store.find(1000, NOW).alerts == (ATTACKED,)


def test_no_alert_gives_way_to_another(store, monkeypatch):
    """Where there are too many, the new one is refused, unless others have ended by then."""
    monkeypatch.setattr(activities, "MOST_ALERTED", 2)
    store.alert(1, ATTACKED, NOW)
    store.alert(2, ATTACKED, NOW)
    store.alert(2, replace(ATTACKED, kind="credential-change"), NOW)

    with pytest.raises(InternalError):
        store.alert(3, ATTACKED, NOW)
    assert store.find(1, NOW).alerts == (ATTACKED,)
    store.alert(3, replace(ATTACKED, until=NOW.boot + 1000), later(600))
    assert len(store.find(3, later(600)).alerts) == 1


def test_a_directory_of_others_is_refused(folder):
    folder.chmod(0o777)
    with pytest.raises(ConfigError):
        ActivityStore(folder, NOW)
    folder.rmdir()
    with pytest.raises(InternalError):
        ActivityStore(folder, NOW)


def test_many_threads(store):
    """Nothing is lost where requests end and alerts come at the same time."""

    def work(uid):
        for index in range(50):
            store.remember(uid % 3, Event(NOW.boot + index / 1000, f"cli:{uid}", True))
            store.alert(uid, replace(ATTACKED, until=NOW.boot + 600 + index), NOW)
            store.find(uid, NOW)

    threads = [threading.Thread(target=work, args=(uid,)) for uid in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(store.find(uid, NOW).events) for uid in range(3)] == [100, 100, 100]
    assert [store.find(uid, NOW).alerts[0].until for uid in range(6)] == [NOW.boot + 649] * 6
