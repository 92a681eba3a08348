"""Reference catalogues in the forms that `desdm.survey.refstars` reads for astrometry and photometry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from desdm.archive.content import Content
from desdm.archive.filetypes.filetype import FileType, Metadata, has_table
from desdm.archive.filetypes.keywords import region
from desdm.sky.outline import Outline
from desdm.survey.findings import Finding, Severity

if TYPE_CHECKING:
    from desdm.survey.refstars.record import Array


def _check_readable(content: Content) -> Iterator[str]:
    """Rule: read the file with the codes' own reader, which raises `FileTypeError`; add its warnings to the findings."""
    from desdm.survey.refstars import stars_of

    stars = stars_of(content.data, content.hdus)
    if content.delivered:
        warnings = [Finding(Severity.WARNING, text) for text in stars.findings]
        content.findings += [one for one in warnings if one not in content.findings]
    yield from ()


def _outline_of(ra: Array, dec: Array) -> Outline | None:
    """Return the outline of a catalogue's positions in degrees; None if there is no valid position."""
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
    """Return the metadata of a reference catalogue: its region, and its name as version."""
    from desdm.survey.refstars import table_of

    table, layout = table_of(content.data, content.hdus)
    version = content.stem.removesuffix(".fits")[:32]
    return {**region(_outline_of(*layout.positions(table))), "version": version}


def _truth(content: Content) -> Metadata:
    """Return the metadata of a truth table: its region and number of objects."""
    metadata = _catalogue(content)
    metadata.pop("version")
    return {**metadata, "objects": next(hdu.shape[0] for _, hdu in content.tables())}


TRUTH = FileType(
    name="sim_truth",
    text="what the simulator put on the sky",
    table="catalog",
    pattern=r"truth[\w.-]*\.fits",
    directory="sim",
    rule=has_table("ra", "dec", name="TRUTH"),
    read_metadata=_truth,
    names_repeat=True,
)
FACTS = FileType(
    name="sim_facts",
    text="constants of a simulation",
    table="miscfile",
    pattern=r"truth[\w.-]*\.json",
    directory="sim",
    names_repeat=True,
)
REFCAT = FileType(
    name="refcat",
    text="reference catalogue: Gaia, Tycho-2, PS1 or simulated",
    table="calibration",
    pattern=r"(?:chunk-|sim_refcat|tycho2|gaia|ps1|refcat|2mass|the_monster)[\w.-]*\.fits|\d+\.fits",
    directory="refcat",
    rule=_check_readable,
    read_metadata=_catalogue,
    names_repeat=True,
)
TYPES = (TRUTH, FACTS, REFCAT)
