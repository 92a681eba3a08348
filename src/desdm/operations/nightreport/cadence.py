"""The cadence of a night: what it did for the fields of the survey's plan, and how the seasons stand after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime

from desdm.operations.nightreport.model import BandCadence, Pace
from desdm.operations.surveytable.model import Field, FieldStatus
from desdm.survey.bands import band_order

__all__ = ["Cadences", "cadence"]

#: Nights of which the rows of one table are kept.
_NIGHTS = 16


class Cadences:
    """Rows of nights from the newest survey table, computed once for many requests."""

    def __init__(self) -> None:
        self._last: tuple[Sequence[FieldStatus], dict[str, tuple[BandCadence, ...]]] = ((), {})

    def of(self, fields: Sequence[FieldStatus], nite: str) -> tuple[BandCadence, ...]:
        """Return the rows of a night, as of `cadence`; the fields of one table are the same object."""
        last = self._last
        if last[0] is not fields:
            self._last = last = (fields, {})
        known = last[1].get(nite)
        if known is None:
            known = cadence(fields, nite)
            if len(last[1]) < _NIGHTS:
                last[1][nite] = known
        return known


def cadence(fields: Iterable[FieldStatus], nite: str) -> tuple[BandCadence, ...]:
    """Return what a night did for the plan, by season and band; empty without a plan.

    A season is told if the night is within its nights, if the plan does not say which these are, or if an exposure of the
    night counts for a field of it. Exposures of later nights do not count: the report on an earlier night tells how it
    stood then, with the verdicts of now.

    Parameters
    ----------
    fields
        Rows of the survey table.
    nite
        Night, YYYYMMDD.
    """
    groups: dict[tuple[str, str, str, str], list[FieldStatus]] = defaultdict(list)
    for status in fields:
        f = status.field
        groups[f.season, f.season_begin, f.season_end, f.band].append(status)
    kept = {key[:3] for key, those in groups.items() if _concerns(those, nite)}
    return tuple(
        _of_band(groups[key], nite)
        for key in sorted(groups, key=lambda key: (key[1], key[0], band_order(key[3])))
        if key[:3] in kept
    )


def _concerns(those: Iterable[FieldStatus], nite: str) -> bool:
    """Return whether fields of a season belong into the report on a night."""
    return any(
        not status.field.season_begin
        or _within(status.field, nite)
        or any(exposure.nite == nite for exposure in status.counting)
        for status in those
    )


def _within(field: Field, nite: str) -> bool:
    """Return whether a night is of the season of a field; nights are compared as texts, YYYYMMDD."""
    return bool(field.season_begin) and field.season_begin <= nite <= field.season_end


def _of_band(those: list[FieldStatus], nite: str) -> BandCadence:
    """Return the row of the fields of one season and band."""
    field = those[0].field
    exposures = finished = done = 0
    gain = owed = owed_at_begin = 0.0
    for status in those:
        goal = status.field.t_eff_goal
        exposures += sum(exposure.nite == nite for exposure in status.counting)
        before, after = _t_eff(status, nite, inclusive=False), _t_eff(status, nite, inclusive=True)
        finished += before < goal <= after
        done += after >= goal
        # What is beyond the goal of a field does not count for others.
        gain += min(after, goal) - min(before, goal)
        owed += max(0.0, goal - after)
        if field.season_begin:
            owed_at_begin += max(0.0, goal - _t_eff(status, field.season_begin, inclusive=False))
    pace = _pace(field, nite, owed_at_begin, owed) if _within(field, nite) else None
    return BandCadence(
        field.season, field.band, len(those), exposures, gain, finished, done, len(those) - done, owed, pace
    )


def _t_eff(status: FieldStatus, nite: str, *, inclusive: bool) -> float:
    """Return the sum of t_eff of the exposures of a field that were taken before a night, or until its end."""
    return sum(
        exposure.t_eff or 0.0
        for exposure in status.counting
        if exposure.nite < nite or (inclusive and exposure.nite == nite)
    )


def _pace(field: Field, nite: str, owed_at_begin: float, owed: float) -> Pace | None:
    """Compare what is owed with the even rate of a season; None if nothing was owed at its begin."""
    nights = (_date(field.season_end) - _date(field.season_begin)).days + 1
    number = (_date(nite) - _date(field.season_begin)).days + 1
    rate = owed_at_begin / nights
    if rate <= 0:
        return None
    even = owed_at_begin - rate * number
    return Pace(number, nights, even, even - owed, (even - owed) / rate)


def _date(nite: str) -> date:
    """Return the date of a night."""
    return datetime.strptime(nite, "%Y%m%d").date()
