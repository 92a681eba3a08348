"""Reads the tables of catalogue files."""

from __future__ import annotations

from pathlib import Path

from astropy.io import fits
from astropy.table import Table

from desdm.errors import FileTypeError, NotFoundError
from desdm.facility import Facility
from desdm.look.installation import file_record, listed, verified_path

__all__ = ["archived_table", "read_table"]

#: HDUs of catalogues that hold the objects, in the order of preference; beside them stand copies of image headers.
_OBJECTS = ("LDAC_OBJECTS", "OBJECTS")


def archived_table(facility: Facility, name: str, hdu: str | int | None = None) -> Table:
    """Return the table in a file of the archive; parameters as of `desdm.look.catalog`.

    Parameters
    ----------
    facility
        The installation.
    name
        Name of the file.
    hdu
        Name or number of the HDU; None: the objects, or the only table.
    """
    with facility.database.read() as conn:
        record = file_record(conn, name)
    return read_table(verified_path(facility, record), hdu)


def read_table(path: Path, hdu: str | int | None = None) -> Table:
    """Return the table in a FITS or Parquet file.

    Parameters
    ----------
    path
        The file.
    hdu
        Name or number of the HDU; None: the objects of a catalogue, or the only table.

    Raises
    ------
    NotFoundError
        It has no such HDU, or several tables and none of objects; the message names them.
    FileTypeError
        It holds no table.
    """
    if path.suffix == ".parquet":
        return _parquet(path)
    try:
        with fits.open(path, memmap=False) as hdus:
            tables = {
                number: one.name
                for number, one in enumerate(hdus)
                if isinstance(one, fits.BinTableHDU | fits.TableHDU)
                and not isinstance(one, fits.CompImageHDU)
            }
            if not tables:
                raise FileTypeError(f"{path.name}: it holds no table")
            return Table.read(hdus[_choose(path, tables, hdu)])
    except OSError as err:
        raise FileTypeError(f"{path.name}: not a table in FITS or Parquet: {err}") from err


def _choose(path: Path, tables: dict[int, str], hdu: str | int | None) -> int:
    """Return the number of the HDU to read."""
    known = listed(f"{number} {name}".strip() for number, name in tables.items())
    if hdu is not None:
        wanted = str(hdu).strip().upper()
        for number, name in tables.items():
            if wanted in (str(number), name.upper()):
                return number
        raise NotFoundError(f"{path.name}: no table {hdu}; its tables: {known}")
    for wanted in _OBJECTS:
        for number, name in tables.items():
            if name == wanted:
                return number
    if len(tables) > 1:
        raise NotFoundError(f"{path.name}: it has several tables, choose one by hdu=: {known}")
    return next(iter(tables))


def _parquet(path: Path) -> Table:
    """Return the table in a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as err:
        raise FileTypeError(f"{path.name}: not a Parquet file: {err}") from err
    return Table({name: rows.column(name).to_numpy() for name in rows.column_names})
