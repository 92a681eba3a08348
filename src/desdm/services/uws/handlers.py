"""The HTTP face of asynchronous jobs (UWS 1.1, section 2.2): list, job, phase, times, parameters, results, error."""

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
from desdm.schema.states import Phase
from desdm.services.answers import base_url, error_response, guarded, work, xml_response
from desdm.services.context import Services, caller_of
from desdm.services.limits import Limits, limits_of
from desdm.services.parameters import Given, given, real, time_of
from desdm.services.uws import store
from desdm.services.uws.model import BLOCKING, ENDED, OVERFLOW, Job, JobKind, Parameters
from desdm.services.uws.owner import owner_of
from desdm.services.uws.run import Runner

__all__ = ["uws_routes"]

_PACKAGE = "desdm.services.uws"
_CONTROL = ("PHASE", "ACTION", "WAIT", "RUNID", "DESTRUCTION", "EXECUTIONDURATION")
_WAIT_MOST = 60.0
#: Among so many of the newest unowned jobs the list looks for those of an address.
_LOOKED = 1000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def uws_routes(prefix: str, kind: JobKind, services: Services) -> list[BaseRoute]:
    """Routes of the jobs of one kind below ``prefix``, for instance ``/tap/async``; their runner is started."""
    runner = Runner(kind, services, partial(owner_of, services.database))
    jobs = _Jobs(prefix.rstrip("/"), kind, services, runner)
    runner.start()
    one = jobs.prefix + "/{job}"

    def route(path: str, **handlers: Callable[[Request], Awaitable[Response]]) -> Route:
        """One route for all methods of a path: a method that is not offered is told those that are (Allow)."""

        async def dispatch(request: Request) -> Response:
            return await handlers["GET" if request.method == "HEAD" else request.method](request)

        return Route(path, guarded(dispatch), methods=list(handlers))

    value = partial(partial, jobs.value)
    return [
        route(jobs.prefix, GET=jobs.listed, POST=jobs.create),
        route(one, GET=jobs.shown, POST=jobs.acted, DELETE=jobs.deleted),
        route(one + "/phase", GET=jobs.phase, POST=jobs.set_phase, PUT=jobs.set_phase),
        route(
            one + "/executionduration",
            GET=value("executionduration"),
            POST=jobs.set_duration,
            PUT=jobs.set_duration,
        ),
        route(
            one + "/destruction",
            GET=value("destruction"),
            POST=jobs.set_destruction,
            PUT=jobs.set_destruction,
        ),
        route(one + "/quote", GET=value("quote")),
        route(one + "/owner", GET=value("owner")),
        route(one + "/error", GET=jobs.error),
        route(one + "/parameters", GET=jobs.parameters, POST=jobs.set_parameters),
        route(one + "/results", GET=jobs.results),
        route(one + "/results/{result}", GET=jobs.result),
    ]


