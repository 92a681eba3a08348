"""The ASGI application: data services and pages with common middleware."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from importlib import import_module

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.accounts import store
from desdm.accounts.clock import now
from desdm.errors import DesdmError, TransientError
from desdm.facility import Facility
from desdm.query.engines.model import Engine
from desdm.schema.service import prepare
from desdm.services import SERVICES
from desdm.services.context import Services
from desdm.services.published import Published
from desdm.services.uws import servers
from desdm.services.warm import warm
from desdm.web.auth import Authentication
from desdm.web.error_responses import error_response, status_response
from desdm.web.eventhub import EventHub
from desdm.web.headers import Headers
from desdm.web.health import health_routes, probe
from desdm.web.pages import page_routes
from desdm.web.rates import Rates

__all__ = ["RATE", "create_app", "open_services"]

_LOG = logging.getLogger(__name__)
#: Seconds that a write waits for a lock of the operations database.
_LOCK_SECONDS = 5.0

#: Sustained requests a second of one public address, and the burst as a multiple of it.
RATE, _BURST = 200.0, 10.0

#: Largest number of stored denials, and time until ended sessions are deleted.
_MOST_DENIALS, _KEEP_SESSIONS = 200_000, timedelta(days=30)


def open_services(facility: Facility, engine: Engine) -> Services:
    """Create the shared state of the services of one server process."""
    releases = facility.config.releases
    facility.database.wait_at_most(_LOCK_SECONDS)
    prepare(facility.service)
    return Services(
        config=facility.config,
        database=facility.database,
        archive=facility.archive,
        published=Published(
            facility.database,
            prepare=lambda name, tables, files: engine.attach(name, tables, releases / name, files),
        ),
        engine=engine,
        pool=ThreadPoolExecutor(max_workers=24, thread_name_prefix="desdm"),
        server=f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}",
        state=facility.service,
    )


def create_app(services: Services, *, rate: float = RATE) -> Starlette:
    """Create the application of one installation.

    Parameters
    ----------
    services
        Shared state of the services.
    rate
        Requests a second of one public address; 0: no limit.
    """

    auth_threads = ThreadPoolExecutor(2, thread_name_prefix="desdm-auth")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(services.published.current)
        supervisor = services.supervisor
        services.journal.start(supervisor)
        services.faults.start(supervisor)
        # A new release is prepared here, in a thread, so that no request has to wait for it.
        supervisor.loop("published", partial(_refresh, services), 1.0)
        supervisor.loop("retention", partial(_prune, services), 3600.0)
        supervisor.loop("probe", partial(probe, services), 5.0)
        services.pool.submit(_warm_up, services)
        yield
        supervisor.stop()
        services.pages.shutdown(wait=False, cancel_futures=True)
        auth_threads.shutdown(wait=False, cancel_futures=True)
        services.pool.shutdown(wait=False, cancel_futures=True)
        services.engine.close()
        servers.leave(services.results, services.server)

    routes: list[BaseRoute] = []
    for service in SERVICES:
        routes += import_module(f"{service.package}.handlers").routes(services)
    routes += page_routes(services)
    routes += health_routes(services)
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(Headers),
            Middleware(
                Authentication,
                database=services.database,
                state=services.state,
                rates=Rates(rate, _BURST * rate),
                threads=auth_threads,
                journal=services.journal,
            ),
        ],
        exception_handlers={
            DesdmError: _handle_error,
            HTTPException: _handle_http_exception,
            Exception: _handle_unexpected,
        },
    )
    app.state.events = EventHub(services.database)
    app.state.services = services
    return app


def _refresh(services: Services) -> None:
    """Check whether another release was published."""
    with suppress(TransientError):
        services.published.current()


def _prune(services: Services) -> None:
    """Delete old and excess denials, and sessions that ended long ago."""
    at = now()
    with suppress(TransientError), services.state.write() as conn:
        store.drop_denials_before(conn, at - timedelta(days=services.config.keep_denials_days))
        store.keep_denials(conn, _MOST_DENIALS)
        store.drop_sessions_before(conn, at - _KEEP_SESSIONS)


def _warm_up(services: Services) -> None:
    """Warm up the server; a failure only makes the first requests slower."""
    try:
        warm(services)
    except Exception:  # noqa: BLE001 - nothing depends on it
        _LOG.exception("the server could not be warmed up; the first requests take longer")


async def _handle_error(request: Request, err: Exception) -> Response:
    """Respond to an error of desdm."""
    assert isinstance(err, DesdmError)
    # A browser would answer the challenge of HTTP Basic with a password window of its own.
    return error_response(request.scope, err, basic="sec-fetch-mode" not in request.headers)


async def _handle_http_exception(request: Request, err: Exception) -> Response:
    """Respond to an error of Starlette: unknown address, method not allowed."""
    assert isinstance(err, HTTPException)
    path, headers = request.url.path, {"Cache-Control": "no-store", **(err.headers or {})}
    allowed = ", ".join(sorted(headers.get("Allow", "").split(", ")))
    messages = {
        404: f"there is nothing at {path}",
        405: f"{request.method} is not a method of {path}; it takes {allowed}",
    }
    message = messages.get(err.status_code, err.detail)
    return status_response(request.scope, err.status_code, message, headers)


async def _handle_unexpected(request: Request, err: Exception) -> Response:
    """Respond to an unexpected error."""
    # The log has the traceback; the response has no internal details. The middleware that adds headers is inside.
    del err
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    message = "the service failed; report it with the time and the request"
    return status_response(request.scope, 500, message, headers)
