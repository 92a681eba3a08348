"""Pixels of a raw CCD that have no value (BLANK, NaN)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.errors import FileTypeError
from desdm.survey.raw import Amp, RawCCD

__all__ = ["filled", "rows_without_overscan"]


def filled(raw: RawCCD, amps: tuple[Amp, ...], where: str) -> npt.NDArray[np.number]:
    """The raw array, where pixels of some amplifiers that have no value have a harmless one.

    A data pixel has the median of its amplifier. One of the overscan has the median of its row, and where a whole row has
    no value, what the rows beside it give.

    Parameters
    ----------
    raw
        The CCD; it is not changed.
    amps
        Amplifiers, of whose data and overscan this is wanted.
    where
        Name of file and CCD for the message.

    Returns
    -------
    numpy.ndarray
        Like ``raw.data``; the same array if each pixel has a value.

    Raises
    ------
    FileTypeError
        An amplifier has no pixel with a value.
    """
    if raw.missing is None:
        return raw.data
    data = raw.data.copy()
    for amp in amps:
        for section in filter(None, (amp.data, amp.bias)):
            part, lost = data[section.slices], raw.missing[section.slices]
            if lost.all():
                raise FileTypeError(f"{where}: amplifier {amp.name} has no pixel with a value")
            if not lost.any():
                continue
            if section is amp.data:
                part[lost] = np.median(part[~lost])
            else:
                _fill_rows(part, lost)
    return data


def _fill_rows(part: npt.NDArray[np.number], lost: npt.NDArray[np.bool_]) -> None:
    """Give each pixel of an overscan that has no value the median of its row, or of the rows beside it."""
    rows = np.flatnonzero(~lost.all(axis=1))
    level = np.array([np.median(part[y][~lost[y]]) for y in rows])
    level_of_all = np.interp(np.arange(len(part)), rows, level)
    y, x = np.nonzero(lost)
    part[y, x] = level_of_all[y]


def rows_without_overscan(raw: RawCCD, amp: Amp) -> tuple[int, npt.NDArray[np.bool_]]:
    """How many data rows of an amplifier have no overscan with a value, and which of these have none on one side.

    The level of a row between others that have an overscan follows from them; beyond the last one nobody knows it.

    Parameters
    ----------
    raw, amp
        The CCD, and one of its amplifiers.

    Returns
    -------
    int, numpy.ndarray
        The number, and (rows of ``amp.data``,) whether the level is unknown.
    """
    rows = amp.data.slices[0]
    unknown = np.zeros(rows.stop - rows.start, bool)
    if raw.missing is None or amp.bias is None:
        return 0, unknown
    empty = raw.missing[rows, amp.bias.slices[1]].all(axis=1)
    present = np.flatnonzero(~empty)
    if present.size:
        unknown[: present[0]] = True
        unknown[present[-1] + 1 :] = True
    return int(empty.sum()), unknown
