"""An image of the archive: header, planes, WCS and picture, each read when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desdm.errors import FileTypeError, NotFoundError
from desdm.facility import Facility
from desdm.look.display import Picture, picture_of
from desdm.look.installation import file_record, listed, verified_path

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.nddata import CCDData
    from astropy.wcs import WCS

    from desdm.look.ancestry import Ancestry

__all__ = ["Image"]


@dataclass(frozen=True)
class Image:
    """An image of the archive with its planes.

    Attributes
    ----------
    filename, filetype
        Name and type of the file.
    band
        Band; empty: of none, or of several.
    run
        Run that produced it; empty: it was delivered.
    """

    filename: str
    filetype: str
    band: str
    run: str
    facility: Facility = field(repr=False, compare=False)

    @cached_property
    def path(self) -> Path:
        """Where the file lies; its bytes are compared with the registered digest first."""
        with self.facility.database.read() as conn:
            return verified_path(self.facility, file_record(conn, self.filename))

    @cached_property
    def planes(self) -> tuple[str, ...]:
        """Names of the HDUs with images; an image without planes has the one with an empty name."""
        return tuple(self._planes)

    @cached_property
    def _planes(self) -> dict[str, int]:
        """Name → number of each HDU with an image."""
        import fitsio

        try:
            with fitsio.FITS(str(self.path)) as file:
                images = [hdu for hdu in file if isinstance(hdu, fitsio.hdu.ImageHDU) and hdu.get_dims()]
                return {hdu.get_extname().strip(): hdu.get_extnum() for hdu in images}
        except OSError as err:
            raise FileTypeError(f"{self.filename}: {err}") from err

    @cached_property
    def header(self) -> fits.Header:
        """Header of the science image, with the keywords of the primary one."""
        from astropy.io import fits

        header = fits.getheader(self.path, 0)
        name = "SCI" if "SCI" in self.planes else self.planes[0]
        if name:
            header.update(fits.getheader(self.path, name))
        return header

    @cached_property
    def sci(self) -> npt.NDArray[np.float32]:
        """Pixels of the science image."""
        if "SCI" not in self.planes and len(self.planes) == 1:
            return self._read(self.planes[0])
        return self._plane("SCI")

    @cached_property
    def mask(self) -> npt.NDArray[np.int32]:
        """Bits of `desdm.pixels.maskbits.MaskBit` of each pixel."""
        return self._plane("MSK")

    @cached_property
    def weight(self) -> npt.NDArray[np.float32]:
        """Inverse variance of each pixel."""
        return self._plane("WGT")

    @cached_property
    def wcs(self) -> WCS:
        """World coordinates of the pixels."""
        from astropy.wcs import WCS

        return WCS(self.header)

    @property
    def ccddata(self) -> CCDData:
        """The planes as astropy's CCDData: masked are pixels with any bit, the uncertainty is the inverse variance.

        The unit is BUNIT; without it the pixels have none.
        """
        from astropy.nddata import CCDData, InverseVariance
        from astropy.units import Unit

        stated = str(self.header.get("BUNIT", "")).strip()
        try:
            # astropy knows the electron in the singular alone.
            unit = Unit(stated.replace("electrons", "electron"))
        except ValueError as err:
            raise FileTypeError(
                f"{self.filename}: BUNIT {stated!r} is not a unit; use the planes instead"
            ) from err
        return CCDData(
            self.sci,
            unit=unit,
            mask=self.mask != 0 if "MSK" in self.planes else None,
            uncertainty=InverseVariance(self.weight) if "WGT" in self.planes else None,
            meta=self.header,
            wcs=self.wcs,
        )

    @property
    def lineage(self) -> Ancestry:
        """What the image was made from, and what was made from it."""
        from desdm.look.ancestry import read_ancestry

        return read_ancestry(self.facility, self.filename)

    def picture(self, *, mask: bool = True, size: int = 1000) -> Picture:
        """Draw the image on a zscale stretch, with compass and scale bar.

        Parameters
        ----------
        mask
            Whether to draw the mask in the colours of its bits.
        size
            Longer side of the image in the picture, pixels.
        """
        return picture_of(self.path, mask=mask, size=size)

    def _plane(self, name: str) -> npt.NDArray[Any]:
        """Return a plane; `NotFoundError` names those that there are."""
        if name not in self.planes:
            raise NotFoundError(f"{self.filename}: no plane {name}; its images: {listed(self.planes)}")
        return self._read(name)

    def _read(self, name: str) -> npt.NDArray[Any]:
        """Read the pixels of an HDU: by CFITSIO, whose start takes less time than that of the compiled kernels."""
        import fitsio

        try:
            with fitsio.FITS(str(self.path)) as file:
                return np.asarray(file[self._planes[name]].read())
        except OSError as err:
            raise FileTypeError(f"{self.filename}: HDU {name} cannot be read: {err}") from err
