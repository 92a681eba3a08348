"""The pages of the review queue: the list of what waits, and one entry at a time with what there is to see of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from desdm.accounts.clock import now
from desdm.accounts.model import Action
from desdm.archive.catalog import attempt_number
from desdm.archive.store import attempt_facts
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.operations.qa.marks import DEFECT_SEVERITIES, MarkOrder, mark_subject
from desdm.operations.qa.pictures import Pictures, picture_sources
from desdm.operations.qa.subjectfacts import default_reason, read_subject, remarks
from desdm.quality.qa import store
from desdm.quality.qa.model import QaMark, Review, ReviewFilter
from desdm.quality.qa.review import ask_review, take_review
from desdm.quality.qa.reviewsteps import step_review
from desdm.quality.qa.subjects import find_subject
from desdm.schema import EVALUATIONS
from desdm.schema.operationstates import Mark, ReviewCause, ReviewState
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import Endpoint, Handler
from desdm.services.parameters import Values
from desdm.services.responses import run_blocking
from desdm.web.pages.deskforms import Form, Refusal, filters, perform, posted, query_of
from desdm.web.pages.qa.parts import CODES, address_of, mark_order, number_of, page_picture, production
from desdm.web.qaendpoints import REVIEW, REVIEW_ASK, REVIEW_MARK, REVIEW_ONE, REVIEW_STEP, REVIEW_UNDO
from desdm.web.render import page

__all__ = ["review_handlers"]

_NONE = Refusal()
#: Entries that the list shows.
_LINES = 100
#: Reason of an undone mark, which is withdrawn.
_UNDONE = "undone by its author"


class _Pages:
    """Renders the pages of the review queue, and does what their forms ask for."""

    def __init__(self, services: Services, pictures: Pictures) -> None:
        self._services, self._pictures = services, pictures
        self._scope = production(services)

    def listing(self, request: Request, values: Values, refusal: Refusal = _NONE) -> Response:
        """Render the list of what waits."""
        chosen = _chosen(values)
        with self._services.database.read() as conn:
            entries = store.reviews(
                conn, cause=chosen.cause, nite=chosen.nite, band=chosen.band, limit=_LINES
            )
            counts = store.undecided_counts(conn)
            last = _own_mark(store.mark_by_number(conn, values.whole("LAST") or 0), caller_of(request).login)
        self._prepare(entries[0].subject if entries else "")
        return page(
            request,
            "qa/review.html",
            refusal.status,
            entries=entries,
            counts=[(c, counts[c]) for c in ReviewCause if c in counts],
            total=sum(counts.values()),
            query=_query(chosen),
            chosen=chosen,
            causes=list(ReviewCause),
            last=last,
            refusal=refusal,
            now=now(),
            address=address_of,
        )

    def show(self, request: Request, number: int, values: Values, refusal: Refusal = _NONE) -> Response:
        """Render one entry."""
        caller, at, chosen = caller_of(request), now(), _chosen(values)
        with self._services.database.read() as conn:
            entry = store.review_by_number(conn, number)
            if entry is None:
                raise NotFoundError(f"there is no entry {number} in the review queue")
            attempt = attempt_facts(conn, [attempt_number(conn, entry.run)])
            cut = next(iter(attempt.values())).pipeline
            facts = read_subject(conn, entry.subject, self._scope, cut if cut in EVALUATIONS else "firstcut")
            after = store.entry_beside(conn, entry, caller.login, at, chosen=chosen)
            own = facts.subject.attempt_id is not None and (
                store.operator_of(conn, facts.subject.attempt_id) == caller.login
            )
            last = _own_mark(store.mark_by_number(conn, values.whole("LAST") or 0), caller.login)
            counts = store.undecided_counts(conn)
        free = entry.state is ReviewState.OPEN or (
            entry.state is ReviewState.TAKEN
            and (entry.taken_by == caller.login or (entry.lease_until or at) <= at)
        )
        picture = page_picture(self._pictures, facts.subject, facts.sources, mask=values.flag("MASK"))
        self._prepare(after.subject if after else "")
        return page(
            request,
            "qa/entry.html",
            refusal.status,
            entry=entry,
            facts=facts,
            picture=picture,
            after=after,
            own=own,
            mine=entry.state is ReviewState.TAKEN and entry.taken_by == caller.login,
            may_mark=caller.may(Action.JUDGE) and free,
            reason=default_reason(facts),
            remarks=remarks(facts),
            query=_query(chosen),
            chosen=chosen,
            last=last,
            total=sum(counts.values()),
            refusal=refusal,
            codes=CODES,
            severities=DEFECT_SEVERITIES,
            cut=cut,
            address=address_of,
        )

    async def queue(self, request: Request) -> Response:
        """Show the list."""
        values = filters(request, REVIEW)
        return await run_blocking(self._services, lambda: self.listing(request, values))

    async def one(self, request: Request) -> Response:
        """Show one entry."""
        number, values = number_of(request, "entry"), filters(request, REVIEW_ONE)
        return await run_blocking(self._services, lambda: self.show(request, number, values))

    async def step(self, request: Request) -> Response:
        """Go to the entry after or before another, and take it."""
        form = await posted(request)
        values = _values(form)
        chosen = _chosen(values)
        text = form.text("number")

        def act() -> str:
            number = form.whole("number", "number of the entry") if text else None
            with self._services.database.write() as conn:
                taken = step_review(
                    conn,
                    number,
                    who=caller_of(request).login,
                    now=now(),
                    back=form.text("back") == "1",
                    chosen=chosen,
                )
            if taken is None and number is not None:
                raise NotFoundError("there is no further entry this way; the list shows what waits")
            return _address(taken, chosen, values.whole("LAST"))

        def again(refusal: Refusal) -> Response:
            refusal = Refusal(refusal.message, 200 if refusal.status == 404 else refusal.status)
            return (
                self.show(request, int(text), values, refusal)
                if text.isascii() and text.isdecimal() and len(text) < 10
                else self.listing(request, values, refusal)
            )

        return await perform(self._services, form, act, again)

    async def mark(self, request: Request) -> Response:
        """Mark what an entry is about, and go on."""
        number, form = number_of(request, "entry"), await posted(request)
        values, who = _values(form), caller_of(request).login
        chosen = _chosen(values)

        def act() -> str:
            with self._services.database.write() as conn:
                entry = store.review_by_number(conn, number)
                if entry is None:
                    raise NotFoundError(f"there is no entry {number} in the review queue")
                _require_free(entry, who, now())
                order = mark_order(form, cut=form.text("cut") or "firstcut")
                done = mark_subject(conn, entry.subject, order, who=who, scope=self._scope, now=now())
                taken = step_review(conn, number, who=who, now=now(), chosen=chosen)
                # Nothing further on: what was left behind is looked at again.
                taken = taken or step_review(conn, None, who=who, now=now(), chosen=chosen)
            return _address(taken, chosen, done.number)

        return await perform(
            self._services, form, act, lambda refusal: self.show(request, number, values, refusal)
        )

    async def undo(self, request: Request) -> Response:
        """Withdraw the mark that was made before."""
        form = await posted(request)
        values, who = _values(form), caller_of(request).login
        text = form.text("number")

        def act() -> str:
            with self._services.database.write() as conn:
                last = store.mark_by_number(conn, form.whole("mark", "number of the mark"))
                if last is None or last.author != who[:32]:
                    raise UsageError("there is no mark of yours to undo")
                newest = store.newest_mark(conn, last.subject_kind, last.subject)
                if newest is None or newest.id != last.id:
                    raise ConflictError(
                        f"{last.subject} has been marked since: {newest.verdict.value if newest else 'gone'} by "
                        f"{newest.author if newest else 'nobody'}; look at it before you change that"
                    )
                entries = store.reviews_decided_by(conn, last.id)
                cut = _cut(conn, last)
                order = MarkOrder(Mark.WITHDRAWN, _UNDONE, cut=cut)
                mark_subject(conn, last.subject, order, who=who, scope=self._scope, now=now())
                if text and entries and text != str(entries[0].id):
                    store.give_back(conn, form.whole("number", "number of the entry"), who)
                taken = take_review(conn, entries[0].id, who=who, now=now()) if entries else None
            return (
                _address(taken, _chosen(values), None)
                if taken
                else address_of(last.subject_kind, last.subject)
            )

        def again(refusal: Refusal) -> Response:
            return (
                self.show(request, int(text), values, refusal)
                if text.isascii() and text.isdecimal() and len(text) < 10
                else self.listing(request, values, refusal)
            )

        return await perform(self._services, form, act, again)

    async def ask(self, request: Request) -> Response:
        """Put a subject up for review."""
        form = await posted(request)
        values = _values(form)

        def act() -> str:
            with self._services.database.write() as conn:
                count = ask_review(
                    conn,
                    form.text("subject"),
                    form.text("reason"),
                    who=caller_of(request).login,
                    scope=self._scope,
                    now=now(),
                )
            if not count:
                raise ConflictError(f"{form.text('subject')} was asked for before; nothing was changed")
            return "/qa/review?cause=asked"

        return await perform(
            self._services, form, act, lambda refusal: self.listing(request, values, refusal)
        )

    def _prepare(self, name: str) -> None:
        """Begin to draw the picture of the entry that a person will see next."""
        if not name:
            return
        with self._services.database.read() as conn:
            try:
                sources = picture_sources(conn, find_subject(conn, name, self._scope))
            except NotFoundError:
                return
        if self._pictures.available(sources) and self._pictures.known(sources, mask=False) is None:
            self._pictures.begin(sources)


def review_handlers(services: Services, pictures: Pictures) -> list[tuple[Endpoint, Handler]]:
    """Return the endpoints of the review queue with their handlers.

    Parameters
    ----------
    services
        Shared state of the services.
    pictures
        The installation's pictures.
    """
    pages = _Pages(services, pictures)
    return [
        (REVIEW, pages.queue),
        (REVIEW_STEP, pages.step),
        (REVIEW_UNDO, pages.undo),
        (REVIEW_ASK, pages.ask),
        (REVIEW_ONE, pages.one),
        (REVIEW_MARK, pages.mark),
    ]


def _chosen(values: Values) -> ReviewFilter:
    """Return the filters of a request."""
    cause = values.text("CAUSE")
    return ReviewFilter(
        ReviewCause(cause) if cause else None, values.text("NITE").strip(), values.text("BAND").strip()
    )


def _query(chosen: ReviewFilter) -> str:
    """Return filters as the query of an address."""
    cause = chosen.cause.value if chosen.cause else ""
    return query_of({"cause": cause, "nite": chosen.nite, "band": chosen.band})


def _values(form: Form) -> Values:
    """Return the filters that a form carries along."""
    return REVIEW_ONE.parameters.read((name.upper(), value) for name, value in form.fields.items())


def _address(entry: Review | None, chosen: ReviewFilter, mark: int | None) -> str:
    """Return the address of an entry, or of the list, with the filters and the number of the mark made before."""
    query = "&".join(filter(None, (_query(chosen), f"last={mark}" if mark else "")))
    path = f"/qa/review/{entry.id}" if entry is not None else "/qa/review"
    return f"{path}?{query}" if query else path


def _require_free(entry: Review, who: str, at: datetime) -> None:
    """Raise `ConflictError` while another person has an entry."""
    lease = entry.lease_until
    if entry.state is ReviewState.TAKEN and entry.taken_by != who and lease is not None and lease > at:
        raise ConflictError(
            f"{entry.taken_by} looks at entry {entry.id}, until {lease:%H:%M} UTC; it was not marked"
        )


def _own_mark(mark: QaMark | None, login: str) -> QaMark | None:
    """Return a mark if it is the caller's own and not withdrawn."""
    own = mark is not None and mark.author == login[:32] and mark.verdict is not Mark.WITHDRAWN
    return mark if own else None


def _cut(conn: Connection, mark: QaMark) -> str:
    """Return the pipeline of the exposure that a mark is on."""
    number = mark.pfw_attempt_id
    pipeline = attempt_facts(conn, [number])[number].pipeline if number is not None else ""
    return pipeline if pipeline in EVALUATIONS else "firstcut"
