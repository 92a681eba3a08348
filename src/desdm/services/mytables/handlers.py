"""The paths of users' tables, below ``/api/mydb``, in JSON: list, make (PUT), extend (POST), drop (DELETE)."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, BinaryIO
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Caller
from desdm.errors import DesdmError, LimitExceeded, UsageError
from desdm.query.adql.translate import translate
from desdm.query.dialect import dialect_of
from desdm.query.engines.model import Cancel
from desdm.query.formats.upload import read_upload
from desdm.services.answers import told, work
from desdm.services.catalogue import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.faults import status_of
from desdm.services.limits import limits_of
from desdm.services.mydb.model import UserTable
from desdm.services.mytables.keep import Keeper, allowed

__all__ = ["routes"]

_PREFIX = "/api/mydb"
_FORM = "application/x-www-form-urlencoded"
_MEMORY = 8_000_000


def routes(services: Services) -> list[BaseRoute]:
    """Routes of users' tables."""
    keeper = Keeper(services)

    async def listed(request: Request) -> Response:
        caller = caller_of(request)
        allowed(caller)
        found = await work(services, lambda: keeper.tables(caller))
        document = {
            "tables": [_shown(table) for table in found],
            "used": sum(table.size for table in found),
            "quota": limits_of(caller.role).mydb_bytes,
        }
        return JSONResponse(document, headers={"Cache-Control": "no-store"})

    async def saved(request: Request) -> Response:
        caller, name, append = caller_of(request), request.path_params["table"], request.method == "POST"
        allowed(caller)
        mime = request.headers.get("content-type", "").split(";")[0].strip().lower()
        with await _body(request, limits_of(caller.role).request_bytes) as body:
            if mime == _FORM:
                form = parse_qs(body.read().decode("utf-8", "replace"))
                made = await work(services, lambda: _by_query(services, keeper, caller, name, form, append))
            else:
                made = await work(services, lambda: _by_file(keeper, caller, name, body, mime, append))
        return JSONResponse(_shown(made), 200 if append else 201)

    async def dropped(request: Request) -> Response:
        caller, name = caller_of(request), request.path_params["table"]
        allowed(caller)
        await work(services, lambda: keeper.drop(caller, name))
        return Response(status_code=204)

    return [
        Route(_PREFIX, _said(listed), methods=["GET"]),
        Route(f"{_PREFIX}/{{table}}", _said(saved), methods=["PUT", "POST"]),
        Route(f"{_PREFIX}/{{table}}", _said(dropped), methods=["DELETE"]),
    ]


def _said(handler: Any) -> Any:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except DesdmError as err:
            return JSONResponse({"error": told(err)}, status_of(err))

    return answer


async def _body(request: Request, most: int) -> BinaryIO:
    """The body of a request, on disk when it is large."""
    # The caller closes it.
    body: Any = tempfile.SpooledTemporaryFile(_MEMORY)  # noqa: SIM115
    read = 0
    try:
        async for piece in request.stream():
            read += len(piece)
            if read > most:
                raise LimitExceeded(
                    f"the table is larger than {most // 1_000_000} MB, all that may be sent", "size"
                )
            body.write(piece)
    except ClientDisconnect as err:
        body.close()
        raise UsageError("the client went away before the table was whole") from err
    except BaseException:
        body.close()
        raise
    body.seek(0)
    return body  # type: ignore[no-any-return]


def _by_file(keeper: Keeper, caller: Caller, name: str, body: BinaryIO, mime: str, append: bool) -> UserTable:
    limits = limits_of(caller.role)
    found = read_upload(name, body, mime, max_bytes=limits.request_bytes, max_rows=limits.upload_rows)
    return keeper.save(caller, name, found.columns, iter(found.rows.to_batches()), append=append)


def _by_query(
    services: Services, keeper: Keeper, caller: Caller, name: str, form: dict[str, list[str]], append: bool
) -> UserTable:
    given = {key.upper(): values[-1] for key, values in form.items()}
    text = given.get("QUERY", "")
    if not text.strip():
        raise UsageError("send a table, or QUERY with an ADQL query whose rows it is to hold")
    limits, engine = limits_of(caller.role), services.engine
    query = translate(text, catalogue_for(services, caller), dialect_of(engine), maxrec=limits.rows)
    with ExitStack() as held:
        rows = held.enter_context(
            engine.execute(query, owner=caller.login, seconds=limits.seconds, cancel=Cancel())
        )
        return keeper.save(
            caller, name, query.columns, rows, append=append, text=given.get("TEXT", "") or text
        )


def _shown(table: UserTable) -> dict[str, Any]:
    return {
        "name": table.name, "rows": table.row_count, "bytes": table.size, "text": table.text,
        "created_at": table.created_at.isoformat(timespec="seconds") + "Z",
        "columns": [asdict(column) for column in table.columns],
    }  # fmt: skip
