"""Files about frames: the mini focal plane of one frame, and the table of frames with the verdict on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.calibrate.compare import Verdict
from desdm.errors import FileTypeError

__all__ = ["Frames", "Mini", "read_frames", "read_mini", "together", "write_frames", "write_mini"]

F8 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mini:
    """Block medians of one frame.

    Attributes
    ----------
    ccdnums
        CCDs, in order.
    blocks
        Shape (CCDs, rows of blocks, columns of blocks); electrons (flats) or ADU (biases); NaN: no value.
    corners
        Pixel (x, y) of the mosaic at which each CCD begins (DETSEC), shape (CCDs, 2).
    block
        Side of a block, pixels.
    header
        Of the primary HDU: EXPNUM, BAND and so on.
    """

    ccdnums: tuple[int, ...]
    blocks: F8
    corners: F8
    block: int
    header: fits.Header

    @property
    def places(self) -> tuple[F8, F8]:
        """x and y in the mosaic of every block's centre, each of the length of ``blocks.ravel()``, pixels."""
        _, ny, nx = self.blocks.shape
        y, x = np.mgrid[0:ny, 0:nx] * self.block + self.block / 2
        return (
            (self.corners[:, 0, None, None] + x).ravel(),
            (self.corners[:, 1, None, None] + y).ravel(),
        )


def write_mini(path: Path, mini: Mini) -> None:
    """Write HDU SCI (a cube, one plane a CCD) and table CCDS (CCDNUM, X0, Y0 in pixels of the mosaic)."""
    sci = fits.ImageHDU(mini.blocks.astype(np.float32), name="SCI")
    sci.header["BLOCK"] = (mini.block, "[pixel] side of a block")
    ccds = fits.BinTableHDU.from_columns(
        [
            fits.Column("CCDNUM", "J", array=mini.ccdnums),
            fits.Column("X0", "D", unit="pixel", array=mini.corners[:, 0]),
            fits.Column("Y0", "D", unit="pixel", array=mini.corners[:, 1]),
        ],
        name="CCDS",
    )
    fits.HDUList([fits.PrimaryHDU(header=mini.header), sci, ccds]).writeto(
        path, overwrite=True, checksum=True
    )


def read_mini(path: Path) -> Mini:
    """Read what `write_mini` wrote; `FileTypeError` if it is something else."""
    with fits.open(path, memmap=False) as hdus:
        if "SCI" not in hdus or "CCDS" not in hdus:
            raise FileTypeError(f"{path.name}: no HDUs SCI and CCDS; it is not a mini focal plane")
        rows = hdus["CCDS"].data
        return Mini(
            tuple(int(c) for c in rows["CCDNUM"]),
            hdus["SCI"].data.astype(np.float64),
            np.column_stack([rows["X0"], rows["Y0"]]).astype(np.float64),
            int(hdus["SCI"].header["BLOCK"]),
            hdus[0].header.copy(),
        )


def together(minis: Sequence[Mini]) -> tuple[Mini, F8]:
    """All minis on the CCDs of any of them.

    Returns
    -------
    Mini, numpy.ndarray
        Which blocks there are (its own values are the first frame's), and the cube (frames, blocks), NaN where a frame
        lacks the CCD.
    """
    ccdnums = tuple(sorted({c for m in minis for c in m.ccdnums}))
    shape = (len(ccdnums), *minis[0].blocks.shape[1:])
    cube = np.full((len(minis), *shape), np.nan)
    corners = np.zeros((len(ccdnums), 2))
    for i, mini in enumerate(minis):
        if mini.blocks.shape[1:] != shape[1:] or mini.block != minis[0].block:
            raise FileTypeError(
                f"mini focal planes of different cameras: exposure {mini.header.get('EXPNUM')} has other blocks"
            )
        at = np.searchsorted(ccdnums, mini.ccdnums)
        cube[i, at] = mini.blocks
        corners[at] = mini.corners
    frame = Mini(ccdnums, cube[0], corners, minis[0].block, minis[0].header)
    return frame, cube.reshape(len(minis), -1)


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of one kind and band with the verdict on each; ``enough`` says whether they may be combined."""

    band: str
    filenames: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    enough: bool

    def good(self) -> dict[str, float]:
        """File name of each good frame and its level; empty if there are not enough."""
        if not self.enough:
            return {}
        return {n: v.level for n, v in zip(self.filenames, self.verdicts, strict=True) if v.good}


def write_frames(path: Path, frames: Frames, header: fits.Header) -> None:
    """Write table FRAMES: FILENAME, LEVEL, RMS, GRADIENT, GOOD, REASON; keywords BAND and ENOUGH.

    Parameters
    ----------
    path
        File to write.
    frames
        Compared frames with their verdicts.
    header
        Cards of the primary header.
    """
    head = header.copy()
    head["BAND"] = (frames.band, "band, or none")
    head["ENOUGH"] = (frames.enough, "are there enough good frames")
    verdicts = frames.verdicts
    reasons = [v.reason for v in verdicts]
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column("FILENAME", f"{_width(frames.filenames)}A", array=list(frames.filenames)),
            fits.Column("LEVEL", "D", array=[v.level for v in verdicts]),
            fits.Column("RMS", "D", array=[v.rms for v in verdicts]),
            fits.Column("GRADIENT", "D", array=[v.gradient for v in verdicts]),
            fits.Column("GOOD", "L", array=np.array([v.good for v in verdicts], bool)),
            fits.Column("REASON", f"{_width(reasons)}A", array=reasons),
        ],
        name="FRAMES",
    )
    fits.HDUList([fits.PrimaryHDU(header=head), hdu]).writeto(path, overwrite=True, checksum=True)


def read_frames(path: Path) -> Frames:
    """Read what `write_frames` wrote; `FileTypeError` if it is something else."""
    with fits.open(path, memmap=False) as hdus:
        if "FRAMES" not in hdus:
            raise FileTypeError(f"{path.name}: no table FRAMES")
        rows, head = hdus["FRAMES"].data, hdus[0].header
        names = tuple(str(n).strip() for n in rows["FILENAME"])
        verdicts = tuple(
            Verdict(float(r["LEVEL"]), float(r["RMS"]), float(r["GRADIENT"]), str(r["REASON"]).strip())
            for r in rows
        )
        return Frames(str(head["BAND"]), names, verdicts, bool(head["ENOUGH"]))


def _width(words: Sequence[str]) -> int:
    """Return the length of the longest text, at least 1, for a FITS string column."""
    return max([1, *map(len, words)])
