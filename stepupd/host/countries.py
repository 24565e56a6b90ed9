"""Where the middle of a country is, for databases that know no cities.

The table, `countries.csv`, has a line for each code of ISO 3166-1, and for `XK`, which databases
use for Kosovo: a rounded middle, and how many kilometres the country reaches from there at most,
islands included. In a large country the middle alone says little.
"""

import csv
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).with_name("countries.csv")


def find_middle(country: str) -> tuple[float, float, float] | None:
    """Return latitude and longitude in degrees, and the reach in kilometres.

    None for a code that the table lacks.
    """
    return read_middles().get(country)


@cache
def read_middles() -> dict[str, tuple[float, float, float]]:
    """Return the whole table, by country code."""
    with _TABLE.open(encoding="ascii", newline="") as file:
        return {
            row["country"]: (
                float(row["latitude"]),
                float(row["longitude"]),
                float(row["radius"]),
            )
            for row in csv.DictReader(file)
        }
