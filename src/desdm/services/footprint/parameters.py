"""Parameters of a footprint request: bands, positions, regions, and the uploaded table."""

from __future__ import annotations

from starlette.requests import Request

from desdm.errors import UsageError
from desdm.services.forms import RequestParams, is_form, read_body
from desdm.services.parameters import Values
from desdm.services.soda.stencil import Stencil, stencils_of

__all__ = ["bands_of", "format_of", "position_of", "read_table_part", "region_of", "same_format"]


def format_of(values: Values) -> str:
    """Return the requested format; empty without one."""
    return values.text("RESPONSEFORMAT") or values.text("FORMAT")


def bands_of(values: Values) -> list[str]:
    """Return the requested bands, from repeated parameters or lists with commas; empty: all bands."""
    return [band.strip() for value in values.texts("BAND") for band in value.split(",") if band.strip()]


def position_of(values: Values) -> tuple[float, float]:
    """Return the requested position; `UsageError` if one of its coordinates is missing."""
    ra, dec = values.real("RA"), values.real("DEC")
    if ra is None or dec is None:
        raise UsageError(
            "give a position: ra and dec in degrees (ICRS), or POS=CIRCLE ra dec 0; or send a table by POST"
        )
    return ra, dec


def region_of(values: Values) -> Stencil:
    """Return the requested region; `UsageError` if there is none."""
    if not values.has("POS"):
        raise UsageError(
            "give one region: POS=CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2, or POLYGON ra dec …"
        )
    return stencils_of({"POS": [values.text("POS")]})[0]


async def read_table_part(
    request: Request, params: RequestParams, max_bytes: int
) -> tuple[bytes | None, str]:
    """Read the uploaded table, from a part of a form or from the body.

    Parameters
    ----------
    request
        Request, whose body is read if it is not a form.
    params
        Parameters of the request with its uploaded files.
    max_bytes
        Largest size of the table.

    Returns
    -------
    data : bytes or None
        The table; None if there is none.
    mime : str
        Media type.

    Raises
    ------
    LimitExceeded
        The table is larger.
    UsageError
        There is more than one table, or the client disconnected.
    """
    if params.files:
        if len(params.files) > 1:
            raise UsageError(f"one table at a time; {', '.join(sorted(params.files))} were sent")
        (part,) = params.files.values()
        return await part.read(), part.content_type or ""
    mime = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if is_form(mime):
        return None, ""
    with await read_body(request, max_bytes) as body:
        return body.read() or None, mime


def same_format(data: bytes, mime: str) -> str:
    """Return the format of a table from its first bytes, so that the response has the same."""
    if data.startswith(b"PAR1"):
        return "parquet"
    if data.startswith(b"SIMPLE"):
        return "fits"
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<") or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "votable"
    first = data.split(b"\n", 1)[0]
    return "tsv" if "tab-separated" in mime or (b"\t" in first and b"," not in first) else "csv"
