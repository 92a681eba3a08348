"""The data services; this is their table of contents.

A service is a folder: ``endpoints.py`` declares its parameters and ``ENDPOINTS``, ``handlers.py`` has ``routes``.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from desdm.services.endpoint import Endpoint

__all__ = ["SERVICES", "Section", "Service", "endpoints"]


class Section(StrEnum):
    """Headings of the documents for the endpoints of services."""

    QUERIES = "Queries"
    IMAGES = "Images"
    CUTOUTS = "Cutouts"
    FOOTPRINT = "Footprint"
    FILES = "Files"
    ACCOUNT = "You and your tables"
    PAGES = "Pages"


class Service(NamedTuple):
    """A data service: the path at which it answers, its package, its section, and one line on it."""

    path: str
    package: str
    section: Section
    text: str

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its endpoints."""
        declared: tuple[Endpoint, ...] = import_module(f"{self.package}.endpoints").ENDPOINTS
        return declared


#: A new service is a folder ``services/<name>``, and its line here. Each ``handlers.py`` has
#: ``routes(services: Services) -> list[BaseRoute]`` with whole paths.
SERVICES: tuple[Service, ...] = (
    Service("/tap", "desdm.services.tap", Section.QUERIES, "Queries in ADQL: TAP 1.1, at once and as jobs."),
    Service("/scs", "desdm.services.scs", Section.QUERIES, "Cone search on every table with positions."),
    Service("/sia", "desdm.services.sia", Section.IMAGES, "Search for images: SIA 2.0."),
    Service(
        "/datalink",
        "desdm.services.datalink",
        Section.IMAGES,
        "Links from an image to its files and cutouts.",
    ),
    Service("/hips", "desdm.services.hips", Section.IMAGES, "Pictures of the sky (HiPS): colours and depth."),
    Service(
        "/soda",
        "desdm.services.soda",
        Section.CUTOUTS,
        "Cutouts, by SODA 1.0 and by tables of coordinates or objects.",
    ),
    Service(
        "/footprint",
        "desdm.services.footprint",
        Section.FOOTPRINT,
        "Inside, depth, exposures, tiles, files of a place.",
    ),
    Service(
        "/files",
        "desdm.services.filepick",
        Section.FILES,
        "Files by release, tile, band, type and place; folders.",
    ),
    Service(
        "/files/…", "desdm.services.bulk", Section.FILES, "Files themselves: ranges, digests, manifests."
    ),
    Service("/api/mydb", "desdm.services.mytables", Section.ACCOUNT, "Tables of one's own, within a quota."),
    Service(
        "/api/whoami",
        "desdm.services.whoami",
        Section.ACCOUNT,
        "Who the caller is, and the limits of the role.",
    ),
)


def endpoints() -> Iterator[tuple[Section, Endpoint]]:
    """Yield the endpoints of all services with their section."""
    for service in SERVICES:
        yield from ((service.section, endpoint) for endpoint in service.endpoints)
