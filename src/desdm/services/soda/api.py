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
from desdm.services.answers import work
from desdm.services.context import Services, caller_of
from desdm.services.limits import limits_of
from desdm.services.parameters import given, is_form, real
from desdm.services.soda import colour
from desdm.services.soda.answers import attached, stream
from desdm.services.soda.asked import form_of, outside_of
from desdm.services.soda.batch import Item, produce
from desdm.services.soda.bundle import MIME, Form, bundle
from desdm.services.soda.files import Shelf
from desdm.services.soda.rows import Defaults, items_of, one_row
from desdm.services.uws.model import JobContext, Parameters

__all__ = ["Batches"]

_MOST, _MOST_OF_A_JOB = 2_000, 100_000
_ROW = ("RA", "DEC", "ID", "NAME")
_KNOWN = (
    *_ROW, "RELEASE", "TABLE", "SIZE", "XSIZE", "YSIZE", "BANDS", "FORMAT", "PNG", "FITS", "OUTSIDE", "Q", "STRETCH",
    "MINIMUM", "RUNID",
)  # fmt: skip
_CONTROL = ("PHASE", "EXECUTIONDURATION", "DESTRUCTION", "ACTION", "WAIT")


@dataclass(frozen=True, slots=True)
class Batches:
    """The handlers, on one shelf."""

    services: Services
    shelf: Shelf

    async def one(self, request: Request) -> Response:
        """GET: one region, by ``ra`` and ``dec`` or ``id``."""
        caller = caller_of(request)
        asked = await given(request, 0)
        asked.only(_KNOWN)
        values = dict(asked.pairs)
        rows = one_row({name.lower(): values[name] for name in _ROW if values.get(name)})
        form = form_of(values.get("FORMAT", "") or "tar")
        items = await work(
            self.services,
            lambda: items_of(self.services, self.shelf, caller, rows, _defaults(values, form), 1),
        )
        item = items[0]
        if form in ("tar", "zip") or (form == "fits" and len(item.files) > 1):
            return stream(self.services, self.shelf, items, "zip" if form == "zip" else "tar", item.name)
        return await work(self.services, lambda: self._single(item))

    def _single(self, item: Item) -> Response:
        done = next(produce(self.shelf, [item]))
        if done.members:
            return attached(done.members[0])
        status = {"outside": 404}.get(done.status, 400)
        return JSONResponse(
            {"status": done.status, "error": done.reason, "region": item.stencil.text}, status
        )

    async def many(self, request: Request) -> Response:
        """POST: a table of regions, as part ``table`` of a form or as the body."""
        caller = caller_of(request)
        _may(caller)
        limits = limits_of(caller.role)
        asked = await given(request, limits.request_bytes)
        try:
            asked.only(_KNOWN)
            part = asked.files.get("table") or next(iter(asked.files.values()), None)
            kind = request.headers.get("content-type", "") if part is None else part.content_type
            if part is None and is_form(kind or ""):
                raise UsageError("no table of regions: send it as part table of the form, or as the body")
            data = await _body(request, limits.request_bytes) if part is None else await part.read()
        finally:
            await asked.close()
        values = dict(asked.pairs)
        form = form_of(values.get("FORMAT", "") or "tar")

        def items() -> list[Item]:
            rows = _table(data, kind or "", limits.request_bytes, limits.upload_rows)
            return items_of(self.services, self.shelf, caller, rows, _defaults(values, form), _MOST)

        made = await work(self.services, items)
        return stream(self.services, self.shelf, made, "zip" if form == "zip" else "tar", "cutouts")

    def check(self, services: Services, caller: Caller, parameters: Parameters) -> None:
        """Refuse parameters of a job that can never work."""
        _may(caller)
        for name, _ in parameters:
            if name not in (*_KNOWN, *_CONTROL) and not name.startswith("_"):
                raise UsageError(f"unknown parameter {name[:40]}; known: {', '.join(_KNOWN)}")
        values = dict(parameters)
        _defaults(values, form_of(values.get("FORMAT", "") or "tar"))
        self.shelf.release(caller, values.get("RELEASE", ""))

    def job(self, job: JobContext) -> None:
        """A job: part ``table`` of its form; one result, the stream as a file."""
        values = dict(job.parameters)
        form = form_of(values.get("FORMAT", "") or "tar")
        limits = limits_of(job.caller.role)
        path = job.uploaded("table")
        rows = _table(path.read_bytes(), "", limits.request_bytes, limits.upload_rows)
        items = items_of(self.services, self.shelf, job.caller, rows, _defaults(values, form), _MOST_OF_A_JOB)
        bundled: Form = "zip" if form == "zip" else "tar"
        name = f"cutouts.{bundled}"
        with (job.directory / name).open("wb") as file:
            for piece in bundle(bundled, produce(self.shelf, items, job.cancel.event.is_set)):
                file.write(piece)
        if not job.cancel.event.is_set():
            job.result("result", name, MIME[bundled])


def _may(caller: Caller) -> None:
    if not caller.may(Action.BATCH):
        raise AccessDenied("batches of cutouts are not among what this token allows", caller.known)


async def _body(request: Request, most: int) -> bytes:
    from desdm.errors import LimitExceeded

    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise LimitExceeded(f"the table is larger than {most // 1_000_000} MB; send less", "size")
        pieces.append(piece)
    return b"".join(pieces)


def _table(data: bytes, kind: str, max_bytes: int, max_rows: int) -> Upload:
    return read_upload("rows", data, kind, max_bytes=max_bytes, max_rows=max_rows)


def _yes(values: Mapping[str, str], name: str, default: bool) -> bool:
    text = values.get(name, "").strip().lower()
    if text not in ("", "0", "1", "true", "false", "yes", "no"):
        raise UsageError(f"{name}={text[:20]}: 1 or 0 is wanted")
    return text in ("1", "true", "yes") if text else default


def _number(values: Mapping[str, str], *names: str) -> float:
    name = next((n for n in names if values.get(n, "").strip()), None)
    if name is None:
        return 1.0
    return real(name, values[name])


def _defaults(values: Mapping[str, str], form: str) -> Defaults:
    bands = values.get("BANDS", "")
    colour.split_bands(bands)
    return Defaults(
        release=values.get("RELEASE", ""), table=values.get("TABLE", ""), xsize=_number(values, "XSIZE", "SIZE"),
        ysize=_number(values, "YSIZE", "SIZE"), bands=bands, fits=_yes(values, "FITS", form != "png"),
        png=_yes(values, "PNG", form == "png"), outside=outside_of(values.get("OUTSIDE", "")),
        look=colour.Lupton.of(values),
    )  # fmt: skip
