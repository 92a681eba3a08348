"""HTTP responses with cutouts: one file, or a stream of many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from starlette.responses import Response

from desdm.query.engines.model import Cancel
from desdm.services.context import Services
from desdm.services.soda.batch import Item, Member, cut_items
from desdm.services.soda.bundle import MIME, Form, bundle
from desdm.services.soda.files import ImageCache
from desdm.services.streaming import Stream

__all__ = ["file_response", "stream"]


def file_response(member: Member) -> Response:
    """Return one file as a response."""
    kind = "inline" if member.mime.startswith("image/") else "attachment"
    return Response(
        member.bytes(),
        media_type=member.mime,
        headers={"Content-Disposition": f'{kind}; filename="{member.name}"'},
    )


def stream(services: Services, images: ImageCache, items: list[Item], form: Form, name: str) -> Response:
    """Stream many cutouts as tar or zip while they are cut; stops when the client disconnects.

    Parameters
    ----------
    services
        Shared state of the services.
    images
        Cache of release images.
    items
        Regions to cut.
    form
        ``tar`` or ``zip``.
    name
        File name without extension.

    Returns
    -------
    Response
        The stream.
    """
    cancel = Cancel()

    def pieces() -> Iterator[bytes]:
        yield from bundle(form, cut_items(images, items, cancel.event.is_set))

    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Stream(services, pieces(), ExitStack(), cancel, MIME[form], headers)
