"""Cutouts by coordinates or object, one or a table of them: ``/api/cutouts``, and as jobs."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from desdm.accounts.model import Action, Caller
from desdm.errors import (
    CorruptReleaseFile,
    DesdmError,
    LimitExceeded,
    LimitKind,
    NotFoundError,
    UsageError,
)
from desdm.query.engines.model import Upload
from desdm.query.formats.upload import read_upload
from desdm.services.context import Services, caller_of
from desdm.services.forms import is_form, parse_parameters, read_body
from desdm.services.limits import limits_of
from desdm.services.parameters import Values
from desdm.services.responses import run_blocking
from desdm.services.soda import colour
from desdm.services.soda.batch import Cause, CutStatus, Item, ItemResult, cut_items
from desdm.services.soda.bundle import MIME, Form, bundle
from desdm.services.soda.endpoints import PLACED
from desdm.services.soda.files import ImageCache
from desdm.services.soda.parameters import form_of, look_of, outside_of
from desdm.services.soda.responses import file_response, stream
from desdm.services.soda.rows import Defaults, items_of, one_row
from desdm.services.uws.model import JobContext, Parameters

__all__ = ["Batches"]

_MOST, _MOST_OF_A_JOB = 2_000, 100_000
_CONTROL = ("PHASE", "EXECUTIONDURATION", "DESTRUCTION", "ACTION", "WAIT")


@dataclass(frozen=True, slots=True)
class Batches:
    """Handlers of ``/api/cutouts``, over one cache of images."""

    services: Services
    images: ImageCache

    async def one(self, request: Request) -> Response:
        """GET: one region, by ``ra`` and ``dec`` or ``id``."""
        caller = caller_of(request)
        params = await parse_parameters(request, 0)
        values = params.read(PLACED)
        rows = _row(values)
        form = _form(values)
        items = await run_blocking(
            self.services,
            lambda: items_of(self.services, self.images, caller, rows, _defaults(values, form), 1),
        )
        item = items[0]
        if item.files and (form in ("tar", "zip") or (form == "fits" and len(item.files) > 1)):
            return stream(self.services, self.images, items, "zip" if form == "zip" else "tar", item.name)
        return await run_blocking(self.services, lambda: self._single(item))

    def _single(self, item: Item) -> Response:
        """Cut one item; the file, or JSON for a position outside the footprint."""
        result = next(cut_items(self.images, [item]))
        if result.members:
            return file_response(result.members[0])
        if result.status is CutStatus.OUTSIDE:
            document = {"status": "outside", "error": result.reason, "region": item.stencil.text}
            return JSONResponse(document, 404)
        raise _error_of(result)

    async def many(self, request: Request) -> Response:
        """POST: a table of regions, as part ``table`` of a form or as the body."""
        caller = caller_of(request)
        caller.require(Action.BATCH)
        limits = limits_of(caller.role)
        params = await parse_parameters(request, limits.request_bytes, field_bytes=limits.parameter_bytes)
        try:
            values = params.read(PLACED)
            part = params.files.get("table") or next(iter(params.files.values()), None)
            kind = request.headers.get("content-type", "") if part is None else part.content_type
            if part is None and is_form(kind or ""):
                raise UsageError("no table of regions: send it as part table of the form, or as the body")
            if part is None:
                with await read_body(request, limits.request_bytes) as body:
                    data = body.read()
            else:
                data = await part.read()
        finally:
            await params.close()
        form = _form(values)

        def items() -> list[Item]:
            rows = _parse_table(data, kind or "", limits.request_bytes, limits.upload_rows)
            return items_of(self.services, self.images, caller, rows, _defaults(values, form), _MOST)

        cutouts = await run_blocking(self.services, items)
        return stream(self.services, self.images, cutouts, "zip" if form == "zip" else "tar", "cutouts")

    def check(self, services: Services, caller: Caller, parameters: Parameters) -> None:
        """Raise for parameters of a job that can never work.

        Parameters
        ----------
        services
            Not used; part of the signature of job checks.
        caller
            Owner of the job.
        parameters
            Parameters of the job.

        Raises
        ------
        AccessDenied
            The caller may not request batches.
        UsageError
            A parameter is unknown or invalid.
        NotFoundError
            There is no such release.
        """
        caller.require(Action.BATCH)
        values = _read_job(parameters)
        _defaults(values, _form(values))
        self.images.release(caller, values.text("RELEASE"))

    def job(self, job: JobContext) -> None:
        """Run a job on part ``table`` of its form; the only result is the archive of all cutouts."""
        values = _read_job(job.parameters)
        form = _form(values)
        limits = limits_of(job.caller.role)
        path = job.uploaded("table")
        rows = _parse_table(path.read_bytes(), "", limits.request_bytes, limits.upload_rows)
        items = items_of(
            self.services, self.images, job.caller, rows, _defaults(values, form), _MOST_OF_A_JOB
        )
        bundled: Form = "zip" if form == "zip" else "tar"
        name = f"cutouts.{bundled}"
        with (job.directory / name).open("wb") as file:
            for piece in bundle(bundled, cut_items(self.images, items, job.cancel.event.is_set)):
                file.write(piece)
        if not job.cancel.event.is_set():
            job.result("result", name, MIME[bundled])


def _row(values: Values) -> Upload:
    """Return the one row of a GET request."""
    row: dict[str, str | float] = {
        name: text for name in ("id", "name") if (text := values.text(name.upper()))
    }
    ra, dec = values.real("RA"), values.real("DEC")
    if ra is not None and dec is not None:
        return one_row({**row, "ra": ra, "dec": dec})
    if "id" not in row or ra is not None or dec is not None:
        raise UsageError("give a position: ra and dec in degrees (ICRS), or the id of an object")
    return one_row(row)


def _error_of(result: ItemResult) -> DesdmError:
    """Return the error for a single cutout that failed."""
    match result.cause:
        case Cause.UNKNOWN_OBJECT:
            return NotFoundError(result.reason)
        case Cause.TOO_LARGE:
            return LimitExceeded(result.reason, LimitKind.SIZE)
        case Cause.DAMAGED_IMAGE:
            return CorruptReleaseFile(result.reason)
        case Cause.REQUEST:
            return UsageError(result.reason)


def _read_job(parameters: Parameters) -> Values:
    """Parse the parameters of a job, without those of the jobs themselves."""
    return PLACED.read((n, v) for n, v in parameters if n not in _CONTROL and not n.startswith("_"))


def _form(values: Values) -> str:
    """Return the form of the cutouts."""
    return form_of("FORMAT", values.text("FORMAT") or "tar")


def _parse_table(data: bytes, kind: str, max_bytes: int, max_rows: int) -> Upload:
    """Parse a table of regions."""
    return read_upload("rows", data, kind, max_bytes=max_bytes, max_rows=max_rows)


def _size(values: Values, *keys: str) -> float:
    """Return the first of some parameters that is present, in arcmin; 1 if none is."""
    return next((size for size in map(values.real, keys) if size is not None), 1.0)


def _defaults(values: Values, form: str) -> Defaults:
    """Return the parameters that hold for rows without values of their own."""
    bands = values.text("BANDS")
    colour.split_bands(bands)
    return Defaults(
        release=values.text("RELEASE"),
        table=values.text("TABLE"),
        xsize=_size(values, "XSIZE", "SIZE"),
        ysize=_size(values, "YSIZE", "SIZE"),
        bands=bands,
        fits=values.flag("FITS", form != "png"),
        png=values.flag("PNG", form == "png"),
        outside=outside_of(values),
        look=look_of(values),
    )
