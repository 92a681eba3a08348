"""Detrending of one CCD: the chosen steps, done in as few passes over its pixels as they allow.

Without brighter-fatter or columns to fix a band of rows goes from raw ADU to image and weight at once. Both of
those look beyond a row, and so cut the chain in two stretches.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.codes.detrend import amplifiers, bf, checks, first, passes
from desdm.codes.detrend.amplifiers import State
from desdm.codes.detrend.calibration import Calibrations, Subject, bias_variance, check_pair, flat_variance
from desdm.codes.detrend.fixcols import fix_columns
from desdm.codes.detrend.recipe import BAD, Recipe, Result
from desdm.codes.detrend.steps import STEPS, done, record
from desdm.errors import FileTypeError, UsageError
from desdm.pixels.fitsbytes import Pool
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import Planes
from desdm.survey.raw import RawCCD

__all__ = ["Recipe", "Result", "detrend"]

_BPM, _FULL, _SUSPECT = int(MaskBit.BPM), int(MaskBit.SATURATE), int(MaskBit.SUSPECT)
_BAND = 64
_SAMPLE = 64  # so many rows tell the sky's level, and of each some 512 pixels
_ON_RAW = ("crosstalk", "overscan")
_SECOND = ("flat", "weight", "nullweight", "resaturate")

Plane = npt.NDArray[np.float32]


def detrend(
    source: RawCCD | Planes,
    name: str,
    cal: Calibrations,
    recipe: Recipe,
    run: Pool,
    read_other: first.ReadCCD | None = None,
) -> Result:
    """Detrend one CCD.

    A step that the header records is skipped with a finding; the same source twice gives the same bits, with any number
    of threads.

    Parameters
    ----------
    source
        A raw CCD, or an image whose first steps are done.
    name
        Its file name, for messages.
    cal
        The calibrations of the chosen steps.
    recipe
        The steps.
    run
        Where bands of rows are worked on.
    read_other
        Reads another CCD of the exposure, for crosstalk between CCDs; None: only within the CCD.

    Raises
    ------
    FileTypeError
        A calibration is of another CCD, band or shape, or the header lacks what a step needs; files and CCD are named.
    UsageError
        The steps do not go together.
    """
    work = _Work(source, name, cal, recipe, run)
    work.check()
    for step in work.skipped:
        work.result.findings.append((3, f"{work.where}: the step {step!r} is done already and is skipped"))
    work.stretches(read_other)
    work.close()
    return work.result


class _Work:
    """One CCD that is being detrended."""

    def __init__(
        self, source: RawCCD | Planes, name: str, cal: Calibrations, recipe: Recipe, run: Pool
    ) -> None:
        self.source, self.cal, self.recipe, self.run = source, cal, recipe, run
        header, shape = source.header, source.shape
        self.ccdnum = int(header.get("CCDNUM", 0))
        self.where = f"{name} CCD {self.ccdnum}"
        self.subject = Subject(name, self.ccdnum, str(header.get("BAND", "")).strip(), shape)
        self.skipped = done(header, recipe.steps)
        self.todo = tuple(s for s in recipe.steps if s not in self.skipped)
        if isinstance(source, RawCCD):
            self.states, self.header, self.unit = (
                amplifiers.of_raw(source.amps),
                amplifiers.cleaned(header),
                "adu",
            )
        else:
            self.states, self.header = amplifiers.of_image(header, shape), header.copy()
            self.unit = str(header.get("BUNIT", "adu"))
        self.sci: Plane = np.empty(shape, np.float32)
        self.msk: npt.NDArray[np.int32] = np.empty(shape, np.int32)
        self.wgt: Plane = np.empty(shape, np.float32)
        #: pixels with weight and full ones, of each row
        self.tally = np.zeros((shape[0], 2), np.int64)
        #: factor by which the first stretch multiplies each amplifier
        self.scale = {state.name: 1.0 for state in self.states}
        self.result = Result(Planes(self.sci, self.msk, self.wgt, self.header))

    # --- what must hold before a pixel is touched

    def check(self) -> None:
        """Raise unless the calibrations and keywords that the steps need are present."""
        cal, names, todo, raw = self.cal, self.cal.names, self.todo, isinstance(self.source, RawCCD)
        calibrations = {
            "crosstalk": cal.crosstalk,
            "lintable": cal.lintable,
            "biascor": cal.biascor,
            "bpm": cal.bpm,
            "bf": cal.bf,
            "dflatcor": cal.dflatcor,
        }
        for step in STEPS:
            if (
                step.name in todo
                and step.calibration in calibrations
                and calibrations[step.calibration] is None
            ):
                raise FileTypeError(
                    f"{self.where}: the step {step.name!r} needs the input {step.calibration!r}; give it, or take the step "
                    "out of 'steps'"
                )
        if "bias" in todo and cal.biascor is not None:
            name = names.get("biascor", "biascor")
            check_pair(cal.biascor.header, cal.biascor.shape, name, self.subject, band=False)
        if "flat" in todo and cal.dflatcor is not None:
            name = names.get("dflatcor", "dflatcor")
            check_pair(cal.dflatcor.header, cal.dflatcor.shape, name, self.subject, band=True)
        if cal.bpm is not None and cal.bpm.shape != self.subject.shape:
            raise FileTypeError(f"{names.get('bpm', 'bpm')} has another shape than {self.where}")
        late = [s for s in todo if s in _ON_RAW]
        if not raw and "weight" not in todo and set(todo) & set(_SECOND):
            raise UsageError(
                f"{self.where}: {', '.join(sorted(set(todo) & set(_SECOND)))} change the weight; give the "
                "step 'weight' together with them"
            )
        if not raw and late:
            raise UsageError(
                f"{self.where}: {', '.join(late)} can only be done on a raw frame; this one is trimmed"
            )
        if raw and "overscan" not in todo:
            raise UsageError(f"{self.where}: a raw frame needs the step 'overscan'")
        for name in ("bf", "weight"):
            if name in todo and self.unit != "electrons" and "gain" not in todo:
                raise UsageError(f"{self.where}: the step {name!r} needs electrons; add the step 'gain'")
        for state in self.states:
            if "saturate" in todo:
                state.known_saturation(self.where)
            if "gain" in todo:
                state.known_gain(self.where)
            if "weight" in todo:
                state.known_noise(self.where)

    # --- the passes

    def stretches(self, read_other: first.ReadCCD | None) -> None:
        """Apply the steps in passes over bands of rows; between them those that need the whole image."""
        ny = self.subject.shape[0]
        begin = first.prepare(
            self.source,
            self.ccdnum,
            self.states,
            self.cal,
            self.recipe,
            self.todo,
            read_other,
            self.sci,
            self.msk,
            self.where,
            self.result,
        )
        noise = self._dark_noise()
        self._renew_states()
        every = max(1, ny // _SAMPLE)
        sparse = np.arange(every // 2, ny, every)
        marked = "fixcols" in self.todo and self.cal.bpm is not None and self._has_fixable(self.cal.bpm)
        if not marked and "bf" not in self.todo:
            begin(sparse)
            end = self._second_pass(sparse, noise)
            self._bands(begin, end)
            return
        self._bands(begin)
        if marked:
            self._fix_columns()
        if self.cal.bf is not None and "bf" in self.todo:
            level, _ = self._level(sparse, passes.NONE)
            self.sci, self.msk = bf.correct(
                self.sci, self.msk, self.cal.bf, level, bad=BAD, full=_FULL, suspect=_SUSPECT, run=self.run
            )
        self._bands(self._second_pass(sparse, noise))

    def _bands(self, *stretches: first.Rows) -> None:
        """Apply passes to the CCD in bands of rows, on all threads."""
        ny = self.subject.shape[0]

        def band(y: int) -> None:
            rows = np.arange(y, min(y + _BAND, ny))
            for stretch in stretches:
                stretch(rows)

        for _ in self.run(band, range(0, ny, _BAND)):
            pass

    @staticmethod
    def _has_fixable(bpm: npt.NDArray[np.int32]) -> bool:
        """Tell whether a bad-pixel mask has columns that can be fixed."""
        # Band by band: a whole plane of bits would go through memory for one answer.
        return any(
            bool((bpm[y : y + _BAND] & int(MaskBit.FIXED)).any()) for y in range(0, bpm.shape[0], _BAND)
        )

    def _dark_noise(self) -> dict[str, float]:
        """Variance of a pixel without light: read noise, its share in the overscan, the bias's own."""
        flat_noise = (
            bias_variance(self.cal.biascor) if "bias" in self.todo and self.cal.biascor is not None else 0.0
        )
        electrons = "gain" in self.todo or self.unit == "electrons"
        out = {}
        for state in self.states:
            if "weight" not in self.todo and (state.rdnoise is None or state.gain is None):
                out[state.name] = 1.0
                continue
            noise, gain = state.known_noise(self.where) ** 2, state.known_gain(self.where)
            if isinstance(self.source, RawCCD):
                amp = next(a for a in self.source.amps if a.name == state.name)
                noise *= 1.0 + (self.recipe.overscan.noise(amp.bias.shape[1]) if amp.bias else 0.0)
            noise += flat_noise * gain**2
            out[state.name] = noise if electrons else noise / gain**2
        return out

    def _renew_states(self) -> None:
        """Bring the amplifiers' limits to the unit that the first stretch reaches."""
        table = self.cal.lintable if "linearity" in self.todo else None
        for state in self.states:
            if table is not None and state.saturate < float("inf"):
                state.saturate = table.linear(state.name, state.saturate)
            if "gain" in self.todo:
                self.scale[state.name] = state.known_gain(self.where)
                state.saturate *= state.known_gain(self.where)
                state.gain = 1.0
        if "gain" in self.todo:
            self.unit = "electrons"

    def _fix_columns(self) -> None:
        """Fix the columns with the bit FIXED, with a metric, and a finding on those that cannot be."""
        fixed, lost = fix_columns(self.sci, self.msk, BAD | _FULL)
        self.result.metrics["fixedcols"] = (fixed, "", "stretches of columns set right")
        if lost:
            self.result.findings.append(
                (2, f"{self.where}: {lost} columns could not be fixed; they are marked BPM")
            )

    def _level(self, rows: npt.NDArray[np.int64], flat: Plane) -> tuple[float, float]:
        """Median and scatter of the good pixels of some rows, divided by the flat."""
        every = max(1, self.subject.shape[1] // 512)
        sample, bits = self.sci[rows, ::every], self.msk[rows, ::every]
        good = (bits & (BAD | _FULL)) == 0
        if flat.size > 1:
            divisor = flat[rows, ::every]
            good &= divisor > self.recipe.flat_min
            sample = sample[good] / divisor[good]
        else:
            sample = sample[good]
        if sample.size == 0:
            return 0.0, 0.0
        level = float(np.median(sample))
        return level, 1.4826 * float(np.median(np.abs(sample - level)))

    def _second_pass(self, sparse: npt.NDArray[np.int64], noise: dict[str, float]) -> first.Rows:
        """Prepare flat and weight; what comes back works on rows."""
        flat = passes.NONE
        if "flat" in self.todo and self.cal.dflatcor is not None:
            flat = np.ascontiguousarray(self.cal.dflatcor.sci)
        if isinstance(self.source, Planes) and not set(self.todo) & set(_SECOND):
            # Nothing is left to do here: the weight stays what it was, but for its unit.
            self.wgt[...] = self.source.wgt
            for state in self.states:
                self.wgt[state.place.slices] /= np.float32(self.scale[state.name] ** 2)
            return lambda rows: None
        light = self._light(sparse, flat)
        null = self.recipe.null_bits if "nullweight" in self.todo else _BPM
        full = min(s.saturate for s in self.states)
        raised = 1.01 * full if "resaturate" in self.todo and full < float("inf") else float("-inf")
        calls: list[tuple[State, float]] = [(state, noise[state.name]) for state in self.states]
        if "weight" in self.todo:
            for state, dark in calls:
                self.header[f"WGTVAR{state.name}"] = (dark, "[electron2] variance of a pixel without light")

        def work(rows: npt.NDArray[np.int64]) -> None:
            for state, dark in calls:
                own, columns = state.place.slices
                passes.image_rows(
                    self.sci,
                    self.msk,
                    columns.start,
                    columns.stop - columns.start,
                    flat,
                    self.recipe.flat_min,
                    dark,
                    light,
                    null,
                    _BPM,
                    _FULL if raised > 0 else 0,
                    raised,
                    self.wgt,
                    self.tally,
                    rows[(rows >= own.start) & (rows < own.stop)],
                )

        return work

    def _light(self, sparse: npt.NDArray[np.int64], flat: Plane) -> float:
        """Variance that the sky's light adds at a flat of 1; the sky's level goes into header and metrics."""
        level, scatter = self._level(sparse, flat)
        head, metrics = self.header, self.result.metrics
        head["SKYBRITE"] = (round(level, 4), f"[{self.unit}] median of the good pixels")
        head["SKYSIGMA"] = (round(scatter, 4), f"[{self.unit}] their scatter")
        metrics["sky"] = (level, self.unit, "median of the good pixels")
        metrics["skysigma"] = (scatter, self.unit, "scatter of the good pixels")
        if "weight" not in self.todo:
            return 0.0
        flat_noise = (
            flat_variance(self.cal.dflatcor) if flat.size > 1 and self.cal.dflatcor is not None else 0.0
        )
        sky = max(level, 0.0)
        head["WGTSKY"] = (sky, "[electron] sky that is in the weight")
        head["WGTGRAIN"] = (flat_noise, "variance of the flat over its value")
        return sky + flat_noise * sky * sky

    # --- what remains

    def close(self) -> None:
        """Put planes and keywords of the provenance into the result."""
        planes = self.result.planes = Planes(self.sci, self.msk, self.wgt, self.header)
        amplifiers.write_states(self.header, self.states, self.unit)
        self.header["PROCTYPE"] = ("reduced", "how it was made")
        how = {
            "overscan": self.recipe.overscan.text,
            "weight": "sky level",
            "nullweight": str(self.recipe.null_bits),
        }
        for step in STEPS:
            if step.name in self.todo:
                record(
                    self.header, step.name, how.get(step.name, self.cal.names.get(step.calibration, "done"))
                )
        metrics, findings = self.result.metrics, self.result.findings
        if self.tally.any():
            good, full = self.tally.sum(axis=0) / planes.sci.size
            metrics["goodfrac"] = (float(good), "", "fraction of pixels with weight")
            metrics["satfrac"] = (float(full), "", "fraction of saturated pixels")
        if "lightbulb" in self.todo:
            self._glow(planes)
        if "cticheck" in self.todo:
            for amp, value in checks.charge_left(planes.sci, planes.msk, self.states, BAD | _FULL).items():
                metrics[f"cti{amp}"] = (value, "", "correlation of neighbouring pixels")
                if value > self.recipe.cti_limit:
                    text = f"{self.where}: amplifier {amp} leaves charge behind: correlation {value:.3f} of neighbours"
                    findings.append((2, text))
            self._balance(planes)

    def _balance(self, planes: Planes) -> None:
        """Compare the sky of the amplifiers, with a finding on one that records no light."""
        balance = checks.amplifier_balance(planes.sci, planes.msk, self.states, BAD | _FULL)
        if balance is None:
            return
        ratio, name = balance
        text = "sky of the darkest amplifier over that of the brightest"
        self.result.metrics["amp_balance"] = (ratio, "", text)
        if ratio < self.recipe.balance_limit:
            text = f"{self.where}: amplifier {name} records no light: {ratio:.3f} of the sky of the other"
            self.result.findings.append((2, text))

    def _glow(self, planes: Planes) -> None:
        """Measure the known light bulbs of the CCD, with a finding on one that is on."""
        for bulb in self.recipe.bulbs.get(self.ccdnum, ()):
            glows = checks.glow(planes.sci, planes.msk, bulb, BAD | _FULL)
            if glows is None:
                continue
            excess, error = glows
            self.result.metrics["lightbulb"] = (excess, "", "excess of the light bulb over its surroundings")
            if excess > bulb.limit and excess > 5.0 * error:
                self.result.findings.append(
                    (
                        2,
                        f"{self.where}: the light bulb at ({bulb.x:g}, {bulb.y:g}) is on, {excess:.1%} over the sky",
                    )
                )
