"""The page of a run: jobs, log, messages, numbers, inputs and outputs; retry, cancel, and comparison with another run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Action, Caller
from desdm.archive.model import Scope
from desdm.errors import DesdmError, UsageError
from desdm.framework.cancel import cancel
from desdm.framework.submit import Submission
from desdm.operations.compare import InputChanges, compare_planned_inputs, compare_runs
from desdm.operations.desk.runlogs import LogTail, RunLog, live_logs, log_path, log_tail
from desdm.operations.desk.runview import MOST_NODES, drawn_jobs, gather_run
from desdm.operations.desk.store import newest_event
from desdm.operations.retry import (
    PlanChanged,
    Retry,
    parse_changes,
    plan_digest,
    plan_retry,
    require_same_plan,
    submit_retry,
)
from desdm.schema.store import require_reason
from desdm.services.context import Services, caller_of
from desdm.services.responses import run_blocking
from desdm.web.desk import desk_routes
from desdm.web.driver import start_driver
from desdm.web.opsendpoints import COMPARE, RUN, RUN_CANCEL, RUN_LOG, RUN_RETRY
from desdm.web.pages.deskforms import Form, Refusal, filters, perform, posted
from desdm.web.pages.ops.jobgraph import job_graph
from desdm.web.render import page

__all__ = ["routes"]

_LOG = logging.getLogger(__name__)
#: Seconds that a page waits for the submitter of a run that is ended.
_CANCEL_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a retry would do."""

    retry: Retry
    submission: Submission | None
    inputs: InputChanges
    digest: str


class _Pages:
    """The pages of runs of one installation."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.scope = Scope(services.config.project, services.config.campaign)

    def show(self, request: Request, refusal: Refusal, plan: _Plan | None = None) -> Response:
        """Render the page of a run."""
        run = request.path_params["run"]
        with self.services.database.read() as conn:
            newest = newest_event(conn)
            view = gather_run(conn, run, self.scope)
            # Only a run that there is names a folder.
            logs = live_logs(self.services.config.runs, run)
            tail = self._tail(conn, logs, run)
        drawn = drawn_jobs(view.jobs)
        return page(
            request,
            "ops/run.html",
            refusal.status,
            own_address=f"/ops/run/{run}",
            newest=newest,
            v=view,
            a=view.attempt,
            run=run,
            drawn=drawn,
            graph=job_graph(drawn),
            most=MOST_NODES,
            logs=logs,
            tail=tail,
            refusal=refusal,
            plan=plan,
        )

    def _tail(self, conn: Connection, logs: list[RunLog], run: str) -> LogTail | None:
        """Return the last lines of the log that changed last; None: nothing is being written."""
        del conn, run
        try:
            return log_tail(logs[0].path) if logs else None
        except DesdmError:
            return None  # it went into the archive meanwhile

    def log(self, request: Request) -> Response:
        """Send a log as it stands now."""
        run, name = request.path_params["run"], request.path_params["name"]
        logs = live_logs(self.services.config.runs, run)
        with self.services.database.read() as conn:
            path = log_path(conn, self.services.archive, logs, run, name)
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'inline; filename="{path.name}"'}
        return FileResponse(path, media_type="text/plain; charset=utf-8", headers=headers)

    def compare(self, request: Request, other: str) -> Response:
        """Render the comparison with another run."""
        run, message, status, comparison = request.path_params["run"], "", 200, None
        if other:
            try:
                with self.services.database.read() as conn:
                    comparison = compare_runs(conn, self.services.archive, run, other)
            except UsageError as err:
                message, status = str(err), 404
        return page(request, "ops/compare.html", status, run=run, other=other, c=comparison, message=message)

    def retry(self, request: Request, form: Form, caller: Caller) -> str | Response:
        """Show the plan of a retry, or start it and return the address of the run."""
        who = caller.login
        config = replace(self.services.config, operator=who)
        database, archive = self.services.database, self.services.archive
        retry = self._planned(request, form, caller)
        if form.text("act") != "start":
            return self._show_plan(request, Refusal(fields=form.fields), retry, who)
        seen = form.text("seen")
        try:
            if retry.only_failed:
                require_same_plan(retry, None, seen)
                name = retry.attempt.run
            else:
                name = submit_retry(config, database, archive, retry, seen=seen).run
        except PlanChanged as err:
            return self._show_plan(request, Refusal.of(err, form), retry, who)
        try:
            start_driver(config, database, name, who=who, reason=retry.reason)
        except DesdmError as err:
            # The attempt is written: the form must not make another one. Its page says that it waits.
            _LOG.warning("%s is planned, but was not started: %s", name, err)
        return f"/ops/run/{name}"

    def _planned(self, request: Request, form: Form, caller: Caller) -> Retry:
        """Return the retry that a form asks for."""
        changes = parse_changes(form.text("changes").split())
        changes.require_plain()
        run, reason = request.path_params["run"], form.text("reason")
        with self.services.database.read() as conn:
            retry = plan_retry(conn, run, changes, reason=reason, only_failed=bool(form.text("only_failed")))
        retry.require_rights(may_judge=caller.may(Action.JUDGE))
        return retry

    def _show_plan(self, request: Request, refusal: Refusal, retry: Retry, who: str) -> Response:
        """Show what a retry would do now."""
        config = replace(self.services.config, operator=who)
        if retry.only_failed:
            return self.show(request, refusal, _Plan(retry, None, InputChanges(), plan_digest(retry, None)))
        submission = submit_retry(config, self.services.database, self.services.archive, retry, dry_run=True)
        with self.services.database.read() as conn:
            changed = compare_planned_inputs(conn, retry.attempt, submission)
        return self.show(request, refusal, _Plan(retry, submission, changed, plan_digest(retry, submission)))

    def cancel(self, request: Request, form: Form, who: str) -> str:
        """End a run, and return the address of its page."""
        run, reason = request.path_params["run"], form.text("reason")
        require_reason(reason)
        cancel(
            self.services.database,
            self.services.archive,
            run,
            who=who,
            reason=reason,
            timeout=_CANCEL_SECONDS,
        )
        return f"/ops/run/{run}"


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page, its forms and logs."""
    pages = _Pages(services)

    async def show(request: Request) -> Response:
        return await run_blocking(services, lambda: pages.show(request, Refusal()))

    async def log(request: Request) -> Response:
        return await run_blocking(services, lambda: pages.log(request))

    async def compare(request: Request) -> Response:
        other = filters(request, COMPARE).text("WITH").strip()
        return await run_blocking(services, lambda: pages.compare(request, other))

    async def retry(request: Request) -> Response:
        form, caller = await posted(request), caller_of(request)
        return await perform(
            services,
            form,
            lambda: pages.retry(request, form, caller),
            lambda refusal: pages.show(request, refusal),
        )

    async def end(request: Request) -> Response:
        form, who = await posted(request), caller_of(request).login
        return await perform(
            services,
            form,
            lambda: pages.cancel(request, form, who),
            lambda refusal: pages.show(request, refusal),
        )

    return desk_routes(
        [(RUN, show), (RUN_LOG, log), (COMPARE, compare), (RUN_RETRY, retry), (RUN_CANCEL, end)]
    )
