"""What the pages of quality assessment share: scope, pictures, the mark that a form asks for, and who may see a subject."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.requests import Request

from desdm.accounts.model import Action, Caller
from desdm.archive.model import Scope
from desdm.errors import DesdmError, NotFoundError, UsageError
from desdm.operations.qa.marks import MarkOrder
from desdm.operations.qa.pictures import Pictures, Sources
from desdm.quality.qa import store
from desdm.quality.qa.model import Subject
from desdm.quality.qa.overview import MaskShare
from desdm.schema.operationstates import Mark, Severity, SubjectKind
from desdm.schema.store import exposure_name
from desdm.services.context import Services
from desdm.web.pages.deskforms import Form

__all__ = [
    "CODES",
    "PagePicture",
    "address_of",
    "mark_order",
    "number_of",
    "page_picture",
    "production",
    "require_visible",
    "severity_of",
]

#: Words for kinds of defects that are offered; another word may be typed.
CODES = (
    "ghost",
    "trail",
    "scattered_light",
    "clouds",
    "focus",
    "tracking",
    "dead_amplifier",
    "calibration",
    "sky",
    "astrometry",
    "photometry",
    "psf",
    "header",
    "other",
)
#: Seconds that a page waits for a picture that nobody has drawn yet; it then asks for it by itself.
_WAIT = 0.5
#: Bytes of a picture that is a part of the page itself.
_PART = 60_000
_PAGES = {
    SubjectKind.EXPOSURE: "exposure",
    SubjectKind.CCD: "ccd",
    SubjectKind.TILE: "tile",
    SubjectKind.ATTEMPT: "run",
    SubjectKind.FILE: "file",
}


@dataclass(frozen=True, slots=True)
class PagePicture:
    """The picture of a subject on a page.

    Attributes
    ----------
    uri
        Data URI, or the address of the picture if it is not drawn yet.
    address
        Address of the picture, which takes ``mask=1`` and ``large=1``.
    text
        What it shows.
    width, height
        Size, pixels; 0: not known yet.
    bits
        Mask bits, the most frequent first.
    has_mask, masked
        Whether there is a mask; whether it is drawn.
    unread
        Files that are missing in it, and why.
    """

    uri: str
    address: str
    text: str
    width: int = 0
    height: int = 0
    bits: tuple[MaskShare, ...] = ()
    has_mask: bool = True
    masked: bool = False
    unread: tuple[str, ...] = ()


def production(services: Services) -> Scope:
    """Return the attempts that are production here."""
    return Scope(services.config.project, services.config.campaign)


def address_of(kind: SubjectKind | str, name: str) -> str:
    """Return the address of the page of a subject; empty: such a subject has no page."""
    try:
        page = _PAGES.get(SubjectKind(kind), "")
    except ValueError:
        page = ""
    return f"/qa/{page}/{quote(name, safe='')}" if page else ""


def page_picture(
    pictures: Pictures, subject: Subject, sources: Sources | None, *, mask: bool
) -> PagePicture | None:
    """Return the picture of a subject for its page; None without an image.

    Parameters
    ----------
    pictures
        The installation's pictures.
    subject
        The subject.
    sources
        Files of its picture.
    mask
        Show the mask.
    """
    if sources is None or not pictures.available(sources):
        return None
    address = f"/qa/picture/{quote(subject.name, safe='')}"
    if sources.band:
        address += f"?band={quote(sources.band, safe='')}"
    with_mask = f"{address}{'&' if sources.band else '?'}mask=1"
    later = PagePicture(with_mask if mask else address, address, sources.text, masked=mask)
    try:
        picture = pictures.make(sources, mask=mask, within=_WAIT)
    except DesdmError as err:
        return PagePicture("", address, sources.text, has_mask=False, unread=(str(err),))
    if picture is None or len(picture.data) > _PART:
        return later
    uri = f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode('ascii')}"
    return PagePicture(
        uri,
        address,
        sources.text,
        picture.width,
        picture.height,
        picture.bits,
        picture.has_mask,
        mask and picture.has_mask,
        picture.unread,
    )


def mark_order(form: Form, *, cut: str = "firstcut") -> MarkOrder:
    """Return the mark that a form asks for.

    Parameters
    ----------
    form
        Fields verdict, reason, seen; of a defect code and severity; own.
    cut
        Pipeline of an exposure.

    Raises
    ------
    UsageError
        There is no verdict, or the form does not carry what was seen.
    """
    word = form.text("verdict")
    if word not in [mark.value for mark in Mark]:
        raise UsageError("say whether it is blessed or defective")
    verdict, defect = Mark(word), word == Mark.DEFECTIVE.value
    seen = form.text("seen")
    if not seen:
        raise UsageError("the form does not carry what you saw; load the page again")
    return MarkOrder(
        verdict,
        form.text("reason"),
        code=form.text("code").replace(" ", "_") if defect else "",
        severity=severity_of(form.text("severity")) if defect else None,
        seen=seen,
        own=form.text("own") == "1",
        cut=cut,
    )


def severity_of(text: str) -> Severity | None:
    """Return a severity by its word; None for an empty one.

    Raises
    ------
    UsageError
        It is no severity.
    """
    if not text:
        return None
    if text not in [one.value for one in Severity]:
        raise UsageError(f"severity is one of {', '.join(s.value for s in Severity)}; not {text[:20]}")
    return Severity(text)


def number_of(request: Request, what: str) -> int:
    """Return the number in the path of a request.

    Parameters
    ----------
    request
        The request.
    what
        What has the number, for the message.

    Raises
    ------
    NotFoundError
        It is not a number.
    """
    text = str(request.path_params["number"])
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise NotFoundError(f"there is no {what} {text[:20]}")
    return int(text)


def require_visible(conn: Connection, caller: Caller, subject: Subject, path: str) -> None:
    """Raise `NotFoundError` unless the caller may see a subject: by office, or while it is dispatched to the own group.

    Parameters
    ----------
    conn
        Connection to the database.
    caller
        Who asks.
    subject
        The subject.
    path
        Path of the request, for the message, which does not tell whether there is such a subject.
    """
    if caller.may(Action.SEE_OPERATIONS):
        return
    names: Sequence[str] = [subject.name]
    if subject.ccdnum is not None and subject.expnum is not None:
        # A CCD is a part of the exposure that was sent.
        names = [subject.name, exposure_name(subject.expnum)]
    if not caller.groups & store.groups_with_dispatch(conn, names):
        raise NotFoundError(f"there is nothing at {path}")
