"""The page of arrivals: nights, and deliveries that wait for a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.errors import UsageError
from desdm.operations.clock import machine_time
from desdm.operations.desk.store import newest_event
from desdm.operations.dts import pagestore
from desdm.operations.dts.decide import dismiss, release
from desdm.operations.dts.model import Delivery, ExpectedFile, NightArrival
from desdm.operations.dts.status import status_of_nites
from desdm.schema.operationstates import DeliveryState
from desdm.services.context import Services, caller_of
from desdm.services.parameters import Values
from desdm.services.responses import run_blocking
from desdm.web.desk import desk_routes
from desdm.web.opsendpoints import ARRIVAL, ARRIVAL_FORM
from desdm.web.pages.deskforms import Form, Refusal, filters, perform, posted, query_of
from desdm.web.pages.ops.tonight import checked_nite
from desdm.web.render import page

__all__ = ["routes"]

#: Nights of the table, rows of a page.
_NIGHTS, _ROWS = 14, 100
#: What a person is to decide on, and what is not judged yet.
_UNDECIDED = (DeliveryState.QUARANTINED, DeliveryState.DELIVERED, DeliveryState.CHECKED)


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """What the page shows; ``expected``: files of one night that are missing or late."""

    nights: Sequence[NightArrival]
    older_nights: str
    counts: dict[DeliveryState, int]
    deliveries: Sequence[Delivery]
    older: int | None
    expected: Sequence[ExpectedFile]
    undated: int
    newest: int


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page and its form."""

    def render(request: Request, values: Values, refusal: Refusal) -> Response:
        nite, state = checked_nite(values.text("NITE")), values.text("STATE")
        arrivals = _gather(services, values, nite, state)
        return page(
            request,
            "ops/arrival.html",
            refusal.status,
            newest=arrivals.newest,
            a=arrivals,
            nite=nite,
            state=state,
            states=tuple(DeliveryState)[1:],
            refusal=refusal,
            older=query_of({"nite": nite, "state": state, "before": arrivals.older})
            if arrivals.older
            else "",
            first=query_of({"nite": nite, "state": state}) if values.has("BEFORE") else "",
            until=values.text("UNTIL"),
        )

    async def show(request: Request) -> Response:
        values = filters(request, ARRIVAL)
        return await run_blocking(services, lambda: render(request, values, Refusal()))

    async def decide(request: Request) -> Response:
        values, form = filters(request, ARRIVAL), await posted(request)
        who = caller_of(request).login

        def act() -> str:
            _decide(services, form, who)
            return f"/ops/arrival?{request.url.query}"

        return await perform(services, form, act, lambda refusal: render(request, values, refusal))

    return desk_routes([(ARRIVAL, show), (ARRIVAL_FORM, decide)])


def _gather(services: Services, values: Values, nite: str, state: str) -> _Arrivals:
    """Gather what the page shows."""
    until = checked_nite(values.text("UNTIL"))
    states = (DeliveryState(state),) if state else () if nite else _UNDECIDED
    before = values.whole("BEFORE")
    with services.database.read() as conn:
        newest = newest_event(conn)
        nites = [nite] if nite else pagestore.last_nites(conn, _NIGHTS + 1, f"{until}~" if until else "")
        status = status_of_nites(conn, nites[:_NIGHTS], now=machine_time())
        rows = pagestore.deliveries_page(conn, nite=nite, states=states, before=before, limit=_ROWS + 1)
        counts = pagestore.state_counts(conn, _UNDECIDED)
        undated = pagestore.undated(conn)
    wanted = [one for one in status.expected if nite and (one.missing or one.late)]
    return _Arrivals(
        sorted(status.nights, key=lambda night: night.nite, reverse=True),
        nites[_NIGHTS] if len(nites) > _NIGHTS else "",
        counts,
        rows[:_ROWS],
        rows[_ROWS - 1].id if len(rows) > _ROWS else None,
        wanted[:_ROWS],
        undated,
        newest,
    )


def _decide(services: Services, form: Form, who: str) -> None:
    """Release or dismiss the deliveries that a form chooses; each is an act of its own."""
    reason = form.text("reason")
    if not form.rows:
        raise UsageError("choose at least one delivery")
    for number in form.rows:
        match form.text("act"):
            case "release":
                release(services.database, number, reason=reason, who=who)
            case "dismiss":
                dismiss(services.database, number, reason=reason, who=who, now=machine_time())
            case other:
                raise UsageError(f"{other[:20] or 'no act'}: release or dismiss is wanted")