@dataclass(frozen=True, slots=True)
class _Jobs:
    prefix: str
    kind: JobKind
    services: Services
    runner: Runner

    async def listed(self, request: Request) -> Response:
        caller = _allowed(request)
        asked = await given(request, 0)
        phases = [_phase(text) for text in asked.values("PHASE")]
        after = time_of("AFTER", asked.value("AFTER")) if asked.value("AFTER") else None
        found = await work(self.services, lambda: self._visible(caller, phases, after, asked.number("LAST")))
        return xml_response(
            _PACKAGE, "jobs.xml", jobs=found, base=base_url(request) + self.prefix, stamp=_stamp
        )

    def _visible(
        self, caller: Caller, phases: list[Phase], after: datetime | None, last: int | None
    ) -> list[Job]:
        owner = None if caller.may(Action.SEE_JOBS) else caller.login
        with self.services.state.read() as conn:
            if owner != "":
                return store.jobs(conn, self.kind.name, owner, phases=phases, after=after, last=last)
            found = store.jobs(conn, self.kind.name, "", phases=phases, after=after, last=_LOOKED)
        # Whoever knows the number of an unowned job may end it: the list shows only those from the same address.
        own = [job for job in found if ("_ADDRESS", _address(caller)) in job.parameters]
        return own if last is None else own[:last]

    async def create(self, request: Request) -> Response:
        caller = _allowed(request)
        limits = limits_of(caller.role)
        asked = await given(request, limits.request_bytes)
        now = store.now()
        duration = asked.number("EXECUTIONDURATION")
        job = Job(
            id=secrets.token_hex(12), service=self.kind.name, owner=caller.login,
            run_id=asked.value("RUNID")[:64], phase=Phase.PENDING, creation_time=now, start_time=None, end_time=None,
            execution_duration=_within(duration, limits.job_seconds),
            destruction=now + timedelta(seconds=limits.keep_seconds),
            error_type=None, error_message=None, server=None, tries=0, address=_address(caller),
            parameters=(*_plain(asked), ("_ADDRESS", _address(caller)), ("_BASE", base_url(request))),
        )  # fmt: skip
        run = asked.value("PHASE").upper() == "RUN"
        if asked.value("PHASE") and not run:
            raise UsageError(
                f"PHASE={asked.value('PHASE')[:40]}: a new job can only be started, with PHASE=RUN"
            )
        try:
            await work(self.services, lambda: self._enter(job, asked.files, caller, run))
        finally:
            await asked.close()
        return self._to(request, job.id)

    def _enter(self, job: Job, files: dict[str, UploadFile], caller: Caller, run: bool) -> None:
        limits = limits_of(caller.role)
        size = _parameters_size(job.parameters, limits) + _files_size(files)
        self._require_room()
        with self.services.state.read() as conn:
            self._require_share(conn, caller, size)
        if run and self.kind.check is not None:
            self.kind.check(self.services, caller, job.parameters)
        try:
            self._keep(job.id, files)
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
        """Refuse a job of whoever has as many, or as much in them, as the role allows."""
        limits = limits_of(caller.role)
        count, size = store.held(conn, caller.login, _address(caller))
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
        """Refuse a job when the disk is nearly full: what runs and what others keep need the rest."""
        config = self.services.config
        if shutil.disk_usage(config.home).free < config.keep_free_mb * 1e6:
            raise StorageFull(f"{config.home}: less than {config.keep_free_mb:g} MB are free; no job is made")

    def _queue(self, conn: Connection, job: Job) -> None:
        # It was counted among its owner's when it was made.
        if not store.change(conn, job.id, (Phase.PENDING, Phase.HELD), phase=Phase.QUEUED):
            raise ConflictError(f"job {job.id} is {job.phase}; only a pending job can be started")

    def _keep(self, job_id: str, files: dict[str, UploadFile]) -> None:
        folder = self.runner.directory(job_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, part in files.items():
            if not _NAME.fullmatch(name):
                raise UsageError(f"uploaded part {name[:40]!r}: a name of letters, digits and _ is wanted")
            (folder / "uploads").mkdir(exist_ok=True)
            part.file.seek(0)
            with (folder / "uploads" / name).open("wb") as out:
                shutil.copyfileobj(part.file, out, 1 << 20)

    async def shown(self, request: Request) -> Response:
        job = await self._found(request)
        asked = await given(request, 0)
        if asked.value("WAIT"):
            job = await self._waited(request, job, asked)
        return self._document(request, "job.xml", job)

    async def _waited(self, request: Request, job: Job, asked: Given) -> Job:
        """Hold the answer until the phase changes (UWS 1.1, 2.2.1.1): at most a minute, not past a client that left."""
        text = asked.value("WAIT").strip()
        if not re.fullmatch(r"-1|\d{1,9}", text):
            raise UsageError(f"WAIT={text[:40]}: seconds are wanted, or -1")
        seconds = _WAIT_MOST if text == "-1" else min(real("WAIT", text), _WAIT_MOST)
        expected = _phase(asked.value("PHASE")) if asked.value("PHASE") else job.phase
        end, pause = time.monotonic() + seconds, 0.01
        while job.phase is expected and job.phase in BLOCKING and time.monotonic() < end:
            await asyncio.sleep(min(pause, max(0.0, end - time.monotonic())))
            pause = min(pause * 1.5, 0.5)
            if await request.is_disconnected():
                break
            # A job that was deleted meanwhile is not found any more (404), which ends the wait as well.
            job = await self._found(request)
        return job

    async def acted(self, request: Request) -> Response:
        job = await self._found(request)
        asked = await given(request, 100_000)
        if asked.value("ACTION").upper() != "DELETE":
            raise UsageError(
                "POST to a job takes ACTION=DELETE; its phase and times have addresses of their own"
            )
        return await self._gone(request, job)

    async def deleted(self, request: Request) -> Response:
        return await self._gone(request, await self._found(request))

    async def _gone(self, request: Request, job: Job) -> Response:
        await work(self.services, lambda: self.runner.discard(job.id))
        return RedirectResponse(base_url(request) + self.prefix, 303)

    async def phase(self, request: Request) -> Response:
        return PlainTextResponse((await self._found(request)).phase)

    async def set_phase(self, request: Request) -> Response:
        caller, job = caller_of(request), await self._found(request)
        asked = (await given(request, 100_000, "PHASE")).value("PHASE").strip().upper()
        if asked == "RUN":
            await work(self.services, lambda: self._start(job, caller))
        elif asked == "ABORT":
            await work(self.services, lambda: self._abort(job))
        else:
            raise UsageError(f"PHASE={asked[:40]}: RUN or ABORT is wanted")
        return self._to(request, job.id)

    def _start(self, job: Job, caller: Caller) -> None:
        if self.kind.check is not None:
            self.kind.check(self.services, caller, job.parameters)
        with self.services.state.write() as conn:
            self._queue(conn, job)
        self.runner.remember(job.id, caller)
        self.runner.wake()

    def _abort(self, job: Job) -> None:
        before = (Phase.PENDING, Phase.QUEUED, Phase.EXECUTING, Phase.HELD, Phase.SUSPENDED)
        with self.services.state.write() as conn:
            store.change(conn, job.id, before, phase=Phase.ABORTED, end_time=store.now())
        self.runner.cancel(job.id)

    async def value(self, name: str, request: Request) -> Response:
        job = await self._found(request)
        shown = {
            "executionduration": f"{job.execution_duration:.0f}",
            "destruction": _stamp(job.destruction),
            "quote": "",
            "owner": job.owner,
        }
        return PlainTextResponse(shown[name])

    async def set_duration(self, request: Request) -> Response:
        caller, job = caller_of(request), await self._found(request)
        asked = (await given(request, 100_000, "EXECUTIONDURATION")).number("EXECUTIONDURATION")
        if asked is None:
            raise UsageError("EXECUTIONDURATION is missing: seconds, 0 for the longest allowed")
        seconds = _within(asked, limits_of(caller.role).job_seconds)
        await work(self.services, lambda: self._change(job, execution_duration=seconds))
        return self._to(request, job.id)

    async def set_destruction(self, request: Request) -> Response:
        caller, job = caller_of(request), await self._found(request)
        when = time_of("DESTRUCTION", (await given(request, 100_000, "DESTRUCTION")).value("DESTRUCTION"))
        latest = store.now() + timedelta(seconds=limits_of(caller.role).keep_seconds)
        await work(self.services, lambda: self._change(job, destruction=min(when, latest)))
        return self._to(request, job.id)

    def _change(self, job: Job, **values: object) -> None:
        before = tuple(Phase) if "destruction" in values else (Phase.PENDING, Phase.QUEUED, Phase.HELD)
        with self.services.state.write() as conn:
            if not store.change(conn, job.id, before, **values):
                raise ConflictError(f"job {job.id} is {job.phase}; this can be set only before it runs")

    async def error(self, request: Request) -> Response:
        job = await self._found(request)
        if job.error_message is None:
            raise NotFoundError(f"job {job.id} is {job.phase} and has no error")
        answer = error_response(UsageError(job.error_message))
        answer.status_code = 200
        return answer

    async def parameters(self, request: Request) -> Response:
        return self._document(request, "parameters.xml", await self._found(request))

    async def set_parameters(self, request: Request) -> Response:
        caller, job = caller_of(request), await self._found(request)
        asked = await given(request, limits_of(caller.role).request_bytes)
        if job.phase is not Phase.PENDING:
            raise ConflictError(
                f"job {job.id} is {job.phase}; parameters can be set only while it is pending"
            )

        def enter() -> None:
            size = _parameters_size([*job.parameters, *_plain(asked)], limits_of(caller.role))
            size += _files_size(asked.files)
            self._require_room()
            with self.services.state.read() as conn:
                self._require_share(conn, caller, size)
            self._keep(job.id, asked.files)
            with self.services.state.write() as conn:
                store.add_parameters(conn, job.id, _plain(asked))
                store.grow(conn, job.id, size)

        try:
            await work(self.services, enter)
        finally:
            await asked.close()
        return self._to(request, job.id)

    async def results(self, request: Request) -> Response:
        return self._document(request, "results.xml", await self._found(request))

    async def result(self, request: Request) -> Response:
        job = await self._found(request)
        wanted = request.path_params["result"]
        found = next((r for r in job.results if r.id == wanted), None)
        if found is None:
            raise NotFoundError(f"job {job.id} is {job.phase} and has no result {wanted[:40]!r}")
        path = self.services.results / found.path
        if not path.is_file() or path.stat().st_size != found.filesize:
            raise FatalError(f"result {path} of job {job.id} is gone or of another size")
        headers = {"X-Query-Status": OVERFLOW[1]} if OVERFLOW in job.parameters else None
        return FileResponse(path, headers=headers, media_type=found.mime, filename=Path(found.path).name)

    async def _found(self, request: Request) -> Job:
        caller, job_id = _allowed(request), request.path_params["job"]

        def look() -> Job | None:
            with self.services.state.read() as conn:
                return store.job(conn, self.kind.name, job_id)

        job = await work(self.services, look)
        if job is None:
            raise NotFoundError(f"no job {job_id[:40]!r}: it was never made, or its time was over")
        if job.owner != caller.login and job.owner and not caller.may(Action.SEE_JOBS):
            raise AccessDenied(f"job {job.id} is not yours; log in as its owner", caller.known)
        if request.method != "GET" and job.phase in ENDED and request.url.path.endswith("/executionduration"):
            raise ConflictError(f"job {job.id} is {job.phase}; this can be set only before it runs")
        return job

    def _to(self, request: Request, job_id: str) -> Response:
        return RedirectResponse(f"{base_url(request)}{self.prefix}/{job_id}", 303)

    def _document(self, request: Request, template: str, job: Job) -> Response:
        here = f"{base_url(request)}{self.prefix}/{job.id}"
        shown = [(name, value) for name, value in job.parameters if not name.startswith("_")]
        return xml_response(_PACKAGE, template, job=job, parameters=shown, here=here, stamp=_stamp)


def _allowed(request: Request) -> Caller:
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
    return caller.address or "-"


def _plain(asked: Given) -> list[tuple[str, str]]:
    # Names with an underscore before them are the service's own notes.
    return [(n[:64], v) for n, v in asked.pairs if n not in _CONTROL and not n.startswith("_")]


def _within(asked: int | None, most: float) -> float:
    return most if not asked else min(float(asked), most)


def _phase(text: str) -> Phase:
    try:
        return Phase(text.upper())
    except ValueError as err:
        raise UsageError(f"PHASE={text[:40]}: one of {', '.join(Phase)} is wanted") from err


def _stamp(when: datetime | None) -> str:
    return "" if when is None else when.isoformat(timespec="milliseconds") + "Z"
