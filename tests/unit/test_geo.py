"""Where an address is: not knowing is an answer, a database that lies is an error."""

import os
import re

import pytest
from mmdb_support import encode, write_mmdb

from stepupd.core.errors import ConfigError, InternalError
from stepupd.host.countries import _TABLE, find_middle, read_middles
from stepupd.host.geo import GeoDatabase, Spot, read_spot
from stepupd.store.configuration import load_settings

BERLIN = {
    "country": {"iso_code": "DE"},
    "location": {"latitude": 52.52, "longitude": 13.4, "accuracy_radius": 20},
}
FRANCE = {"country": {"iso_code": "FR"}}
NETWORKS = {"5.1.0.0/16": BERLIN, "2a00:1234::/32": FRANCE, "10.0.0.0/8": FRANCE}


@pytest.fixture
def path(tmp_path):
    return write_mmdb(tmp_path / "places.mmdb", NETWORKS)


@pytest.fixture
def database(path):
    opened = GeoDatabase(path)
    yield opened
    opened.close()


def test_a_city_is_found(database):
    assert database.find("5.1.2.3") == Spot("DE", 52.52, 13.4, 20.0)


def test_a_country_stands_for_its_middle(database):
    """Pins that a database without cities gives coordinates all the same, and their reach."""
    spot = database.find("2a00:1234::1")

    assert spot == Spot("FR", *find_middle("FR"))
    assert spot.radius > 300


@pytest.mark.parametrize(
    "source",
    ["10.1.2.3", "127.0.0.1", "::1", "192.168.1.1", "100.64.0.1", "fe80::1", "fd00::1", "::"],
)
def test_an_address_that_is_nowhere_is_unknown(database, source):
    """No error, whatever a database claims of it."""
    assert database.find(source) == Spot()


@pytest.mark.parametrize("source", ["5.2.0.1", "2a00:1235::1"])
def test_an_address_that_is_not_listed_is_unknown(database, source):
    assert database.find(source) == Spot()


def test_a_database_of_old_addresses_knows_no_new_ones(tmp_path):
    opened = GeoDatabase(write_mmdb(tmp_path / "v4", {"5.1.0.0/16": BERLIN}, version=4))

    assert opened.find("2a00:1234::1") == Spot()
    assert opened.find("5.1.2.3").country == "DE"
    opened.close()


def test_a_new_database_is_read_without_a_restart(database, path, tmp_path):
    """Pins that what takes the file's place counts from the next request on."""
    assert database.find("5.1.2.3").country == "DE"

    write_mmdb(tmp_path / "new", {"5.1.0.0/16": FRANCE})
    (tmp_path / "new").replace(path)

    assert database.find("5.1.2.3").country == "FR"


def test_a_database_that_is_gone_or_broken_is_an_error_until_it_is_back(database, path):
    """Pins that a failure is told each time, and is not forever."""
    good = path.read_bytes()
    path.unlink()
    with pytest.raises(InternalError):
        database.find("5.1.2.3")

    path.write_bytes(b"not a database")
    with pytest.raises(InternalError):
        database.find("5.1.2.3")

    path.write_bytes(good)
    assert database.find("5.1.2.3").country == "DE"


@pytest.mark.parametrize("content", [b"", b"\xab\xcd\xefMaxMind.com", b"x" * 5000])
def test_what_is_no_database_is_the_administrators_error(tmp_path, content):
    path = tmp_path / "junk.mmdb"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="no MaxMind DB file"):
        GeoDatabase(path)


