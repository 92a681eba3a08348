"""Linearity: observed ADU to linear ADU, by a table for each amplifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import fitsio
import numpy as np
import numpy.typing as npt

from desdm.errors import FileTypeError

__all__ = ["Table", "read_table"]


@dataclass(frozen=True, slots=True)
class Table:
    """Linearity of one CCD on an even grid.

    Attributes
    ----------
    first, step
        ADU of the first line, and between lines.
    shift
        Amplifier's letter → (lines,) linear minus observed ADU. The difference is stored, and not the value, so that single
        precision is enough.
    """

    first: float
    step: float
    shift: dict[str, npt.NDArray[np.float32]]

    def linear(self, amp: str, adu: float) -> float:
        """Linear ADU at one observed value."""
        shift = self._of(amp)
        at = (adu - self.first) / self.step
        k = int(min(max(at, 0), shift.size - 2))
        return float(adu + shift[k] + (at - k) * (shift[k + 1] - shift[k]))

    def _of(self, amp: str) -> npt.NDArray[np.float32]:
        """Return the table of an amplifier; that of A for an image of one amplifier."""
        return self.shift[amp or "A"]


def read_table(path: Path, ccdnum: int, amps: tuple[str, ...] = ("A", "B")) -> Table:
    """The table of one CCD in a ``cal_lintable`` file: columns ADU, ADU_LINEAR_A, ADU_LINEAR_B.

    Between lines one interpolates, beyond the ends the last slope goes on. Lines of uneven distance are brought on a
    grid of 1 ADU.

    Parameters
    ----------
    path
        File of type cal_lintable.
    ccdnum
        Number of the CCD.
    amps
        Letters of the amplifiers to read.

    Returns
    -------
    Table
        Shifts, linear minus observed ADU, of each amplifier.

    Raises
    ------
    FileTypeError
        The CCD or a column is missing, or ADU does not rise; file and CCD are named.
    """
    name, where = f"CCD{ccdnum:02d}", f"{path.name} CCD {ccdnum}"
    try:
        rows = fitsio.read(str(path), ext=name)
    except OSError as err:
        raise FileTypeError(f"{where}: the linearity table has no HDU {name}") from err
    columns = {column.upper(): column for column in rows.dtype.names}
    wanted = {amp or "A": f"ADU_LINEAR_{amp or 'A'}" for amp in amps}
    for column in ("ADU", *wanted.values()):
        if column not in columns:
            raise FileTypeError(f"{where}: the linearity table has no column {column}")
    adu = np.asarray(rows[columns["ADU"]], float)
    steps = np.diff(adu)
    if adu.size < 2 or not (steps > 0).all():
        raise FileTypeError(f"{where}: ADU of the linearity table does not rise from line to line")
    even = bool(np.allclose(steps, steps[0], rtol=1e-9))
    step = float(steps[0]) if even else 1.0
    grid = adu if even else np.arange(adu[0], adu[-1] + 0.5)
    shift = {}
    for amp, column in wanted.items():
        linear = np.asarray(rows[columns[column]], float)
        if not np.isfinite(linear).all():
            raise FileTypeError(f"{where}: {column} of the linearity table has values that are no numbers")
        shift[amp] = (np.interp(grid, adu, linear) - grid).astype(np.float32)
    return Table(float(adu[0]), step, shift)
