"""Write the survey table as CSV or FITS."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from desdm.errors import UsageError
from desdm.operations.surveytable.model import FieldStatus

__all__ = ["COLUMNS", "cells", "write_table"]

#: Column → its unit; empty: none.
COLUMNS = {
    "hex": "",
    "tiling": "",
    "band": "",
    "ra": "deg",
    "dec": "deg",
    "exptime": "s",
    "priority": "",
    "season": "",
    "t_eff_goal": "",
    "accepted": "",
    "rejected": "",
    "undecided": "",
    "t_eff": "",
    "owed": "",
    "done": "",
    "last_nite": "",
}


def cells(status: FieldStatus) -> list[str | int | float | bool]:
    """Return the values of a row of the survey table, in the order of `COLUMNS`."""
    field = status.field
    return [
        field.hex,
        field.tiling,
        field.band,
        field.ra,
        field.dec,
        field.exptime,
        field.priority,
        field.season,
        field.t_eff_goal,
        len(status.accepted),
        status.rejected,
        status.undecided,
        round(status.t_eff, 6),
        round(status.owed, 6),
        status.done,
        status.last_nite,
    ]


def write_table(path: Path, fields: Sequence[FieldStatus]) -> None:
    """Write the survey table: the suffix says as what.

    Parameters
    ----------
    path
        ``.csv``, or ``.fits`` (one binary table); `desdm.operations.surveytable.sky` writes maps.
    fields
        Rows of the table.

    Raises
    ------
    UsageError
        The suffix is another one, or the file cannot be written.
    """
    writers: dict[str, Callable[[Path, Sequence[FieldStatus]], None]] = {
        ".csv": _write_csv,
        ".fits": _write_fits,
    }
    write = writers.get(path.suffix.lower())
    if write is None:
        raise UsageError(f"{path}: the suffix says as what it is written; give .csv, .fits or .moc")
    # The same suffix: the writers look at it.
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        try:
            write(part, fields)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as err:
        raise UsageError(f"{path}: {err.strerror or err}") from err


def _write_csv(path: Path, fields: Sequence[FieldStatus]) -> None:
    """Write CSV with a line of names."""
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        writer.writerows(cells(status) for status in fields)


def _write_fits(path: Path, fields: Sequence[FieldStatus]) -> None:
    """Write a FITS binary table with units."""
    from astropy.table import QTable, Table

    rows = [cells(status) for status in fields]
    table = Table([np.array([row[n] for row in rows]) for n in range(len(COLUMNS))], names=list(COLUMNS))
    for name, unit in COLUMNS.items():
        if unit:
            table[name].unit = unit
    QTable(table).write(path, format="fits", overwrite=True)
