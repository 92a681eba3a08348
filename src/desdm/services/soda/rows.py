"""Rows of a table of coordinates or objects, each with its own size and bands, read into items of work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from desdm.accounts.model import Caller
from desdm.errors import LimitExceeded, UsageError
from desdm.query.engines.model import Upload
from desdm.services.context import Services
from desdm.services.soda import colour
from desdm.services.soda.batch import Item, safe
from desdm.services.soda.cutout import Outside
from desdm.services.soda.files import Shelf
from desdm.services.soda.objects import positions_of
from desdm.services.soda.stencil import Around

__all__ = ["Defaults", "items_of", "one_row"]

#: Names under which a column is known, ours first; DESaccess' own among them.
_NAMES: dict[str, tuple[str, ...]] = {
    "ra": ("ra", "raj2000", "ra_deg", "ra_icrs", "alphawin_j2000", "s_ra"),
    "dec": ("dec", "dej2000", "decj2000", "dec_deg", "de_icrs", "deltawin_j2000", "s_dec"),
    "id": ("id", "object_id", "coadd_object_id", "objid"),
    "xsize": ("xsize", "width", "size"),
    "ysize": ("ysize", "height", "size"),
    "bands": ("bands", "band", "colors", "colors_fits"),
    "name": ("name", "label"),
}
_LARGEST = 60.0  # arcmin


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for a row that does not say it itself; sizes in arcmin, ``bands`` empty for all.

    ``table`` is where objects are looked up: ``T`` or ``R.T``; empty: the release's first with an identifier.
    """

    release: str = ""
    table: str = ""
    xsize: float = 1.0
    ysize: float = 1.0
    bands: str = ""
    fits: bool = True
    png: bool = False
    outside: Outside = "flag"
    look: colour.Lupton = field(default_factory=colour.Lupton)


def items_of(
    services: Services, shelf: Shelf, caller: Caller, rows: Upload, defaults: Defaults, most: int
) -> list[Item]:
    """One item a row.

    Parameters
    ----------
    rows
        With columns ra and dec (degrees, ICRS) or id; where they are there: xsize, ysize (arcmin), bands, name.
    most
        Rows that are allowed.

    Raises
    ------
    UsageError
        A column is missing, or a default is wrong. A row that is wrong is an item with its reason.
    NotFoundError
        There is no such release or table.
    LimitExceeded
        There are more rows.
    """
    count = rows.rows.num_rows
    if count > most:
        raise LimitExceeded(
            f"{count} rows are more than {most}; send less, or as a job at /api/cutouts/async", "size"
        )
    release = shelf.release(caller, defaults.release).name
    _size("xsize", defaults.xsize), _size("ysize", defaults.ysize)
    colour.split_bands(defaults.bands)
    columns = {name.lower(): rows.rows.column(name) for name in rows.rows.column_names}
    found: dict[str, Sequence[Any]] = {}
    for name, aliases in _NAMES.items():
        alias = next((a for a in aliases if a in columns), None)
        if alias is not None:
            found[name] = columns[alias].to_pylist()
    if not ({"ra", "dec"} <= set(found)):
        if "id" not in found:
            raise UsageError("the table has neither columns ra and dec (degrees, ICRS) nor id")
        places = positions_of(services, caller, release, defaults.table, found["id"])
        found["ra"] = [places.get(_key(i), (None, None))[0] for i in found["id"]]
        found["dec"] = [places.get(_key(i), (None, None))[1] for i in found["id"]]
        unknown = "no object with this id"
    else:
        unknown = "no position"
    used: set[str] = set()
    items = []
    for i in range(count):
        row = {name: values[i] for name, values in found.items() if values[i] is not None}
        items.append(_item(i + 1, row, shelf, release, defaults, used, unknown))
    return items


def _key(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _item(
    number: int,
    row: Mapping[str, Any],
    shelf: Shelf,
    release: str,
    defaults: Defaults,
    used: set[str],
    unknown: str,
) -> Item:
    name = (
        safe(str(row["name"]))
        if "name" in row
        else safe(_key(row["id"]))
        if "id" in row
        else f"row{number:06d}"
    )
    name = f"{name}_{number:06d}" if name in used else name
    used.add(name)
    try:
        if "ra" not in row or "dec" not in row:
            raise UsageError(unknown)
        ra, dec = _number("ra", row["ra"]) % 360.0, _number("dec", row["dec"])
        if not -90.0 <= dec <= 90.0:
            raise UsageError(f"dec {dec:g} is not within -90 and 90")
        width = _size("xsize", _number("xsize", row.get("xsize", defaults.xsize)))
        height = _size("ysize", _number("ysize", row.get("ysize", defaults.ysize)))
        wanted = colour.split_bands(str(row.get("bands", defaults.bands)))
    except UsageError as err:
        return Item(number, name, Around(math.nan, math.nan, 0.0, 0.0), reason=str(err))
    stencil = Around(ra, dec, width, height)
    there = shelf.holding(release, ra, dec)
    files = {band: there[band] for band in (wanted or there) if band in there}
    reason = f"no image in {', '.join(wanted)} here" if there and not files else ""
    return Item(
        number, name, stencil, files, fits=defaults.fits, png=defaults.png, outside=defaults.outside,
        look=defaults.look, reason=reason,
    )  # fmt: skip


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name} {str(value)[:40]!r} is no number") from None
    if not math.isfinite(number):
        raise UsageError(f"{name} is no finite number")
    return number


def _size(name: str, value: float) -> float:
    if not 0.0 < value <= _LARGEST:
        raise UsageError(f"{name} {value:g} is not above 0 and at most {_LARGEST:g} arcmin")
    return value


def one_row(values: Mapping[str, str]) -> Upload:
    """A table of one row out of parameters ra, dec, id, name."""
    import pyarrow as pa

    return Upload("row", (), pa.table({key: [value] for key, value in values.items()}))
