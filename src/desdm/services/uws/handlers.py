"""HTTP endpoints of asynchronous jobs (UWS 1.1, section 2.2): list, job, phase, times, parameters, results, error."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Action, Caller
from desdm.errors import (
    AccessDenied,
    ConflictError,
    FatalError,
    LimitExceeded,
    LimitKind,
    NotFoundError,
    StorageFull,
    UsageError,
)
from desdm.query.formats.votable import error_document
from desdm.schema.states import Phase
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import Endpoint, Handler, routes_of
from desdm.services.error_responses import ErrorForm, media_type
from desdm.services.forms import RequestParams, parse_parameters
from desdm.services.limits import Limits, limits_of
from desdm.services.parameters import Values, parse_real
from desdm.services.refusals import HIDDEN_JOB
from desdm.services.responses import (
    base_url,
    run_blocking,
    xml_response,
)
from desdm.services.uws import store
from desdm.services.uws.endpoints import ACTION, CONTROL, DESTRUCTION, DURATION, JOB_LIST, PHASE, WAIT
from desdm.services.uws.model import BLOCKING, ENDED, OVERFLOW, Job, JobKind, Parameters
from desdm.services.uws.owner import ACTIONS, narrowed, owner_of
from desdm.services.uws.run import Runner

__all__ = ["uws_routes"]

_PACKAGE = "desdm.services.uws"
_CONTROL = ("PHASE", "ACTION", "WAIT", "RUNID", "DESTRUCTION", "EXECUTIONDURATION")
_WAIT_MOST = 60.0
#: Number of the newest anonymous jobs that are searched for those of an address.
_NEWEST = 1000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def uws_routes(declared: Sequence[Endpoint], kind: JobKind, services: Services) -> list[BaseRoute]:
    """Return the routes of the jobs of one kind, and start their runner.

    Parameters
    ----------
    declared
        Endpoints of the jobs, as of `uws_endpoints`.
    kind
        Kind of the jobs.
    services
        Shared state of the services.

    Returns
    -------
    list of BaseRoute
        The routes.
    """
    prefix = declared[0].path
    runner = Runner(kind, services, partial(owner_of, services.database))
    jobs = _Jobs(prefix, kind, services, runner)
    runner.start()
    handlers = _handlers(jobs)
    return routes_of((e, handlers[e.methods[0], e.path.removeprefix(prefix)]) for e in declared)


def _handlers(jobs: _Jobs) -> dict[tuple[str, str], Handler]:
    """Return the handlers by method and path below the list of jobs."""
    value = partial(partial, jobs.value)
    job = "/{job}"
    return {
        ("GET", ""): jobs.list_jobs,
        ("POST", ""): jobs.create,
        ("GET", job): jobs.show,
        ("POST", job): jobs.act,
        ("DELETE", job): jobs.delete,
        ("GET", job + "/phase"): jobs.phase,
        ("POST", job + "/phase"): jobs.set_phase,
        ("GET", job + "/executionduration"): value("executionduration"),
        ("POST", job + "/executionduration"): jobs.set_duration,
        ("GET", job + "/destruction"): value("destruction"),
        ("POST", job + "/destruction"): jobs.set_destruction,
        ("GET", job + "/quote"): value("quote"),
        ("GET", job + "/owner"): value("owner"),
        ("GET", job + "/error"): jobs.error,
        ("GET", job + "/parameters"): jobs.parameters,
        ("POST", job + "/parameters"): jobs.set_parameters,
        ("GET", job + "/results"): jobs.results,
        ("GET", job + "/results/{result}"): jobs.result,
    }


@dataclass(frozen=True, slots=True)
class _Jobs:
    """Handlers of the jobs of one kind."""

    prefix: str
    kind: JobKind
    services: Services
    runner: Runner

    async def list_jobs(self, request: Request) -> Response:
        """Return the list of the caller's jobs."""
        caller = _require_async(request)
        values = (await parse_parameters(request, 0)).read(JOB_LIST)
        phases, after, last = (
            list(map(Phase, values.texts("PHASE"))),
            values.time("AFTER"),
            values.whole("LAST"),
        )
        matches = await run_blocking(self.services, lambda: self._visible(caller, phases, after, last))
        return xml_response(
            _PACKAGE, "jobs.xml", jobs=matches, base=base_url(request) + self.prefix, stamp=_iso_time
        )

    def _visible(
        self, caller: Caller, phases: list[Phase], after: datetime | None, count: int | None
    ) -> list[Job]:
        """Load the jobs that the caller may see."""
        owner = None if caller.may(Action.SEE_JOBS) else caller.login
        with self.services.state.read() as conn:
            if owner != "":
                return store.jobs(conn, self.kind.name, owner, phases=phases, after=after, last=count)
            matches = store.jobs(conn, self.kind.name, "", phases=phases, after=after, last=_NEWEST)
        # Knowing the number of an anonymous job is enough to end it: the list has only those from the same address.
        same_address = [job for job in matches if ("_ADDRESS", _address(caller)) in job.parameters]
        return same_address if count is None else same_address[:count]

    async def create(self, request: Request) -> Response:
        """Create a job, and start it with PHASE=RUN."""
        caller = _require_async(request)
        limits = limits_of(caller.role)
        params = await parse_parameters(request, limits.request_bytes, field_bytes=limits.parameter_bytes)
        values, now = params.read(CONTROL), store.now()
        job = Job(
            id=secrets.token_hex(12),
            service=self.kind.name,
            owner=caller.login,
            run_id=values.text("RUNID")[:64],
            phase=Phase.PENDING,
            creation_time=now,
            start_time=None,
            end_time=None,
            execution_duration=_bounded_seconds(values.whole("EXECUTIONDURATION"), limits.job_seconds),
            destruction=now + timedelta(seconds=limits.keep_seconds),
            error_type=None,
            error_message=None,
            server=None,
            tries=0,
            address=_address(caller),
            parameters=(
                *_job_parameters(params),
                ("_ADDRESS", _address(caller)),
                ("_BASE", base_url(request)),
                # Another server may run the job, or this one after a restart.
                (ACTIONS, ",".join(sorted(caller.actions))),
            ),
        )
        run = values.text("PHASE") == "RUN"
        try:
            await run_blocking(self.services, lambda: self._add(job, params.files, caller, run))
        finally:
            await params.close()
        return self._redirect(request, job.id)

    def _add(self, job: Job, files: dict[str, UploadFile], caller: Caller, run: bool) -> None:
        """Store a job with its uploads, and queue it on request."""
        limits = limits_of(caller.role)
        size = _parameters_size(job.parameters, limits) + _files_size(files)
        self._require_room()
        with self.services.state.read() as conn:
            self._require_share(conn, caller, size)
        if run and self.kind.check is not None:
            self.kind.check(self.services, caller, job.parameters)
        try:
            self._store_uploads(job.id, files)
            with self.services.state.write() as conn:
                self._require_share(conn, caller, size)
                store.add(conn, replace(job, size=size))
                if run:
                    self._queue(conn, job)
        except BaseException:
            shutil.rmtree(self.runner.directory(job.id), ignore_errors=True)
            raise
        if run:
            self.runner.remember(job.id, caller)
            self.runner.wake()

    def _require_share(self, conn: Connection, caller: Caller, more: int) -> None:
        """Raise `LimitExceeded` if the caller has as many jobs, or bytes in them, as the role allows."""
        limits = limits_of(caller.role)
        count, size = store.usage(conn, caller.login, _address(caller))
        if count >= limits.queued:
            raise LimitExceeded(
                f"{count} jobs of yours wait or run already; start, end or delete some first",
                LimitKind.RATE,
                retry_after=30,
            )
        if size + more > limits.job_bytes:
            raise LimitExceeded(
                f"your jobs take {size / 1e6:.0f} of {limits.job_bytes / 1e6:.0f} MB; delete some of them first",
                LimitKind.QUOTA,
            )

    def _require_room(self) -> None:
        """Raise `StorageFull` when the disk is nearly full, so that running jobs can finish."""
        config = self.services.config
        if shutil.disk_usage(config.home).free < config.keep_free_mb * 1e6:
            raise StorageFull(
                f"{config.home}: less than {config.keep_free_mb:g} MB are free; no job is created"
            )

    def _queue(self, conn: Connection, job: Job) -> None:
        """Change a pending job to queued."""
        # It was counted for its owner when it was created.
        if not store.change(conn, job.id, (Phase.PENDING, Phase.HELD), phase=Phase.QUEUED):
            raise ConflictError(f"job {job.id} is {job.phase}; only a pending job can be started")

    def _store_uploads(self, job_id: str, files: dict[str, UploadFile]) -> None:
        """Write uploaded files into the job's directory."""
        folder = self.runner.directory(job_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, part in files.items():
            if not _NAME.fullmatch(name):
                raise UsageError(f"uploaded part {name[:40]!r}: a name of letters, digits and _ is wanted")
            (folder / "uploads").mkdir(exist_ok=True)
            part.file.seek(0)
            with (folder / "uploads" / name).open("wb") as out:
                shutil.copyfileobj(part.file, out, 1 << 20)

    async def show(self, request: Request) -> Response:
        """Return the job document, after WAIT if requested."""
        job = await self._load(request)
        values = (await parse_parameters(request, 0)).read(WAIT)
        if values.has("WAIT"):
            job = await self._wait(request, job, values)
        return self._document(request, "job.xml", job)

    async def _wait(self, request: Request, job: Job, values: Values) -> Job:
        """Wait until the phase changes (UWS 1.1, 2.2.1.1), at most a minute, or until the client disconnects."""
        text = values.text("WAIT").strip()
        if not re.fullmatch(r"-1|\d{1,9}", text):
            raise UsageError(f"WAIT={text[:40]}: seconds are wanted, or -1")
        seconds = _WAIT_MOST if text == "-1" else min(parse_real("WAIT", text), _WAIT_MOST)
        expected = Phase(values.text("PHASE")) if values.has("PHASE") else job.phase
        end, pause = time.monotonic() + seconds, 0.01
        while job.phase is expected and job.phase in BLOCKING and time.monotonic() < end:
            await asyncio.sleep(min(pause, max(0.0, end - time.monotonic())))
            pause = min(pause * 1.5, 0.5)
            if await request.is_disconnected():
                break
            # A job that was deleted meanwhile raises `NotFoundError`, which ends the wait as well.
            job = await self._load(request)
        return job

    async def act(self, request: Request) -> Response:
        """Delete the job on ACTION=DELETE."""
        job = await self._load(request)
        # DELETE is the only choice; phase and times have addresses of their own.
        (await parse_parameters(request, 100_000)).read(ACTION)
        return await self._discard(request, job)

    async def delete(self, request: Request) -> Response:
        """Delete the job."""
        return await self._discard(request, await self._load(request))

    async def _discard(self, request: Request, job: Job) -> Response:
        """Delete the job and redirect to the list."""
        await run_blocking(self.services, lambda: self.runner.discard(job.id))
        return RedirectResponse(base_url(request) + self.prefix, 303)

    async def phase(self, request: Request) -> Response:
        """Return the phase."""
        return PlainTextResponse((await self._load(request)).phase)

    async def set_phase(self, request: Request) -> Response:
        """Start or abort the job."""
        caller, job = caller_of(request), await self._load(request)
        values = (await parse_parameters(request, 100_000, plain="PHASE")).read(PHASE)
        if values.text("PHASE") == "RUN":
            _require_owner(job, caller)
            await run_blocking(self.services, lambda: self._start(job, caller))
        else:
            await run_blocking(self.services, lambda: self._abort(job))
        return self._redirect(request, job.id)

    def _start(self, job: Job, caller: Caller) -> None:
        """Check the parameters and queue the job; it runs with the rights of its owner, who receives the result."""
        owner = narrowed(caller, job) if job.owner == caller.login else self.runner.owner_of(job)
        if self.kind.check is not None:
            self.kind.check(self.services, owner, job.parameters)
        with self.services.state.write() as conn:
            self._queue(conn, job)
        self.runner.remember(job.id, owner)
        self.runner.wake()

    def _abort(self, job: Job) -> None:
        """Set the phase to ABORTED and cancel the work."""
        before = (Phase.PENDING, Phase.QUEUED, Phase.EXECUTING, Phase.HELD, Phase.SUSPENDED)
        with self.services.state.write() as conn:
            store.change(conn, job.id, before, phase=Phase.ABORTED, end_time=store.now())
        self.runner.cancel(job.id)

    async def value(self, name: str, request: Request) -> Response:
        """Return one value of the job as text."""
        job = await self._load(request)
        values = {
            "executionduration": f"{job.execution_duration:.0f}",
            "destruction": _iso_time(job.destruction),
            "quote": "",
            "owner": job.owner,
        }
        return PlainTextResponse(values[name])

    async def set_duration(self, request: Request) -> Response:
        """Set the execution duration, within the role's limit."""
        caller, job = caller_of(request), await self._load(request)
        _require_owner(job, caller)
        values = (await parse_parameters(request, 100_000, plain="EXECUTIONDURATION")).read(DURATION)
        most = limits_of(caller.role).job_seconds
        seconds = _bounded_seconds(values.whole("EXECUTIONDURATION"), most)
        await run_blocking(self.services, lambda: self._change(job, execution_duration=seconds))
        return self._redirect(request, job.id)

    async def set_destruction(self, request: Request) -> Response:
        """Set the destruction time, within the role's limit."""
        caller, job = caller_of(request), await self._load(request)
        _require_owner(job, caller)
        values = (await parse_parameters(request, 100_000, plain="DESTRUCTION")).read(DESTRUCTION)
        latest = store.now() + timedelta(seconds=limits_of(caller.role).keep_seconds)
        until = min(values.time("DESTRUCTION") or latest, latest)
        await run_blocking(self.services, lambda: self._change(job, destruction=until))
        return self._redirect(request, job.id)

    def _change(self, job: Job, **values: object) -> None:
        """Change values of a job if its phase allows it."""
        before = tuple(Phase) if "destruction" in values else (Phase.PENDING, Phase.QUEUED, Phase.HELD)
        with self.services.state.write() as conn:
            if not store.change(conn, job.id, before, **values):
                raise ConflictError(f"job {job.id} is {job.phase}; this can be set only before it runs")

    async def error(self, request: Request) -> Response:
        """Return the error document of the job."""
        job = await self._load(request)
        if job.error_message is None:
            raise NotFoundError(f"job {job.id} is {job.phase} and has no error")
        document = error_document(job.error_message)
        return Response(document, media_type=media_type(ErrorForm.VOTABLE))

    async def parameters(self, request: Request) -> Response:
        """Return the parameters document."""
        return self._document(request, "parameters.xml", await self._load(request))

    async def set_parameters(self, request: Request) -> Response:
        """Add parameters and uploads to a pending job."""
        caller, job = caller_of(request), await self._load(request)
        _require_owner(job, caller)
        limits = limits_of(caller.role)
        params = await parse_parameters(request, limits.request_bytes, field_bytes=limits.parameter_bytes)
        if job.phase is not Phase.PENDING:
            raise ConflictError(
                f"job {job.id} is {job.phase}; parameters can be set only while it is pending"
            )

        def add() -> None:
            size = _parameters_size([*job.parameters, *_job_parameters(params)], limits_of(caller.role))
            size += _files_size(params.files)
            self._require_room()
            with self.services.state.read() as conn:
                self._require_share(conn, caller, size)
            self._store_uploads(job.id, params.files)
            with self.services.state.write() as conn:
                store.add_parameters(conn, job.id, _job_parameters(params))
                store.grow(conn, job.id, size)

        try:
            await run_blocking(self.services, add)
        finally:
            await params.close()
        return self._redirect(request, job.id)

    async def results(self, request: Request) -> Response:
        """Return the list of results."""
        return self._document(request, "results.xml", await self._load(request))

    async def result(self, request: Request) -> Response:
        """Return a result file."""
        job = await self._load(request)
        caller_of(request).require(Action.READ)
        result_id = request.path_params["result"]
        match = next((r for r in job.results if r.id == result_id), None)
        if match is None:
            raise NotFoundError(f"job {job.id} is {job.phase} and has no result {result_id[:40]!r}")
        path = self.services.results / match.path
        if not path.is_file() or path.stat().st_size != match.filesize:
            raise FatalError(f"result {path} of job {job.id} is gone or of another size")
        headers = {"X-Query-Status": OVERFLOW[1]} if OVERFLOW in job.parameters else None
        return FileResponse(path, headers=headers, media_type=match.mime, filename=Path(match.path).name)

    async def _load(self, request: Request) -> Job:
        """Load the job of the request, if the caller may see it."""
        caller, job_id = _require_async(request), request.path_params["job"]

        def load() -> Job | None:
            with self.services.state.read() as conn:
                return store.job(conn, self.kind.name, job_id)

        job = await run_blocking(self.services, load)
        # The job of another person is answered as one that does not exist, as everything that is hidden.
        hidden = (
            job is not None and job.owner and job.owner != caller.login and not caller.may(Action.SEE_JOBS)
        )
        if hidden:
            self.services.refusals.note(caller, lambda: f"job {job_id}", "see job", HIDDEN_JOB)
        if job is None or hidden:
            raise NotFoundError(
                f"no job {job_id[:40]!r}: it was never created, has expired, or is of somebody else (log in as its owner)"
            )
        if request.method != "GET" and job.phase in ENDED and request.url.path.endswith("/executionduration"):
            raise ConflictError(f"job {job.id} is {job.phase}; this can be set only before it runs")
        return job

    def _redirect(self, request: Request, job_id: str) -> Response:
        """Redirect to the job."""
        return RedirectResponse(f"{base_url(request)}{self.prefix}/{job_id}", 303)

    def _document(self, request: Request, template: str, job: Job) -> Response:
        """Render a document of the job."""
        url = f"{base_url(request)}{self.prefix}/{job.id}"
        visible = [(name, value) for name, value in job.parameters if not name.startswith("_")]
        return xml_response(_PACKAGE, template, job=job, parameters=visible, here=url, stamp=_iso_time)


def _require_owner(job: Job, caller: Caller) -> None:
    """Raise `AccessDenied` if the job belongs to another person; staff may see, abort and delete it only.

    An anonymous job belongs to everybody who knows its number.
    """
    if job.owner and job.owner != caller.login:
        raise AccessDenied(
            f"job {job.id} belongs to {job.owner}, who alone may start or change it; you may abort or delete it",
            True,
        )


def _require_async(request: Request) -> Caller:
    """Return the caller, who must be allowed to run jobs."""
    caller = caller_of(request)
    caller.require(Action.ASYNC)
    return caller


def _parameters_size(parameters: Parameters, limits: Limits) -> int:
    """Bytes of the parameters of a job; `LimitExceeded` if they are too many."""
    size = sum(len(name) + len(value.encode()) for name, value in parameters)
    if size > limits.parameter_bytes:
        raise LimitExceeded(
            f"the parameters have {size / 1e6:.1f} MB; {limits.parameter_bytes / 1e6:g} MB at most, "
            "upload a table instead",
            LimitKind.SIZE,
        )
    return size


def _files_size(files: dict[str, UploadFile]) -> int:
    """Bytes of uploaded files."""
    return sum(part.size or 0 for part in files.values())


def _address(caller: Caller) -> str:
    """Return the address of a caller; ``-`` if it is unknown."""
    return caller.address or "-"


def _job_parameters(params: RequestParams) -> list[tuple[str, str]]:
    """Return the parameters of the job itself; names with a leading underscore are reserved for the service."""
    return [(n[:64], v) for n, v in params.pairs if n not in _CONTROL and not n.startswith("_")]


def _bounded_seconds(seconds: int | None, most: float) -> float:
    """Bound a duration by the role's limit; 0 or None mean the limit."""
    return most if not seconds else min(float(seconds), most)


def _iso_time(when: datetime | None) -> str:
    """Format a time as UTC in ISO 8601; empty for None."""
    return "" if when is None else when.isoformat(timespec="milliseconds") + "Z"
