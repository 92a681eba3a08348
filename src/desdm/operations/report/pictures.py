"""The pictures of a report as data URIs: the colour picture, and quicklooks of coadds and of single images."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from desdm.archive.filetypes import BY_NAME
from desdm.archive.model import FileRecord
from desdm.errors import DesdmError
from desdm.operations.report.gather import RunFacts
from desdm.operations.report.science import UnreadableFile
from desdm.quality.qa.quicklook import quicklook
from desdm.survey.bands import band_order

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Picture", "coadds", "colour", "focal_planes", "singles", "singles_title"]

_COLOUR, _COADD, _SINGLE = 1400, 640, 400
#: More pictures than these would make a page that no browser likes; the page says how many were left out.
_MOST_COADDS, _MOST_SINGLES = 14, 36


#: Combined calibration frames, in the order in which a report shows them.
_COMBINED = ("cal_biascor", "cal_dflatcor", "cal_starflat")


class Picture(NamedTuple):
    """A picture: its data URI, size in pixels, the file, a title, and the mask bits that it shows."""

    uri: str
    width: int
    height: int
    name: str
    title: str
    bits: tuple[str, ...]


def _data_uri(picture: Image.Image) -> str:
    """Return a picture as a data URI."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "WEBP", quality=88, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def colour(facts: RunFacts, unread: list[UnreadableFile]) -> list[Picture]:
    """Return the colour pictures of the run, at most four."""
    return [
        picture
        for record in facts.of_type("coadd_color")[:4]
        if (picture := _load_picture(facts, record, _COLOUR, unread, mask=False)) is not None
    ]


def coadds(facts: RunFacts, unread: list[UnreadableFile]) -> tuple[list[Picture], int]:
    """Coadds by band and the detection image, without masks; and how many were left out."""
    records = [*facts.of_type("coadd"), *facts.of_type("coadd_det")]
    return _load_pictures(facts, records, _MOST_COADDS, _COADD, unread, mask=False), max(
        0, len(records) - _MOST_COADDS
    )


def singles(facts: RunFacts, unread: list[UnreadableFile]) -> tuple[list[Picture], int]:
    """Return single images of the run, with their masks; of many, some spread evenly over bands and exposures.

    Of several images of an exposure the last in the order of the work is taken.
    """
    kinds = [k.name for k in BY_NAME.values() if k.table == "image" and not k.name.startswith("coadd_det")]
    one = {e.record: e for e in facts.exposures}
    records = [
        f for kind in kinds if kind != "coadd" for f in facts.of_type(kind) if not one or f.name in one
    ]
    records.sort(key=lambda f: (band_order(f.band or ""), f.name))
    # Of a calibration run first its results, the combined frames, then the images by which they are assessed.
    combined = [
        f
        for kind in _COMBINED
        for f in sorted(facts.of_type(kind), key=lambda f: (band_order(f.band or ""), f.name))
    ]
    if combined:
        every = [*combined, *(f for f in records if f.filetype not in _COMBINED)]
        return _load_pictures(facts, every, _MOST_SINGLES, _SINGLE, unread, mask=False), max(
            0, len(every) - _MOST_SINGLES
        )
    step = max(1.0, len(records) / _MOST_SINGLES)
    chosen = [records[int(i * step)] for i in range(min(len(records), _MOST_SINGLES))]
    return _load_pictures(facts, chosen, _MOST_SINGLES, _SINGLE, unread, mask=True), len(records) - len(
        chosen
    )


def singles_title(facts: RunFacts) -> str:
    """What the single images are: of a calibration run the combined frames lead."""
    if any(facts.of_type(kind) for kind in _COMBINED):
        return "Combined calibrations, then single images"
    return "Single images, with their masks"


def focal_planes(facts: RunFacts, unread: list[UnreadableFile]) -> list[Picture]:
    """Return the pictures of exposures' focal planes, at most four."""
    records = [record for record in facts.of_type("qa_plot") if "focalplane" in record.name]
    return _load_pictures(facts, records, 4, _COLOUR, unread, mask=False)


def _load_pictures(
    facts: RunFacts,
    records: Sequence[FileRecord],
    most: int,
    size: int,
    unread: list[UnreadableFile],
    *,
    mask: bool,
) -> list[Picture]:
    """Return the pictures of at most ``most`` files."""
    pictures = (_load_picture(facts, record, size, unread, mask=mask) for record in records[:most])
    return [picture for picture in pictures if picture is not None]


def _load_picture(
    facts: RunFacts, record: FileRecord, size: int, unread: list[UnreadableFile], *, mask: bool
) -> Picture | None:
    """Return the picture of a file; None, and an entry in ``unread``, if it cannot be read."""
    from PIL import Image

    with tempfile.TemporaryDirectory(prefix="desdm-report-") as folder:
        out = Path(folder) / "picture.png"
        try:
            picture = quicklook(facts.path(record), out, mask=mask, size=size, captions=False)
        except DesdmError as err:
            unread.append(UnreadableFile(record.name, str(err)))
            return None
        with Image.open(out) as image:
            uri = _data_uri(image)
    title = picture.title if picture.title != record.name else ""
    return Picture(uri, picture.width, picture.height, record.name, title, tuple(picture.bits))
