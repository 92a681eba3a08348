"""Execution of an ADQL query: translation, execution in the engine, output in the requested format."""

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
from desdm.services.access import catalogue_for
from desdm.services.context import Services
from desdm.services.obscore.columns import PLAN_UTYPES, UTYPES
from desdm.services.obscore.rows import BASE_PLACEHOLDER
from desdm.services.tap.parameters import QueryParams
from desdm.services.tap_schema.describe import TapSchema

__all__ = ["QueryRunner"]

_UTYPES = {("ivoa", "obscore"): UTYPES, ("ivoa", "obsplan"): PLAN_UTYPES}


@dataclass(frozen=True, slots=True)
class QueryRunner:
    """Runs the queries of one server."""

    services: Services
    schema: TapSchema

    def stream_rows(
        self,
        caller: Caller,
        params: QueryParams,
        uploads: Mapping[str, Upload],
        *,
        seconds: float | None,
        cancel: Cancel,
        base: str,
        resources: ExitStack,
    ) -> TableStream:
        """Run a query and stream its rows in the requested format.

        Parameters
        ----------
        caller
            Caller, whose rights decide which tables are visible.
        params
            Parameters of the query.
        uploads
            Uploaded tables by name.
        seconds
            Time limit of the query; None: no limit.
        cancel
            Cancels the query.
        base
            URL of this server, for links in the rows.
        resources
            Receives the query, to be closed after the last row.

        Returns
        -------
        TableStream
            The encoded rows.

        Raises
        ------
        AccessDenied
            The caller's token lacks a scope.
        QueryError
            The query is invalid or not allowed.
        LimitExceeded
            It exceeds the time limit.
        """
        if uploads and not caller.may(Action.UPLOAD):
            # Every role may upload: only the scopes of a token can forbid it.
            raise AccessDenied(
                "this token does not allow uploaded tables: it lacks the scope upload", known=True
            )
        self.schema.refresh()
        catalogue = catalogue_for(self.services, caller)
        engine = self.services.engine
        query = translate(params.query, catalogue, dialect_of(engine), uploads=uploads, maxrec=params.maxrec)
        infos = (("QUERY", params.query, ""),)
        utypes = _UTYPES.get(next(iter(query.tables))) if len(query.tables) == 1 else None
        if params.maxrec == 0:
            # The query is checked, not run; an overflow is always reported (TAP 1.1, 2.7.4).
            return stream(params.format, query.columns, (), maxrec=0, infos=infos, utypes=utypes, more=True)
        batches: Iterable[pa.RecordBatch] = resources.enter_context(
            engine.execute(query, uploads=uploads, owner=caller.login, seconds=seconds, cancel=cancel)
        )
        if ("ivoa", "obscore") in query.tables:
            batches = _with_base_url(batches, base)
        return stream(params.format, query.columns, batches, maxrec=params.maxrec, infos=infos, utypes=utypes)


def _with_base_url(batches: Iterable[pa.RecordBatch], base: str) -> Iterator[pa.RecordBatch]:
    """Replace the placeholder of the server's URL in the links of ObsCore."""
    for batch in batches:
        columns = [
            pc.replace_substring_regex(column, "^" + BASE_PLACEHOLDER, base.replace("\\", "") + "/")
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
            else column
            for column in batch.columns
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)
