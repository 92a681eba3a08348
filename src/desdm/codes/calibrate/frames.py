"""One CCD of a calibration frame, detrended as far as it is combined: ADU after overscan, or linear electrons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.detrend.bf import read_kernels
from desdm.codes.detrend.calibration import Calibrations
from desdm.codes.detrend.chain import Recipe, detrend
from desdm.codes.detrend.crosstalk import read_matrix
from desdm.codes.detrend.linearity import read_table
from desdm.codes.detrend.overscan import Recipe as Overscan
from desdm.errors import FileTypeError
from desdm.pixels.fitsbytes import pool
from desdm.pixels.maskbits import MaskBit
from desdm.survey.detectors import outages_of
from desdm.survey.headers import band_of
from desdm.survey.imageio import Planes
from desdm.survey.raw import Amp, read_ccd
from desdm.survey.sections import Section, parse_section

__all__ = ["Frame", "FrameReader", "block_side", "corner", "disagreement"]

F4 = npt.NDArray[np.float32]
_LOST = int(MaskBit.BPM | MaskBit.BADAMP | MaskBit.SATURATE)


@dataclass(slots=True)
class Frame:
    """One CCD of a frame.

    Attributes
    ----------
    path
        Raw file.
    image
        Shape (ny, nx), ADU or electrons; NaN where the file has no value or the pixel is full.
    header
        Of the raw CCD.
    amps
        Its amplifiers.
    bad
        Places of those that do not work; ``image`` is NaN there.
    """

    path: Path
    image: F4
    header: fits.Header
    amps: tuple[Amp, ...]
    bad: tuple[Section, ...] = ()

    def by_column(self, key: str) -> F4:
        """``gain`` (electrons/ADU) or ``rdnoise`` (electrons) of each column, shape (nx,)."""
        out = np.empty(self.image.shape[1], np.float32)
        for amp in self.amps:
            value = getattr(amp, key)
            if value is None or not value > 0:
                raise FileTypeError(
                    f"{self.path.name} CCD {self.header['CCDNUM']}: the header does not tell the {key} of "
                    f"amplifier {amp.name or 'A'}"
                )
            out[amp.trimmed.slices[1]] = value
        return out

    def without_image(self) -> Frame:
        """What is known of the frame once its pixels are combined."""
        return Frame(self.path, self.image[:0], self.header, self.amps, self.bad)


@dataclass(frozen=True, slots=True)
class FrameReader:
    """Reader of the frames of one CCD, which it detrends.

    Crosstalk from other CCDs, of some 1e-5, is left in calibration frames: sources as evenly lit as a flat add a
    constant that is lost in its normalisation, and so each CCD need be read only once.

    Attributes
    ----------
    ccdnum
        The CCD.
    steps
        Of detrending, in order.
    overscan
        The same as in detrending, for what it leaves the bias must hold.
    cal
        What the steps need.
    whole
        Whether amplifiers that do not work are taken too, for what is measured of each amplifier by itself.
    """

    ccdnum: int
    steps: tuple[str, ...]
    overscan: Overscan = field(default_factory=Overscan)
    cal: Calibrations = field(default_factory=Calibrations)
    whole: bool = True

    @classmethod
    def read(
        cls,
        ccdnum: int,
        overscan: Mapping[str, str | int],
        *,
        bias: Planes | None = None,
        lintable: Path | None = None,
        crosstalk: Path | None = None,
        bf: Path | None = None,
        electrons: bool = False,
        whole: bool = True,
    ) -> FrameReader:
        """Read the calibrations of one CCD; a step whose calibration is None is left out.

        With ``electrons`` the frame is divided into electrons, and ``bf`` (brighter-fatter kernels) then puts back the
        charge that bright pixels pushed away: in a flat of 80,000 electrons it takes a tenth of each pixel's contrast.

        Parameters
        ----------
        ccdnum
            Number of the CCD.
        overscan
            Settings of the overscan correction, by field of `overscan.Recipe`.
        bias
            Combined bias of the CCD, ADU.
        lintable
            Linearity table (cal_lintable).
        crosstalk
            Crosstalk matrix (cal_crosstalk).
        bf
            Brighter-fatter kernels; only used with ``electrons``.
        electrons
            Divide by the gain, and mark saturated pixels.
        whole
            Keep amplifiers that did not work on the night of a frame; False: their pixels are NaN.
        """
        settings = {k: str(v) if k == "form" else int(str(v)) for k, v in overscan.items()}
        steps = ["overscan"]
        if crosstalk is not None:
            steps.insert(0, "crosstalk")
        if bias is not None:
            steps.append("bias")
        if lintable is not None:
            steps.append("linearity")
        if electrons:
            steps += ["saturate", "gain"]
            if bf is not None:
                steps.append("bf")
        cal = Calibrations(
            crosstalk=read_matrix(crosstalk) if crosstalk else None,
            lintable=read_table(lintable, ccdnum) if lintable else None,
            biascor=bias,
            bf=read_kernels(bf) if bf and electrons else None,
            names={k: p.name for k, p in (("crosstalk", crosstalk), ("lintable", lintable), ("bf", bf)) if p},
        )
        return cls(ccdnum, tuple(steps), Overscan(**settings), cal, whole)  # type: ignore[arg-type]

    def frame(self, path: Path) -> Frame:
        """Read the CCD of a raw file and detrend it.

        Raises
        ------
        FileTypeError
            The CCD is missing or damaged, or lacks an overscan or a gain; file and CCD are named.
        """
        raw = read_ccd(path, self.ccdnum)
        lost = [] if self.whole else [o for o in outages_of(raw.header) if o.ccdnum == self.ccdnum]
        names = tuple(one.amplifier for one in lost)
        with pool(1) as run:
            recipe = Recipe(self.steps, self.overscan, bad_amps=names)
            detrended = detrend(raw, path.name, self.cal, recipe, run).planes
        detrended.sci[(detrended.msk & _LOST) != 0] = np.nan
        bad = tuple(amp.trimmed for amp in raw.amps if amp.name in names)
        return Frame(path, detrended.sci, raw.header, raw.amps, bad)


def block_side(nx: int) -> int:
    """Side of a block of the mini focal plane: a sixteenth of the CCD's width (128 pixels for DECam)."""
    return max(8, nx // 16)


def corner(header: fits.Header) -> tuple[int, int]:
    """Pixel (x, y) of the mosaic at which the CCD begins, from DETSEC; (0, 0) if the header does not tell."""
    section = parse_section(str(header.get("DETSEC", "")))
    return (min(section.x1, section.x2) - 1, min(section.y1, section.y2) - 1) if section else (0, 0)


def disagreement(header: fits.Header) -> str:
    """What keeps a flat from being of the band that its header says; empty if nothing does."""
    band, name = str(header.get("BAND", "")).strip(), str(header.get("FILTER", "")).strip()
    if not band or not name:
        return ""
    try:
        filter_band = band_of(name)
    except FileTypeError as err:
        return str(err)
    return "" if filter_band == band else f"its header says band {band} and filter {name!r}"
