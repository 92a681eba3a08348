"""The guard alone: how many requests it lets through, and that it works while the database does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import text

from desdm.accounts.model import Caller
from desdm.schema.database import Database
from desdm.services.journal import Journal
from desdm.web.auth import Authentication
from desdm.web.rates import Rates
from tests.support.loops import run

THREADS = ThreadPoolExecutor(1)


def guarded(app: Any, database: Database, rates: Rates) -> Authentication:
    return Authentication(app, database, database, rates, THREADS, Journal(database))


class Inside:
    """What stands behind the door: answers 200 and notes who came."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.callers.append(scope.get("desdm.caller"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def ask(
    guard: Authentication, path: str, address: str = "192.0.2.1", **headers: str
) -> tuple[int, dict[str, str]]:
    """Status and headers of one request."""
    came: list[Any] = []

    async def send(message: Any) -> None:
        came.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": b"", "headers": raw, "client": (address, 1),
        "server": ("test", 80), "scheme": "http", "root_path": "",
    }  # fmt: skip
    run(guard(scope, None, send))  # type: ignore[arg-type]
    return came[0]["status"], {k.decode(): v.decode() for k, v in came[0]["headers"]}


def test_who_asks_too_often_is_told_when_to_come_again_and_others_are_served(sqlite: Database) -> None:
    inside = Inside()
    guard = guarded(inside, sqlite, Rates(0.1, 3.0, lambda: 0.0))
    assert [ask(guard, "/tap/sync")[0] for _ in range(4)] == [200, 200, 200, 429]
    status, headers = ask(guard, "/api/releases")
    assert (status, headers["retry-after"]) == (429, "10")
    assert ask(guard, "/tap/sync", address="192.0.2.2")[0] == 200
    assert ask(guard, "/static/style.css")[0] == 200
    assert [c.address for c in inside.callers[:4]] == ["192.0.2.1"] * 3 + ["192.0.2.2"]


def test_tiles_of_the_sky_are_small_change(sqlite: Database) -> None:
    guard = guarded(Inside(), sqlite, Rates(0.1, 3.0, lambda: 0.0))
    assert sum(ask(guard, "/hips/R/color/Norder3/Dir0/Npix1.png")[0] == 200 for _ in range(20)) == 12


def test_guessing_tokens_ends_soon(sqlite: Database) -> None:
    guard = guarded(Inside(), sqlite, Rates(1.0, 100.0, lambda: 0.0))
    statuses = [ask(guard, "/tap/sync", authorization=f"Bearer guess{n}")[0] for n in range(8)]
    assert statuses[:5] == [401] * 5
    assert statuses[5:] == [429] * 3


def test_nobody_is_let_in_while_the_database_cannot_say_who_it_is(sqlite: Database) -> None:
    inside = Inside()
    guard = guarded(inside, sqlite, Rates(0.0, 0.0))
    with sqlite.write() as conn:
        conn.execute(text("ALTER TABLE access_token RENAME TO away"))
    status, headers = ask(guard, "/api/releases", authorization="Bearer x")
    # A table of ours that is gone is damage: to try again does not help.
    assert status == 500 and "retry-after" not in headers
    assert inside.callers == []
