"""The web feed of announcements (Atom, RFC 4287)."""

from __future__ import annotations

from datetime import datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.responses import base_url, run_blocking
from desdm.web.endpoints import FEED
from desdm.web.pages.news import News, news
from desdm.web.pages.visible import visible_releases

__all__ = ["routes"]

#: Time of change of a feed without entries.
_NEVER = datetime(1970, 1, 1)


def routes(services: Services) -> list[BaseRoute]:
    """Route of the feed."""

    async def feed(request: Request) -> Response:
        def make() -> bytes:
            names = {s.release.name for s in visible_releases(services, caller_of(request))}
            return _atom(base_url(request), news(services, names))

        return Response(await run_blocking(services, make), media_type="application/atom+xml")

    return routes_of([(FEED, feed)])


def _atom(base: str, announcements: list[News]) -> bytes:
    """Return the feed as XML."""
    root = Element("feed", xmlns="http://www.w3.org/2005/Atom")
    SubElement(root, "title").text = "Releases of the survey"
    SubElement(root, "id").text = f"{base}/feed.xml"
    SubElement(root, "link", rel="self", href=f"{base}/feed.xml")
    SubElement(root, "link", rel="alternate", href=f"{base}/")
    SubElement(root, "updated").text = _time(announcements[0].announced_at if announcements else _NEVER)
    SubElement(SubElement(root, "author"), "name").text = "desdm"
    for item in announcements:
        entry = SubElement(root, "entry")
        SubElement(entry, "title").text = item.subject
        SubElement(entry, "id").text = f"{base}/releases/{item.release}#announcement-{item.id}"
        SubElement(entry, "link", rel="alternate", href=f"{base}/releases/{item.release}")
        SubElement(entry, "updated").text = _time(item.announced_at)
        SubElement(entry, "content", type="text").text = item.body
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root)


def _time(at: datetime) -> str:
    """Format a time as RFC 3339."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
