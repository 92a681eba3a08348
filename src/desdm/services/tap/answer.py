"""Answers one ADQL query: translated for the engine, run, written in the format that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied
from desdm.query.adql.translate import translate
from desdm.query.dialect import dialect_of
from desdm.query.engines.model import Cancel, Upload
from desdm.query.formats import TableStream, stream
from desdm.query.formats.rows import Rows
from desdm.services.catalogue import catalogue_for
from desdm.services.context import Services
from desdm.services.obscore.columns import PLAN_UTYPES, UTYPES
from desdm.services.obscore.rows import PLACE
from desdm.services.tap.asked import Asked
from desdm.services.tap_schema.describe import Described

__all__ = ["Answering"]

_UTYPES = {("ivoa", "obscore"): UTYPES, ("ivoa", "obsplan"): PLAN_UTYPES}


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers queries of one server."""

    services: Services
    described: Described

    def pieces(
        self,
        caller: Caller,
        asked: Asked,
        uploads: Mapping[str, Upload],
        *,
        seconds: float | None,
        cancel: Cancel,
        base: str,
        held: ExitStack,
    ) -> TableStream:
        """The answer to a query, piece by piece.

        Parameters
        ----------
        seconds
            How long the query may run.
        base
            Address of this server, for links in the answer.
        held
            Takes what must be let go when the answer is done with.

        Raises
        ------
        QueryError
            The query is not allowed or cannot be understood.
        LimitExceeded
            It runs too long.
        """
        if uploads and not caller.may(Action.UPLOAD):
            raise AccessDenied("uploads are not among what this token allows", caller.known)
        self.described.refresh()
        catalogue = catalogue_for(self.services, caller)
        engine = self.services.engine
        query = translate(asked.query, catalogue, dialect_of(engine), uploads=uploads, maxrec=asked.maxrec)
        infos = (("QUERY", asked.query, ""),)
        utypes = _UTYPES.get(next(iter(query.tables))) if len(query.tables) == 1 else None
        if asked.maxrec == 0:
            # The query is checked, not run; an overflow is told in any case (TAP 1.1, 2.7.4).
            empty = Rows(query.columns, (), None).schema
            one = pa.RecordBatch.from_pylist([{}], schema=pa.schema([f.with_nullable(True) for f in empty]))
            return stream(asked.format, query.columns, iter((one,)), maxrec=0, infos=infos, utypes=utypes)
        batches: Iterable[pa.RecordBatch] = held.enter_context(
            engine.execute(query, uploads=uploads, owner=caller.login, seconds=seconds, cancel=cancel)
        )
        if ("ivoa", "obscore") in query.tables:
            batches = _placed(batches, base)
        return stream(asked.format, query.columns, batches, maxrec=asked.maxrec, infos=infos, utypes=utypes)


def _placed(batches: Iterable[pa.RecordBatch], base: str) -> Iterator[pa.RecordBatch]:
    """Links of ObsCore, which the table keeps without the server's address, with it."""
    for batch in batches:
        columns = [
            pc.replace_substring_regex(column, "^" + PLACE, base.replace("\\", "") + "/")
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
            else column
            for column in batch.columns
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)
