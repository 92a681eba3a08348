"""The record of reference stars: positions, motions, errors, and magnitudes by photometric system and band."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Catalog", "Passband", "RefStars", "System"]

Array = npt.NDArray[np.float64]


class Catalog(StrEnum):
    """Where reference stars come from."""

    GAIA = "Gaia"
    PS1 = "PS1"
    TYCHO2 = "Tycho-2"
    SURVEY = "survey"  #: stars with magnitudes in the survey's own bands, for instance of the simulator
    OTHER = "other"

    @property
    def stars(self) -> bool:
        """Whether its rows are point sources; PS1 and unknown catalogues hold galaxies as well."""
        return self in (Catalog.GAIA, Catalog.TYCHO2, Catalog.SURVEY)


class System(StrEnum):
    """Photometric systems. All magnitudes are AB but those of Tycho-2, which are Vega and serve no photometry."""

    DES = "des"  #: the survey's own bands u g r i z Y VR
    PS1 = "ps1"  #: g r i z y of Pan-STARRS 1 (Tonry et al. 2012, ApJ 750, 99), also of ATLAS-REFCAT2
    SDSS = "sdss"
    GAIA = "gaia"  #: G BP RP
    TYCHO2 = "tycho2"  #: BT VT
    OTHER = "other"


class Passband(NamedTuple):
    """A band of a photometric system."""

    system: System
    band: str


@dataclass(frozen=True, slots=True)
class RefStars:
    """Rows of one reference catalogue, as it lists them, in the units of this record; what it does not tell is NaN.

    Attributes
    ----------
    catalog
        Which one.
    ra, dec
        Degrees, at ``epoch``.
    ra_error, dec_error
        Milliarcseconds on the sky, of one coordinate.
    epoch, epoch_dec
        Julian years of the right ascensions and of the declinations; Tycho-2 alone tells them apart.
    pmra, pmdec, pm_error
        Milliarcseconds a year; ``pmra`` with cos δ.
    mags, mag_errors
        By passband.
    findings
        What of the file was assumed or left out, in words.
    """

    catalog: Catalog
    ra: Array
    dec: Array
    ra_error: Array
    dec_error: Array
    epoch: Array
    epoch_dec: Array
    pmra: Array
    pmdec: Array
    pm_error: Array
    mags: dict[Passband, Array] = field(default_factory=dict)
    mag_errors: dict[Passband, Array] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.ra.size)
