"""Cutouts by coordinates or object, one or a table of them: ``/api/cutouts``, and as jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied, UsageError
from desdm.query.engines.model import Upload
from desdm.query.formats.upload import read_upload
from desdm.services.context import Services, caller_of
from desdm.services.limits import limits_of
from desdm.services.parameters import is_form, parse_parameters, parse_real
from desdm.services.responses import run_blocking
from desdm.services.soda import colour
from desdm.services.soda.batch import Item, cut_items
from desdm.services.soda.bundle import MIME, Form, bundle
from desdm.services.soda.files import ImageCache
from desdm.services.soda.parameters import form_of, outside_of
from desdm.services.soda.responses import file_response, stream
from desdm.services.soda.rows import Defaults, items_of, one_row
from desdm.services.uws.model import JobContext, Parameters

__all__ = ["Batches"]

_MOST, _MOST_OF_A_JOB = 2_000, 100_000
_ROW = ("RA", "DEC", "ID", "NAME")
_KNOWN = (
    *_ROW,
    "RELEASE",
    "TABLE",
    "SIZE",
    "XSIZE",
    "YSIZE",
    "BANDS",
    "FORMAT",
    "PNG",
    "FITS",
    "OUTSIDE",
    "Q",
    "STRETCH",
    "MINIMUM",
    "RUNID",
)
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
        params.only(_KNOWN)
        values = dict(params.pairs)
        rows = one_row({name.lower(): values[name] for name in _ROW if values.get(name)})
        form = form_of(values.get("FORMAT", "") or "tar")
        items = await run_blocking(
            self.services,
            lambda: items_of(self.services, self.images, caller, rows, _defaults(values, form), 1),
        )
        item = items[0]
        if item.files and (form in ("tar", "zip") or (form == "fits" and len(item.files) > 1)):
            return stream(self.services, self.images, items, "zip" if form == "zip" else "tar", item.name)
        return await run_blocking(self.services, lambda: self._single(item))

    def _single(self, item: Item) -> Response:
        """Cut one item; the file, or JSON with the reason of the failure."""
        result = next(cut_items(self.images, [item]))
        if result.members:
            return file_response(result.members[0])
        status = {"outside": 404}.get(result.status, 400)
        return JSONResponse(
            {"status": result.status, "error": result.reason, "region": item.stencil.text}, status
        )

    async def many(self, request: Request) -> Response:
        """POST: a table of regions, as part ``table`` of a form or as the body."""
        caller = caller_of(request)
        _require_batch(caller)
        limits = limits_of(caller.role)
        params = await parse_parameters(request, limits.request_bytes)
        try:
            params.only(_KNOWN)
            part = params.files.get("table") or next(iter(params.files.values()), None)
            kind = request.headers.get("content-type", "") if part is None else part.content_type
            if part is None and is_form(kind or ""):
                raise UsageError("no table of regions: send it as part table of the form, or as the body")
            data = await _body(request, limits.request_bytes) if part is None else await part.read()
        finally:
            await params.close()
        values = dict(params.pairs)
        form = form_of(values.get("FORMAT", "") or "tar")

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
        _require_batch(caller)
        for name, _ in parameters:
            if name not in (*_KNOWN, *_CONTROL) and not name.startswith("_"):
                raise UsageError(f"unknown parameter {name[:40]}; known: {', '.join(_KNOWN)}")
        values = dict(parameters)
        _defaults(values, form_of(values.get("FORMAT", "") or "tar"))
        self.images.release(caller, values.get("RELEASE", ""))

    def job(self, job: JobContext) -> None:
        """Run a job on part ``table`` of its form; the only result is the archive of all cutouts."""
        values = dict(job.parameters)
        form = form_of(values.get("FORMAT", "") or "tar")
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


def _require_batch(caller: Caller) -> None:
    """Raise `AccessDenied` unless the caller may request batches."""
    if not caller.may(Action.BATCH):
        raise AccessDenied("batches of cutouts are not among what this token allows", caller.known)


async def _body(request: Request, most: int) -> bytes:
    """Read the body of a request up to a number of bytes."""
    from desdm.errors import LimitExceeded

    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise LimitExceeded(f"the table is larger than {most // 1_000_000} MB; send less", "size")
        pieces.append(piece)
    return b"".join(pieces)


def _parse_table(data: bytes, kind: str, max_bytes: int, max_rows: int) -> Upload:
    """Parse a table of regions."""
    return read_upload("rows", data, kind, max_bytes=max_bytes, max_rows=max_rows)


def _flag(values: Mapping[str, str], name: str, default: bool) -> bool:
    """Parse a boolean parameter."""
    text = values.get(name, "").strip().lower()
    if text not in ("", "0", "1", "true", "false", "yes", "no"):
        raise UsageError(f"{name}={text[:20]}: 1 or 0 is wanted")
    return text in ("1", "true", "yes") if text else default


def _size(values: Mapping[str, str], *names: str) -> float:
    """Parse the first of some parameters that is present, in arcmin; 1 if none is."""
    name = next((n for n in names if values.get(n, "").strip()), None)
    if name is None:
        return 1.0
    return parse_real(name, values[name])


def _defaults(values: Mapping[str, str], form: str) -> Defaults:
    """Parse the parameters that hold for rows without values of their own."""
    bands = values.get("BANDS", "")
    colour.split_bands(bands)
    return Defaults(
        release=values.get("RELEASE", ""),
        table=values.get("TABLE", ""),
        xsize=_size(values, "XSIZE", "SIZE"),
        ysize=_size(values, "YSIZE", "SIZE"),
        bands=bands,
        fits=_flag(values, "FITS", form != "png"),
        png=_flag(values, "PNG", form == "png"),
        outside=outside_of(values.get("OUTSIDE", "")),
        look=colour.Lupton.of(values),
    )
