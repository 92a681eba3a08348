"""Cutouts as answers over HTTP: one file, or many in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from starlette.responses import Response

from desdm.query.engines.model import Cancel
from desdm.services.context import Services
from desdm.services.soda.batch import Item, Member, produce
from desdm.services.soda.bundle import MIME, Form, bundle
from desdm.services.soda.files import Shelf
from desdm.services.streaming import Stream

__all__ = ["attached", "stream"]


def attached(member: Member) -> Response:
    """One file as an answer."""
    kind = "inline" if member.mime.startswith("image/") else "attachment"
    return Response(
        member.bytes(),
        media_type=member.mime,
        headers={"Content-Disposition": f'{kind}; filename="{member.name}"'},
    )


def stream(services: Services, shelf: Shelf, items: list[Item], form: Form, name: str) -> Response:
    """Many cutouts as tar or zip, sent while they are made; it ends when the client goes."""
    cancel = Cancel()

    def pieces() -> Iterator[bytes]:
        yield from bundle(form, produce(shelf, items, cancel.event.is_set))

    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Stream(services, pieces(), ExitStack(), cancel, MIME[form], headers)
