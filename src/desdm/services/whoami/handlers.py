"""GET ``/api/whoami``: login, role, permitted actions and limits of the caller."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.limits import limits_of
from desdm.services.whoami.endpoints import WHOAMI

__all__ = ["routes"]


async def _whoami(request: Request) -> JSONResponse:
    """Return login, role, permitted actions and limits of the caller."""
    caller = caller_of(request)
    document = {
        "login": caller.login or None,
        "role": caller.role.value,
        "actions": sorted(action.value for action in caller.actions),
        "limits": asdict(limits_of(caller.role)),
    }
    return JSONResponse(document, headers={"cache-control": "no-store"})


def routes(_: Services) -> list[BaseRoute]:
    """The one route."""
    return routes_of([(WHOAMI, _whoami)])
