"""Profiles on disk: kept, sealed, and empty rather than wrong."""

from msgspec.structs import replace

from stepupd.core.risk.profile import Feature, Profile, Sighting, Whereabouts, make_stranger
from stepupd.store.profiles import CROWD, ProfileStore

KEY = b"p" * 32
LEARNED = Profile(
    1000,
    {Feature.SOURCE: {"203.0.113.9": Sighting(2.5, 200.0, 100.0)}},
    requests=3.0,
    hourly=1.5,
    at=200.0,
    last=Whereabouts("203.0.113.9", "NO", 59.9, 10.7, 200.0),
    proved=150.0,
)


def _open(folder, key=KEY):
    folder.mkdir(mode=0o700, exist_ok=True)
    return ProfileStore(folder, key)


def test_what_was_kept_is_found_after_a_restart(tmp_path):
    """Also what came within a minute of the last write, once the store was closed."""
    store = _open(tmp_path / "p")
    store.keep(LEARNED)
    later = replace(LEARNED, requests=4.0)
    store.keep(later)
    assert _open(tmp_path / "p").find(1000) == LEARNED
    store.close()

    assert _open(tmp_path / "p").find(1000) == later


def test_nobody_and_everybody_have_profiles_of_their_own(tmp_path):
    """An account that is not known has an empty one; the crowd's belongs to no account."""
    store = _open(tmp_path / "p")
    store.keep(LEARNED)

    assert store.find(1001) == Profile(1001)
    assert store.find_crowd() == Profile(CROWD)


def test_a_profile_that_was_forgotten_is_gone(tmp_path):
    """From memory and from the disk; what is left says only that everything is new."""
    store = _open(tmp_path / "p")
    store.keep(LEARNED)
    store.keep(LEARNED)
    store.forget(1000)
    store.close()

    assert store.find(1000) == make_stranger(1000)
    assert _open(tmp_path / "p").find(1000) == make_stranger(1000)
    assert b"203.0.113.9" not in (tmp_path / "p" / "1000.profile").read_bytes()


def test_a_damaged_or_borrowed_profile_is_a_strangers(tmp_path, caplog):
    """Flipped, cut, sealed under another key, or another subject's: everything is new."""
    folder = tmp_path / "p"
    _open(folder).keep(LEARNED)
    file = folder / "1000.profile"
    good = file.read_bytes()
    (folder / "1001.profile").write_bytes(good)
    (folder / "1001.profile").chmod(0o600)

    assert _open(folder).find(1001) == make_stranger(1001)
    assert _open(folder, b"q" * 32).find(1000) == make_stranger(1000)
    for bad in (b"", good[:-1], good[:40] + bytes([good[40] ^ 1]) + good[41:]):
        file.write_bytes(bad)
        assert _open(folder).find(1000) == make_stranger(1000)
    assert "is lost" in caplog.text
