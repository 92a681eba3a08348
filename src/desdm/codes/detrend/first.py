"""Preparation of the first pass: crosstalk, overscan, bias, linearity, bad and saturated pixels, gain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from desdm.codes.detrend import crosstalk, overscan, passes
from desdm.codes.detrend.amplifiers import State
from desdm.codes.detrend.blank import filled, rows_without_overscan
from desdm.codes.detrend.calibration import Calibrations
from desdm.codes.detrend.recipe import BAD, Recipe, Result
from desdm.errors import FileTypeError
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import Planes
from desdm.survey.raw import Amp, RawCCD

__all__ = ["ReadCCD", "Rows", "prepare", "source_of"]

_BPM, _FULL = int(MaskBit.BPM), int(MaskBit.SATURATE)

Bits = npt.NDArray[np.int32]
#: Works on the image rows of these numbers.
Rows = Callable[[npt.NDArray[np.int64]], None]
ReadCCD = Callable[[int], RawCCD]


def source_of(source: RawCCD | Planes, where: str, result: Result) -> tuple[npt.NDArray[np.number], Bits]:
    """The pixels to begin with, and the bits that they have already.

    A pixel without a value gets a harmless one (its amplifier's median) and the bit BPM; how many there are is a finding.

    Parameters
    ----------
    source
        Raw CCD, or planes detrended before.
    where
        Name of file and CCD for messages.
    result
        Receives the finding.

    Returns
    -------
    tuple of numpy.ndarray
        Pixels, with overscan for a raw CCD, and mask bits (ny, nx).

    Raises
    ------
    FileTypeError
        An amplifier has no pixel with a value.
    """
    if isinstance(source, Planes):
        return source.sci, source.msk
    if source.missing is None:
        return source.data, passes.NO_BITS
    data, prior, count = filled(source, source.amps, where), np.zeros(source.shape, np.int32), 0
    for amp in source.amps:
        lost = source.missing[amp.data.slices]
        prior[amp.trimmed.slices][lost] = _BPM
        count += int(lost.sum())
        empty, unknown = rows_without_overscan(source, amp)
        if empty:
            prior[amp.trimmed.slices][unknown] = _BPM
            text = f"{empty} rows of amplifier {amp.name} have no overscan with a value; their level is that of the rows"
            beyond = (
                f", but {int(unknown.sum())} lie at the edge: they are marked BPM" if unknown.any() else ""
            )
            result.findings.append((2, f"{where}: {text} beside them{beyond}"))
    if count:
        result.findings.append((2, f"{where}: {count} pixels have no value; they are marked BPM"))
    return data, prior


def _with_bad_amps(prior: Bits, states: list[State], recipe: Recipe, shape: tuple[int, ...]) -> Bits:
    """The bits to begin with, and those of the amplifiers that do not work."""
    lost = [state for state in states if state.name in recipe.bad_amps]
    if not lost:
        return prior
    out = np.zeros(shape, np.int32) if prior.size == 1 else prior.copy()
    for state in lost:
        out[state.place.slices] |= BAD
    return out


def _levels(
    data: npt.NDArray[np.number],
    raw: RawCCD | None,
    states: list[State],
    ny: int,
    recipe: Recipe,
    result: Result,
) -> dict[str, npt.NDArray[np.float64]]:
    """Overscan of each image row, by amplifier; zero for an image that is trimmed already."""
    out = {}
    for state in states:
        out[state.name] = level = np.zeros(ny)
        if raw is not None:
            rows = state.place.slices[0]
            level[rows] = overscan.levels(data, _amp(raw, state.name), recipe.overscan)
            text = f"mean overscan of amplifier {state.name or 'A'}"
            result.metrics[f"overscan{state.name}"] = (float(np.mean(level[rows])), "adu", text)
    return out


def _amp(raw: RawCCD, name: str) -> Amp:
    """Return the amplifier of a name."""
    return next(a for a in raw.amps if a.name == name)


def _from_others(
    raw: RawCCD,
    ccdnum: int,
    cal: Calibrations,
    recipe: Recipe,
    read_other: ReadCCD | None,
    where: str,
    result: Result,
) -> npt.NDArray[np.float32]:
    """ADU that other CCDs wrote into this one; a CCD that cannot be read is a finding, and its crosstalk stays."""
    assert cal.crosstalk is not None
    coefficients = crosstalk.sources(cal.crosstalk, ccdnum, recipe.crosstalk_min)
    if not coefficients or read_other is None:
        return passes.NONE
    others: dict[int, RawCCD] = {}
    for number in coefficients:
        try:
            others[number] = read_other(number)
        except FileTypeError as err:
            result.findings.append((2, f"{where}: its crosstalk from CCD {number} stays in: {err}"))
    usable: Mapping[int, list[tuple[str, str, float]]] = {n: coefficients[n] for n in others}
    return crosstalk.between_ccds(raw, usable, others.__getitem__, recipe.overscan) if usable else passes.NONE


def prepare(
    source: RawCCD | Planes,
    ccdnum: int,
    states: list[State],
    cal: Calibrations,
    recipe: Recipe,
    todo: tuple[str, ...],
    read_other: ReadCCD | None,
    sci: npt.NDArray[np.float32],
    msk: Bits,
    where: str,
    result: Result,
) -> Rows:
    """Everything that the first pass needs, once for the CCD.

    Parameters
    ----------
    source
        Raw CCD, or image whose first steps are done.
    ccdnum, where
        Its CCD, and file and CCD for messages.
    states
        Its amplifiers; not changed here.
    cal, recipe, todo
        Calibrations, settings, and the steps that are still to be done.
    read_other
        Reads another CCD of the exposure.
    sci, msk
        What the pass fills.
    result
        Gets findings and metrics.

    Returns
    -------
    callable
        The pass over a range of rows.
    """
    raw = source if isinstance(source, RawCCD) else None
    data, prior = source_of(source, where, result)
    prior = _with_bad_amps(prior, states, recipe, sci.shape)
    levels = _levels(data, raw, states, sci.shape[0], recipe, result)
    pairs: dict[str, tuple[str, float]] = {}
    others = bias = passes.NONE
    if "crosstalk" in todo and cal.crosstalk is not None and raw is not None:
        pairs = crosstalk.within(cal.crosstalk, ccdnum, raw.amps)
        others = _from_others(raw, ccdnum, cal, recipe, read_other, where, result)
    if "bias" in todo and cal.biascor is not None:
        bias = np.ascontiguousarray(cal.biascor.sci)
    bpm = cal.bpm if "bpm" in todo and cal.bpm is not None else passes.NO_BITS
    table = cal.lintable if "linearity" in todo else None
    first, step = (0.0, 1.0) if table is None else (table.first, table.step)
    calls = []
    for state in states:
        rows, columns = state.place.slices
        oy, ox, partner, beside, c = 0, columns.start, 0, state.name, 0.0
        if raw is not None:
            at = _amp(raw, state.name).data.slices
            oy, ox = at[0].start - rows.start, at[1].start
            if state.name in pairs:
                beside, c = pairs[state.name]
                # The two are read towards opposite edges, so the partner's pixels run the other way.
                partner = _amp(raw, beside).data.slices[1].stop - 1
        shift = np.zeros(1, np.float32) if table is None else table.shift[state.name or "A"]
        gain = state.known_gain(where) if "gain" in todo else 1.0
        full = state.saturate if "saturate" in todo else float("inf")
        arguments = (
            data,
            oy,
            ox,
            columns.start,
            columns.stop - columns.start,
            levels[state.name],
            partner,
            levels[beside],
            c,
            others,
            bias,
            shift[None, :],
            first,
            step,
            full,
            gain,
            bpm,
            prior,
            _FULL,
            sci,
            msk,
        )
        calls.append((rows, arguments))

    def work(numbers: npt.NDArray[np.int64]) -> None:
        for own, arguments in calls:
            passes.raw_rows(*arguments, numbers[(numbers >= own.start) & (numbers < own.stop)])

    return work
