"""One CCD of a calibration frame, from raw pixels to what is combined: ADU after overscan, or linear electrons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.detrend.overscan import Recipe, levels
from desdm.errors import FileTypeError
from desdm.survey.headers import band_of
from desdm.survey.raw import RawCCD, read_ccd
from desdm.survey.sections import parse_section

__all__ = ["Frame", "Kit", "block_side", "corner", "disagreement", "electrons", "read_frame"]

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kit:
    """What a CCD's frames are corrected with.

    Attributes
    ----------
    recipe
        Of the overscan: the same as in detrending, for what it leaves the bias must hold.
    linear
        Amplifier letter → observed and linear ADU; empty: taken to be linear.
    crosstalk
        (victim, source) letters → coefficient, within the CCD; empty: none.
    """

    recipe: Recipe = field(default_factory=Recipe)
    linear: Mapping[str, tuple[F8, F8]] = field(default_factory=dict)
    crosstalk: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        overscan: Mapping[str, Any],
        *,
        ccdnum: int,
        lintable: Path | None = None,
        crosstalk: Path | None = None,
    ) -> Kit:
        """Read the constants of one CCD.

        Crosstalk from other CCDs, of some 1e-5, is left in calibration frames: sources as evenly lit as a flat
        add a constant that is lost in its normalisation, and so each CCD need be read only once.
        """
        given = {k: str(overscan[k]) if k == "form" else int(str(overscan[k])) for k in overscan}
        return cls(
            Recipe(**given),  # type: ignore[arg-type]
            _linear(lintable, ccdnum) if lintable else {},
            _crosstalk(crosstalk, ccdnum) if crosstalk else {},
        )


@dataclass(slots=True)
class Frame:
    """One CCD of a frame.

    Attributes
    ----------
    path
        Raw file.
    adu
        ADU after overscan and crosstalk, not linearised, shape (ny, nx); NaN where there is no value, or a full one.
    raw
        What was read, for headers and amplifiers; its pixels are let go.
    """

    path: Path
    adu: F4
    raw: RawCCD

    @property
    def noise(self) -> F4:
        """Read noise of each column in electrons, shape (nx,)."""
        return self._by_column("rdnoise")

    @property
    def gain(self) -> F4:
        """Gain of each column in electrons per ADU, shape (nx,)."""
        return self._by_column("gain")

    def _by_column(self, key: str) -> F4:
        out = np.empty(self.raw.shape[1], np.float32)
        for amp in self.raw.amps:
            value = getattr(amp, key)
            if value is None or not value > 0:
                raise FileTypeError(
                    f"{self.path.name} CCD {self.raw.header['CCDNUM']}: the header does not tell the {key} of amplifier "
                    f"{amp.name or 'A'}"
                )
            out[amp.trimmed.slices[1]] = value
        return out


def block_side(nx: int) -> int:
    """Side of a block of the mini focal plane: a sixteenth of the CCD's width (128 pixels for DECam)."""
    return max(8, nx // 16)


def corner(of: Frame | fits.Header) -> tuple[int, int]:
    """Pixel (x, y) of the mosaic at which the CCD begins, from DETSEC; (0, 0) if the header does not tell."""
    header = of.raw.header if isinstance(of, Frame) else of
    section = parse_section(str(header.get("DETSEC", "")))
    return (min(section.x1, section.x2) - 1, min(section.y1, section.y2) - 1) if section else (0, 0)


def disagreement(header: Any) -> str:
    """What keeps a flat from being of the band that its header says; empty if nothing does."""
    band, name = str(header.get("BAND", "")).strip(), str(header.get("FILTER", "")).strip()
    if not band or not name:
        return ""
    try:
        found = band_of(name)
    except FileTypeError as err:
        return str(err)
    return "" if found == band else f"its header says band {band} and filter {name!r}"


def read_frame(path: Path, ccdnum: int, kit: Kit, *, bias: bool = False) -> Frame:
    """Read one CCD of a raw frame and correct it for overscan and, unless it is a bias, crosstalk and full pixels.

    Raises
    ------
    FileTypeError
        The CCD is missing or damaged; file and CCD are named.
    """
    raw = read_ccd(path, ccdnum)
    out = np.empty(raw.shape, np.float32)
    full = np.zeros(raw.shape, bool)
    for amp in raw.amps:
        level = levels(raw.data, amp, kit.recipe)
        place = amp.trimmed.slices
        np.subtract(raw.data[amp.data.slices], level[:, None], out=out[place], casting="unsafe")
        if amp.saturate and not bias:
            full[place] = out[place] >= amp.saturate
        if raw.missing is not None:
            full[place] |= raw.missing[amp.data.slices]
    if not bias:
        _untalk(out, raw, kit)
    out[full] = np.nan
    return Frame(path, out, RawCCD(raw.header, raw.data[:0], raw.amps, raw.shape))


def _untalk(out: F4, raw: RawCCD, kit: Kit) -> None:
    # Amplifiers are read towards opposite sides: what A shows of B is B's mirror image.
    sides = {amp.name: out[amp.trimmed.slices].copy() for amp in raw.amps}
    for amp in raw.amps:
        for (victim, source), value in kit.crosstalk.items():
            if victim == amp.name and source in sides:
                out[amp.trimmed.slices] -= np.float32(value) * sides[source][:, ::-1]


def electrons(frame: Frame, bias: F4 | None, kit: Kit) -> F4:
    """Linear electrons of a flat: bias subtracted, linearised, times gain; shape (ny, nx), in the frame's own memory."""
    out = frame.adu
    if bias is not None:
        if bias.shape != out.shape:
            raise FileTypeError(f"{frame.path.name}: the bias has another shape than the CCD: {bias.shape}")
        out -= bias
    for amp in frame.raw.amps:
        if amp.name in kit.linear:
            part = out[amp.trimmed.slices]
            part[...] = np.interp(part, *kit.linear[amp.name])
    out *= frame.gain[None, :]
    return out


def _linear(path: Path, ccdnum: int) -> dict[str, tuple[F8, F8]]:
    with fits.open(path, memmap=False) as hdus:
        name = f"CCD{ccdnum:02d}"
        if name not in hdus:
            raise FileTypeError(f"{path.name}: no table {name}")
        rows = hdus[name].data
        grid = np.array(rows["ADU"], np.float64)
        return {a: (grid, np.array(rows[f"ADU_LINEAR_{a}"], np.float64)) for a in "AB"}


def _crosstalk(path: Path, ccdnum: int) -> dict[tuple[str, str], float]:
    own = f"ccd{ccdnum:02d}"
    out = {}
    for line in path.read_text("utf-8").splitlines():
        words = line.split()
        if len(words) >= 3 and not line.startswith("#") and words[0][:-1] == own == words[1][:-1]:
            out[words[0][-1], words[1][-1]] = float(words[2])
    return out
