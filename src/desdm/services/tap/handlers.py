"""The paths of TAP 1.1: sync, async, capabilities, availability, tables, examples."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Action
from desdm.errors import AccessDenied, UsageError
from desdm.query.engines.model import Cancel
from desdm.query.formats import TableStream
from desdm.services.answers import base_url, guarded, work, xml_document
from desdm.services.catalogue import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.limits import limits_of
from desdm.services.parameters import Given, given
from desdm.services.streaming import Stream, let_go, watched
from desdm.services.tap.answer import Answering
from desdm.services.tap.asked import Asked, asked, uploads
from desdm.services.tap.capabilities import tap_capabilities
from desdm.services.tap.examples import examples_of
from desdm.services.tap.job import run_query
from desdm.services.tap.results import result_of
from desdm.services.tap_schema.describe import Described
from desdm.services.uws.handlers import uws_routes
from desdm.services.uws.model import JobKind
from desdm.services.vosi.handlers import vosi_routes
from desdm.services.vosi.tables import tables_route

__all__ = ["routes"]

_PREFIX = "/tap"


def routes(services: Services) -> list[BaseRoute]:
    """Routes of TAP."""
    described = Described(services)
    answering = Answering(services, described)
    tap = _Tap(services, answering)
    kind = JobKind("tap", partial(run_query, answering))
    return [
        Route(f"{_PREFIX}/sync", guarded(tap.sync), methods=["GET", "POST"]),
        *uws_routes(f"{_PREFIX}/async", kind, services),
        *vosi_routes(_PREFIX, services, partial(tap_capabilities, services, _PREFIX)),
        *tables_route(_PREFIX, services, described.refresh),
        Route(f"{_PREFIX}/examples", guarded(tap.examples), methods=["GET"]),
    ]


@dataclass(frozen=True, slots=True)
class _Tap:
    services: Services
    answering: Answering

    async def sync(self, request: Request) -> Response:
        caller = caller_of(request)
        if not caller.may(Action.READ):
            raise AccessDenied("queries are not among what this token allows", caller.known)
        limits = limits_of(caller.role)
        form = await given(request, limits.request_bytes)
        held, cancel = ExitStack(), Cancel()
        try:
            wanted = asked(form.values, limits)
            begin = work(self.services, lambda: self._begun(request, wanted, form, held, cancel))
            pieces = await watched(request.receive, cancel, begin)
        except BaseException:
            cancel()
            await let_go(held)
            raise
        finally:
            await form.close()
        return Stream(self.services, pieces, held, cancel, wanted.mime)

    def _begun(
        self, request: Request, wanted: Asked, form: Given, held: ExitStack, cancel: Cancel
    ) -> TableStream:
        caller, base = caller_of(request), base_url(request)
        limits = limits_of(caller.role)

        def part(name: str) -> BinaryIO:
            if name not in form.files:
                raise UsageError(f"UPLOAD: no part {name[:40]!r} came along; send it as multipart/form-data")
            return form.files[name].file

        def result(uri: str) -> BinaryIO:
            return result_of(self.services, caller, base, uri)

        tables = uploads(wanted.uploads, part, result, limits)
        pieces = self.answering.pieces(
            caller, wanted, tables, seconds=limits.seconds, cancel=cancel, base=base, held=held
        )
        return pieces.begin()

    async def examples(self, request: Request) -> Response:
        caller = caller_of(request)

        def look() -> bytes:
            self.answering.described.refresh()
            found = examples_of(catalogue_for(self.services, caller))
            return xml_document(
                "desdm.services.tap", "examples.xhtml", examples=found, base=base_url(request)
            )

        return Response(await work(self.services, look), media_type="application/xhtml+xml")
