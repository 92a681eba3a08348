"""HTTP endpoints of asynchronous jobs (UWS 1.1, section 2.2): list, job, phase, times, parameters, results, error."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Action, Caller
from desdm.errors import (
    AccessDenied,
    ConflictError,
    FatalError,
    LimitExceeded,
    NotFoundError,
    StorageFull,
    UsageError,
)
from desdm.query.formats.votable import error_document
from desdm.schema.states import Phase
from desdm.services.context import Services, caller_of
from desdm.services.error_responses import ErrorForm, media_type
from desdm.services.limits import Limits, limits_of
from desdm.services.parameters import RequestParams, parse_parameters, parse_real, parse_time
from desdm.services.refusals import HIDDEN_JOB
from desdm.services.responses import (
    base_url,
    run_blocking,
    xml_response,
)
from desdm.services.uws import store
from desdm.services.uws.model import BLOCKING, ENDED, OVERFLOW, Job, JobKind, Parameters
from desdm.services.uws.owner import owner_of
from desdm.services.uws.run import Runner

__all__ = ["uws_routes"]

_PACKAGE = "desdm.services.uws"
_CONTROL = ("PHASE", "ACTION", "WAIT", "RUNID", "DESTRUCTION", "EXECUTIONDURATION")
_WAIT_MOST = 60.0
#: Number of the newest anonymous jobs that are searched for those of an address.
_NEWEST = 1000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def uws_routes(prefix: str, kind: JobKind, services: Services) -> list[BaseRoute]:
    """Return the routes of the jobs of one kind, and start their runner.

    Parameters
    ----------
    prefix
        Path of the job list, for instance ``/tap/async``.
    kind
        Kind of the jobs.
    services
        Shared state of the services.

    Returns
    -------
    list of BaseRoute
        The routes.
    """
    runner = Runner(kind, services, partial(owner_of, services.database))
    jobs = _Jobs(prefix.rstrip("/"), kind, services, runner)
    runner.start()
    job_path = jobs.prefix + "/{job}"

    def route(path: str, **handlers: Callable[[Request], Awaitable[Response]]) -> Route:
        """Return one route for all methods of a path, so that a 405 response lists them (Allow)."""

        async def dispatch(request: Request) -> Response:
            return await handlers["GET" if request.method == "HEAD" else request.method](request)

        return Route(path, dispatch, methods=list(handlers))

    value = partial(partial, jobs.value)
    return [
        route(jobs.prefix, GET=jobs.list_jobs, POST=jobs.create),
        route(job_path, GET=jobs.show, POST=jobs.act, DELETE=jobs.delete),
        route(job_path + "/phase", GET=jobs.phase, POST=jobs.set_phase, PUT=jobs.set_phase),
        route(
            job_path + "/executionduration",
            GET=value("executionduration"),
            POST=jobs.set_duration,
            PUT=jobs.set_duration,
        ),
        route(
            job_path + "/destruction",
            GET=value("destruction"),
            POST=jobs.set_destruction,
            PUT=jobs.set_destruction,
        ),
        route(job_path + "/quote", GET=value("quote")),
        route(job_path + "/owner", GET=value("owner")),
        route(job_path + "/error", GET=jobs.error),
        route(job_path + "/parameters", GET=jobs.parameters, POST=jobs.set_parameters),
        route(job_path + "/results", GET=jobs.results),
        route(job_path + "/results/{result}", GET=jobs.result),
    ]


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
        params = await parse_parameters(request, 0)
        phases = [_parse_phase(text) for text in params.values("PHASE")]
        after = parse_time("AFTER", params.value("AFTER")) if params.value("AFTER") else None
        matches = await run_blocking(
            self.services, lambda: self._visible(caller, phases, after, params.number("LAST"))
        )
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
        params = await parse_parameters(request, limits.request_bytes)
        now = store.now()
        duration = params.number("EXECUTIONDURATION")
        job = Job(
            id=secrets.token_hex(12),
            service=self.kind.name,
            owner=caller.login,
            run_id=params.value("RUNID")[:64],
            phase=Phase.PENDING,
            creation_time=now,
            start_time=None,
            end_time=None,
            execution_duration=_bounded_seconds(duration, limits.job_seconds),
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
            ),
        )
        run = params.value("PHASE").upper() == "RUN"
        if params.value("PHASE") and not run:
            raise UsageError(
                f"PHASE={params.value('PHASE')[:40]}: a new job can only be started, with PHASE=RUN"
            )
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
                "rate",
                retry_after=30,
            )
        if size + more > limits.job_bytes:
            raise LimitExceeded(
                f"your jobs take {size / 1e6:.0f} of {limits.job_bytes / 1e6:.0f} MB; delete some of them first",
                "quota",
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
        params = await parse_parameters(request, 0)
        if params.value("WAIT"):
            job = await self._wait(request, job, params)
        return self._document(request, "job.xml", job)

    async def _wait(self, request: Request, job: Job, params: RequestParams) -> Job:
        """Wait until the phase changes (UWS 1.1, 2.2.1.1), at most a minute, or until the client disconnects."""
        text = params.value("WAIT").strip()
        if not re.fullmatch(r"-1|\d{1,9}", text):
            raise UsageError(f"WAIT={text[:40]}: seconds are wanted, or -1")
        seconds = _WAIT_MOST if text == "-1" else min(parse_real("WAIT", text), _WAIT_MOST)
        expected = _parse_phase(params.value("PHASE")) if params.value("PHASE") else job.phase
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
        params = await parse_parameters(request, 100_000)
        if params.value("ACTION").upper() != "DELETE":
            raise UsageError(
                "POST to a job takes ACTION=DELETE; its phase and times have addresses of their own"
            )
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
        phase_name = (await parse_parameters(request, 100_000, "PHASE")).value("PHASE").strip().upper()
        if phase_name == "RUN":
            await run_blocking(self.services, lambda: self._start(job, caller))
        elif phase_name == "ABORT":
            await run_blocking(self.services, lambda: self._abort(job))
        else:
            raise UsageError(f"PHASE={phase_name[:40]}: RUN or ABORT is wanted")
        return self._redirect(request, job.id)

    def _start(self, job: Job, caller: Caller) -> None:
        """Check the parameters and queue the job."""
        if self.kind.check is not None:
            self.kind.check(self.services, caller, job.parameters)
        with self.services.state.write() as conn:
            self._queue(conn, job)
        self.runner.remember(job.id, caller)
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
        duration = (await parse_parameters(request, 100_000, "EXECUTIONDURATION")).number("EXECUTIONDURATION")
        if duration is None:
            raise UsageError("EXECUTIONDURATION is missing: seconds, 0 for the longest allowed")
        seconds = _bounded_seconds(duration, limits_of(caller.role).job_seconds)
        await run_blocking(self.services, lambda: self._change(job, execution_duration=seconds))
        return self._redirect(request, job.id)

    async def set_destruction(self, request: Request) -> Response:
        """Set the destruction time, within the role's limit."""
        caller, job = caller_of(request), await self._load(request)
        when = parse_time(
            "DESTRUCTION", (await parse_parameters(request, 100_000, "DESTRUCTION")).value("DESTRUCTION")
        )
        latest = store.now() + timedelta(seconds=limits_of(caller.role).keep_seconds)
        await run_blocking(self.services, lambda: self._change(job, destruction=min(when, latest)))
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
        params = await parse_parameters(request, limits_of(caller.role).request_bytes)
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


def _require_async(request: Request) -> Caller:
    """Return the caller, who must be allowed to run jobs."""
    caller = caller_of(request)
    if not caller.may(Action.ASYNC):
        raise AccessDenied("asynchronous jobs are not among what this token allows", caller.known)
    return caller


def _parameters_size(parameters: Parameters, limits: Limits) -> int:
    """Bytes of the parameters of a job; `LimitExceeded` if they are too many."""
    size = sum(len(name) + len(value.encode()) for name, value in parameters)
    if size > limits.parameter_bytes:
        raise LimitExceeded(
            f"the parameters have {size / 1e6:.1f} MB; {limits.parameter_bytes / 1e6:g} MB at most, "
            "upload a table instead",
            "size",
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


def _parse_phase(text: str) -> Phase:
    """Parse the name of a phase."""
    try:
        return Phase(text.upper())
    except ValueError as err:
        raise UsageError(f"PHASE={text[:40]}: one of {', '.join(Phase)} is wanted") from err


def _iso_time(when: datetime | None) -> str:
    """Format a time as UTC in ISO 8601; empty for None."""
    return "" if when is None else when.isoformat(timespec="milliseconds") + "Z"
