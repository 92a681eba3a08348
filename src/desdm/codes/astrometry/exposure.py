"""The catalogues of one exposure's CCDs in one file for scamp, and its answer: a header and a judgement for each CCD."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.spatial import cKDTree

from desdm.codes.astrometry.reference import Reference
from desdm.codes.detection.sextractor import header_table, image_header
from desdm.errors import FileTypeError
from desdm.survey.headers import copy_wcs, wcs_of

__all__ = [
    "CcdCatalogue",
    "CcdSolution",
    "ahead_text",
    "contrast",
    "head_text",
    "read_combined",
    "read_heads",
    "residuals",
    "useful",
    "write_combined",
]

#: Bits of MSK under which a centroid cannot be trusted: BPM, SATURATE, BADAMP, CRAY, TRAIL, EDGEBLEED, EDGE, STREAK.
REJECT_MASK = 0x6DB
_NO_HEAD = ("CHECKSUM", "DATASUM", "EXTEND", "EXTNAME", "INHERIT")


@dataclass(frozen=True, slots=True)
class CcdCatalogue:
    """One CCD's objects (rows of LDAC_OBJECTS) with the header of its image."""

    header: fits.Header
    rows: npt.NDArray[np.void]

    @property
    def ccdnum(self) -> int:
        """CCD number, 0 if the header has none."""
        return int(self.header.get("CCDNUM", 0))

    @property
    def name(self) -> str:
        """For people: ``CCD 3 (N1)``."""
        position = str(self.header.get("DETPOS", "")).strip()
        return f"CCD {self.ccdnum}" + (f" ({position})" if position else "")


@dataclass(slots=True)
class CcdSolution:
    """What came out for one CCD: cards of the solution (empty: none), matched stars, and why it cannot be trusted.

    ``rms`` is the robust scatter against the reference in mas, in each coordinate's mean; nan if nothing matched.
    """

    header: fits.Header
    matched: int = 0
    rms: float = float("nan")
    why: str = ""
    cards: fits.Header = field(default_factory=fits.Header)

    @property
    def good(self) -> bool:
        """Whether the solution replaces the first one."""
        return not self.why


def read_combined(path: Path) -> list[CcdCatalogue]:
    """The CCDs of a FITS_LDAC file of one or more extensions, as Source Extractor or `write_combined` wrote it.

    Raises
    ------
    FileTypeError
        An object table has no image header before it.
    """
    catalogues, head = [], None
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus[1:]:
            if hdu.name == "LDAC_IMHEAD":
                head = image_header(hdu)
            elif hdu.name == "LDAC_OBJECTS":
                if head is None:
                    raise FileTypeError(f"{path.name}: an LDAC_OBJECTS without LDAC_IMHEAD before it")
                kind = [(n, hdu.data.dtype[n].newbyteorder("=")) for n in hdu.data.dtype.names]
                catalogues.append(CcdCatalogue(head, np.array(hdu.data, dtype=kind)))
                head = None
    if not catalogues:
        raise FileTypeError(f"{path.name}: no LDAC_OBJECTS; it is not a FITS_LDAC catalogue")
    return catalogues


def write_combined(
    path: Path, catalogues: Iterable[CcdCatalogue], primary: fits.Header | None = None
) -> None:
    """All CCDs of an exposure as one multi-extension FITS_LDAC file, in the order of their numbers: scamp's input.

    Parameters
    ----------
    path
        File to write.
    catalogues
        One catalogue a CCD, in any order.
    primary
        Cards of the primary header.
    """
    hdus = [fits.PrimaryHDU(header=primary)]
    for one in sorted(catalogues, key=lambda c: c.ccdnum):
        head = one.header.copy()
        for key in [k for k in head if k in _NO_HEAD or k.startswith(("SOFT", "DESF"))]:
            del head[key]
        hdus += [header_table(head), fits.BinTableHDU(one.rows, name="LDAC_OBJECTS")]
    fits.HDUList(hdus).writeto(path, overwrite=True)


def ahead_text(catalogues: Iterable[CcdCatalogue]) -> str:
    """The CCDs' own solutions (pointing, place on the focal plane, nominal distortion) as scamp's ``.ahead`` text."""
    parts = []
    for one in sorted(catalogues, key=lambda c: c.ccdnum):
        head = fits.Header()
        copy_wcs(one.header, head)
        parts.append(_text(head))
    return "".join(parts)


def _text(header: fits.Header) -> str:
    """Return a header as text, one card a line, with END."""
    lines = [str(card).rstrip() for card in header.cards]
    return "\n".join([*lines, "END     "]) + "\n"


