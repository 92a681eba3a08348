"""The photometric scale of a release's coadds: which images have a measured zero point, and which do not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from desdm.errors import FileTypeError
from desdm.pixels.cards import Header, read_hdus
from desdm.release.findings import Check, note, passed
from desdm.release.model import ReleaseFile

__all__ = ["check_zeropoints"]

_SOURCE = re.compile(r"ZP(\d{5})")
#: What the card ZPnnnnn of a coadd says, and what that means.
_WORDS = {
    "tied": "have no measured zero point: their nominal ones are tied to the measured ones of the others by common stars",
    "nominal": "have no measured zero point, nor has any other: the coadd stands on the nominal one of its band, which "
    "clouds and dust on the mirror can put off by half a magnitude",
    "untied": "have a nominal zero point, which no stars tie to the measured ones of the others beside them",
}


def check_zeropoints(root: Path, files: Sequence[ReleaseFile]) -> Iterator[Check]:
    """Note each coadd of a release that contains images without a measured zero point, with their names.

    Parameters
    ----------
    root
        Directory of the release.
    files
        Its files. A coadd without cards ZPnnnnn, of before they were written, is noted as one of unknown scale; one that
        is damaged or gone is not looked at, for another check names it.
    """
    odd = False
    images = [f for f in files if f.filetype == "coadd" and (root / f.path).is_file()]
    unknown = []
    for file in images:
        sources = _sources(root / file.path)
        if sources is None:
            continue
        if not sources:
            unknown.append(file.path)
        for source, text in _WORDS.items():
            names = [name for name, one in sources if one == source]
            if names:
                odd = True
                yield note(
                    "zeropoints",
                    file.path,
                    f"{len(names)} of {len(sources)} images ({', '.join(names)}) {text}",
                )
    if unknown:
        yield note(
            "zeropoints", "coadds", f"{len(unknown)} coadds do not tell from where their zero points are"
        )
    if images and not odd and not unknown:
        yield passed("zeropoints", "coadds", f"all images of {len(images)} coadds have a measured zero point")


def _sources(path: Path) -> list[tuple[str, str]] | None:
    """Name and source of the zero point of each image in a coadd, by its header; None if it cannot be read."""
    # Imported late: the pixel code is slow to import, and a release of tables does not need it.
    from desdm.survey.imageio import mapped

    try:
        with mapped(path) as buffer:
            for hdu in read_hdus(buffer, len(buffer)):
                if out := _of_header(hdu.header):
                    return out
    except FileTypeError:
        return None
    return []


def _of_header(header: Header) -> list[tuple[str, str]]:
    """The cards ZPnnnnn of a header, each with the exposure and CCD of its EXPnnnnn."""
    out = []
    for key in sorted(header.keys()):
        match = _SOURCE.fullmatch(key)
        if match:
            exposure, ccd = str(header.get(f"EXP{match[1]}") or "0 0").split(maxsplit=1)
            out.append((f"D{int(exposure):08d} CCD {ccd}", str(header.get(key)).strip()))
    return out
