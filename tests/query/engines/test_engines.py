"""What an engine does besides answering: tables of users, deadlines, an end that reaches the database, faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from desdm.config import load
from desdm.errors import (
    ConfigError,
    ConflictError,
    DatabaseUnavailable,
    DesdmError,
    LimitExceeded,
    NotFoundError,
)
from desdm.facility import Facility
from desdm.query.adql.translate import translate
from desdm.query.catalogue import Catalogue, release_entry, user_entry
from desdm.query.engines.model import Cancel, Engine, Query, Upload
from desdm.query.engines.open import open_engine
from desdm.release import store
from desdm.release.model import ReleaseColumn
from tests.support.postgres import Cluster, cluster
from tests.support.release import small_release

COLUMNS = (ReleaseColumn("n", "int"), ReleaseColumn("x", "double"), ReleaseColumn("word", "char", "*"))


def _rows(first: int, count: int) -> Iterator[pa.RecordBatch]:
    numbers = list(range(first, first + count))
    table = pa.table({"n": pa.array(numbers, pa.int32()), "x": [float("nan") if i % 2 else i / 2 for i in numbers],
                      "word": [None if i % 3 else f"w, \"{i}\"" for i in numbers]})  # fmt: skip
    yield from table.to_batches(max_chunksize=3)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("engines") / "home", rows=5000)


@pytest.fixture(params=["duckdb", "postgresql"])
def engine(request: pytest.FixtureRequest, home: Path, postgres: Cluster) -> Iterator[Engine]:
    name, url = None, ""
    if request.param == "postgresql":
        name = postgres.database()
        url = postgres.url(name).render_as_string(hide_password=False)
    made = open_engine(load(home), url)
    _attach(made, home)
    yield made
    made.close()
    if name is not None:
        postgres.drop(name)


def _attach(engine: Engine, home: Path) -> Catalogue:
    facility = Facility.open(home)
    with facility.database.read() as conn:
        tables = store.tables(conn, "T1")
    engine.attach("T1", tables, facility.config.releases / "T1")
    engine.attach("T1", tables, facility.config.releases / "T1")
    facility.close()
    return Catalogue([release_entry(t) for t in tables])


def _query(engine: Engine, text: str, *more: Any) -> Query:
    facts = Catalogue([*more])
    return translate(text, facts, engine.dialect)  # type: ignore[arg-type]


def _ask(engine: Engine, query: Query, **options: Any) -> list[tuple[Any, ...]]:
    with engine.execute(query, **options) as batches:
        return [tuple(c[i].as_py() for c in b.columns) for b in batches for i in range(b.num_rows)]


def _heavy(engine: Engine, home: Path) -> Query:
    catalogue = _attach(engine, home)
    text = "SELECT COUNT(*) FROM T1.objects a, T1.objects b, T1.objects c WHERE a.ra + b.ra < c.ra - 1"
    return translate(text, catalogue, engine.dialect)  # type: ignore[arg-type]


def test_a_table_of_a_user_is_made_extended_read_and_dropped(engine: Engine) -> None:
    entry = user_entry("o'brien", "mine", COLUMNS)
    rows, size = engine.save("o'brien", "mine", COLUMNS, _rows(0, 7))
    assert rows == 7
    assert size > 0
    assert engine.save("o'brien", "mine", COLUMNS, _rows(7, 4), append=True)[0] == 11
    query = _query(engine, "SELECT n, x, word FROM mydb.mine WHERE n >= 5 ORDER BY n", entry)
    assert _ask(engine, query, owner="o'brien")[:3] == [(5, None, None), (6, 3.0, 'w, "6"'), (7, None, None)]
    assert engine.save("o'brien", "mine", COLUMNS, iter(()))[0] == 0
    engine.drop("o'brien", "mine")
    with pytest.raises(DesdmError):
        _ask(engine, query, owner="o'brien")


def test_a_table_that_breaks_off_is_not_there(engine: Engine) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from _rows(0, 3)
        raise RuntimeError("the source went away")

    with pytest.raises(Exception, match=r"source|while|database"):
        engine.save("eve", "half", COLUMNS, broken())
    with pytest.raises(NotFoundError):
        engine.save("eve", "half", COLUMNS, _rows(0, 1), append=True)


def test_a_deadline_ends_a_query_and_says_so(engine: Engine, home: Path) -> None:
    start = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"longer than 0\.3 s") as caught:
        _ask(engine, _heavy(engine, home), seconds=0.3)
    assert caught.value.kind == "time"
    assert time.monotonic() - start < 10
    assert engine.ping()


def test_an_end_from_another_thread_reaches_the_database(engine: Engine, home: Path) -> None:
    cancel = Cancel()
    timer = threading.Timer(0.3, cancel)
    timer.start()
    start = time.monotonic()
    with pytest.raises(LimitExceeded, match="was ended"):
        _ask(engine, _heavy(engine, home), cancel=cancel)
    assert time.monotonic() - start < 10
    assert cancel.callbacks == []
    timer.join()


def test_who_leaves_in_the_middle_leaves_the_engine_whole(engine: Engine, home: Path) -> None:
    catalogue = _attach(engine, home)
    query = translate("SELECT a.* FROM T1.objects a, T1.objects b", catalogue, engine.dialect)  # type: ignore[arg-type]
    for _ in range(3):
        with engine.execute(query) as batches:
            assert next(iter(batches)).num_rows > 0
    assert _ask(engine, translate("SELECT COUNT(*) FROM T1.objects", catalogue, engine.dialect)) == [(5000,)]  # type: ignore[arg-type]


def test_who_leaves_after_the_last_row_was_sent_waits_for_nobody(engine: Engine, home: Path) -> None:
    catalogue = _attach(engine, home)
    query = translate("SELECT TOP 3 id FROM T1.objects", catalogue, engine.dialect)  # type: ignore[arg-type]
    held = ExitStack()
    for _ in range(3):
        assert next(iter(held.enter_context(engine.execute(query)))).num_rows == 3
        leaving = threading.Thread(target=held.close, daemon=True)
        leaving.start()
        leaving.join(5)
        assert not leaving.is_alive()


def test_the_engine_ends_while_queries_run(engine: Engine, home: Path) -> None:
    query = _heavy(engine, home)
    said: list[str] = []

    def ask() -> None:
        with pytest.raises(DesdmError) as caught:
            _ask(engine, query)
        said.append(str(caught.value))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    start = time.monotonic()
    engine.close()
    for thread in threads:
        thread.join(5)
    assert time.monotonic() - start < 4
    assert len(said) == 3 and all("ended" in text for text in said)


def test_own_tables_are_renewed_while_they_are_read(engine: Engine) -> None:
    rows = pa.Table.from_batches(_rows(0, 5))
    engine.replace("tap_schema", "some", COLUMNS, rows)
    query = _query(engine, "SELECT n FROM mydb.mine", user_entry("x", "mine", COLUMNS))
    query = replace(
        query, sql='SELECT n FROM "tap_schema"."some"', tables=frozenset({("tap_schema", "some")})
    )
    with engine.execute(query) as batches:
        assert next(iter(batches)).num_rows == 5
        done = threading.Thread(
            target=engine.replace, args=("tap_schema", "some", COLUMNS, rows), daemon=True
        )
        done.start()
        done.join(5)
        assert not done.is_alive()
    engine.replace("tap_schema", "some", COLUMNS[:1], rows.select(["n"]))
    assert _ask(engine, query) == [(n,) for n in range(5)]


def test_a_database_that_is_set_to_read_only_takes_uploads(home: Path, postgres: Cluster) -> None:
    name = postgres.database()
    url = postgres.url(name).render_as_string(hide_password=False)
    writing = open_engine(load(home), url)
    catalogue = _attach(writing, home)
    writing.close()
    with postgres.connect() as conn:
        conn.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    engine = open_engine(load(home), url)
    _attach(engine, home)
    ids = pa.table({"id": pa.array([10_000_000_000, 10_000_000_003, 5]), "word": ["a", None, 'c,"%']})
    upload = Upload("u", (ReleaseColumn("id", "long"), ReleaseColumn("word", "char", "*")), ids)
    text = "SELECT t.id, u.word FROM TAP_UPLOAD.u AS u JOIN T1.objects AS t ON t.id = u.id ORDER BY t.id"
    query = translate(text, catalogue, "postgresql", uploads={"u": upload})
    assert _ask(engine, query, uploads={"u": upload}) == [(10_000_000_000, "a"), (10_000_000_003, None)]
    with pytest.raises(ConflictError, match="read-only"):
        engine.save("eve", "mine", COLUMNS, _rows(0, 3))
    with pytest.raises(ConflictError, match="read-only"):
        engine.drop("eve", "mine")
    engine.close()
    postgres.drop(name)


def test_many_ask_at_once(engine: Engine, home: Path) -> None:
    catalogue = _attach(engine, home)
    found: list[Any] = []

    def ask(flag: int) -> None:
        query = translate(f"SELECT COUNT(*) FROM T1.objects WHERE flag = {flag}", catalogue, engine.dialect)  # type: ignore[arg-type]
        found.append(_ask(engine, query)[0][0])

    threads = [threading.Thread(target=ask, args=(n % 8,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 2 * 5000


def test_a_stale_copy_is_made_anew_and_the_old_one_goes(home: Path) -> None:
    engine = open_engine(load(home), "")
    _attach(engine, home)
    before = list((home / "serving").glob("T1-*.duckdb"))
    engine.close()
    parquet = next((home / "releases" / "T1").rglob("Npix=*.parquet"))
    parquet.touch()
    engine = open_engine(load(home), "")
    _attach(engine, home)
    after = list((home / "serving").glob("T1-*.duckdb"))
    engine.close()
    assert len(before) == len(after) == 1
    assert before != after


def test_a_database_that_goes_away_in_the_midst_is_told(home: Path) -> None:
    with cluster() as own:
        engine = open_engine(load(home), own.url(own.database()).render_as_string(hide_password=False))
        catalogue = _attach(engine, home)
        query = translate("SELECT a.* FROM T1.objects a, T1.objects b", catalogue, "postgresql")
        with pytest.raises(DatabaseUnavailable), engine.execute(query) as batches:
            next(iter(batches))
            with own.connect() as conn:
                conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'desdm'"
                )
            for _ in batches:
                pass
        # The next query finds a new connection.
        assert _ask(engine, translate("SELECT COUNT(*) FROM T1.objects", catalogue, "postgresql")) == [
            (5000,)
        ]
    with pytest.raises(DatabaseUnavailable):
        _ask(engine, query)
    assert not engine.ping()
    engine.close()


def test_only_postgresql_is_a_site(home: Path) -> None:
    with pytest.raises(ConfigError):
        open_engine(load(home), "mysql://x@y/z")
    with pytest.raises(DatabaseUnavailable):
        open_engine(load(home), "postgresql://nobody@127.0.0.1:1/none")
