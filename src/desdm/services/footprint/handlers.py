"""HTTP endpoints of the footprint: a point, a table, a region; MOCs and outlines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TypedDict
from urllib.parse import quote

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Action, Caller
from desdm.errors import NotFoundError, UsageError
from desdm.query.engines.model import Cancel, Upload
from desdm.query.formats import Format, TableStream, choose, stream
from desdm.query.formats.upload import read_upload
from desdm.release.model import Release, ReleaseColumn, ReleaseFile
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.footprint.atlas import Atlas
from desdm.services.footprint.endpoints import AREA, CELLS, FILE, MOC, PLACE, POINT, REGION, ROWS, TABLE
from desdm.services.footprint.parameters import (
    bands_of,
    format_of,
    position_of,
    read_table_part,
    region_of,
    same_format,
)
from desdm.services.footprint.selection import Cuts, moc_of, serialize_moc
from desdm.services.footprint.tables import add_footprint, parquet_file, position_columns
from desdm.services.forms import parse_parameters
from desdm.services.limits import limits_of
from desdm.services.parameters import ParameterSet, Values
from desdm.services.responses import base_url, run_blocking
from desdm.services.soda.stencil import Circle, Stencil
from desdm.services.streaming import Stream

__all__ = ["routes"]

_FILES = (
    ReleaseColumn("path", "char", "*", ucd="meta.id;meta.file", text="Path in the release"),
    ReleaseColumn("filetype", "char", "*", ucd="meta.code.class", text="Type of the file"),
    ReleaseColumn("tilename", "char", "*", ucd="meta.id;obs.field", text="Coadd tile"),
    ReleaseColumn("band", "char", "*", ucd="meta.id;instr.bandpass", text="Band; none: of all bands"),
    ReleaseColumn("filesize", "long", unit="byte", ucd="phys.size;meta.file", text="Size"),
    ReleaseColumn("sha256", "char", "*", ucd="meta.checksum", text="sha-256 of the bytes, hexadecimal"),
    ReleaseColumn("url", "char", "*", ucd="meta.ref.url", text="Where it is fetched"),
)


class FileEntry(TypedDict):
    """A file in JSON; the keys are the columns of `_FILES`."""

    path: str
    filetype: str
    tilename: str | None
    band: str | None
    filesize: int
    sha256: str
    url: str


def routes(services: Services) -> list[BaseRoute]:
    """``/footprint``, ``/footprint/region``, and below ``/footprint/<R>`` its files and the MOC of what passes cuts."""
    handlers = _Handlers(services, Atlas(services))
    return routes_of(
        [
            (POINT, handlers.point),
            (TABLE, handlers.table),
            (REGION, handlers.region),
            (MOC, handlers.moc),
            (FILE, handlers.file),
        ]
    )


def _json(value: object) -> Response:
    """Return a JSON response."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Response(body, media_type="application/json")


