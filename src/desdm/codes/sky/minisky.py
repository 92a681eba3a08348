"""The mini-sky: block values of all CCDs of one exposure, laid out as in the focal plane, and its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.sky.blocks import Blocks
from desdm.errors import FileTypeError

__all__ = [
    "KEPT",
    "CcdSky",
    "MiniSky",
    "Place",
    "combine",
    "layout_hdu",
    "read_ccdsky",
    "read_layout",
    "read_minisky",
    "write_ccdsky",
    "write_minisky",
]

_SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")
#: Keywords of an exposure that its sky keeps.
KEPT = (
    "EXPNUM",
    "BAND",
    "NITE",
    "MJD-OBS",
    "EXPTIME",
    "INSTRUME",
    "OBJECT",
    "OBSTYPE",
    "AIRMASS",
    "FILTER",
    "TELRA",
    "TELDEC",
    "RA",
    "DEC",
    "DETSIZE",
)


@dataclass(frozen=True, slots=True)
class CcdSky:
    """Block values of one CCD, its number, the header they came with, and the image's shape (ny, nx) in pixels."""

    ccdnum: int
    blocks: Blocks
    shape: tuple[int, int]
    header: fits.Header


@dataclass(frozen=True, slots=True)
class Place:
    """Where a CCD's blocks lie in the mosaic: first column and row from 0, and the CCD's size in pixels."""

    ccdnum: int
    x: int
    y: int
    nx: int
    ny: int
    size: int

    @property
    def window(self) -> tuple[slice, slice]:
        """The CCD's part of the mosaic."""
        return slice(self.y, self.y - (-self.ny // self.size)), slice(
            self.x, self.x - (-self.nx // self.size)
        )


@dataclass(frozen=True, slots=True)
class MiniSky:
    """The mosaic of one exposure: ``level`` NaN in gaps, at missing CCDs and bad blocks; ``sigma`` of one pixel."""

    level: npt.NDArray[np.float32]
    sigma: npt.NDArray[np.float32]
    places: tuple[Place, ...]
    header: fits.Header

    @property
    def expnum(self) -> int:
        """Exposure number, 0 if the header does not say."""
        return int(self.header.get("EXPNUM", 0))

    def place(self, ccdnum: int) -> Place | None:
        """Where a CCD lies, or None: it is missing."""
        return next((p for p in self.places if p.ccdnum == ccdnum), None)


def _section(text: object) -> tuple[int, int, int, int] | None:
    """Return (x1, x2, y1, y2), ascending, of a section keyword; None if it is not one."""
    match = _SECTION.fullmatch(str(text).strip())
    if match is None:
        return None
    x1, x2, y1, y2 = (int(v) for v in match.groups())
    return min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)


def _places(ccds: Sequence[CcdSky]) -> tuple[Place, ...]:
    """By DETSEC if every CCD has one that fits its size; else in a grid by CCD number, a block apart."""
    sections = [_section(c.header.get("DETSEC", "")) for c in ccds]
    sized = [
        s is not None and (s[1] - s[0] + 1, s[3] - s[2] + 1) == (c.shape[1], c.shape[0])
        for s, c in zip(sections, ccds, strict=True)
    ]
    out = []
    columns = 2 if max(c.ccdnum for c in ccds) <= 4 else 8
    for section, ccd in zip(sections, ccds, strict=True):
        (ny, nx), size = ccd.shape, ccd.blocks.size
        if all(sized) and section is not None:
            x, y = round((section[0] - 1) / size), round((section[2] - 1) / size)
        else:
            x = ((ccd.ccdnum - 1) % columns) * (-(-nx // size) + 1)
            y = ((ccd.ccdnum - 1) // columns) * (-(-ny // size) + 1)
        out.append(Place(ccd.ccdnum, x, y, nx, ny, size))
    return tuple(out)


def combine(ccds: Sequence[CcdSky]) -> MiniSky:
    """Lay the CCDs of one exposure out as in the focal plane; what is missing is NaN.

    Raises
    ------
    FileTypeError
        No CCD, CCDs of different exposures or block sizes, or two that overlap.
    """
    if not ccds:
        raise FileTypeError("a mini-sky needs at least one CCD; none was compressed")
    ccds = sorted(ccds, key=lambda c: c.ccdnum)
    for key, values in (
        ("EXPNUM", {c.header.get("EXPNUM") for c in ccds}),
        ("block size", {c.blocks.size for c in ccds}),
    ):
        if len(values) > 1:
            raise FileTypeError(f"mini-skies of one exposure differ in {key}: {sorted(map(str, values))}")
    places = _places(ccds)
    total = _section(ccds[0].header.get("DETSIZE", ""))
    width = max(p.window[1].stop for p in places)
    height = max(p.window[0].stop for p in places)
    if total is not None:
        # The same shape whether or not the outermost CCDs are there.
        width = max(width, -(-total[1] // ccds[0].blocks.size))
        height = max(height, -(-total[3] // ccds[0].blocks.size))
    level = np.full((height, width), np.nan, np.float32)
    sigma = level.copy()
    taken = np.zeros(level.shape, bool)
    for place, ccd in zip(places, ccds, strict=True):
        if taken[place.window].any():
            raise FileTypeError(f"CCD {place.ccdnum} overlaps another in the mini-sky; see DETSEC")
        level[place.window], sigma[place.window] = ccd.blocks.level, ccd.blocks.sigma
        taken[place.window] = True
    head = fits.Header()
    for key in KEPT:
        if key in ccds[0].header:
            head[key] = ccds[0].header[key]
    head["BLOCKSIZ"] = (ccds[0].blocks.size, "[pixel] side of a block")
    head["NCCD"] = (len(ccds), "CCDs in this mini-sky")
    return MiniSky(level, sigma, places, head)


def layout_hdu(places: Sequence[Place]) -> fits.BinTableHDU:
    """HDU CCDS: where each CCD lies (columns from 1, as FITS counts)."""
    columns = [
        fits.Column("CCDNUM", "I", array=[p.ccdnum for p in places]),
        fits.Column("X", "I", array=[p.x + 1 for p in places]),
        fits.Column("Y", "I", array=[p.y + 1 for p in places]),
        fits.Column("NX", "J", unit="pixel", array=[p.nx for p in places]),
        fits.Column("NY", "J", unit="pixel", array=[p.ny for p in places]),
        fits.Column("BLOCK", "I", unit="pixel", array=[p.size for p in places]),
    ]
    return fits.BinTableHDU.from_columns(columns, name="CCDS")


def read_layout(hdus: fits.HDUList, name: str) -> tuple[Place, ...]:
    """The table of `layout_hdu`; `FileTypeError` if the file has none."""
    if "CCDS" not in [hdu.name for hdu in hdus]:
        raise FileTypeError(f"{name}: no HDU CCDS, so nobody knows where its CCDs lie")
    rows = hdus["CCDS"].data
    return tuple(
        Place(int(r["CCDNUM"]), int(r["X"]) - 1, int(r["Y"]) - 1, int(r["NX"]), int(r["NY"]), int(r["BLOCK"]))
        for r in rows
    )


def write_minisky(path: Path, sky: MiniSky) -> None:
    """Write HDUs SCI (level, 0 where masked), MSK (1: masked), SIG (σ of one pixel) and CCDS."""
    masked = ~np.isfinite(sky.level)
    fits.HDUList(
        [
            fits.PrimaryHDU(np.where(masked, 0, sky.level).astype(np.float32), _named(sky.header, "SCI")),
            fits.ImageHDU(masked.astype(np.int32), name="MSK"),
            fits.ImageHDU(np.where(masked, 0, sky.sigma).astype(np.float32), name="SIG"),
            layout_hdu(sky.places),
        ]
    ).writeto(path, overwrite=True, checksum=True)


def _named(header: fits.Header, name: str) -> fits.Header:
    """Return a copy of the header with an EXTNAME."""
    out = header.copy()
    out["EXTNAME"] = name
    return out


def read_minisky(path: Path) -> MiniSky:
    """Read a file of `write_minisky`.

    Raises
    ------
    FileTypeError
        An HDU is missing.
    """
    with fits.open(path, memmap=False) as hdus:
        names = [hdu.name for hdu in hdus]
        for name in ("SCI", "MSK", "SIG"):
            if name not in names:
                raise FileTypeError(f"{path.name}: no HDU {name}; is it a mini-sky?")
        masked = hdus["MSK"].data != 0
        level = np.where(masked, np.nan, hdus["SCI"].data).astype(np.float32)
        sigma = np.where(masked, np.nan, hdus["SIG"].data).astype(np.float32)
        header = hdus["SCI"].header.copy(strip=True)
        return MiniSky(level, sigma, read_layout(hdus, path.name), header)


def write_ccdsky(path: Path, sky: CcdSky) -> None:
    """Write one CCD's blocks: HDUs SCI, SIG, GOOD."""
    head = _named(sky.header, "SCI")
    head["CCDNUM"] = sky.ccdnum
    head["BLOCKSIZ"] = (sky.blocks.size, "[pixel] side of a block")
    head["IMNAXIS1"] = (sky.shape[1], "[pixel] width of the image")
    head["IMNAXIS2"] = (sky.shape[0], "[pixel] height of the image")
    fits.HDUList(
        [
            fits.PrimaryHDU(np.nan_to_num(sky.blocks.level), head),
            fits.ImageHDU(np.nan_to_num(sky.blocks.sigma), name="SIG"),
            # Where GOOD is below 0 the block had too few pixels: FITS keeps no NaN of ours apart from data.
            fits.ImageHDU(
                np.where(np.isfinite(sky.blocks.level), sky.blocks.good, -1).astype(np.float32), name="GOOD"
            ),
        ]
    ).writeto(path, overwrite=True, checksum=True)


def read_ccdsky(path: Path) -> CcdSky:
    """Read a file of `write_ccdsky`."""
    with fits.open(path, memmap=False) as hdus:
        if [hdu.name for hdu in hdus] != ["SCI", "SIG", "GOOD"]:
            raise FileTypeError(
                f"{path.name}: HDUs SCI, SIG, GOOD are needed; is it an output of skycompress?"
            )
        head = hdus[0].header.copy(strip=True)
        good = hdus["GOOD"].data.astype(np.float32)
        level, sigma = (np.where(good < 0, np.nan, hdus[k].data).astype(np.float32) for k in (0, 1))
    shape = (int(head["IMNAXIS2"]), int(head["IMNAXIS1"]))
    return CcdSky(
        int(head["CCDNUM"]), Blocks(level, sigma, np.maximum(good, 0), int(head["BLOCKSIZ"])), shape, head
    )
