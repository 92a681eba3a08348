"""Reference catalogues: binary tables with positions, in degrees or (coord_ra, coord_dec) in radians."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from desdm.archive.content import Content
from desdm.archive.filetypes.keywords import region
from desdm.archive.filetypes.kind import FileType, Metadata, has_table
from desdm.survey.outline import Outline

_POSITIONS = (("ra", "dec"), ("coord_ra", "coord_dec"))


def _table(content: Content) -> tuple[int, str, str] | None:
    for number, _ in content.tables():
        known = content.columns(number)
        for ra, dec in _POSITIONS:
            if ra in known and dec in known and known[ra].code in "DE" and known[dec].code in "DE":
                return number, ra, dec
    return None


def _positions(content: Content) -> Iterator[str]:
    if _table(content) is None:
        yield "no binary table with ra and dec (or coord_ra and coord_dec)"


def _covered(ra: Any, dec: Any) -> Outline | None:
    import numpy as np

    good = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90.0)
    if not good.any():
        return None
    ra, dec = np.sort(ra[good] % 360.0), dec[good]
    # The catalogue covers everything but the widest gap between neighbours in right ascension.
    gaps = np.diff(np.append(ra, ra[0] + 360.0))
    widest = int(np.argmax(gaps))
    racmin, racmax = float(ra[(widest + 1) % ra.size]), float(ra[widest])
    cross = racmin > racmax
    width = racmax - racmin + (360.0 if cross else 0.0)
    low, high = float(dec.min()), float(dec.max())
    return Outline((racmin + width / 2) % 360.0, (low + high) / 2, racmin, racmax, low, high, cross, None)


def _catalogue(content: Content) -> Metadata:
    found = _table(content)
    assert found is not None
    number, ra_name, dec_name = found
    ra = content.cells(number, ra_name).astype("f8")
    dec = content.cells(number, dec_name).astype("f8")
    if ra_name == "coord_ra":
        ra, dec = ra * (180.0 / 3.141592653589793), dec * (180.0 / 3.141592653589793)
    return {**region(_covered(ra, dec)), "version": content.stem.removesuffix(".fits")[:32]}


def _truth(content: Content) -> Metadata:
    told = _catalogue(content)
    told.pop("version")
    return {**told, "objects": next(hdu.shape[0] for _, hdu in content.tables())}


TRUTH = FileType(
    name="sim_truth",
    text="what the simulator put on the sky",
    table="catalog",
    pattern=r"truth[\w.-]*\.fits",
    directory="sim",
    rule=has_table("ra", "dec", name="TRUTH"),
    describe=_truth,
    repeats=True,
)
FACTS = FileType(
    name="sim_facts",
    text="constants of a simulation",
    table="miscfile",
    pattern=r"truth[\w.-]*\.json",
    directory="sim",
    repeats=True,
)
REFCAT = FileType(
    name="refcat",
    text="reference catalogue: Gaia, Tycho-2, PS1 or simulated",
    table="calibration",
    pattern=r"(?:chunk-|sim_refcat|tycho2|gaia|ps1|refcat|2mass|the_monster)[\w.-]*\.fits|survey-ccds-\d+\.kd\.fits|\d+\.fits",
    directory="refcat",
    rule=_positions,
    describe=_catalogue,
    repeats=True,
)
TYPES = (TRUTH, FACTS, REFCAT)
