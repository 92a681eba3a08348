"""A function of the kind that an inclfunc names: values of a tile, as a database would give them."""

from __future__ import annotations


def geometry(values: dict[str, str]) -> dict[str, object]:
    """Give the position of a tile in degrees."""
    assert values == {"tilename": "DES2157-5248", "des_db_section": "db-test"}
    return {"RA_CENT": 329.5, "tile": {"corner": {"ra": "329.1"}}, "unknown": None}


def tree(values: dict[str, object]) -> list[str]:
    """Give something that is no dictionary."""
    return [*values]


def broken(values: dict[str, object]) -> dict[str, str]:
    """Fail as code from outside may."""
    raise ZeroDivisionError("no tiles")