def test_a_pipe_is_no_database(tmp_path):
    """Pins that opening does not wait for whoever writes."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ConfigError, match="is not a file"):
        GeoDatabase(tmp_path / "pipe")


def test_every_cut_and_every_flipped_byte_is_an_answer_or_an_error(tmp_path, path):
    """Pins that nothing but a place or one of our errors comes of a damaged file."""
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    damaged += [
        whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(0, len(whole), 23)
    ]
    broken = tmp_path / "broken.mmdb"
    seen = set()
    for content in damaged:
        broken.write_bytes(content)
        try:
            opened = GeoDatabase(broken)
        except ConfigError:
            seen.add("load")
            continue
        try:
            opened.find("5.1.2.3")
            opened.find("2a00:1234::1")
            seen.add("found")
        except InternalError:
            seen.add("look")
        finally:
            opened.close()

    assert seen == {"load", "found", "look"}


@pytest.mark.parametrize(
    "found",
    [
        [],
        "DE",
        {"country": {"iso_code": "de"}},
        {"country": {"iso_code": "DEU"}},
        {"country": {"iso_code": 49}},
        {"country": {"iso_code": "\u00c4\u00d6"}},
        {"country_code": "D1"},
        BERLIN | {"location": {"latitude": 91.0, "longitude": 0.0}},
        BERLIN | {"location": {"latitude": float("nan"), "longitude": 0.0}},
        BERLIN | {"location": {"latitude": 1.0}},
        BERLIN | {"location": {"latitude": True, "longitude": 0.0}},
        BERLIN | {"location": {"latitude": "52", "longitude": "13"}},
        BERLIN | {"location": {"latitude": 1, "longitude": 1, "accuracy_radius": -1}},
    ],
)
def test_an_entry_that_cannot_be_is_an_error(found):
    with pytest.raises(InternalError):
        read_spot(found)


@pytest.mark.parametrize(
    ("found", "spot"),
    [
        ({}, Spot()),
        ({"country": {}}, Spot()),
        ({"country": {"iso_code": ""}}, Spot()),
        ({"country": "Germany", "country_code": "DE"}, Spot("DE", *find_middle("DE"))),
        ({"country": {"iso_code": "QZ"}}, Spot("QZ")),
        ({"location": {"latitude": 1.0, "longitude": 2.0}}, Spot()),
    ],
)
def test_an_entry_may_say_less(found, spot):
    assert read_spot(found) == spot


def test_the_table_of_countries_is_whole():
    """Structure only: every line a code and a place on Earth, sorted, and none twice."""
    lines = _TABLE.read_text().splitlines()[1:]
    codes = [line.partition(",")[0] for line in lines]

    assert codes == sorted(set(codes))
    assert len(codes) == 250
    for code, (latitude, longitude, radius) in read_middles().items():
        assert re.fullmatch("[A-Z]{2}", code)
        assert -90 <= latitude <= 90
        assert -180 <= longitude <= 180
        assert 0 < radius <= 10_000


def test_settings_name_a_database(tmp_path, path):
    (tmp_path / "stepupd.toml").write_text(f'[geo]\ndatabase = "{path}"')
    assert load_settings(tmp_path).geo_database == path

    (tmp_path / "stepupd.toml").write_text("")
    assert load_settings(tmp_path).geo_database is None


@pytest.mark.parametrize("name", ["places.mmdb", "/nonexistent/places.mmdb"])
def test_settings_refuse_what_is_not_there(tmp_path, name):
    (tmp_path / "stepupd.toml").write_text(f'[geo]\ndatabase = "{name}"')

    with pytest.raises(ConfigError, match=r"stepupd\.toml:2:1: "):
        load_settings(tmp_path)


def test_settings_refuse_a_database_that_others_can_write(tmp_path, path):
    path.chmod(0o666)
    (tmp_path / "stepupd.toml").write_text(f'[geo]\ndatabase = "{path}"')

    with pytest.raises(ConfigError, match="may be changed by other users"):
        load_settings(tmp_path)


def test_the_writer_writes_what_the_format_says():
    """Pins the bytes of the test's own writer, by the examples of the specification."""
    assert encode("abc") == b"\x43abc"
    assert encode({"a": [(6, 500)]}) == b"\xe1\x41a\x01\x04\xc2\x01\xf4"
