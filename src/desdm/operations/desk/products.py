"""The product view: of each night and pipeline, how many units are in which state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.operations.desk import store
from desdm.schema.operationstates import QueueState
from desdm.schema.states import AttemptState

__all__ = ["NightProducts", "night_products"]

#: Order of states: what needs a look first; what nobody means to process last.
_ORDER = (
    AttemptState.FAILED,
    QueueState.GAVE_UP,
    AttemptState.INTERRUPTED,
    QueueState.HELD,
    AttemptState.RUNNING,
    QueueState.SUBMITTED,
    AttemptState.PLANNED,
    QueueState.WAITING,
    AttemptState.FLAGGED,
    AttemptState.DONE,
    QueueState.DONE,
    AttemptState.CANCELLED,
    QueueState.DISMISSED,
)


@dataclass(frozen=True, slots=True)
class NightProducts:
    """A night: by pipeline its units by state, in the order in which they need a look."""

    nite: str
    pipelines: dict[str, dict[str, int]]


def night_products(
    conn: Connection, nites: Sequence[str], *, campaign: str = "", pipeline: str = "", state: str = ""
) -> list[NightProducts]:
    """Return the product view of nights.

    Parameters
    ----------
    conn
        The database.
    nites
        The nights, in the order of the answer.
    campaign, pipeline, state
        Only of this campaign, this pipeline, units in this state; empty: of all.
    """
    counts = store.product_counts(conn, nites, campaign)
    queued = {one.nite for one in counts}
    # Nights that were processed without the queue.
    for nite in nites:
        if nite not in queued:
            counts += store.unqueued_counts(conn, nite)
    cells: dict[str, dict[str, dict[str, int]]] = {nite: {} for nite in nites}
    for one in sorted(counts, key=lambda one: _ORDER.index(one.state)):
        if (pipeline and one.pipeline != pipeline) or (state and one.state.value != state):
            continue
        of_pipeline = cells[one.nite].setdefault(one.pipeline, {})
        of_pipeline[one.state.value] = of_pipeline.get(one.state.value, 0) + one.units
    return [NightProducts(nite, dict(sorted(of.items()))) for nite, of in cells.items()]