class _Handlers:
    """Handlers and the footprints that they share."""

    def __init__(self, services: Services, atlas: Atlas) -> None:
        self._services, self._atlas = services, atlas

    async def point(self, request: Request) -> Response:
        """One position: JSON, or the row of a table in the requested format."""
        values, caller = await self._parse(request, PLACE)
        return await run_blocking(self._services, lambda: self._point(values, caller, base_url(request)))

    def _point(self, values: Values, caller: Caller, base: str) -> Response:
        """Look up one position, or summarise a region that POS names."""
        if values.has("POS") and (values.has("RA") or values.has("DEC")):
            raise UsageError("give a position by POS or by ra and dec, not by both")
        if values.has("POS"):
            region = region_of(values)
            if not isinstance(region, Circle) or region.radius > 0:
                return self._region(values, caller, base, region)
            ra, dec = region.ra, region.dec
        else:
            ra, dec = position_of(values)
        release = self._atlas.release(caller, values.text("RELEASE"))
        footprint = self._atlas.footprint(release)
        bands = footprint.select_bands(bands_of(values))
        answer = footprint.at(ra, dec, bands)
        if format_of(values).lower() not in ("", "json", "application/json"):
            row = pa.table({"ra": [answer.ra], "dec": [answer.dec]})
            columns = (
                ReleaseColumn(
                    "ra", "double", unit="deg", ucd="pos.eq.ra;meta.main", text="Right ascension, ICRS"
                ),
                ReleaseColumn(
                    "dec", "double", unit="deg", ucd="pos.eq.dec;meta.main", text="Declination, ICRS"
                ),
            )
            output_columns, rows = add_footprint(
                footprint, Upload("point", columns, row), ("ra", "dec"), bands, tiles=True
            )
            form = choose(format_of(values))
            return Response(b"".join(stream(form, output_columns, rows)), media_type=form.mime)
        files = self._atlas.files(release, answer.tiles, bands)
        return _json({"release": release.name, **answer.record(), "files": [_file(f, base) for f in files]})

    async def table(self, request: Request) -> Response:
        """A table of positions: its rows with the values of each band."""
        caller = caller_of(request)
        caller.require(Action.UPLOAD)
        limits = limits_of(caller.role)
        params = await parse_parameters(request, limits.request_bytes, field_bytes=limits.parameter_bytes)
        try:
            values = params.read(ROWS)
            data, mime = await read_table_part(request, params, limits.request_bytes)
        finally:
            await params.close()
        if data is None:
            return await run_blocking(self._services, lambda: self._point(values, caller, base_url(request)))
        sent = data
        form, columns, rows = await run_blocking(
            self._services,
            lambda: self._table(values, caller, sent, mime, (limits.request_bytes, limits.upload_rows)),
        )
        name = f'attachment; filename="footprint.{form.extension}"'
        title = "footprint at the uploaded positions"
        pieces = (
            parquet_file(columns, rows)
            if form.name == "parquet"
            else stream(form, columns, rows, title=title)
        )
        if isinstance(pieces, TableStream):
            await run_blocking(self._services, pieces.begin)
        return Stream(self._services, pieces, ExitStack(), Cancel(), form.mime, {"content-disposition": name})

    def _table(
        self, values: Values, caller: Caller, data: bytes, mime: str, most: tuple[int, int]
    ) -> tuple[Format, list[ReleaseColumn], Iterator[pa.RecordBatch]]:
        """Parse an uploaded table and look up its positions."""
        form = choose(format_of(values)) if format_of(values) else choose(same_format(data, mime))
        footprint = self._atlas.footprint(self._atlas.release(caller, values.text("RELEASE")))
        bands = footprint.select_bands(bands_of(values))
        upload = read_upload("positions", data, mime, max_bytes=most[0], max_rows=most[1])
        place = position_columns(upload, values.text("RA_COLUMN"), values.text("DEC_COLUMN"))
        return (form, *add_footprint(footprint, upload, place, bands, tiles=values.flag("TILES")))

    async def region(self, request: Request) -> Response:
        """A region: summary by band, its tiles and their files; or the files as a table."""
        values, caller = await self._parse(request, AREA)
        return await run_blocking(
            self._services, lambda: self._region(values, caller, base_url(request), region_of(values))
        )

    def _region(self, values: Values, caller: Caller, base: str, region: Stencil) -> Response:
        """Summarise a region."""
        release = self._atlas.release(caller, values.text("RELEASE"))
        footprint = self._atlas.footprint(release)
        bands = footprint.select_bands(bands_of(values))
        summary = footprint.within(region, bands)
        files = [_file(f, base) for f in self._atlas.files(release, summary.tiles, bands)]
        if format_of(values).lower() not in ("", "json", "application/json"):
            return _files_table(files, choose(format_of(values)))
        return _json(
            {
                "release": release.name,
                "region": summary.region,
                "bands": summary.bands,
                "tiles": summary.tiles,
                "files": files,
            }
        )

    async def moc(self, request: Request) -> Response:
        """MOC of the cells whose depth, exposures and good fraction pass the cuts in all bands that are named."""
        caller = caller_of(request)
        values = (await parse_parameters(request, 1_000_000)).read(CELLS)
        cuts = Cuts(*map(values.real, ("DEPTH", "NEXP", "FRACTION")))

        def make() -> tuple[bytes, str]:
            release = self._atlas.release(caller, request.path_params["release"])
            selection = moc_of(self._atlas.footprint(release), bands_of(values), cuts)
            return serialize_moc(selection, format_of(values).lower() or "json")

        data, mime = await run_blocking(self._services, make)
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

        _, (file, data) = await run_blocking(self._services, read)
        tag = f'"{file.sha256}"'
        headers = {"etag": tag, "cache-control": "no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(None, 304, headers)
        return Response(data, 200, headers, media_type=file.mime)

    async def _parse(self, request: Request, declared: ParameterSet) -> tuple[Values, Caller]:
        """Return parameters and caller of a request without a table."""
        caller = caller_of(request)
        params = await parse_parameters(request, 1_000_000)
        await params.close()
        return params.read(declared), caller


def _file(file: ReleaseFile, base: str) -> FileEntry:
    """Return a file as a JSON entry."""
    return {
        "path": file.path,
        "filetype": file.filetype,
        "tilename": file.tilename,
        "band": file.band,
        "filesize": file.filesize,
        "sha256": file.sha256,
        "url": f"{base}/files/{quote(file.release)}/{quote(file.path)}",
    }


def _files_table(files: list[FileEntry], form: Format) -> Response:
    """Encode file entries as a table."""
    kinds = {"filesize": pa.int64()}
    schema = pa.schema([(c.name, kinds.get(c.name, pa.string())) for c in _FILES])
    rows = pa.RecordBatch.from_pylist(files, schema=schema)
    return Response(b"".join(stream(form, _FILES, [rows], title="files of the region")), media_type=form.mime)
