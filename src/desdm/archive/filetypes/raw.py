"""Raw frames as a camera delivers them: overscan still on, or the headers say so; one image, or one an extension."""

from __future__ import annotations

from collections.abc import Iterator

from desdm.archive.content import Content
from desdm.archive.filetypes.keywords import image, nite, region
from desdm.archive.filetypes.kind import FileType, Metadata
from desdm.survey.detectors import absent, dead
from desdm.survey.outline import outline, union


def _raw(content: Content) -> Iterator[str]:
    if not content.images():
        yield "it has no image"
        return
    _mosaic(content)
    headers = [hdu.header for hdu in content.hdus[:3]]
    if str(content.keyword("PROCTYPE")).strip().lower() == "raw":
        return
    if not any(h.text(key) for h in headers for key in ("BIASSEC", "BIASSECA", "OVERSCN")):
        yield "no overscan section (BIASSEC) and PROCTYPE is not RAW"


def _mosaic(content: Content) -> None:
    """A mosaic says in NEXTEND how many CCDs it has. Another number is a finding and no refusal: good CCDs are good."""
    expected = content.keyword("NEXTEND")
    if not isinstance(expected, int) or isinstance(expected, bool) or len(content.images()) == 1:
        return
    numbers = [hdu.header.number("CCDNUM") for hdu in content.images()]
    known = [n for n in numbers if n is not None]
    twins = sorted({int(n) for n in known if known.count(n) > 1})
    told = str(content.keyword("INSTRUME") or ""), nite(content) or ""
    if absent([-1 if n is None else int(n) for n in numbers], expected, *told):
        content.findings.append(f"it has {len(numbers)} images, NEXTEND says {expected} CCDs")
    if twins:
        content.findings.append(f"CCD {', '.join(map(str, twins))} stands in it more than once")


def _describe(content: Content) -> Metadata:
    told = image(content)
    images = content.images()
    if len(images) > 1:
        outlines = [found for hdu in images if (found := outline(hdu.header, hdu.shape)) is not None]
        # An exposure is of no CCD, and covers what all its CCDs cover.
        told |= {"ccdnum": None, "ccds": _expected(content), **region(union(outlines))}
    return told


def _dead(content: Content) -> list[int]:
    """The camera's dead CCDs on the exposure's night."""
    return sorted(dead(str(content.keyword("INSTRUME") or ""), nite(content) or ""))


def _expected(content: Content) -> str | None:
    """The CCDs that the exposure should have: those in it, and where NEXTEND promises more, all numbers up to it.

    A CCD that was dead on that night is not expected, whether it was delivered or not.
    """
    there = {int(n) for hdu in content.images() if (n := hdu.header.number("CCDNUM")) is not None}
    promised = content.keyword("NEXTEND")
    if isinstance(promised, int) and len(there) < promised <= 200:
        there |= set(range(1, promised + 1))
    there -= set(_dead(content))
    parts: list[str] = []
    for number in sorted(there):
        if number - 1 in there:
            continue
        last = next(n for n in range(number, number + 1000) if n + 1 not in there)
        parts.append(str(number) if last == number else f"{number}:{last}")
    return ",".join(parts) or None


RAW = FileType(
    name="raw",
    text="raw frame as the camera delivered it",
    table="image",
    pattern=r".+\.fits?",
    directory="raw/{nite}",
    rule=_raw,
    describe=_describe,
)
TYPES = (RAW,)
