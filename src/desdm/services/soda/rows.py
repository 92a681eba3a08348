"""Rows of a table of coordinates or objects, each with its own size and bands, parsed into regions to cut."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import SupportsFloat

from desdm.accounts.model import Caller
from desdm.errors import LimitExceeded, LimitKind, UsageError
from desdm.query.engines.model import Upload
from desdm.services.context import Services
from desdm.services.soda import colour
from desdm.services.soda.batch import Cause, Item, safe
from desdm.services.soda.cutout import Outside
from desdm.services.soda.endpoints import LARGEST
from desdm.services.soda.files import ImageCache
from desdm.services.soda.objects import positions_of
from desdm.services.soda.stencil import Around

__all__ = ["Defaults", "items_of", "one_row"]

#: Accepted names of each column, ours first, those of DESaccess among them.
_NAMES: dict[str, tuple[str, ...]] = {
    "ra": ("ra", "raj2000", "ra_deg", "ra_icrs", "alphawin_j2000", "s_ra"),
    "dec": ("dec", "dej2000", "decj2000", "dec_deg", "de_icrs", "deltawin_j2000", "s_dec"),
    "id": ("id", "object_id", "coadd_object_id", "objid"),
    "xsize": ("xsize", "width", "size"),
    "ysize": ("ysize", "height", "size"),
    "bands": ("bands", "band", "colors", "colors_fits"),
    "name": ("name", "label"),
}
#: Types of values that can be converted to a float.
_NUMERIC = (int, float, str, bytes, SupportsFloat)

#: Values of one row of a client's table, of any type, by our name of the column.
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Defaults:
    """Default values of a row; sizes in arcmin, ``bands`` empty for all.

    ``table`` is the table in which objects are looked up: ``T`` or ``R.T``; empty: the release's first with an identifier.
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
    services: Services, images: ImageCache, caller: Caller, rows: Upload, defaults: Defaults, most: int
) -> list[Item]:
    """Return one item for each row.

    Parameters
    ----------
    services
        Shared state of the services.
    images
        Cache of release images.
    caller
        Caller, whose rights decide which images are visible.
    rows
        Columns ra and dec (degrees, ICRS) or id; optional: xsize, ysize (arcmin), bands, name.
    defaults
        Values of rows without their own.
    most
        Largest number of rows.

    Raises
    ------
    UsageError
        A column is missing, or a default is invalid. An invalid row becomes an item with its reason.
    NotFoundError
        There is no such release or table.
    LimitExceeded
        There are more rows.
    """
    count = rows.rows.num_rows
    if count > most:
        raise LimitExceeded(
            f"{count} rows are more than {most}; send less, or as a job at /api/cutouts/async", LimitKind.SIZE
        )
    release = images.release(caller, defaults.release).name
    _size("xsize", defaults.xsize), _size("ysize", defaults.ysize)
    colour.split_bands(defaults.bands)
    columns = {name.lower(): rows.rows.column(name) for name in rows.rows.column_names}
    values: dict[str, Sequence[object]] = {}
    for name, aliases in _NAMES.items():
        alias = next((a for a in aliases if a in columns), None)
        if alias is not None:
            values[name] = columns[alias].to_pylist()
    if not ({"ra", "dec"} <= set(values)):
        if "id" not in values:
            raise UsageError("the table has neither columns ra and dec (degrees, ICRS) nor id")
        places = positions_of(services, caller, release, defaults.table, values["id"])
        values["ra"] = [places.get(_key(i), (None, None))[0] for i in values["id"]]
        values["dec"] = [places.get(_key(i), (None, None))[1] for i in values["id"]]
        unknown = "no object with this id"
    else:
        unknown = "no position"
    used: set[str] = set()
    items = []
    for i in range(count):
        row = {name: column[i] for name, column in values.items() if column[i] is not None}
        items.append(_item(i + 1, row, images, release, defaults, used, unknown))
    return items


def _key(value: object) -> str:
    """Return an identifier as text; whole floats without their decimals."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _item(
    number: int,
    row: Row,
    images: ImageCache,
    release: str,
    defaults: Defaults,
    used: set[str],
    unknown: str,
) -> Item:
    """Parse one row into an item."""
    name = (
        safe(str(row["name"]))
        if "name" in row
        else safe(_key(row["id"]))
        if "id" in row
        else f"row{number:06d}"
    )
    name = f"{name}_{number:06d}" if name in used else name
    used.add(name)
    cause = Cause.REQUEST
    try:
        if "ra" not in row or "dec" not in row:
            cause = Cause.UNKNOWN_OBJECT if "id" in row else Cause.REQUEST
            raise UsageError(unknown)
        ra, dec = _number("ra", row["ra"]) % 360.0, _number("dec", row["dec"])
        if not -90.0 <= dec <= 90.0:
            raise UsageError(f"dec {dec:g} is not within -90 and 90")
        width = _size("xsize", _number("xsize", row.get("xsize", defaults.xsize)))
        height = _size("ysize", _number("ysize", row.get("ysize", defaults.ysize)))
        bands = colour.split_bands(str(row.get("bands", defaults.bands)))
    except UsageError as err:
        return Item(number, name, Around(math.nan, math.nan, 0.0, 0.0), reason=str(err), cause=cause)
    stencil = Around(ra, dec, width, height)
    available = images.images_at(release, ra, dec)
    files = {band: available[band] for band in (bands or available) if band in available}
    reason = f"no image in {', '.join(bands)} here" if available and not files else ""
    return Item(
        number,
        name,
        stencil,
        files,
        fits=defaults.fits,
        png=defaults.png,
        outside=defaults.outside,
        look=defaults.look,
        reason=reason,
    )


def _number(name: str, value: object) -> float:
    """Return a value as a finite float; `UsageError` otherwise."""
    try:
        number = float(value) if isinstance(value, _NUMERIC) else math.nan
    except ValueError:
        raise UsageError(f"{name} {str(value)[:40]!r} is not a number") from None
    if not isinstance(value, _NUMERIC):
        raise UsageError(f"{name} {str(value)[:40]!r} is not a number")
    if not math.isfinite(number):
        raise UsageError(f"{name} is not a finite number")
    return number


def _size(name: str, value: float) -> float:
    """Return a size in arcmin if it is within bounds; `UsageError` otherwise."""
    if not 0.0 < value <= LARGEST:
        raise UsageError(f"size {value:g} arcmin ({name}): it must be above 0 and at most {LARGEST:g} arcmin")
    return value


def one_row(values: Mapping[str, str | float]) -> Upload:
    """Return a table of one row from the parameters ra, dec, id, name."""
    import pyarrow as pa

    return Upload("row", (), pa.table({key: [value] for key, value in values.items()}))
