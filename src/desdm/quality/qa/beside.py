"""Numbers of an exposure or CCD beside those of the exposures of the same band and night, and beside their thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import Connection

from desdm.archive.store import attempt_facts
from desdm.quality.qa import store
from desdm.quality.qa.model import Number, Subject, Threshold
from desdm.quality.qa.outliers import WATCHED, deviation, threshold_for
from desdm.schema import EVALUATIONS

__all__ = ["Beside", "NightNumbers", "numbers_beside_night"]

#: Exposures of the night, the nearest in number, whose numbers of CCDs are read.
_NEAREST = 30
#: Deviations from the night beyond which a number is named.
_FAR = 6.0
#: Fewest other exposures whose scatter says anything.
_SCATTER = 3
#: Fewest other exposures for a deviation to be shown, and for a number to be called far.
_FEW, _ENOUGH = 4, 10
#: Units of which differences count and not parts, and the least scatter in them.
_LOGARITHMIC, _LEAST_MAG = ("mag",), 0.01


@dataclass(frozen=True, slots=True)
class Beside:
    """A number beside those of the night.

    Attributes
    ----------
    metric, module, unit
        Name, module that measured it (empty: the verdict), and unit.
    ccdnum
        CCD; 0: of the whole exposure.
    value
        The number; None: not measured.
    middle, spread
        Median, and 1.4826 times the median absolute deviation, of the others; None without others.
    others
        How many other exposures of the night have it.
    deviation
        Distance from the median in units of the spread; None for few others, or without spread.
    bounds
        Bounds of the threshold in force, in words; empty: none.
    look, bad
        Whether it is outside the first, or the second, pair of bounds, or for `look` far from the night.
    over_ccds
        Number of CCDs whose median `value` is; 0: it is one value.
    beyond
        Whether it is outside the first or the second pair of bounds of its threshold.
    """

    metric: str
    module: str
    unit: str
    ccdnum: int
    value: float | None
    middle: float | None
    spread: float | None
    others: int
    deviation: float | None
    bounds: str
    look: bool
    bad: bool
    over_ccds: int = 0
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class NightNumbers:
    """Numbers of a subject beside those of its night.

    Attributes
    ----------
    nite, band, exposures
        Night and band, and how many exposures of them are compared.
    rows
        The numbers, outliers first among those of CCDs.
    left_out
        Numbers of CCDs of an exposure that are to be looked at too, but are too many for ``rows``.
    """

    nite: str
    band: str
    exposures: int
    rows: tuple[Beside, ...]
    left_out: tuple[Beside, ...] = ()

    @property
    def compared(self) -> bool:
        """Whether there are enough other exposures to say of any number whether it is far from theirs."""
        return any(row.deviation is not None for row in self.rows)

    @property
    def outside(self) -> int:
        """How many numbers are within their thresholds, but far from those of the night."""
        return sum(row.look and not row.beyond for row in (*self.rows, *self.left_out))

    @property
    def beyond(self) -> int:
        """How many numbers are beyond a threshold."""
        return sum(row.beyond for row in (*self.rows, *self.left_out))

    @property
    def bad(self) -> int:
        """How many numbers are beyond the second pair of bounds of a threshold."""
        return sum(row.bad for row in (*self.rows, *self.left_out))


def numbers_beside_night(conn: Connection, subject: Subject, *, most: int = 12) -> NightNumbers | None:
    """Return the numbers of an exposure or CCD beside those of its band and night; None without a verdict on it.

    Parameters
    ----------
    conn
        Connection to the database.
    subject
        Exposure or CCD, with the attempt that counts.
    most
        Of an exposure: CCDs with a number that is to be looked at, at most so many.
    """
    if subject.expnum is None or subject.attempt_id is None:
        return None
    attempt_id = subject.attempt_id
    places = store.nites_and_bands(conn, [attempt_id]).get(attempt_id)
    if places is None or not places[0] or not places[1]:
        return None
    nite, band = places[0], places[1]
    table = EVALUATIONS.get(attempt_facts(conn, [attempt_id])[attempt_id].pipeline)
    if table is None:
        return None
    expnum = subject.expnum
    exposures = store.exposures_beside(conn, table, expnum, nite, band)
    thresholds = store.thresholds(conn)
    rows = _of_verdict(exposures, subject, attempt_id, band, thresholds) if subject.ccdnum is None else []
    nearest = sorted(exposures, key=lambda e: abs(e.expnum - expnum))
    attempts = [e.attempt_id for e in nearest if e.attempt_id != attempt_id][:_NEAREST]
    metrics = WATCHED | {t.metric for t in thresholds}
    # The assessment repeats numbers of the whole exposure, which stand in its verdict.
    mine = [n for n in store.numbers_of(conn, [attempt_id], metrics) if n.ccdnum or n.module != "assess"]
    others = store.numbers_of(conn, attempts, metrics) if attempts else []
    of_ccds, left_out = _of_ccds(mine, others, subject.ccdnum, thresholds, most)
    return NightNumbers(nite, band, len(exposures), (*rows, *of_ccds), tuple(left_out))


def _of_verdict(
    exposures: Sequence[store.JudgedExposure],
    subject: Subject,
    attempt_id: int,
    band: str,
    thresholds: Sequence[Threshold],
) -> list[Beside]:
    """Return the numbers of the verdict on an exposure beside those of the others."""
    own = next((e for e in exposures if e.attempt_id == attempt_id), None)
    rows = []
    for place, (name, unit) in enumerate(store.JUDGED_NUMBERS.items()):
        value = own.numbers[place] if own is not None else None
        history = [v for e in exposures if e is not own and (v := e.numbers[place]) is not None]
        number = Number(attempt_id, subject.run, name, "", band, 0, subject.expnum, None, _float(value), unit)
        if value is not None or history:
            rows.append(_beside(number, history, thresholds))
    return rows


def _of_ccds(
    mine: Sequence[Number],
    others: Sequence[Number],
    ccdnum: int | None,
    thresholds: Sequence[Threshold],
    most: int,
) -> tuple[list[Beside], list[Beside]]:
    """Return numbers of CCDs: of one CCD, or of each number the median and the CCDs that stand out; then the rest."""
    history: dict[tuple[str, str, int], list[float]] = {}
    for n in others:
        history.setdefault((n.metric, n.module, n.ccdnum), []).append(n.value)
    single = [
        _beside(n, history.get((n.metric, n.module, n.ccdnum), []), thresholds)
        for n in mine
        if ccdnum is None or n.ccdnum == ccdnum
    ]
    if ccdnum is not None:
        return sorted(single, key=lambda row: (not row.bad, not row.look, row.metric, row.module)), []
    whole = [row for row in single if not row.ccdnum]
    outside = sorted(
        (row for row in single if row.ccdnum and (row.look or row.bad)),
        key=lambda row: (not row.bad, -abs(row.deviation or 0.0)),
    )
    return [*whole, *_medians(mine, others), *outside[:most]], outside[most:]


def _medians(mine: Sequence[Number], others: Sequence[Number]) -> list[Beside]:
    """Return of each number of CCDs the median over the CCDs, beside those of the other exposures."""
    by_run: dict[tuple[str, str], dict[int, list[float]]] = {}
    for n in others:
        if n.ccdnum and math.isfinite(n.value):
            by_run.setdefault((n.metric, n.module), {}).setdefault(n.attempt_id, []).append(n.value)
    groups: dict[tuple[str, str], list[Number]] = {}
    for n in mine:
        if n.ccdnum and math.isfinite(n.value):
            groups.setdefault((n.metric, n.module), []).append(n)
    rows = []
    for key, numbers in groups.items():
        number = numbers[0]._replace(value=median(n.value for n in numbers), ccdnum=0)
        row = _beside(number, [median(v) for v in by_run.get(key, {}).values()], ())
        rows.append(
            Beside(
                row.metric,
                row.module,
                row.unit,
                0,
                row.value,
                row.middle,
                row.spread,
                row.others,
                row.deviation,
                "",
                row.look,
                False,
                len(numbers),
            )
        )
    return rows


def _beside(number: Number, others: Sequence[float], thresholds: Sequence[Threshold]) -> Beside:
    """Return a number beside others and beside its threshold."""
    finite = [v for v in others if math.isfinite(v)]
    middle = median(finite) if finite else None
    enough = middle is not None and len(finite) >= _SCATTER
    spread = 1.4826 * median(abs(v - middle) for v in finite) if enough and middle is not None else None
    sigma = _sigma(number, middle, spread, len(finite))
    bound = threshold_for(number, thresholds)
    low_warn, high_warn, low_bad, high_bad = (
        (bound.low_warn, bound.high_warn, bound.low_bad, bound.high_bad) if bound else (None,) * 4
    )
    bad = bound is not None and (not math.isfinite(number.value) or _outside(number.value, low_bad, high_bad))
    beyond = bad or (bound is not None and _outside(number.value, low_warn, high_warn))
    look = beyond or _is_far(number, finite, sigma)
    return Beside(
        number.metric,
        number.module,
        number.unit,
        number.ccdnum,
        number.value if math.isfinite(number.value) else None,
        middle,
        spread,
        len(finite),
        sigma,
        _words(low_bad, low_warn, high_warn, high_bad),
        look,
        bad,
        beyond=beyond,
    )


def _sigma(number: Number, middle: float | None, spread: float | None, others: int) -> float | None:
    """Return the distance of a number from the median of others in their spread; None for few others, or without spread."""
    if middle is None or not spread or others < _FEW or not math.isfinite(number.value):
        return None
    return (number.value - middle) / spread


def _is_far(number: Number, others: Sequence[float], sigma: float | None) -> bool:
    """Tell whether a number is so far from others that it is to be looked at."""
    if number.unit in _LOGARITHMIC:
        # A part of a magnitude's value means nothing: the least scatter is in magnitudes.
        return (
            sigma is not None
            and len(others) >= _ENOUGH
            and abs(sigma) > _FAR
            and (abs(number.value - median(others)) > _FAR * _LEAST_MAG)
        )
    robust = deviation(number.value, others)
    return robust is not None and abs(robust) > _FAR


def _outside(value: float, low: float | None, high: float | None) -> bool:
    """Tell whether a value is beyond a pair of bounds."""
    return (low is not None and value < low) or (high is not None and value > high)


def _words(
    low_bad: float | None, low_warn: float | None, high_warn: float | None, high_bad: float | None
) -> str:
    """Return bounds in words; empty: none."""
    pairs: Mapping[str, tuple[float | None, float | None]] = {
        "look": (low_warn, high_warn),
        "bad": (low_bad, high_bad),
    }
    parts = []
    for name, (low, high) in pairs.items():
        sides = [f"below {low:g}"] if low is not None else []
        sides += [f"above {high:g}"] if high is not None else []
        if sides:
            parts.append(f"{name} {' or '.join(sides)}")
    return "; ".join(parts)


def _float(value: float | None) -> float:
    """Return a number; NaN for one that was not measured."""
    return math.nan if value is None else float(value)