def useful(catalogue: CcdCatalogue, least: float = 10.0) -> npt.NDArray[np.bool_]:
    """Which rows can tell a position: not cut off, not saturated, not under a spoiling mask bit, S/N above ``least``."""
    rows = catalogue.rows
    good = (rows["FLAGS"] < 4) & (rows["SNR_WIN"] > least)
    if "IMAFLAGS_ISO" in (rows.dtype.names or ()):
        good &= (rows["IMAFLAGS_ISO"] & REJECT_MASK) == 0
    return np.asarray(good & (rows["ERRAWIN_IMAGE"] > 0))


def read_heads(path: Path) -> list[fits.Header]:
    """All headers of a ``.head`` file, in its order; COMMENT and HISTORY (latin-1 bytes) are left out.

    Raises
    ------
    FileTypeError
        There is no such file.
    """
    if not path.is_file():
        raise FileTypeError(f"{path.name}: scamp left no header file; look into its log")
    heads, head = [], fits.Header()
    for line in path.read_bytes().decode("latin-1").splitlines():
        if line.startswith(("COMMENT", "HISTORY")) or not line.strip():
            continue
        if line.startswith("END"):
            heads.append(head)
            head = fits.Header()
            continue
        card = fits.Card.fromstring(line.ljust(80)[:80])
        if card.keyword:
            head.append(card)
    return heads


def head_text(solutions: Sequence[CcdSolution]) -> str:
    """The solutions as ``.head`` text that SWarp and scamp read, each with EXPNUM, CCDNUM and what it is worth."""
    parts = []
    for one in solutions:
        head = fits.Header()
        for key in ("EXPNUM", "CCDNUM"):
            if key in one.header:
                head[key] = (one.header[key], one.header.comments[key])
        head["SCAMPFLG"] = (0 if one.good else 1, "0: solution found, 1: the first WCS stands")
        head["SCAMPNUM"] = (one.matched, "reference stars matched")
        if np.isfinite(one.rms):
            head["SCAMPRMS"] = (round(one.rms, 3), "[mas] scatter against the reference")
        if one.why:
            head["SCAMPWHY"] = one.why[:60]
        if one.good:
            for card in one.cards.cards:
                if card.keyword not in head:
                    head.append(card)
        parts.append(_text(head))
    return "".join(parts)


_TABLE = re.compile(r'<TABLE ID="Fields".*?</TABLE>', re.DOTALL)
_FIELD = re.compile(r'<FIELD name="(\w+)"')
_CELL = re.compile(r"<TD>(.*?)</TD>", re.DOTALL)


def contrast(xml: str) -> float:
    """The contrast of scamp's pattern match in position (XY_Contrast of its XML); 0 if the XML lacks it."""
    table = _TABLE.search(xml)
    if table is None:
        return 0.0
    names, cells = _FIELD.findall(table.group()), _CELL.findall(table.group())
    cell = dict(zip(names, cells, strict=False)).get("XY_Contrast", "0")
    try:
        return float(cell)
    except ValueError:
        return 0.0


def residuals(
    catalogue: CcdCatalogue, solution: fits.Header, reference: Reference, radius: float = 1.0
) -> tuple[int, float]:
    """How well a CCD's objects fall on the reference stars under a solution: our own look, not scamp's word.

    Parameters
    ----------
    catalogue
        Objects; only the `useful` ones count.
    solution
        World coordinates.
    reference
        Stars at the exposure's epoch.
    radius
        Arcsec.

    Returns
    -------
    tuple
        Matches, and the scatter in mas: 1.4826 times the median absolute deviation, mean of both coordinates, of
        those with S/N above 50 (of all if there are fewer than ten such), and of point sources, if ten are known.
    """
    rows = catalogue.rows[useful(catalogue)]
    if not len(rows) or not reference.ra.size:
        return 0, float("nan")
    ra, dec = wcs_of(solution).all_pix2world(
        rows["XWIN_IMAGE"].astype(float), rows["YWIN_IMAGE"].astype(float), 1
    )
    cosd = float(np.cos(np.radians(np.median(dec))))
    stars = np.column_stack([((reference.ra - ra[0] + 180) % 360 - 180) * cosd, reference.dec])
    here = np.column_stack([((ra - ra[0] + 180) % 360 - 180) * cosd, dec])
    far, index = cKDTree(stars).query(here, distance_upper_bound=radius / 3600.0)
    hit = np.isfinite(far)
    count = int(hit.sum())
    # Of PS1's rows that no catalogue of stars has, many are galaxies, and their errors are larger than Gaia's.
    stellar = hit & reference.star[np.where(hit, index, 0)]
    hit = stellar if stellar.sum() >= 10 else hit
    bright = hit & (rows["SNR_WIN"] > 50)
    hit = bright if bright.sum() >= 10 else hit
    if not hit.any():
        return 0, float("nan")
    off = (here[hit] - stars[index[hit]]) * 3.6e6
    scatter = 1.4826 * np.median(np.abs(off - np.median(off, axis=0)), axis=0)
    return count, float(scatter.mean())
