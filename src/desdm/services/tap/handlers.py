"""The paths of TAP 1.1: sync, async, capabilities, availability, tables, examples."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Caller
from desdm.errors import UsageError
from desdm.query.engines.model import Cancel
from desdm.query.formats import TableStream
from desdm.services.access import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.forms import RequestParams, parse_parameters
from desdm.services.limits import limits_of
from desdm.services.responses import base_url, run_blocking, xml_document
from desdm.services.streaming import Stream, cancel_on_disconnect, close_resources
from desdm.services.tap.capabilities import tap_capabilities
from desdm.services.tap.endpoints import EXAMPLES, JOBS, PREFIX, SYNC, VOSI, VOSI_TABLES
from desdm.services.tap.examples import examples_of
from desdm.services.tap.execute import QueryRunner
from desdm.services.tap.job import check_query, run_query
from desdm.services.tap.parameters import QueryParams, parse_query_params
from desdm.services.tap.uploads import read_uploads, result_of
from desdm.services.tap_schema.describe import TapSchema
from desdm.services.uws.handlers import uws_routes
from desdm.services.uws.model import JobKind
from desdm.services.vosi.handlers import vosi_routes
from desdm.services.vosi.tables import tables_routes

__all__ = ["routes"]


def routes(services: Services) -> list[BaseRoute]:
    """Routes of TAP."""
    schema = TapSchema(services)
    runner = QueryRunner(services, schema)
    tap = _Tap(services, runner)
    kind = JobKind("tap", partial(run_query, runner), check_query)
    return [
        *routes_of([(SYNC, tap.sync)]),
        *uws_routes(JOBS, kind, services),
        *vosi_routes(VOSI, services, partial(tap_capabilities, services, PREFIX)),
        *tables_routes(VOSI_TABLES, services, schema.refresh),
        *routes_of([(EXAMPLES, tap.examples)]),
    ]


@dataclass(frozen=True, slots=True)
class _Tap:
    """Handlers of TAP."""

    services: Services
    runner: QueryRunner

    async def sync(self, request: Request) -> Response:
        """Run a query and stream its rows."""
        caller = caller_of(request)
        limits = limits_of(caller.role)
        form = await parse_parameters(request, limits.request_bytes, field_bytes=limits.parameter_bytes)
        resources, cancel = ExitStack(), Cancel()
        try:
            params = parse_query_params(form.pairs, limits)
            first_rows = run_blocking(
                self.services, lambda: self._begin(caller, base_url(request), params, form, resources, cancel)
            )
            rows = await cancel_on_disconnect(request.receive, cancel, first_rows)
        except BaseException:
            cancel()
            await close_resources(resources)
            raise
        finally:
            await form.close()
        return Stream(self.services, rows, resources, cancel, params.mime)

    def _begin(
        self,
        caller: Caller,
        base: str,
        params: QueryParams,
        form: RequestParams,
        resources: ExitStack,
        cancel: Cancel,
    ) -> TableStream:
        """Read the uploads and compute the first rows."""
        limits = limits_of(caller.role)

        def open_part(name: str) -> BinaryIO:
            if name not in form.files:
                raise UsageError(
                    f"UPLOAD: the request has no part {name[:40]!r}; send it as multipart/form-data"
                )
            return form.files[name].file

        def open_result(uri: str) -> BinaryIO:
            return result_of(self.services, caller, base, uri)

        tables = read_uploads(params.uploads, open_part, open_result, limits)
        rows = self.runner.stream_rows(
            caller, params, tables, seconds=limits.seconds, cancel=cancel, base=base, resources=resources
        )
        return rows.begin()

    async def examples(self, request: Request) -> Response:
        """Return the examples document."""
        caller = caller_of(request)

        def render() -> bytes:
            self.runner.schema.refresh()
            examples = examples_of(catalogue_for(self.services, caller))
            return xml_document(
                "desdm.services.tap", "examples.xhtml", examples=examples, base=base_url(request)
            )

        return Response(await run_blocking(self.services, render), media_type="application/xhtml+xml")
