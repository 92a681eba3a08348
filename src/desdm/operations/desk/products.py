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
    """A night and a campaign: by pipeline its units by state, in the order in which they need a look.

    ``campaign`` is that of production where nothing is queued or processed.
    """

    nite: str
    campaign: str
    pipelines: dict[str, dict[str, int]]


def night_products(
    conn: Connection,
    nites: Sequence[str],
    production: str,
    *,
    campaign: str = "",
    pipeline: str = "",
    state: str = "",
) -> list[NightProducts]:
    """Return the product view of nights: for each the campaign of production, then the others that process it.

    Parameters
    ----------
    conn
        The database.
    nites
        The nights, in the order of the answer.
    production
        Campaign of production.
    campaign, pipeline, state
        Only of this campaign, this pipeline, units in this state; empty: of all.
    """
    counts = store.product_counts(conn, nites, campaign)
    first = campaign or production
    queued = {(one.nite, one.campaign) for one in counts}
    # Nights that were processed without the queue.
    for nite in nites:
        if (nite, first) not in queued:
            without = store.unqueued_counts(conn, nite, campaign)
            counts += [one for one in without if (nite, one.campaign) not in queued]
    cells: dict[tuple[str, str], dict[str, dict[str, int]]] = {(nite, first): {} for nite in nites}
    for one in sorted(counts, key=lambda one: _ORDER.index(one.state)):
        if (pipeline and one.pipeline != pipeline) or (state and one.state.value != state):
            continue
        of_pipeline = cells.setdefault((one.nite, one.campaign), {}).setdefault(one.pipeline, {})
        of_pipeline[one.state.value] = of_pipeline.get(one.state.value, 0) + one.units
    place = {nite: at for at, nite in enumerate(nites)}
    return [
        NightProducts(nite, name, dict(sorted(of.items())))
        for (nite, name), of in sorted(
            cells.items(), key=lambda c: (place[c[0][0]], c[0][1] != first, c[0][1])
        )
    ]
