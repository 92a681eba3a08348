"""A TAP query as an asynchronous job: its result, with the id ``result``, is a file in the job's directory."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from desdm.accounts.model import Action, Caller
from desdm.errors import LimitExceeded, LimitKind, UsageError
from desdm.services.context import Services
from desdm.services.limits import limits_of
from desdm.services.tap.execute import QueryRunner
from desdm.services.tap.parameters import parse_query_params
from desdm.services.tap.uploads import read_uploads, result_of
from desdm.services.uws.model import OVERFLOW, JobContext, Parameters

__all__ = ["check_query", "run_query"]


def check_query(services: Services, caller: Caller, parameters: Parameters) -> None:
    """Raise `AccessDenied` if a job could never run with the scopes of its token.

    Parameters
    ----------
    services, parameters
        Not used; part of the signature of job checks. The job reports what is wrong with its query.
    caller
        Owner of the job, with the scopes of the token that created it.

    Raises
    ------
    AccessDenied
        The token does not allow reading.
    """
    del services, parameters
    caller.require(Action.READ)


def run_query(runner: QueryRunner, context: JobContext) -> None:
    """Run the query of a job and store its result as a file; an incomplete result is discarded."""
    # A job has the scopes of the token that created it.
    context.caller.require(Action.READ)
    limits = limits_of(context.caller.role)
    params = parse_query_params(context.parameters, limits)
    base = context.value("_BASE")

    def open_part(name: str) -> BinaryIO:
        return context.uploaded(name).open("rb")

    def open_result(uri: str) -> BinaryIO:
        return result_of(runner.services, context.caller, base, uri)

    tables = read_uploads(params.uploads, open_part, open_result, limits)
    name = f"result.{params.format.extension}"
    temporary = context.directory / f"{name}.part"
    with ExitStack() as resources:
        # A job that fails or is ended leaves no part of a result; after the rename there is nothing to remove.
        resources.callback(temporary.unlink, missing_ok=True)
        rows = runner.stream_rows(
            context.caller,
            params,
            tables,
            seconds=context.seconds,
            cancel=context.cancel,
            base=base,
            resources=resources,
        )
        _write_result(temporary, rows, context)
        temporary.rename(context.directory / name)
    if rows.overflow:
        context.notes.append(OVERFLOW)
    context.result("result", name, params.mime)


def _write_result(path: Path, rows: Iterable[bytes], context: JobContext) -> None:
    """Write the result to a file; raise if the job is cancelled or the result is too large."""
    size, most = 0, limits_of(context.caller.role).result_bytes
    with path.open("wb") as out:
        for piece in rows:
            if context.cancel.event.is_set():
                raise UsageError("the job was ended")
            size += len(piece)
            if size > most:
                raise LimitExceeded(
                    f"the answer is larger than {most // 1_000_000} MB; ask for fewer rows, or query synchronously",
                    LimitKind.SIZE,
                )
            out.write(piece)
