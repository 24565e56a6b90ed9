"""`[geo]` in `stepupd.toml`: the database that says where addresses are.

The law of this file: only root or we can have written the database. What it holds is seen by
whoever opens it.
"""

from pathlib import Path

from stepupd.core.errors import ConfigError
from stepupd.store.file_checks import OTHERS_WRITE, read_trusted_start
from stepupd.store.toml_files import Document, Entry

_AT = ("geo", "database")


class GeoEntry(Entry, frozen=True):
    """`[geo]`."""

    database: str | None = None


def read_geo_database(document: Document, written: GeoEntry) -> Path | None:
    """Return the path of the database, None for none. Raises ConfigError."""
    if written.database is None:
        return None
    path = Path(written.database)
    if not path.is_absolute():
        raise document.fault(_AT, "the path of a database starts with /")
    try:
        read_trusted_start(path, size=1, forbidden=OTHERS_WRITE)
    except FileNotFoundError as error:
        raise document.fault(_AT, f"there is no {path}") from error
    except ConfigError as error:
        raise document.fault(_AT, str(error), error.hint) from error
    return path
