"""What a request of the footprint asks for: bands, positions, regions, and the table that came with it."""

from __future__ import annotations

from typing import Any

from starlette.requests import ClientDisconnect, Request

from desdm.errors import LimitExceeded, UsageError
from desdm.services.parameters import Given, real
from desdm.services.soda.stencil import stencils_of

__all__ = ["bands_of", "format_of", "number_of", "region_of", "same_format", "table_sent"]

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def format_of(asked: Given) -> str:
    """The format asked for; empty: none."""
    return asked.value("RESPONSEFORMAT") or asked.value("FORMAT")


def bands_of(asked: Given) -> list[str]:
    """The bands named, one by one or with commas between; none: all are meant."""
    return [band.strip() for value in asked.values("BAND") for band in value.split(",") if band.strip()]


def number_of(asked: Given, name: str) -> float:
    """A parameter that is a number; `UsageError` if it is missing or none."""
    text = asked.value(name).strip()
    if not text:
        raise UsageError(
            "give a position: ra and dec in degrees (ICRS), or POS=CIRCLE ra dec 0; or send a table by POST"
        )
    return real(name.lower(), text)


def region_of(asked: Given) -> Any:
    """The one region named; `UsageError` if there is none or more."""
    found = stencils_of({"POS": asked.values("POS")})
    if len(found) != 1:
        raise UsageError(
            "give one region: POS=CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2, or POLYGON ra dec …"
        )
    return found[0]


async def table_sent(request: Request, asked: Given, most: int) -> tuple[bytes | None, str]:
    """The table that was sent, as a part of a form or as the whole body, and its media type; None: there is none."""
    if asked.files:
        if len(asked.files) > 1:
            raise UsageError(f"one table at a time; {', '.join(sorted(asked.files))} were sent")
        (part,) = asked.files.values()
        return await part.read(), part.content_type or ""
    mime = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if mime in _FORMS:
        return None, ""
    parts, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise LimitExceeded(
                    f"the table is larger than {most // 1_000_000} MB; send less, or log in for a larger limit"
                )
            parts.append(piece)
    except ClientDisconnect as err:
        raise UsageError("the client went away before the table was whole") from err
    return (b"".join(parts) if size else None), mime


def same_format(data: bytes, mime: str) -> str:
    """The format in which a table came, so that the answer has it too."""
    if data.startswith(b"PAR1"):
        return "parquet"
    if data.startswith(b"SIMPLE"):
        return "fits"
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<") or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "votable"
    first = data.split(b"\n", 1)[0]
    return "tsv" if "tab-separated" in mime or (b"\t" in first and b"," not in first) else "csv"
