"""The rule by which attempts stand: which may be used, which may be released, and which of two comes first.

An attempt is *blessed* if it is done, or flagged and a person has marked it ACTIVE: it may be released. One that is
flagged and that nobody has marked may be used, but only where no blessed one is. Data that are JUNK or PRUNED are
neither. Only what may be taken itself takes the place of another attempt.
"""

from __future__ import annotations

from sqlalchemy import FromClause, and_, case, or_
from sqlalchemy.sql.elements import ColumnElement

from desdm.schema import DataState
from desdm.schema.states import AttemptState

__all__ = ["BLESSED", "FLAGGED", "UNFIT", "order_of", "order_of_columns", "usable"]

#: Order of attempts: the lower comes first. Blessed; flagged, used where nothing else is; did not end well or not usable.
BLESSED, FLAGGED, UNFIT = 0, 1, 2

_USABLE = (DataState.NEW, DataState.ACTIVE)


def order_of(state: AttemptState, data_state: DataState) -> int:
    """Return BLESSED, FLAGGED or UNFIT for an attempt's state and what its data are worth."""
    if data_state not in _USABLE:
        return UNFIT
    if state is AttemptState.DONE or (state is AttemptState.FLAGGED and data_state is DataState.ACTIVE):
        return BLESSED
    return FLAGGED if state is AttemptState.FLAGGED else UNFIT


def usable(attempt: FromClause) -> ColumnElement[bool]:
    """Condition that the data of an attempt (the table or an alias) are neither JUNK nor PRUNED."""
    condition: ColumnElement[bool] = attempt.c.data_state.in_([s.value for s in _USABLE])
    return condition


def order_of_columns(attempt: FromClause) -> ColumnElement[int]:
    """Return `order_of` as an expression over the columns of an attempt (the table or an alias)."""
    done = attempt.c.state == AttemptState.DONE.value
    flagged = attempt.c.state == AttemptState.FLAGGED.value
    marked = attempt.c.data_state == DataState.ACTIVE.value
    return case(
        (and_(usable(attempt), or_(done, and_(flagged, marked))), BLESSED),
        (and_(usable(attempt), flagged), FLAGGED),
        else_=UNFIT,
    )
