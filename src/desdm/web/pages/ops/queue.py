"""The page of the nightly queue: its rows, why they stand where they stand, acts on them, and policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.errors import NotFoundError, UsageError
from desdm.operations.clock import machine_time
from desdm.operations.desk.store import newest_event, open_rows
from desdm.operations.lease import current_lease
from desdm.operations.queue import acts, store
from desdm.operations.queue.acts import Act, Selection
from desdm.operations.queue.model import ANY, LEASE, Policy, QueueRow
from desdm.operations.queue.pagestore import queue_page
from desdm.operations.queue.policies import QUEUED, add_policy, end_policy, policies_in_force
from desdm.operations.queue.why import Explanation, explain
from desdm.schema.operationstates import QueueState
from desdm.schema.store import exposure_name
from desdm.services.context import Services, caller_of
from desdm.services.parameters import Values
from desdm.services.responses import run_blocking
from desdm.web.desk import desk_routes
from desdm.web.opsendpoints import POLICY_FORM, QUEUE, QUEUE_FORM
from desdm.web.pages.deskforms import Form, Refusal, filters, perform, posted, query_of
from desdm.web.pages.ops.tonight import checked_nite
from desdm.web.render import page

__all__ = ["routes"]

_ROWS = 100
#: What the page shows first: what waits for its turn or has it.
_FIRST = (QueueState.SUBMITTED, QueueState.WAITING, QueueState.HELD)


@dataclass(frozen=True, slots=True)
class _Queue:
    """What the page shows."""

    counts: dict[QueueState, int]
    runner: str
    rows: Sequence[QueueRow]
    after: int | None
    reasons: Sequence[Explanation]
    policies: Sequence[Policy]
    newest: int


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page and its forms."""

    def render(request: Request, values: Values, refusal: Refusal) -> Response:
        nite, state, unit = (
            checked_nite(values.text("NITE")),
            values.text("STATE"),
            _unit(values.text("UNIT")),
        )
        query = f"?{request.url.query}" if request.url.query else ""
        queue = _gather(services, nite, state, unit, values.whole("AFTER"))
        filtered = {"nite": nite, "state": state}
        return page(
            request,
            "ops/queue.html",
            refusal.status,
            own_address=f"/ops/queue{query}",
            newest=queue.newest,
            q=queue,
            campaign=services.config.campaign,
            nite=nite,
            state=state,
            unit=unit,
            states=tuple(QueueState),
            pipelines=QUEUED,
            refusal=refusal,
            now=machine_time(),
            more=query_of({**filtered, "after": queue.after}) if queue.after else "",
            first=query_of(filtered) if values.has("AFTER") else "",
        )

    async def show(request: Request) -> Response:
        values = filters(request, QUEUE)
        return await run_blocking(services, lambda: render(request, values, Refusal()))

    async def change(request: Request) -> Response:
        values, form = filters(request, QUEUE), await posted(request)
        who = caller_of(request).login
        nite = checked_nite(values.text("NITE"))

        def act() -> str:
            _act(services, form, nite, who)
            return f"/ops/queue?{request.url.query}"

        return await perform(services, form, act, lambda refusal: render(request, values, refusal))

    async def policy(request: Request) -> Response:
        values, form = filters(request, QUEUE), await posted(request)
        who = caller_of(request).login

        def act() -> str:
            _change_policy(services, form, who)
            return "/ops/queue#policies"

        return await perform(services, form, act, lambda refusal: render(request, values, refusal))

    return desk_routes([(QUEUE, show), (QUEUE_FORM, change), (POLICY_FORM, policy)])


def _unit(text: str) -> str:
    """Return the unit that a person names: an exposure by its name or number, or a night."""
    text = text.strip()
    return exposure_name(int(text)) if text.isdecimal() and len(text) < 8 else text


def _gather(services: Services, nite: str, state: str, unit: str, after: int | None) -> _Queue:
    """Gather what the page shows."""
    states = (QueueState(state),) if state else tuple(QueueState) if nite else _FIRST
    with services.database.read() as conn:
        newest = newest_event(conn)
        named = store.find_rows(conn, unit=unit) if unit else []
        rows = queue_page(conn, states, nite=nite, after=after, limit=_ROWS + 1) if not unit else named
        lease = current_lease(conn, LEASE)
        return _Queue(
            open_rows(conn),
            "" if lease is None else lease.holder,
            rows[:_ROWS],
            rows[_ROWS - 1].id if len(rows) > _ROWS else None,
            explain(conn, named, now=machine_time()),
            policies_in_force(conn),
            newest,
        )


def _act(services: Services, form: Form, nite: str, who: str) -> None:
    """Do an act on the rows that a form chooses, in one transaction."""
    act = Act(who, form.text("reason"), machine_time())
    whole = bool(form.text("whole")) and bool(nite)
    if not form.rows and not whole:
        raise UsageError("choose at least one row")
    with services.database.write() as conn:
        production = services.config.campaign
        selections = [Selection(nite, whole_night=True, production=production)] if whole else []
        for number in () if whole else form.rows:
            row = store.find_row(conn, number)
            if row is None:
                raise NotFoundError(f"the queue has no row {number}; load the page again")
            selections.append(Selection(row.unitname, row.pipeline, row.campaign))
        for selection in selections:
            match form.text("act"):
                case "hold":
                    acts.hold(conn, selection, act)
                case "release":
                    acts.release(conn, selection, act)
                case "dismiss":
                    acts.dismiss(conn, selection, act)
                case "priority":
                    acts.set_priority(conn, selection, form.whole("rank", "rank"), act)
                case other:
                    raise UsageError(
                        f"{other[:20] or 'no act'}: hold, release, priority or dismiss is wanted"
                    )


def _change_policy(services: Services, form: Form, who: str) -> None:
    """Enter or end a policy."""
    now = machine_time()
    with services.database.write() as conn:
        if form.text("act") == "end":
            number = form.whole("number", "number of the policy")
            end_policy(conn, number, reason=form.text("reason"), who=who, now=now)
            return
        policy = Policy(
            None,
            form.text("programme") or ANY,
            form.text("pipeline"),
            form.text("band") or ANY,
            checked_nite(form.text("from")) or "00000000",
            checked_nite(form.text("to")) or "99999999",
            form.whole("rank", "rank"),
            form.real("deadline", "deadline in hours") or 24.0,
            form.whole("tries", "tries"),
            form.text("statement"),
        )
        add_policy(conn, policy, who=who, now=now)
