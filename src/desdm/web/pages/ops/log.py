"""The logbook: acts and entries, the form of an entry, and the feed."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.errors import UsageError
from desdm.operations.desk.store import newest_event
from desdm.operations.logbook import store
from desdm.operations.logbook.model import Details, LogEntry, LogFilter
from desdm.operations.logbook.verbs import correct_entry, write_entry
from desdm.schema.operationstates import LogCategory, TimeLoss
from desdm.schema.states import EventKind
from desdm.schema.subjects import parse_subject
from desdm.services.context import Services, caller_of
from desdm.services.parameters import Values
from desdm.services.responses import base_url, run_blocking
from desdm.web.desk import desk_routes
from desdm.web.opsendpoints import LOG, LOG_FEED, LOG_FORM
from desdm.web.pages.deskforms import Form, Refusal, filters, perform, posted, query_of
from desdm.web.pages.ops.tonight import checked_nite
from desdm.web.render import page

__all__ = ["routes"]

_ROWS, _FEED_ROWS = 100, 50
#: Characters that XML 1.0 does not have.
_NOT_XML = {code: "\ufffd" for code in range(32) if code not in (9, 10, 13)} | {
    0xFFFE: "\ufffd",
    0xFFFF: "\ufffd",
}


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page, its form and the feed."""

    def render(request: Request, values: Values, refusal: Refusal) -> Response:
        wanted = _filter(values)
        with services.database.read() as conn:
            newest = newest_event(conn)
            entries = store.find_entries(conn, wanted, _ROWS + 1)
        query = {
            name: values.text(name.upper()).strip()
            for name in ("nite", "subject", "kind", "who", "category", "words", "jobs")
        }
        return page(
            request,
            "ops/log.html",
            refusal.status,
            newest=newest,
            entries=entries[:_ROWS],
            f=query,
            correct=values.whole("CORRECT"),
            kinds=tuple(EventKind),
            categories=tuple(LogCategory),
            losses=tuple(TimeLoss),
            refusal=refusal,
            older=query_of({**query, "before": entries[_ROWS - 1].id}) if len(entries) > _ROWS else "",
            first=query_of(query) if values.has("BEFORE") else "",
            filtered=any(query.values()),
        )

    async def show(request: Request) -> Response:
        values = filters(request, LOG)
        return await run_blocking(services, lambda: render(request, values, Refusal()))

    async def write(request: Request) -> Response:
        values, form = filters(request, LOG), await posted(request)
        who = caller_of(request).login

        def act() -> str:
            _write(services, form, who)
            return f"/ops/log?{request.url.query}"

        return await perform(services, form, act, lambda refusal: render(request, values, refusal))

    async def feed(request: Request) -> Response:
        def make() -> bytes:
            with services.database.read() as conn:
                return _atom(
                    base_url(request), store.find_entries(conn, LogFilter(without_done_jobs=True), _FEED_ROWS)
                )

        headers = {"Cache-Control": "no-store"}
        body = await run_blocking(services, make)
        return Response(body, headers=headers, media_type="application/atom+xml")

    return desk_routes([(LOG, show), (LOG_FORM, write), (LOG_FEED, feed)])


def _filter(values: Values) -> LogFilter:
    """Return the filter that the address says."""
    kind, category = values.text("KIND"), values.text("CATEGORY")
    return LogFilter(
        kind=EventKind(kind) if kind else None,
        who=values.text("WHO").strip(),
        category=LogCategory(category) if category else None,
        subject=values.text("SUBJECT").strip(),
        nite=checked_nite(values.text("NITE")),
        words=tuple(values.text("WORDS").split()[:8]),
        without_done_jobs=not values.text("JOBS") and kind != EventKind.JOB.value,
        before=values.whole("BEFORE"),
    )


def _write(services: Services, form: Form, who: str) -> None:
    """Write an entry, or the correction of one."""
    loss, category = form.text("loss"), form.text("category")
    if loss and loss not in tuple(TimeLoss):
        raise UsageError(f"{loss[:20]} is no cause of lost time")
    if category and category not in tuple(LogCategory):
        raise UsageError(f"{category[:20]} is no category")
    details = Details(
        LogCategory(category) if category else LogCategory.OTHER,
        checked_nite(form.text("nite")),
        form.real("lost", "hours lost"),
        TimeLoss(loss) if loss else None,
    )
    corrects = form.text("corrects")
    with services.database.write() as conn:
        if corrects:
            number = form.whole("corrects", "number of the entry")
            kept = None if form.text("keep") else details
            correct_entry(conn, number, form.text("text"), who=who, details=kept)
            return
        subjects = [parse_subject(name) for name in form.text("subjects").split()]
        write_entry(conn, form.text("text"), who=who, details=details, subjects=subjects)


def _atom(base: str, entries: Sequence[LogEntry]) -> bytes:
    """Return the feed as XML (Atom, RFC 4287)."""
    root = Element("feed", xmlns="http://www.w3.org/2005/Atom")
    SubElement(root, "title").text = "Logbook"
    SubElement(root, "id").text = f"{base}/ops/log/feed.xml"
    SubElement(root, "link", rel="self", href=f"{base}/ops/log/feed.xml")
    SubElement(root, "link", rel="alternate", href=f"{base}/ops/log")
    SubElement(root, "updated").text = _time(entries[0]) if entries else "1970-01-01T00:00:00Z"
    SubElement(SubElement(root, "author"), "name").text = "desdm"
    for entry in entries:
        item = SubElement(root, "entry")
        title = f"{entry.kind.value}: {entry.text.splitlines()[0] if entry.text else ''}"[:160]
        SubElement(item, "title").text = title.translate(_NOT_XML)
        SubElement(item, "id").text = f"{base}/ops/log#e{entry.id}"
        SubElement(item, "link", rel="alternate", href=f"{base}/ops/log?before={entry.id + 1}")
        SubElement(item, "updated").text = _time(entry)
        SubElement(SubElement(item, "author"), "name").text = entry.who.translate(_NOT_XML)
        SubElement(item, "category", term=entry.kind.value)
        words = [entry.text, f"Reason: {entry.reason}" if entry.reason else ""]
        SubElement(item, "content", type="text").text = "\n".join(filter(None, words)).translate(_NOT_XML)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root)


def _time(entry: LogEntry) -> str:
    """Return the time of an entry as RFC 3339."""
    return f"{entry.time:%Y-%m-%dT%H:%M:%SZ}"
