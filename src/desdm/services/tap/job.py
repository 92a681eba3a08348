"""A TAP query as an asynchronous job: its result, with the id ``result``, is a file in the job's directory."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from desdm.errors import LimitExceeded, UsageError
from desdm.services.limits import limits_of
from desdm.services.tap.answer import Answering
from desdm.services.tap.asked import asked, uploads
from desdm.services.tap.results import result_of
from desdm.services.uws.model import OVERFLOW, JobContext

__all__ = ["run_query"]


def run_query(answering: Answering, context: JobContext) -> None:
    """Run the query of a job and keep its answer, whole or not at all."""
    limits = limits_of(context.caller.role)
    wanted = asked(context.values, limits)
    base = context.value("_BASE")

    def part(name: str) -> BinaryIO:
        return context.uploaded(name).open("rb")

    def result(uri: str) -> BinaryIO:
        return result_of(answering.services, context.caller, base, uri)

    tables = uploads(wanted.uploads, part, result, limits)
    name = f"result.{wanted.format.extension}"
    partial = context.directory / f"{name}.part"
    with ExitStack() as held:
        pieces = answering.pieces(
            context.caller,
            wanted,
            tables,
            seconds=context.seconds,
            cancel=context.cancel,
            base=base,
            held=held,
        )
        _written(partial, pieces, context)
    if pieces.overflow:
        context.notes.append(OVERFLOW)
    partial.rename(context.directory / name)
    context.result("result", name, wanted.mime)


def _written(path: Path, pieces: Iterable[bytes], context: JobContext) -> None:
    size, most = 0, limits_of(context.caller.role).result_bytes
    with path.open("wb") as out:
        for piece in pieces:
            if context.cancel.event.is_set():
                raise UsageError("the job was ended")
            size += len(piece)
            if size > most:
                raise LimitExceeded(
                    f"the answer is larger than {most // 1_000_000} MB; ask for fewer rows, or query synchronously",
                    "size",
                )
            out.write(piece)
