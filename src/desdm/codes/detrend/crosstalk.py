"""Crosstalk: what an amplifier sees of the others that are read at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desdm.codes.detrend import overscan
from desdm.codes.detrend.blank import filled
from desdm.errors import FileTypeError
from desdm.survey.raw import Amp, RawCCD

__all__ = ["Matrix", "between_ccds", "read_matrix", "sources", "within"]

#: victim amplifier → source amplifier → coefficient; amplifiers named as ``ccd25A``
Matrix = Mapping[str, Mapping[str, float]]


def amplifier(ccdnum: int, name: str) -> str:
    """Name of an amplifier in the camera, as ``ccd25A``."""
    return f"ccd{ccdnum:02d}{name}"


def read_matrix(path: Path) -> Matrix:
    """Coefficients of a ``cal_crosstalk`` file: lines ``victim source coefficient [error …]``.

    DECam's own files have further columns (where a source stops being linear, and a polynomial from there on);
    such bright sources are saturated, and their crosstalk is left at the linear term.

    Raises
    ------
    FileTypeError
        A line cannot be read; file and line are named.
    """
    out: dict[str, dict[str, float]] = {}
    for number, line in enumerate(path.read_text("ascii", "replace").splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        try:
            victim, source, value = words[0], words[1], float(words[2])
        except (IndexError, ValueError) as err:
            raise FileTypeError(
                f"{path.name}:{number}: {line.strip()!r} is not a line 'victim source coefficient'"
            ) from err
        if not np.isfinite(value) or abs(value) > 0.1:
            raise FileTypeError(f"{path.name}:{number}: a crosstalk coefficient of {value:g} is impossible")
        out.setdefault(victim, {})[source] = value
    return out


def within(matrix: Matrix, ccdnum: int, amps: Iterable[Amp]) -> dict[str, tuple[str, float]]:
    """The partner of each amplifier within its CCD and the coefficient; only CCDs of two amplifiers have one.

    Parameters
    ----------
    matrix
        Victim → source → coefficient, by names such as ``ccd01A``.
    ccdnum
        Number of the CCD.
    amps
        Its amplifiers.

    Returns
    -------
    dict
        Victim amplifier's letter → (source amplifier's letter, coefficient); pairs without a coefficient are
        left out.
    """
    names = [amp.name for amp in amps]
    if len(names) != 2:
        return {}
    pairs = {names[0]: names[1], names[1]: names[0]}
    partners = {}
    for victim, source in pairs.items():
        value = matrix.get(amplifier(ccdnum, victim), {}).get(amplifier(ccdnum, source), 0.0)
        if value:
            partners[victim] = (source, value)
    return partners


def sources(matrix: Matrix, ccdnum: int, least: float) -> dict[int, list[tuple[str, str, float]]]:
    """Other CCDs that this one sees.

    Parameters
    ----------
    matrix
        All coefficients.
    ccdnum
        The victim.
    least
        Size below which a coefficient is left out.

    Returns
    -------
    dict
        Source CCD number → (victim amplifier's letter, source amplifier's letter, coefficient).
    """
    own = f"ccd{ccdnum:02d}"
    by_ccd: dict[int, list[tuple[str, str, float]]] = {}
    for victim, coefficients in matrix.items():
        if victim[:-1] != own:
            continue
        for source, value in coefficients.items():
            if source[:-1] != own and abs(value) >= least and source[3:-1].isdigit():
                by_ccd.setdefault(int(source[3:-1]), []).append((victim[-1], source[-1], value))
    return by_ccd


def between_ccds(
    raw: RawCCD,
    pairs: Mapping[int, Iterable[tuple[str, str, float]]],
    read: Callable[[int], RawCCD],
    recipe: overscan.Recipe,
) -> npt.NDArray[np.float32]:
    """ADU that other CCDs wrote into this one.

    Pixels that are read at the same moment stand in the same row, as far from the edge towards which they are read:
    the left one for amplifier A, the right one for B. A pixel of a source that has no value adds nothing.

    Parameters
    ----------
    raw
        The victim.
    pairs
        From `sources`.
    read
        Reads a CCD of the same exposure.
    recipe
        For the sources' overscan.

    Returns
    -------
    numpy.ndarray
        (ny, nx), to be subtracted after overscan.
    """
    out = np.zeros(raw.shape, np.float32)
    place = {amp.name: amp for amp in raw.amps}
    for ccdnum, entries in pairs.items():
        other = read(ccdnum)
        levelled: dict[str, npt.NDArray[Any]] = {}
        for victim, source, value in entries:
            amp = next((a for a in other.amps if a.name == source), None)
            if amp is None or victim not in place or amp.data.shape != place[victim].data.shape:
                continue
            if source not in levelled:
                levelled[source] = _light(other, amp, recipe)
            light = levelled[source] if victim == source else levelled[source][:, ::-1]
            out[place[victim].trimmed.slices] += np.float32(value) * light
    return out


def _light(source: RawCCD, amp: Amp, recipe: overscan.Recipe) -> npt.NDArray[Any]:
    """ADU above the overscan of an amplifier; 0 where a pixel has no value, and everywhere if none has one."""
    lost = None if source.missing is None else source.missing[amp.data.slices]
    bias_lost = source.missing is not None and amp.bias is not None and source.missing[amp.bias.slices].all()
    if bias_lost or (lost is not None and lost.all()):
        return np.zeros(amp.data.shape, np.float32)
    data = filled(source, (amp,), "source of crosstalk")
    light = data[amp.data.slices] - overscan.levels(data, amp, recipe)[:, None].astype(np.float32)
    if lost is not None:
        light[lost] = 0.0
    return light
