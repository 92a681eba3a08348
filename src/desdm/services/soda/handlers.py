"""HTTP endpoints of cutouts: SODA, synchronous and as jobs; by coordinates or object, one or many."""

from __future__ import annotations

import time
from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Caller
from desdm.errors import UsageError
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.forms import parse_parameters
from desdm.services.limits import limits_of
from desdm.services.responses import base_url, run_blocking
from desdm.services.soda.api import Batches
from desdm.services.soda.batch import Cause, CutStatus, Item, ItemResult, cut_items
from desdm.services.soda.bundle import MIME, bundle
from desdm.services.soda.endpoints import BATCH_JOBS, JOBS, MANY, ONE, PREFIX, SYNC, VOSI
from desdm.services.soda.files import ImageCache
from desdm.services.soda.parameters import parse_request
from desdm.services.soda.responses import file_response, stream
from desdm.services.uws.handlers import uws_routes
from desdm.services.uws.model import JobContext, JobKind, Parameters
from desdm.services.vosi.handlers import capability, vosi_routes

__all__ = ["routes"]

_MOST_OF_A_JOB = 10_000


def routes(services: Services) -> list[BaseRoute]:
    """Routes of ``/soda`` and ``/api/cutouts``."""
    images = ImageCache(services)
    batches = Batches(services, images)
    kind = JobKind("soda", partial(_job, images), check=partial(_check, images), places=2)
    batch_kind = JobKind("cutout", batches.job, check=batches.check, places=2)
    return [
        *routes_of([(ONE, batches.one), (MANY, batches.many), (SYNC, partial(_sync, services, images))]),
        *uws_routes(BATCH_JOBS, batch_kind, services),
        *uws_routes(JOBS, kind, services),
        *vosi_routes(VOSI, services, _capabilities),
    ]


def _capabilities(request: Request) -> str:
    """Return the capabilities of SODA."""
    url = base_url(request) + PREFIX
    return "".join(
        capability(f"ivo://ivoa.net/std/SODA#{mode}-1.0", f"{url}/{mode}", use="base", version="1.0")
        for mode in ("sync", "async")
    )


async def _sync(services: Services, images: ImageCache, request: Request) -> Response:
    """Cut synchronously: one file, an archive of many, or a redirect to the whole image."""
    caller = caller_of(request)
    limits = limits_of(caller.role)
    params = await parse_parameters(
        request, min(limits.request_bytes, 10_000_000), field_bytes=limits.parameter_bytes
    )
    await params.close()

    def respond() -> Response:
        # One task in the pool for everything: a cutout takes only as long as a few task switches.
        started = time.perf_counter()
        cutouts = parse_request(images, caller, params.pairs)
        if cutouts.whole is not None:
            return RedirectResponse(f"/files/{cutouts.whole.release}/{cutouts.whole.path}", 303)
        if cutouts.bundled is not None:
            return stream(services, images, cutouts.items, cutouts.bundled, "cutouts")
        response = _single_cutout(images, cutouts.items[0])
        response.headers["Server-Timing"] = f"cut;dur={(time.perf_counter() - started) * 1e3:.3f}"
        return response

    return await run_blocking(services, respond)


def _single_cutout(images: ImageCache, item: Item) -> Response:
    """Cut one item and return its file."""
    result = next(cut_items(images, [item]))
    if result.status is CutStatus.OUTSIDE:
        return Response(status_code=204)
    if result.status is CutStatus.FAILED:
        label, status = ("UsageError", 413) if result.cause is Cause.TOO_LARGE else ("Error", 500)
        return PlainTextResponse(f"{label}: {result.reason}", status)
    return file_response(result.members[0])


def _check(images: ImageCache, services: Services, caller: Caller, parameters: Parameters) -> None:
    """Check the parameters of a job."""
    parse_request(images, caller, parameters, _MOST_OF_A_JOB)


def _job(images: ImageCache, job: JobContext) -> None:
    """Run a job: one result for each region, or one archive."""
    cutouts = parse_request(images, job.caller, job.parameters, _MOST_OF_A_JOB)
    if cutouts.whole is not None:
        raise UsageError("give a stencil: CIRCLE, POLYGON or POS; whole files are at /files")
    if cutouts.bundled is not None and any(
        value.lower().endswith(("tar", "zip")) for value in job.values("RESPONSEFORMAT")
    ):
        path = job.directory / f"cutouts.{cutouts.bundled}"
        with path.open("wb") as file:
            for piece in bundle(cutouts.bundled, cut_items(images, cutouts.items, job.cancel.event.is_set)):
                file.write(piece)
        if not job.cancel.event.is_set():
            job.result("result", path.name, MIME[cutouts.bundled])
        return
    files = {
        result.item.number: _write_result(job, result)
        for result in cut_items(images, cutouts.items, job.cancel.event.is_set)
    }
    for number in sorted(files):
        # Each combination has a result, also one without pixels (SODA 1.0, section 6).
        job.result("result" if len(cutouts.items) == 1 else f"result-{number}", *files[number])


def _write_result(job: JobContext, result: ItemResult) -> tuple[str, str]:
    """Write the file of a result, or a text with the error; its name and media type."""
    if result.members:
        member = result.members[0]
        (job.directory / member.name).write_bytes(member.bytes())
        return member.name, member.mime
    name = f"{result.item.name}.txt"
    label = "UsageError" if result.status is CutStatus.OUTSIDE or result.cause is Cause.TOO_LARGE else "Error"
    (job.directory / name).write_text(f"{label}: {result.reason}: {result.item.stencil.text}\n", "utf-8")
    return name, "text/plain"
