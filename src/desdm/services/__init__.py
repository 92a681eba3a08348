"""The data services; this is their table of contents. A service is a folder whose ``handlers.py`` has ``routes``."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SERVICES", "Service"]


class Service(NamedTuple):
    """A data service: the path at which it answers, the module of its handlers, and one line on it."""

    path: str
    module: str
    text: str


#: A new service is a folder ``services/<name>`` with ``handlers.py``, and its line here. Each module has
#: ``routes(services: Services) -> list[BaseRoute]`` with whole paths.
SERVICES: tuple[Service, ...] = (
    Service("/tap", "desdm.services.tap.handlers", "Queries in ADQL: TAP 1.1, at once and as jobs."),
    Service("/scs", "desdm.services.scs.handlers", "Cone search on every table with positions."),
    Service("/sia", "desdm.services.sia.handlers", "Search for images: SIA 2.0."),
    Service("/datalink", "desdm.services.datalink.handlers", "Links from an image to its files and cutouts."),
    Service(
        "/soda",
        "desdm.services.soda.handlers",
        "Cutouts, by SODA 1.0 and by tables of coordinates or objects.",
    ),
    Service("/hips", "desdm.services.hips.handlers", "Pictures of the sky (HiPS): colours and depth."),
    Service(
        "/footprint",
        "desdm.services.footprint.handlers",
        "Inside, depth, exposures, tiles, files of a place.",
    ),
    Service(
        "/files", "desdm.services.filepick.handlers", "Files by release, tile, band, type and place; folders."
    ),
    Service("/files/…", "desdm.services.bulk.handlers", "Files themselves: ranges, digests, manifests."),
    Service("/api/mydb", "desdm.services.mytables.handlers", "Tables of one's own, within a quota."),
    Service(
        "/api/whoami", "desdm.services.whoami.handlers", "Who the caller is, and the limits of the role."
    ),
)
