"""QA numbers that are beyond a threshold, or far from those of the same CCD and band in the runs before.

The deviation is (value - median) / (1.4826 MAD): for normal scatter it is in standard deviations, and half of the history
may be wrong without moving it (Rousseeuw & Croux 1993, JASA 88, 1273).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.archive.store import attempt_facts
from desdm.quality.qa import store
from desdm.quality.qa.model import Number, Threshold

__all__ = ["History", "Outlier", "deviation", "history_of", "outliers_of", "threshold_for"]

#: Numbers of the runs before that are compared, and the fewest of them that say anything.
_LAST, _FEWEST = 60, 10
#: Deviations beyond which a number is looked at where no threshold says another bound.
_FAR = 6.0
#: Least scatter, as a part of the median: a history without scatter makes no number far.
_FLOOR = 0.01
#: Least scatter of numbers that are parts of all pixels: one saturated star or track more makes no number far.
_LEAST_SCATTER = {"saturated_frac": 5e-4, "cray_frac": 5e-4}
#: Numbers that are compared with their history without a threshold of their own.
WATCHED = frozenset(
    (
        "sky",
        "fwhm",
        "fwhm_mean",
        "ellipticity",
        "zeropoint",
        "astrom_rms",
        "goodfrac",
        "saturated_frac",
        "cray_frac",
    )
)
#: Least values, below which a number is bad where no threshold says another bound: an amplifier without light.
LEAST = {"amp_balance": 0.5}
#: Value of ``relative_to``: the bounds are deviations.
HISTORY = "history"

#: Name, module, band and CCD: numbers with the same key can be compared.
Key = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Outlier:
    """A QA number outside a bound.

    Attributes
    ----------
    deviation
        Robust deviation from the runs before; None without enough of them.
    bad
        It is beyond the second pair of bounds.
    threshold
        Number of the threshold; None: a default bound.
    text
        The same in words.
    """

    number: Number
    deviation: float | None
    bad: bool
    threshold: int | None
    text: str


@dataclass(frozen=True, slots=True)
class History:
    """Values of the runs before, by key."""

    values: Mapping[Key, Sequence[float]]

    def deviation(self, number: Number) -> float | None:
        """Return the deviation of a number from its history; None without enough values."""
        least = _LEAST_SCATTER.get(number.metric, 0.0)
        return deviation(number.value, self.values.get(key_of(number), ()), least)


def key_of(number: Number) -> Key:
    """Return the key by which a number is compared."""
    return number.metric, number.module, number.band, number.ccdnum


def deviation(value: float, history: Sequence[float], least: float = 0.0) -> float | None:
    """Return the robust deviation of a value from others, in standard deviations; None for fewer than ten others.

    Parameters
    ----------
    value
        The value.
    history
        The others.
    least
        Least scatter, in the unit of the values.
    """
    finite = [v for v in history if math.isfinite(v)]
    if len(finite) < _FEWEST or not math.isfinite(value):
        return None
    middle = median(finite)
    spread = 1.4826 * median(abs(v - middle) for v in finite)
    spread = max(spread, _FLOOR * abs(middle), least, 1e-12)
    return (value - middle) / spread


def history_of(conn: Connection, attempt_id: int, numbers: Sequence[Number], scope: Scope) -> History:
    """Return the values of the runs before an attempt with which its numbers are compared.

    Parameters
    ----------
    conn
        Connection to the database.
    attempt_id
        The attempt.
    numbers
        Its numbers.
    scope
        Project, campaign and run classes of the runs before.
    """
    bands = {n.band for n in numbers if n.band}
    pipeline = attempt_facts(conn, [attempt_id])[attempt_id].pipeline
    values: dict[Key, list[float]] = {}
    for band in sorted(bands):
        earlier = store.earlier_attempts(conn, attempt_id, pipeline, band, scope, _LAST)
        if len(earlier) < _FEWEST:
            continue
        for number in store.numbers_of(conn, earlier, {n.metric for n in numbers}):
            values.setdefault(key_of(number), []).append(number.value)
    return History(values)


def threshold_for(number: Number, rows: Iterable[Threshold], relative_to: str = "") -> Threshold | None:
    """Return the threshold that counts for a number: of its CCD before of its band before of all; None without one.

    Parameters
    ----------
    number
        The number.
    rows
        Thresholds in force.
    relative_to
        Empty: bounds on values; ``history``: bounds on deviations.
    """
    fitting = [
        t
        for t in rows
        if t.metric == number.metric
        and t.relative_to == relative_to
        and t.band in ("*", number.band)
        and t.ccdnum in (0, number.ccdnum)
        and (number.expnum is None or t.expnum_from <= number.expnum <= t.expnum_to)
    ]
    return max(fitting, key=lambda t: t.rank, default=None)


def outliers_of(
    conn: Connection, attempt_id: int, scope: Scope, rows: Sequence[Threshold] | None = None
) -> list[Outlier]:
    """Return the numbers of an attempt that are outside a bound, bad ones first.

    Parameters
    ----------
    conn
        Connection to the database.
    attempt_id
        The attempt.
    scope
        Project, campaign and run classes of the runs with which it is compared.
    rows
        Thresholds; None: those in force.
    """
    numbers = store.numbers_of(conn, [attempt_id])
    if not numbers:
        return []
    rows = store.thresholds(conn) if rows is None else rows
    compared = WATCHED | {t.metric for t in rows}
    history = history_of(conn, attempt_id, [n for n in numbers if n.metric in compared], scope)
    found = [one for number in numbers for one in _judge(number, rows, history)]
    return sorted(found, key=lambda o: (not o.bad, -abs(o.deviation or 0.0)))


def _judge(number: Number, rows: Sequence[Threshold], history: History) -> Iterable[Outlier]:
    """Yield a number if it is outside a bound on its value, else if it is outside one on its deviation."""
    sigma = history.deviation(number)
    bound = threshold_for(number, rows)
    if bound is not None and not math.isfinite(number.value):
        yield Outlier(number, None, True, bound.id, f"{_name(number)} is not a number")
        return
    if bound is not None:
        for bad, low, high in (
            (True, bound.low_bad, bound.high_bad),
            (False, bound.low_warn, bound.high_warn),
        ):
            if words := _outside(number.value, low, high):
                yield Outlier(number, sigma, bad, bound.id, f"{_name(number)} = {_text(number)}, {words}")
                return
    elif words := _outside(number.value, LEAST.get(number.metric), None):
        yield Outlier(number, sigma, True, None, f"{_name(number)} = {_text(number)}, {words}")
        return
    if sigma is None:
        return
    limit = threshold_for(number, rows, HISTORY)
    bounds: list[tuple[bool, float | None, float | None]] = []
    if number.metric in WATCHED:
        bounds = [(False, -_FAR, _FAR)]
    if limit is not None:
        bounds = [(True, limit.low_bad, limit.high_bad), (False, limit.low_warn, limit.high_warn)]
    for bad, low, high in bounds:
        if _outside(sigma, low, high):
            values = history.values[key_of(number)]
            text = f"{_name(number)} = {_text(number)}, {sigma:+.1f} sigma from {median(values):.4g} of {len(values)} runs"
            yield Outlier(number, sigma, bad, limit.id if limit else None, text)
            return


def _outside(value: float, low: float | None, high: float | None) -> str:
    """Return in words which bound a value is beyond; empty: none."""
    if low is not None and value < low:
        return f"below {low:g}"
    return f"above {high:g}" if high is not None and value > high else ""


def _name(number: Number) -> str:
    """Return metric and CCD of a number."""
    return number.metric + (f" of CCD {number.ccdnum}" if number.ccdnum else "")


def _text(number: Number) -> str:
    """Return value and unit of a number."""
    return f"{number.value:.5g} {number.unit}".strip()
