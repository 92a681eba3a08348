"""HTTP endpoints of users' tables, ``/api/mydb``, in JSON: list, create (PUT), append (POST), drop (DELETE)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from typing import BinaryIO, TypedDict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Action, Caller
from desdm.query.adql.translate import translate
from desdm.query.dialect import dialect_of
from desdm.query.engines.model import Cancel
from desdm.query.formats.upload import read_upload
from desdm.services.access import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.forms import parse_parameters, read_body
from desdm.services.limits import limits_of
from desdm.services.mydb.model import UserTable
from desdm.services.mytables.endpoints import APPEND, CREATE, DROP, LIST, ROWS
from desdm.services.mytables.keep import Keeper, require_mydb
from desdm.services.parameters import Values
from desdm.services.responses import run_blocking

__all__ = ["routes"]

_FORM = "application/x-www-form-urlencoded"


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
        most = limits_of(caller.role).request_bytes
        if mime == _FORM:
            values = (await parse_parameters(request, most)).read(ROWS)
            saved = await run_blocking(
                services, lambda: _save_query(services, keeper, caller, name, values, append)
            )
        else:
            with await read_body(request, most) as body:
                saved = await run_blocking(
                    services, lambda: _save_upload(keeper, caller, name, body, mime, append)
                )
        return JSONResponse(_table_entry(saved), 200 if append else 201)

    async def drop_table(request: Request) -> Response:
        caller, name = caller_of(request), request.path_params["table"]
        require_mydb(caller)
        await run_blocking(services, lambda: keeper.drop(caller, name))
        return Response(status_code=204)

    return routes_of([(LIST, list_tables), (CREATE, save_table), (APPEND, save_table), (DROP, drop_table)])


def _save_upload(
    keeper: Keeper, caller: Caller, name: str, body: BinaryIO, mime: str, append: bool
) -> UserTable:
    """Save an uploaded table."""
    limits = limits_of(caller.role)
    upload = read_upload(name, body, mime, max_bytes=limits.request_bytes, max_rows=limits.upload_rows)
    return keeper.save(caller, name, upload.columns, iter(upload.rows.to_batches()), append=append)


def _save_query(
    services: Services, keeper: Keeper, caller: Caller, name: str, values: Values, append: bool
) -> UserTable:
    """Save the rows of an ADQL query."""
    caller.require(Action.READ)
    text = values.text("QUERY")
    limits, engine = limits_of(caller.role), services.engine
    query = translate(text, catalogue_for(services, caller), dialect_of(engine), maxrec=limits.rows)
    with ExitStack() as resources:
        rows = resources.enter_context(
            engine.execute(query, owner=caller.login, seconds=limits.seconds, cancel=Cancel())
        )
        return keeper.save(caller, name, query.columns, rows, append=append, text=values.text("TEXT") or text)


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
