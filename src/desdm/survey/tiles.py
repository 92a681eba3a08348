"""A tile: a square of sky with a name and one pixel grid (gnomonic, north up)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from astropy.io import fits

from desdm.errors import PlanError

__all__ = ["Tile", "tile_name"]


def tile_name(ra: float, dec: float) -> str:
    """Name of the tile at a centre in degrees, as DESDM names them: ``DES`` hhmm ±ddmm, truncated to the minute."""
    minutes = int((ra % 360.0) * 4.0 + 1e-9)
    arcmin = int(abs(dec) * 60.0 + 1e-9)
    sign = "-" if dec < 0 else "+"
    return f"DES{minutes // 60:02d}{minutes % 60:02d}{sign}{arcmin // 60:02d}{arcmin % 60:02d}"


@dataclass(frozen=True, slots=True)
class Tile:
    """Centre in degrees (ICRS), pixels a side, and pixel scale in arcsec."""

    name: str
    ra: float
    dec: float
    naxis: int
    pixscale: float

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Tile:
        """The tile that settings tile_ra, tile_dec, tile_naxis, tile_pixscale and tilename describe.

        Raises
        ------
        PlanError
            One of them is missing or no number.
        """
        try:
            ra, dec = float(settings["tile_ra"]), float(settings["tile_dec"])
            naxis, scale = int(float(settings["tile_naxis"])), float(settings["tile_pixscale"])
        except (KeyError, ValueError) as err:
            raise PlanError(
                f"the tile is not defined ({err}); set tile_ra, tile_dec (deg), tile_naxis (pixels), tile_pixscale (arcsec)"
            ) from err
        return cls(settings.get("tilename") or tile_name(ra, dec), ra, dec, naxis, scale)

    @property
    def size(self) -> float:
        """Side in degrees."""
        return self.naxis * self.pixscale / 3600.0

    def header(self) -> fits.Header:
        """The tile's world coordinates, gnomonic with north up and east to the left."""
        head = fits.Header()
        step = self.pixscale / 3600.0
        middle = (self.naxis + 1) / 2.0
        for key, value in {
            "WCSAXES": 2,
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CRVAL1": self.ra,
            "CRVAL2": self.dec,
            "CRPIX1": middle,
            "CRPIX2": middle,
            "CD1_1": -step,
            "CD1_2": 0.0,
            "CD2_1": 0.0,
            "CD2_2": step,
            "RADESYS": "ICRS",
            "EQUINOX": 2000.0,
        }.items():
            head[key] = value
        return head
