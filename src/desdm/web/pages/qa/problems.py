"""The problem list: its lines, one problem with history and evidence, the form to report one, and bug reports."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from desdm.accounts.clock import now
from desdm.accounts.model import Action
from desdm.errors import UsageError
from desdm.operations.qa import deskstore
from desdm.operations.qa.bundle import make_bundle
from desdm.release import problems
from desdm.release.model import Problem
from desdm.schema.operationstates import (
    PROBLEM_CHANGES,
    ProblemState,
    Resolution,
    Severity,
    SubjectKind,
)
from desdm.schema.subjects import parse_subject
from desdm.services.context import Services, caller_of
from desdm.services.responses import run_blocking
from desdm.web.desk import desk_routes
from desdm.web.pages.deskforms import Form, Refusal, filters, perform, posted, query_of
from desdm.web.pages.qa.parts import address_of, number_of, severity_of
from desdm.web.qaendpoints import BUNDLE, PROBLEM, PROBLEM_ACT, PROBLEMS, REPORT, REPORT_FORM
from desdm.web.render import page

__all__ = ["routes"]

_NONE = Refusal()
#: Lines of a page.
_LINES = 100
#: Bytes of inputs in a bug report that is made for a browser; `desdm problem bundle` takes more.
_BUNDLE = 200_000_000
_PIECE = 1 << 20
#: Act of a form → state that the problem then has.
_ACTS = {
    "confirm": ProblemState.CONFIRMED,
    "take": ProblemState.IN_WORK,
    "fix": ProblemState.FIXED,
    "reject": ProblemState.REJECTED,
    "close": ProblemState.CLOSED,
}
_CHANGES: dict[str, Callable[..., Problem]] = {
    "confirm": problems.confirm_problem,
    "take": problems.take_problem,
    "fix": problems.fix_problem,
    "reopen": problems.reopen_problem,
}
_REJECTIONS = (Resolution.NOT_A_FAULT, Resolution.DUPLICATE, Resolution.WONT_FIX)


class _Pages:
    """Renders the pages of the problem list, and does what their forms ask for."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def listing(self, request: Request) -> Response:
        """Show the list."""
        values = filters(request, PROBLEMS)
        state, severity = values.text("STATE"), values.text("SEVERITY")
        kind, owner, before = values.text("KIND"), values.text("OWNER").strip(), values.whole("BEFORE")

        def make() -> Response:
            with self._services.database.read() as conn:
                lines = deskstore.problem_lines(
                    conn,
                    states=[ProblemState(state)] if state else [],
                    severity=severity_of(severity),
                    kind=kind,
                    owner=owner,
                    before=before,
                    limit=_LINES + 1,
                )
                counts = deskstore.problem_counts(conn)
            chosen = {"state": state, "severity": severity, "kind": kind, "owner": owner}
            more = query_of({**chosen, "before": lines[_LINES - 1].id}) if len(lines) > _LINES else ""
            return page(
                request,
                "qa/problems.html",
                lines=lines[:_LINES],
                counts=_by_severity(counts),
                waiting=sum(n for (of, _), n in counts.items() if of is ProblemState.NEW),
                chosen=chosen,
                more=more,
                first=query_of(chosen) if before is not None else "",
                states=list(ProblemState),
                severities=list(Severity),
                kinds=problems.KINDS,
                address=_address,
            )

        return await run_blocking(self._services, make)

    def show(self, request: Request, number: int, refusal: Refusal = _NONE) -> Response:
        """Render a problem."""
        caller = caller_of(request)
        with self._services.database.read() as conn:
            file = problems.problem_file(conn, number)
        one = file.problem
        return page(
            request,
            "qa/problem.html",
            refusal.status,
            file=file,
            one=one,
            acts=_lawful(one) if caller.may(Action.JUDGE) else [],
            may_judge=caller.may(Action.JUDGE),
            is_open=one.closed_at is None,
            needs_proof=one.dedupe_key is not None,
            refusal=refusal,
            severities=list(Severity),
            resolutions=list(Resolution),
            rejections=_REJECTIONS,
            kinds=problems.EVIDENCE_KINDS,
            address=_address,
        )

    async def problem(self, request: Request) -> Response:
        """Show a problem."""
        number = number_of(request, "problem")
        return await run_blocking(self._services, lambda: self.show(request, number))

    async def change(self, request: Request) -> Response:
        """Change a problem, or add to it."""
        number, form = number_of(request, "problem"), await posted(request)
        caller = caller_of(request)

        def act() -> str:
            if form.text("act") not in ("note", "evidence"):
                caller.require(Action.JUDGE)
            with self._services.database.write() as conn:
                after = _perform(conn, number, form, caller.login)
            return f"/qa/problem/{after}"

        return await perform(self._services, form, act, lambda refusal: self.show(request, number, refusal))

    def report_page(self, request: Request, kind: str, subject: str, refusal: Refusal = _NONE) -> Response:
        """Render the form to report a problem."""
        return page(
            request,
            "qa/report.html",
            refusal.status,
            kind=kind,
            subject=subject,
            refusal=refusal,
            kinds=problems.KINDS,
            severities=list(Severity),
        )

    async def report(self, request: Request) -> Response:
        """Show the form to report a problem."""
        values = filters(request, REPORT)
        return await run_blocking(
            self._services,
            lambda: self.report_page(request, values.text("KIND"), values.text("SUBJECT").strip()[:200]),
        )

    async def enter(self, request: Request) -> Response:
        """Open a problem."""
        form = await posted(request)

        def act() -> str:
            kind, subject = form.text("kind"), form.text("subject")
            if kind in tuple(SubjectKind) and subject:
                # One name for one thing, however it was written.
                subject = parse_subject(subject, SubjectKind(kind)).name
            with self._services.database.write() as conn:
                number = problems.open_problem(
                    conn,
                    kind,
                    subject,
                    form.text("text"),
                    who=caller_of(request).login,
                    severity=severity_of(form.text("severity")),
                    title=form.text("title"),
                    impression=form.text("impression"),
                    now=now(),
                )
            return f"/qa/problem/{number}"

        return await perform(
            self._services,
            form,
            act,
            lambda refusal: self.report_page(request, form.text("kind"), form.text("subject"), refusal),
        )

    async def bundle(self, request: Request) -> Response:
        """Make a bug report, and send it."""
        number, _ = number_of(request, "problem"), await posted(request)

        def make() -> tuple[tempfile.TemporaryDirectory[str], Path]:
            folder = tempfile.TemporaryDirectory(prefix="desdm-bundle-")
            try:
                with self._services.database.read() as conn:
                    made = make_bundle(
                        conn,
                        self._services.config,
                        self._services.archive,
                        number,
                        Path(folder.name),
                        now=now(),
                        limit=_BUNDLE,
                    )
                with self._services.database.write() as conn:
                    problems.add_evidence(
                        conn,
                        number,
                        "bundle",
                        made.path.name,
                        sha256=made.sha256,
                        who=caller_of(request).login,
                        now=now(),
                    )
            except BaseException:
                folder.cleanup()
                raise
            return folder, made.path

        # Not among the threads of pages: inputs are copied and compressed.
        folder, path = await self._services.threads.run(make)
        headers = {
            "Content-Disposition": f'attachment; filename="{path.name}"',
            "Content-Length": str(path.stat().st_size),
            "Cache-Control": "no-store",
        }
        return StreamingResponse(_pieces(folder, path), media_type="application/gzip", headers=headers)


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the pages and forms."""
    pages = _Pages(services)
    return desk_routes(
        [
            (PROBLEMS, pages.listing),
            (PROBLEM, pages.problem),
            (PROBLEM_ACT, pages.change),
            (BUNDLE, pages.bundle),
            (REPORT, pages.report),
            (REPORT_FORM, pages.enter),
        ]
    )


def _perform(conn: Connection, number: int, form: Form, who: str) -> int:
    """Do what a form of a problem asks for; return the number of the problem that is shown then."""
    name, reason, at = form.text("act"), form.text("reason"), now()
    if name in _CHANGES:
        return _CHANGES[name](conn, number, reason, who=who, now=at).id
    if name == "reject":
        code = _resolution(form.text("code")) or Resolution.NOT_A_FAULT
        problems.reject_problem(conn, number, reason, code=code, who=who, now=at)
    elif name == "close":
        kind, proof = form.text("proof_kind"), form.text("proof")
        problems.close_problem(
            conn,
            number,
            reason,
            who=who,
            code=_resolution(form.text("code")),
            proof=(kind, proof) if proof else None,
            now=at,
        )
    elif name == "severity":
        severity = severity_of(form.text("severity"))
        if severity is None:
            raise UsageError("choose a severity")
        problems.set_severity(conn, number, severity, reason, who=who, now=at)
    elif name == "note":
        problems.add_note(conn, number, reason, impression=form.text("impression") == "1", who=who, now=at)
    elif name == "evidence":
        problems.add_evidence(conn, number, form.text("kind"), form.text("ref"), who=who, now=at)
    else:
        raise UsageError("the form does not say what is to be done; load the page again")
    return number


def _lawful(one: Problem) -> list[str]:
    """Return the acts that change the state of a problem now."""
    acts = [name for name, state in _ACTS.items() if state in PROBLEM_CHANGES[one.state]]
    if one.state in (ProblemState.CONFIRMED, ProblemState.IN_WORK):
        # Closing says in one step that it is fixed and shown.
        acts.append("close")
    if one.state in (ProblemState.IN_WORK, ProblemState.FIXED):
        acts = ["reopen" if name == "confirm" else name for name in acts]
    if one.closed_at is not None:
        acts.append("reopen")
    return list(dict.fromkeys(acts))


def _resolution(text: str) -> Resolution | None:
    """Return a resolution by its word; None for an empty one."""
    if not text:
        return None
    if text not in [one.value for one in Resolution]:
        raise UsageError(f"a resolution is one of {', '.join(r.value for r in Resolution)}; not {text[:20]}")
    return Resolution(text)


def _by_severity(counts: dict[tuple[ProblemState, Severity], int]) -> list[tuple[Severity, int]]:
    """Return how many problems are open, by severity."""
    return [
        (severity, total)
        for severity in Severity
        if (total := sum(n for (_, of), n in counts.items() if of is severity))
    ]


def _address(kind: str, name: str) -> str:
    """Return the address of the page of the subject of a problem; empty without one."""
    if kind == "release":
        return f"/releases/{name}"
    if kind == "exposure":
        return f"/qa/exposure/{name}"
    return address_of(kind, name)


def _pieces(folder: tempfile.TemporaryDirectory[str], path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, and remove its folder at the end."""
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    finally:
        folder.cleanup()
