"""The HTTP face of cutouts: SODA, synchronous and as jobs; by coordinates or object, one or many."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Caller
from desdm.errors import AccessDenied, DesdmError, LimitExceeded, TransientError, UsageError
from desdm.services.answers import base_url, told, work
from desdm.services.context import Services, caller_of
from desdm.services.faults import status_of
from desdm.services.limits import limits_of
from desdm.services.parameters import given
from desdm.services.soda.answers import attached, stream
from desdm.services.soda.api import Batches
from desdm.services.soda.asked import asked_of
from desdm.services.soda.batch import Done, Item, produce
from desdm.services.soda.bundle import MIME, bundle
from desdm.services.soda.files import Shelf
from desdm.services.uws.handlers import uws_routes
from desdm.services.uws.model import JobContext, JobKind, Parameters
from desdm.services.vosi.handlers import capability, vosi_routes

__all__ = ["routes"]

_MOST_OF_A_JOB = 10_000


def routes(services: Services) -> list[BaseRoute]:
    """Routes of ``/soda`` and ``/api/cutouts``."""
    shelf = Shelf(services)
    batches = Batches(services, shelf)
    kind = JobKind("soda", partial(_job, shelf), check=partial(_check, shelf), places=2)
    many = JobKind("cutout", batches.job, check=batches.check, places=2)
    return [
        Route("/api/cutouts", batches.one, methods=["GET"]),
        Route("/api/cutouts", batches.many, methods=["POST"]),
        *uws_routes("/api/cutouts/async", many, services),
        Route("/soda/sync", _plain_errors(partial(_sync, services, shelf)), methods=["GET", "POST"]),
        *uws_routes("/soda/async", kind, services),
        *vosi_routes("/soda", services, _capabilities),
    ]


def _capabilities(request: Request) -> str:
    here = base_url(request) + "/soda"
    return "".join(
        capability(f"ivo://ivoa.net/std/SODA#{way}-1.0", f"{here}/{way}", use="base", version="1.0")
        for way in ("sync", "async")
    )


def _plain_errors(
    handler: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    # SODA 1.0 section 5.2: text that begins with the kind of the error.
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except DesdmError as err:
            return PlainTextResponse(_labelled(err), status_of(err), _retry(err))

    return answer


def _retry(err: DesdmError) -> dict[str, str]:
    if isinstance(err, LimitExceeded) and err.retry_after is not None:
        return {"Retry-After": str(err.retry_after)}
    return {"Retry-After": "30"} if isinstance(err, TransientError) else {}


def _labelled(err: DesdmError) -> str:
    if isinstance(err, AccessDenied):
        label = "AuthorizationError" if err.known else "AuthenticationError"
    elif isinstance(err, UsageError):
        label = "UsageError"
    else:
        label = "ServiceUnavailable" if isinstance(err, TransientError) else "Error"
    return f"{label}: {told(err)}"


async def _sync(services: Services, shelf: Shelf, request: Request) -> Response:
    caller = caller_of(request)
    found = await given(request, min(limits_of(caller.role).request_bytes, 10_000_000))
    await found.close()

    def answer() -> Response:
        # One turn in the pool for all: a cutout takes no longer than a few of them.
        begun = time.perf_counter()
        asked = asked_of(shelf, caller, found.pairs)
        if asked.whole is not None:
            return RedirectResponse(f"/files/{asked.whole.release}/{asked.whole.path}", 303)
        if asked.bundled is not None:
            return stream(services, shelf, asked.items, asked.bundled, "cutouts")
        made = _one(shelf, asked.items[0])
        made.headers["Server-Timing"] = f"cut;dur={(time.perf_counter() - begun) * 1e3:.3f}"
        return made

    return await work(services, answer)


def _one(shelf: Shelf, item: Item) -> Response:
    done = next(produce(shelf, [item]))
    if done.status == "outside":
        return Response(status_code=204)
    if done.status == "failed":
        label, status = ("UsageError", 413) if done.too_large else ("Error", 500)
        return PlainTextResponse(f"{label}: {done.reason}", status)
    return attached(done.members[0])


def _check(shelf: Shelf, services: Services, caller: Caller, parameters: Parameters) -> None:
    asked_of(shelf, caller, parameters, _MOST_OF_A_JOB)


def _job(shelf: Shelf, job: JobContext) -> None:
    asked = asked_of(shelf, job.caller, job.parameters, _MOST_OF_A_JOB)
    if asked.whole is not None:
        raise UsageError("give a stencil: CIRCLE, POLYGON or POS; whole files are at /files")
    if asked.bundled is not None and any(
        value.lower().endswith(("tar", "zip")) for value in job.values("RESPONSEFORMAT")
    ):
        path = job.directory / f"cutouts.{asked.bundled}"
        with path.open("wb") as file:
            for piece in bundle(asked.bundled, produce(shelf, asked.items, job.cancel.event.is_set)):
                file.write(piece)
        if not job.cancel.event.is_set():
            job.result("result", path.name, MIME[asked.bundled])
        return
    done = {one.item.number: _kept(job, one) for one in produce(shelf, asked.items, job.cancel.event.is_set)}
    for number in sorted(done):
        # Each combination has a result, also one without pixels (SODA 1.0, section 6).
        job.result("result" if len(asked.items) == 1 else f"result-{number}", *done[number])


def _kept(job: JobContext, done: Done) -> tuple[str, str]:
    if done.members:
        member = done.members[0]
        (job.directory / member.name).write_bytes(member.bytes())
        return member.name, member.mime
    name = f"{done.item.name}.txt"
    label = "UsageError" if done.status == "outside" or done.too_large else "Error"
    (job.directory / name).write_text(f"{label}: {done.reason}: {done.item.stencil.text}\n", "utf-8")
    return name, "text/plain"
