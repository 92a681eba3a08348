"""The ASGI app: data services and pages behind one door."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from desdm.facility import Facility
from desdm.services import SERVICES
from desdm.services.context import Services
from desdm.services.engines.model import Engine
from desdm.services.published import Published

__all__ = ["create_app", "open_services"]


def open_services(facility: Facility, engine: Engine) -> Services:
    """What the services share, for one server process."""
    return Services(
        config=facility.config,
        database=facility.database,
        archive=facility.archive,
        published=Published(facility.database),
        engine=engine,
        pool=ThreadPoolExecutor(max_workers=16, thread_name_prefix="desdm"),
        server=f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}",
    )


def create_app(services: Services) -> Starlette:
    """The app that serves one installation."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        services.pool.shutdown(wait=False, cancel_futures=True)
        services.engine.close()

    routes: list[BaseRoute] = []
    for service in SERVICES:
        routes += import_module(service.module).routes(services)
    return Starlette(routes=routes, lifespan=lifespan)
