"""Which country an address is in, by a database of the administrator's (MaxMind DB format).

The law of this file: not knowing is an answer ("" and no coordinates), and no error: a private
address, one that the database does not list, a machine without a database. A database that is there
and cannot be read, or says what no country is called, is an error.

The database is read by the library's Python reader with pread(2): no C code parses it, and a file
that is cut short while it is open cannot kill the daemon as it would through a memory map. It is
opened again when another file has taken its place. Whether others may write it was checked by
whoever read the settings.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from stepupd.core.errors import ConfigError, InternalError
from stepupd.host.countries import find_middle

if TYPE_CHECKING:
    from maxminddb.reader import Reader

_HALF_ROUND = 20015.0
"""Kilometres: no two places are farther apart."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an address is. `country` as in ISO 3166-1 alpha-2; degrees, WGS 84; kilometres."""

    country: str = ""
    latitude: float | None = None
    longitude: float | None = None
    radius: float = 0.0
    """The address is somewhere within; 0 where the database does not say."""


class GeoDatabase:
    """One database file. Any thread may ask."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises ConfigError if it is no such database."""
        self._path = path
        self._lock = Lock()
        try:
            self._reader, self._version = self._open()
        except InternalError as error:
            raise ConfigError(
                str(error), hint="[geo] database names a country or city database (.mmdb)"
            ) from error

    def find(self, source: str) -> Spot:
        """Return where a numeric address is. `InternalError` if the database cannot be read."""
        address = ipaddress.ip_address(source)
        if not address.is_global:
            return Spot()
        with self._lock:
            self._renew()
            if address.version > self._reader.metadata().ip_version:
                return Spot()
            try:
                found = self._reader.get(address)
            except Exception as error:
                raise InternalError(f"{self._path} is damaged") from error
        return Spot() if found is None else read_spot(found)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _renew(self) -> None:
        if _read_version(self._path) == self._version:
            return
        reader, version = self._open()
        self._reader.close()
        self._reader, self._version = reader, version

    def _open(self) -> "tuple[Reader, tuple[int, ...]]":
        # Only here: few machines have a database, and the library takes its time.
        from maxminddb.const import MODE_FILE  # noqa: PLC0415
        from maxminddb.reader import Reader  # noqa: PLC0415

        version = _read_version(self._path)
        try:
            return Reader(self._path, MODE_FILE), version
        except Exception as error:
            raise InternalError(f"{self._path} is no MaxMind DB file") from error


def read_spot(found: object) -> Spot:
    """Return what one entry of a database says; `InternalError` if that cannot be."""
    if not isinstance(found, dict):
        raise InternalError("the country database holds something else")
    country = _read_country(found)
    location = found.get("location")
    if country and isinstance(location, dict) and "latitude" in location:
        latitude = _read_number(location["latitude"], -90, 90)
        longitude = _read_number(location.get("longitude"), -180, 180)
        radius = _read_number(location.get("accuracy_radius", 0), 0, _HALF_ROUND)
        return Spot(country, latitude, longitude, radius)
    middle = find_middle(country)
    return Spot(country) if middle is None else Spot(country, *middle)


def _read_country(found: dict[str, Any]) -> str:
    """Return the country's code; makers of databases put it in one of two places."""
    country = found.get("country")
    code = country.get("iso_code", "") if isinstance(country, dict) else found.get("country_code")
    if code is None or code == "":
        return ""
    is_code = isinstance(code, str) and len(code) == 2 and code.isascii() and code.isupper()  # noqa: PLR2004 - alpha-2
    if not is_code or not code.isalpha():
        raise InternalError("the country database has a code that is none")
    return str(code)


def _read_number(value: object, least: float, most: float) -> float:
    # Not-a-number is within no limits.
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
        return float(value)
    raise InternalError("the country database has a place that is not on Earth")


def _read_version(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError as error:
        raise InternalError(f"{path} cannot be read: {error.strerror}") from error
    if not path.is_file():
        raise InternalError(f"{path} is not a file")
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
