"""HTTP of the footprint: a point, a table, a region; MOCs and outlines."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied, CorruptFile, DesdmError, NotFoundError, UsageError
from desdm.query.engines.model import Cancel, Upload
from desdm.query.formats import Format, TableStream, choose, stream
from desdm.query.formats.upload import read_upload
from desdm.release.model import Release, ReleaseColumn, ReleaseFile
from desdm.services.answers import base_url, told, work
from desdm.services.context import Services, caller_of
from desdm.services.faults import status_of
from desdm.services.footprint.asked import bands_of, format_of, number_of, region_of, same_format, table_sent
from desdm.services.footprint.atlas import Atlas
from desdm.services.footprint.selection import Cuts, moc_of, written
from desdm.services.footprint.tables import answered, packed, position_columns
from desdm.services.limits import limits_of
from desdm.services.parameters import Given, given
from desdm.services.soda.stencil import Circle
from desdm.services.streaming import Stream

__all__ = ["routes"]

_NAMES = (
    "RA",
    "DEC",
    "POS",
    "RELEASE",
    "BAND",
    "RESPONSEFORMAT",
    "FORMAT",
    "RA_COLUMN",
    "DEC_COLUMN",
    "TILES",
)
_FILES = (
    ReleaseColumn("path", "char", "*", ucd="meta.id;meta.file", text="Path in the release"),
    ReleaseColumn("filetype", "char", "*", ucd="meta.code.class", text="Type of the file"),
    ReleaseColumn("tilename", "char", "*", ucd="meta.id;obs.field", text="Coadd tile"),
    ReleaseColumn("band", "char", "*", ucd="meta.id;instr.bandpass", text="Band; none: of all bands"),
    ReleaseColumn("filesize", "long", unit="byte", ucd="phys.size;meta.file", text="Size"),
    ReleaseColumn("sha256", "char", "*", ucd="meta.checksum", text="sha-256 of the bytes, hexadecimal"),
    ReleaseColumn("url", "char", "*", ucd="meta.ref.url", text="Where it is fetched"),
)
Handler = Callable[[Request], Awaitable[Response]]


def routes(services: Services) -> list[BaseRoute]:
    """``/footprint``, ``/footprint/region``, and below ``/footprint/<R>`` its files and the MOC of what passes cuts."""
    door = _Door(services, Atlas(services))
    return [
        Route("/footprint", _plainly(door.point), methods=["GET"]),
        Route("/footprint", _plainly(door.table), methods=["POST"]),
        Route("/footprint/region", _plainly(door.region), methods=["GET", "POST"]),
        Route("/footprint/{release}/moc", _plainly(door.moc), methods=["GET"]),
        Route("/footprint/{release}/{name}", _plainly(door.file), methods=["GET"]),
    ]


def _plainly(handler: Handler) -> Handler:
    """A handler whose errors become JSON."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except DesdmError as err:
            status = status_of(err)
            text = str(err) if isinstance(err, CorruptFile) else told(err)
            headers = {"cache-control": "no-store"}
            if status == 401:
                headers["www-authenticate"] = "Bearer"
            elif status == 503:
                headers["retry-after"] = "10"
            return _json({"error": {"status": status, "message": text}}, status, headers)

    return answer


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Response(body, status, headers, media_type="application/json")


