"""Measurements of a CCD's amplifiers: levels along a linearity ramp, non-linear pixels, and data in readout order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.calibrate.bpm import Limits, from_ramp
from desdm.codes.calibrate.frames import Frame
from desdm.codes.calibrate.linearity import Ramp, level
from desdm.codes.calibrate.stack import Stack
from desdm.errors import FileTypeError

__all__ = ["Gauge", "amplifier", "readouts", "saturations"]

F4 = npt.NDArray[np.float32]


def amplifier(frame: Frame, name: str) -> str:
    """Name of an amplifier in the camera, as ``ccd25A``."""
    return f"ccd{int(frame.header['CCDNUM']):02d}{name or 'A'}"


def saturations(frame: Frame) -> dict[str, float]:
    """Observed ADU at which each amplifier saturates; infinity where the header does not tell."""
    return {amplifier(frame, a.name): a.saturate or float("inf") for a in frame.amps}


def readouts(frame: Frame, rows: slice) -> dict[str, F4]:
    """Some rows of each amplifier's data, the column that is read first in front: B is read from the right."""
    out = {}
    for amp in frame.amps:
        part = frame.image[amp.trimmed.slices][rows]
        out[amplifier(frame, amp.name)] = part[:, ::-1] if amp.name == "B" else part
    return out


class Gauge:
    """Takes the frames of a CCD's linearity ramp one by one.

    Parameters
    ----------
    ccdnum
        The CCD.
    faint, bright
        Frames whose level is below ``faint`` of saturation, and those between ``bright`` and 0.9 of it, are
        combined each by themselves: a non-linear pixel differs between the two.
    """

    def __init__(self, ccdnum: int, faint: float, bright: float) -> None:
        self.ccdnum, self.faint, self.bright = ccdnum, faint, bright
        self.header: fits.Header | None = None
        self.saturate: dict[str, float] = {}
        self._levels: dict[str, list[tuple[float, float, float]]] = {}
        self._stacks: dict[str, Stack] = {}
        self._shape = (0, 0)

    def add(self, frame: Frame) -> None:
        """Take a frame, in ADU after overscan and bias, not linearised; its pixels are let go or taken over."""
        if self.header is None:
            self.header = frame.header
            self._shape = (frame.image.shape[0], frame.image.shape[1])
            self.saturate = saturations(frame)
        if "EXPTIME" not in frame.header:
            raise FileTypeError(
                f"{frame.path.name} CCD {frame.header['CCDNUM']}: no EXPTIME in the header that can be"
            )
        seconds = float(frame.header["EXPTIME"])
        parts = []
        for amp in frame.amps:
            name = amplifier(frame, amp.name)
            value, error = level(frame.image[amp.trimmed.slices])
            self._levels.setdefault(name, []).append((seconds, value, error))
            parts.append(value / self.saturate[name])
        kind = (
            "faint"
            if max(parts) < self.faint
            else "bright"
            if self.bright < min(parts) and max(parts) < 0.9
            else ""
        )
        # The faintest frames are read noise.
        if kind and min(parts) > 0.01:
            gain = frame.by_column("gain")
            if kind not in self._stacks:
                self._stacks[kind] = Stack(self._shape, frame.by_column("rdnoise"), photons=True, pilot=5)
            electrons = frame.image * gain[None, :]
            self._stacks[kind].add(electrons, float(np.nanmedian(electrons)))

    def ramps(self) -> list[Ramp]:
        """The levels of each amplifier, by exposure time."""
        out = []
        for name, rows in sorted(self._levels.items()):
            table = np.array(sorted(rows))
            out.append(Ramp(name, table[:, 0], table[:, 1], table[:, 2]))
        return out

    def bent(self, limits: Limits) -> npt.NDArray[np.int32]:
        """Mask bits of the non-linear pixels; none where the ramp lacks faint or bright frames."""
        if len(self._stacks) < 2:
            return np.zeros(self._shape, np.int32)
        faint, bright = (self._stacks[k].result() for k in ("faint", "bright"))
        return from_ramp(faint.mean, bright.mean, faint.variance + bright.variance, limits)
