"""Data sent to working groups: for quality assessment all of them, for members those to their own group."""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.accounts.clock import now
from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied, NotFoundError, UsageError
from desdm.operations.qa.dispatch import accept_dispatch, answer_dispatch, open_dispatch, withdraw_dispatch
from desdm.quality.qa import store
from desdm.quality.qa.model import Dispatch
from desdm.schema.operationstates import DISPATCH_CHANGES, AnswerVerdict, DispatchState
from desdm.services.context import Services, caller_of
from desdm.services.parameters import Values, parse_time
from desdm.services.responses import run_blocking
from desdm.web.desk import desk_routes
from desdm.web.pages.deskforms import Form, Refusal, filters, perform, posted, query_of
from desdm.web.pages.qa.parts import address_of, number_of, production
from desdm.web.qaendpoints import DISPATCH_ACT, DISPATCH_FORM, DISPATCH_ONE, DISPATCHES
from desdm.web.render import page

__all__ = ["routes"]

_NONE = Refusal()
_LINES = 100
#: Days until an answer is due, unless another date is given.
_DAYS = 14


class _Pages:
    """Renders the pages of dispatches, and does what their forms ask for."""

    def __init__(self, services: Services) -> None:
        self._services, self._scope = services, production(services)

    def listing(self, request: Request, values: Values, refusal: Refusal = _NONE) -> Response:
        """Render the list of dispatches that the caller may see."""
        caller, at = caller_of(request), now()
        everything, group = values.flag("ALL"), values.text("GROUP").strip()
        sees = caller.may(Action.SEE_OPERATIONS)
        groups = [group] if group else []
        if not sees:
            groups = sorted(caller.groups & {group} if group else caller.groups)
        with self._services.database.read() as conn:
            lines = store.dispatch_lines(
                conn,
                groups=None if sees and not groups else groups,
                everything=everything,
                before=values.whole("BEFORE"),
                limit=_LINES + 1,
            )
        chosen: dict[str, object] = {"group": group, "all": "1" if everything else ""}
        return page(
            request,
            "qa/dispatches.html",
            refusal.status,
            lines=lines[:_LINES],
            more=query_of({**chosen, "before": lines[_LINES - 1].id}) if len(lines) > _LINES else "",
            everything=everything,
            group=group,
            sees=sees,
            may_send=caller.may(Action.JUDGE),
            late={one.id for one in lines if _is_waiting(one) and one.due_at < at},
            subject=refusal.field("subject", values.text("SUBJECT").strip()[:200]),
            due=refusal.field("due", f"{at + timedelta(days=_DAYS):%Y-%m-%d}"),
            refusal=refusal,
            address=address_of,
        )

    def show(self, request: Request, number: int, refusal: Refusal = _NONE) -> Response:
        """Render one dispatch."""
        caller, at = caller_of(request), now()
        with self._services.database.read() as conn:
            one = _visible(store.dispatch_by_number(conn, number), caller, number)
            answers = store.answers_of(conn, number)
        waiting = _is_waiting(one)
        return page(
            request,
            "qa/dispatch.html",
            refusal.status,
            one=one,
            answers=answers,
            late=waiting and one.due_at < at,
            may_answer=waiting and _may_answer(one, caller),
            may_accept=DispatchState.ACCEPTED in DISPATCH_CHANGES[one.state] and _may_answer(one, caller),
            may_withdraw=waiting and caller.may(Action.JUDGE),
            verdicts=list(AnswerVerdict),
            opens=waiting or caller.may(Action.SEE_OPERATIONS),
            refusal=refusal,
            address=address_of,
        )

    async def all_of_them(self, request: Request) -> Response:
        """Show the list."""
        values = filters(request, DISPATCHES)
        return await run_blocking(self._services, lambda: self.listing(request, values))

    async def one_of_them(self, request: Request) -> Response:
        """Show one dispatch."""
        number = number_of(request, "dispatch")
        return await run_blocking(self._services, lambda: self.show(request, number))

    async def send(self, request: Request) -> Response:
        """Send data to a working group."""
        caller_of(request).require(Action.JUDGE)
        form = await posted(request)

        def act() -> str:
            with self._services.database.write() as conn:
                one = open_dispatch(
                    conn,
                    form.text("group"),
                    form.text("subject"),
                    form.text("question"),
                    form.text("criteria"),
                    _due(form.text("due")),
                    who=caller_of(request).login,
                    scope=self._scope,
                    now=now(),
                )
            return f"/qa/dispatch/{one.id}"

        values = DISPATCHES.parameters.read([])
        return await perform(
            self._services, form, act, lambda refusal: self.listing(request, values, refusal)
        )

    async def change(self, request: Request) -> Response:
        """Accept, answer or withdraw a dispatch."""
        number, form = number_of(request, "dispatch"), await posted(request)
        caller = caller_of(request)

        def act() -> str:
            with self._services.database.write() as conn:
                one = _visible(store.dispatch_by_number(conn, number), caller, number)
                name = form.text("act")
                if name == "withdraw":
                    caller.require(Action.JUDGE)
                    withdraw_dispatch(conn, number, form.text("reason"), who=caller.login)
                elif name in ("accept", "answer"):
                    if not _may_answer(one, caller):
                        caller.require(Action.ANSWER)
                        raise AccessDenied(f"members of {one.working_group} answer this dispatch", known=True)
                    if name == "accept":
                        accept_dispatch(conn, number, who=caller.login)
                    else:
                        answer_dispatch(
                            conn,
                            number,
                            _verdict(form),
                            form.text("text"),
                            file=form.text("file"),
                            who=caller.login,
                            now=now(),
                        )
                else:
                    raise UsageError("the form does not say what is to be done; load the page again")
            return f"/qa/dispatch/{number}"

        return await perform(self._services, form, act, lambda refusal: self.show(request, number, refusal))


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the pages and forms."""
    pages = _Pages(services)
    # Members of working groups reach the pages and the form of an answer; sending is for quality assessment alone.
    return desk_routes(
        [
            (DISPATCHES, pages.all_of_them),
            (DISPATCH_FORM, pages.send),
            (DISPATCH_ONE, pages.one_of_them),
            (DISPATCH_ACT, pages.change),
        ],
        or_action=Action.ANSWER,
    )


def _visible(one: Dispatch | None, caller: Caller, number: int) -> Dispatch:
    """Return a dispatch that the caller may see; `NotFoundError` as for one that does not exist, otherwise."""
    if one is None or not (caller.may(Action.SEE_OPERATIONS) or one.working_group in caller.groups):
        raise NotFoundError(f"there is no dispatch {number}")
    return one


def _may_answer(one: Dispatch, caller: Caller) -> bool:
    """Whether the caller answers for the group of a dispatch: its members do."""
    return caller.may(Action.ANSWER) and one.working_group in caller.groups


def _is_waiting(one: Dispatch) -> bool:
    """Whether a dispatch waits for an answer."""
    return one.state in (DispatchState.OFFERED, DispatchState.ACCEPTED)


def _due(text: str) -> datetime:
    """Return a due date: the end of a day, or a time, UTC."""
    when = parse_time("due", text)
    return when.replace(hour=23, minute=59) if len(text.strip()) == len("2026-01-31") else when


def _verdict(form: Form) -> AnswerVerdict:
    """Return what a group says of the data."""
    word = form.text("verdict")
    if word not in [one.value for one in AnswerVerdict]:
        raise UsageError(f"an answer is one of {', '.join(v.value for v in AnswerVerdict)}")
    return AnswerVerdict(word)
