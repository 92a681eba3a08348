"""Shares of threads, supervised loops and the journal: nobody takes all, nothing dies, nothing is waited for."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from desdm.errors import DatabaseUnavailable, LimitExceeded
from desdm.schema.database import Database
from desdm.services.journal import Journal
from desdm.services.supervise import Supervisor
from desdm.services.threads import CALLER, Threads
from tests.support.loops import run


def eventually(true: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_caller_has_its_share_and_others_find_a_thread() -> None:
    async def main() -> None:
        go = threading.Event()
        with ThreadPoolExecutor(4) as pool:
            threads = Threads(pool, share=2, queued=3)

            async def ask(who: str, task: Callable[[], object]) -> object:
                CALLER.set(who)
                return await threads.run(task)

            slow = [asyncio.create_task(ask("one", go.wait)) for _ in range(5)]
            await asyncio.sleep(0.05)
            with pytest.raises(LimitExceeded) as caught:
                await ask("one", int)
            assert caught.value.retry_after
            assert await asyncio.wait_for(ask("two", lambda: 7), 1) == 7
            # Who leaves while it waits leaves its place to the next.
            slow[-1].cancel()
            go.set()
            assert await asyncio.gather(*slow[:-1]) == [True] * 4
            for _ in range(10):
                assert await asyncio.wait_for(ask("one", lambda: 8), 1) == 8

    run(main())


def test_a_loop_survives_whatever_its_step_raises() -> None:
    supervisor, calls = Supervisor(), []

    def step() -> None:
        calls.append(1)
        if len(calls) < 4:
            raise (ValueError, MemoryError, KeyError)[len(calls) - 1]("unforeseen")

    supervisor.loop("test-loop", step, 0.01)
    eventually(supervisor.troubles)
    assert "failed" in next(iter(supervisor.troubles().values()))
    eventually(lambda: len(calls) > 5)
    assert supervisor.troubles() == {}
    supervisor.stop()


def test_the_journal_drops_and_counts_what_a_locked_database_does_not_take(tmp_path: Path) -> None:
    state = Database(f"sqlite:///{tmp_path}/s.sqlite", patience=0.2)
    with state.write() as conn:
        conn.execute(text("CREATE TABLE t (n INTEGER)"))
    journal, supervisor = Journal(state), Supervisor()
    journal.start(supervisor)

    def write(number: int) -> bool:
        return journal.put(
            lambda conn: conn.execute(text("INSERT INTO t VALUES (:n)"), {"n": number}) and None
        ).result(5)

    assert write(1)
    other = sqlite3.connect(tmp_path / "s.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert not write(2)
    other.execute("ROLLBACK")
    other.close()
    assert journal.dropped == 1
    assert write(3)
    with state.read() as conn:
        assert list(conn.execute(text("SELECT n FROM t")).scalars()) == [1, 3]
    supervisor.stop()
    state.close()


def test_a_pool_of_connections_that_runs_dry_is_a_typed_error(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/s.sqlite")
    database.engine.pool._timeout = 0.1  # type: ignore[attr-defined]
    held = [database.engine.connect() for _ in range(15)]
    with pytest.raises(DatabaseUnavailable, match="in use"), database.read():
        pass
    for one in held:
        one.close()
    database.close()
