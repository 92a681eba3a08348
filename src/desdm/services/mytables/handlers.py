"""HTTP endpoints of users' tables, ``/api/mydb``, in JSON: list, create (PUT), append (POST), drop (DELETE)."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from typing import BinaryIO, TypedDict, cast
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Caller
from desdm.errors import LimitExceeded, UsageError
from desdm.query.adql.translate import translate
from desdm.query.dialect import dialect_of
from desdm.query.engines.model import Cancel
from desdm.query.formats.upload import read_upload
from desdm.services.catalogue import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.limits import limits_of
from desdm.services.mydb.model import UserTable
from desdm.services.mytables.keep import Keeper, require_mydb
from desdm.services.responses import run_blocking

__all__ = ["routes"]

_PREFIX = "/api/mydb"
_FORM = "application/x-www-form-urlencoded"
_MEMORY = 8_000_000


class TableEntry(TypedDict):
    """A table in JSON; each column has the attributes of `ReleaseColumn`."""

    name: str
    rows: int
    bytes: int
    text: str
    created_at: str
    columns: list[dict[str, str | int | float | bool | None]]


def routes(services: Services) -> list[BaseRoute]:
    """Routes of users' tables."""
    keeper = Keeper(services)

    async def list_tables(request: Request) -> Response:
        caller = caller_of(request)
        require_mydb(caller)
        tables = await run_blocking(services, lambda: keeper.tables(caller))
        document = {
            "tables": [_table_entry(table) for table in tables],
            "used": sum(table.size for table in tables),
            "quota": limits_of(caller.role).mydb_bytes,
        }
        return JSONResponse(document, headers={"Cache-Control": "no-store"})

    async def save_table(request: Request) -> Response:
        caller, name, append = caller_of(request), request.path_params["table"], request.method == "POST"
        require_mydb(caller)
        mime = request.headers.get("content-type", "").split(";")[0].strip().lower()
        with await _body(request, limits_of(caller.role).request_bytes) as body:
            if mime == _FORM:
                form = parse_qs(body.read().decode("utf-8", "replace"))
                saved = await run_blocking(
                    services, lambda: _save_query(services, keeper, caller, name, form, append)
                )
            else:
                saved = await run_blocking(
                    services, lambda: _save_upload(keeper, caller, name, body, mime, append)
                )
        return JSONResponse(_table_entry(saved), 200 if append else 201)

    async def drop_table(request: Request) -> Response:
        caller, name = caller_of(request), request.path_params["table"]
        require_mydb(caller)
        await run_blocking(services, lambda: keeper.drop(caller, name))
        return Response(status_code=204)

    return [
        Route(_PREFIX, list_tables, methods=["GET"]),
        Route(f"{_PREFIX}/{{table}}", save_table, methods=["PUT", "POST"]),
        Route(f"{_PREFIX}/{{table}}", drop_table, methods=["DELETE"]),
    ]


async def _body(request: Request, most: int) -> BinaryIO:
    """Return the body of a request, on disk if it is large."""
    # The caller closes it.
    body = tempfile.SpooledTemporaryFile(_MEMORY)  # noqa: SIM115
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise LimitExceeded(
                    f"the table is larger than {most // 1_000_000} MB, all that may be sent", "size"
                )
            body.write(piece)
    except ClientDisconnect as err:
        body.close()
        raise UsageError("the client disconnected before the table was complete") from err
    except BaseException:
        body.close()
        raise
    body.seek(0)
    # typeshed knows a spooled file as IO[bytes] only.
    return cast(BinaryIO, body)


def _save_upload(
    keeper: Keeper, caller: Caller, name: str, body: BinaryIO, mime: str, append: bool
) -> UserTable:
    """Save an uploaded table."""
    limits = limits_of(caller.role)
    upload = read_upload(name, body, mime, max_bytes=limits.request_bytes, max_rows=limits.upload_rows)
    return keeper.save(caller, name, upload.columns, iter(upload.rows.to_batches()), append=append)


def _save_query(
    services: Services, keeper: Keeper, caller: Caller, name: str, form: dict[str, list[str]], append: bool
) -> UserTable:
    """Save the rows of an ADQL query."""
    params = {key.upper(): values[-1] for key, values in form.items()}
    text = params.get("QUERY", "")
    if not text.strip():
        raise UsageError("send a table, or QUERY with an ADQL query whose rows it is to hold")
    limits, engine = limits_of(caller.role), services.engine
    query = translate(text, catalogue_for(services, caller), dialect_of(engine), maxrec=limits.rows)
    with ExitStack() as resources:
        rows = resources.enter_context(
            engine.execute(query, owner=caller.login, seconds=limits.seconds, cancel=Cancel())
        )
        return keeper.save(
            caller, name, query.columns, rows, append=append, text=params.get("TEXT", "") or text
        )


def _table_entry(table: UserTable) -> TableEntry:
    """Return a table as a JSON entry."""
    return {
        "name": table.name,
        "rows": table.row_count,
        "bytes": table.size,
        "text": table.text,
        "created_at": table.created_at.isoformat(timespec="seconds") + "Z",
        "columns": [asdict(column) for column in table.columns],
    }
