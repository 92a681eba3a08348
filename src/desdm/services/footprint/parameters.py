"""Parameters of a footprint request: bands, positions, regions, and the uploaded table."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from desdm.errors import LimitExceeded, UsageError
from desdm.services.parameters import RequestParams, parse_real
from desdm.services.soda.stencil import Stencil, stencils_of

__all__ = ["bands_of", "format_of", "number_of", "read_table_part", "region_of", "same_format"]

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def format_of(params: RequestParams) -> str:
    """Return the requested format; empty without one."""
    return params.value("RESPONSEFORMAT") or params.value("FORMAT")


def bands_of(params: RequestParams) -> list[str]:
    """Return the requested bands, from repeated parameters or lists with commas; empty: all bands."""
    return [band.strip() for value in params.values("BAND") for band in value.split(",") if band.strip()]


def number_of(params: RequestParams, name: str) -> float:
    """Return a parameter as a number; `UsageError` if it is missing or not a number."""
    text = params.value(name).strip()
    if not text:
        raise UsageError(
            "give a position: ra and dec in degrees (ICRS), or POS=CIRCLE ra dec 0; or send a table by POST"
        )
    return parse_real(name.lower(), text)


def region_of(params: RequestParams) -> Stencil:
    """Return the requested region; `UsageError` unless there is exactly one."""
    regions = stencils_of({"POS": params.values("POS")})
    if len(regions) != 1:
        raise UsageError(
            "give one region: POS=CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2, or POLYGON ra dec …"
        )
    return regions[0]


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
    if mime in _FORMS:
        return None, ""
    parts, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > max_bytes:
                raise LimitExceeded(
                    f"the table is larger than {max_bytes // 1_000_000} MB; send less, or log in for a larger limit"
                )
            parts.append(piece)
    except ClientDisconnect as err:
        raise UsageError("the client disconnected before the table was complete") from err
    return (b"".join(parts) if size else None), mime


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
