"""Endpoints of VOSI 1.1 below the path of a service."""

from __future__ import annotations

from desdm.accounts.model import Action
from desdm.services.endpoint import Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet

__all__ = ["DETAIL", "tables_endpoints", "vosi_endpoints"]

_XML = ("text/xml",)

#: VOSI 1.1, section 3.2.
DETAIL = ParameterSet(
    (
        Parameter(
            "detail",
            Kind.TEXT,
            "min: names of tables only",
            default="max",
            choices=("min", "max"),
            example="min",
        ),
    )
)


def vosi_endpoints(prefix: str) -> tuple[Endpoint, Endpoint]:
    """Return availability and capabilities of a service."""
    return (
        Endpoint(
            ("GET",),
            f"{prefix}/availability",
            "Whether the service is up (VOSI 1.1).",
            media_types=_XML,
            principal=False,
        ),
        Endpoint(
            ("GET",),
            f"{prefix}/capabilities",
            "What the service can do (VOSI 1.1).",
            media_types=_XML,
            principal=False,
        ),
    )


def tables_endpoints(prefix: str) -> tuple[Endpoint, Endpoint]:
    """Return the descriptions of all tables and of one."""
    return (
        Endpoint(
            ("GET",),
            f"{prefix}/tables",
            "Tables and columns (VOSI 1.1).",
            DETAIL,
            _XML,
            principal=False,
            action=Action.READ,
        ),
        Endpoint(
            ("GET",),
            f"{prefix}/tables/{{table}}",
            "Columns of one table.",
            DETAIL,
            _XML,
            principal=False,
            action=Action.READ,
        ),
    )