class _Door:
    """The handlers, and the footprints that they share."""

    def __init__(self, services: Services, atlas: Atlas) -> None:
        self._services, self._atlas = services, atlas

    async def point(self, request: Request) -> Response:
        """One position: JSON, or the row of a table in the format asked for."""
        asked, caller = await self._asked(request)
        return await work(self._services, lambda: self._point(asked, caller, base_url(request)))

    def _point(self, asked: Given, caller: Caller, base: str) -> Response:
        if asked.value("POS") and (asked.value("RA") or asked.value("DEC")):
            raise UsageError("give a position by POS or by ra and dec, not by both")
        if asked.value("POS"):
            region = region_of(asked)
            if not isinstance(region, Circle) or region.radius > 0:
                return self._region(asked, caller, base, region)
            ra, dec = region.ra, region.dec
        else:
            ra, dec = number_of(asked, "RA"), number_of(asked, "DEC")
        release = self._atlas.release(caller, asked.value("RELEASE"))
        footprint = self._atlas.footprint(release)
        bands = footprint.chosen(bands_of(asked))
        answer = footprint.at(ra, dec, bands)
        if format_of(asked).lower() not in ("", "json", "application/json"):
            one = pa.table({"ra": [answer.ra], "dec": [answer.dec]})
            columns = (
                ReleaseColumn("ra", "double", unit="deg", ucd="pos.eq.ra;meta.main", text="Right ascension, ICRS"),
                ReleaseColumn("dec", "double", unit="deg", ucd="pos.eq.dec;meta.main", text="Declination, ICRS"),
            )  # fmt: skip
            described, rows = answered(
                footprint, Upload("point", columns, one), ("ra", "dec"), bands, tiles=True
            )
            form = choose(format_of(asked))
            return Response(b"".join(stream(form, described, rows)), media_type=form.mime)
        files = self._atlas.files(release, answer.tiles, bands)
        return _json({"release": release.name, **answer.record(), "files": [_file(f, base) for f in files]})

    async def table(self, request: Request) -> Response:
        """A table of positions: its rows come back with what each band says of them."""
        caller = caller_of(request)
        if not caller.may(Action.UPLOAD):
            raise AccessDenied(
                "you may not send tables; ask with a token that has the scope upload", caller.known
            )
        limits = limits_of(caller.role)
        asked = await given(request, limits.request_bytes)
        asked.only(_NAMES)
        try:
            data, mime = await table_sent(request, asked, limits.request_bytes)
        finally:
            await asked.close()
        if data is None:
            return await work(self._services, lambda: self._point(asked, caller, base_url(request)))
        sent = data
        form, columns, rows = await work(
            self._services,
            lambda: self._table(asked, caller, sent, mime, (limits.request_bytes, limits.upload_rows)),
        )
        name = f'attachment; filename="footprint.{form.extension}"'
        title = "footprint at the positions given"
        pieces = packed(columns, rows) if form.name == "parquet" else stream(form, columns, rows, title=title)
        if isinstance(pieces, TableStream):
            await work(self._services, pieces.begin)
        return Stream(self._services, pieces, ExitStack(), Cancel(), form.mime, {"content-disposition": name})

    def _table(
        self, asked: Given, caller: Caller, data: bytes, mime: str, most: tuple[int, int]
    ) -> tuple[Format, list[ReleaseColumn], Iterator[pa.RecordBatch]]:
        form = choose(format_of(asked)) if format_of(asked) else choose(same_format(data, mime))
        footprint = self._atlas.footprint(self._atlas.release(caller, asked.value("RELEASE")))
        bands = footprint.chosen(bands_of(asked))
        upload = read_upload("positions", data, mime, max_bytes=most[0], max_rows=most[1])
        place = position_columns(upload, asked.value("RA_COLUMN"), asked.value("DEC_COLUMN"))
        tiles = asked.value("TILES").lower() in ("1", "true", "yes")
        return (form, *answered(footprint, upload, place, bands, tiles=tiles))

    async def region(self, request: Request) -> Response:
        """A region: what each band says of it, its tiles, and their files; or the files as a table."""
        asked, caller = await self._asked(request)
        return await work(
            self._services, lambda: self._region(asked, caller, base_url(request), region_of(asked))
        )

    def _region(self, asked: Given, caller: Caller, base: str, region: Any) -> Response:
        release = self._atlas.release(caller, asked.value("RELEASE"))
        footprint = self._atlas.footprint(release)
        bands = footprint.chosen(bands_of(asked))
        found = footprint.within(region, bands)
        files = [_file(f, base) for f in self._atlas.files(release, found.tiles, bands)]
        if format_of(asked).lower() not in ("", "json", "application/json"):
            return _files_table(files, choose(format_of(asked)))
        return _json(
            {
                "release": release.name, "region": found.region, "bands": found.bands, "tiles": found.tiles,
                "files": files,
            }
        )  # fmt: skip

    async def moc(self, request: Request) -> Response:
        """MOC of the cells whose depth, exposures and good fraction pass the cuts in all bands that are named."""
        caller = caller_of(request)
        asked = await given(request, 1_000_000)
        asked.only(("BAND", "DEPTH", "NEXP", "FRACTION", "RESPONSEFORMAT", "FORMAT"))
        cuts = Cuts(*(number_of(asked, n) if asked.value(n) else None for n in ("DEPTH", "NEXP", "FRACTION")))

        def make() -> tuple[bytes, str]:
            release = self._atlas.release(caller, request.path_params["release"])
            found = moc_of(self._atlas.footprint(release), bands_of(asked), cuts)
            return written(found, format_of(asked).lower() or "json")

        data, mime = await work(self._services, make)
        return Response(data, media_type=mime)

    async def file(self, request: Request) -> Response:
        """MOC of a band (``<band>.moc.fits``, ``.moc.json``) or outlines (``tiles.stcs``, ``.reg``, ``.json``)."""
        name = request.path_params["name"]
        if name.endswith((".hsp", ".parquet")):
            raise NotFoundError(
                f"{name[:60]} is a file of the release: fetch it at /files/<release>/footprint/"
            )
        caller = caller_of(request)

        def read() -> tuple[Release, tuple[ReleaseFile, bytes]]:
            release = self._atlas.release(caller, request.path_params["release"])
            return release, self._atlas.file(release, name)

        _, (file, data) = await work(self._services, read)
        tag = f'"{file.sha256}"'
        headers = {"etag": tag, "cache-control": "no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(None, 304, headers)
        return Response(data, 200, headers, media_type=file.mime)

    async def _asked(self, request: Request) -> tuple[Given, Caller]:
        caller = caller_of(request)
        asked = await given(request, 1_000_000)
        await asked.close()
        asked.only(_NAMES)
        return asked, caller


def _file(file: ReleaseFile, base: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        name: getattr(file, name) for name in ("path", "filetype", "tilename", "band", "filesize", "sha256")
    }
    return {**told, "url": f"{base}/files/{quote(file.release)}/{quote(file.path)}"}


def _files_table(files: list[dict[str, Any]], form: Format) -> Response:
    kinds = {"filesize": pa.int64()}
    arrays = [pa.array([f[c.name] for f in files], kinds.get(c.name, pa.string())) for c in _FILES]
    rows = pa.RecordBatch.from_arrays(arrays, names=[c.name for c in _FILES])
    return Response(b"".join(stream(form, _FILES, [rows], title="files of the region")), media_type=form.mime)
