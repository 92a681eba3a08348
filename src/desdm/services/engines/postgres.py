"""The engine of a site: release tables in PostgreSQL, with B-trees on ``hpix29`` and, where it is installed, Q3C."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from desdm import config as settings
from desdm.config import Config
from desdm.errors import ConflictError, DatabaseUnavailable, DesdmError, NotFoundError
from desdm.release.model import ReleaseColumn, ReleaseTable
from desdm.services.engines import pgcells, pgload, pgread
from desdm.services.engines.faults import ended, told
from desdm.services.engines.model import Cancel, Query, Upload
from desdm.services.engines.pgload import name
from desdm.services.engines.writing import kind_of

__all__ = ["PostgresEngine"]

_IDLE = 8
_LOCK = 5_150_429


class PostgresEngine:
    """Answers queries with PostgreSQL.

    Parameters
    ----------
    url
        ``postgresql://user@host/name``; the password stands there or where the settings keep it.
    """

    dialect = "postgresql"

    def __init__(self, url: str, config: Config | None = None) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._password = (
            settings.password(config) if config is not None and ":" not in url.split("@")[0][13:] else None
        )
        self._lock = threading.Lock()
        self._idle: list[psycopg.Connection[Any]] = []
        self._own: dict[tuple[str, str], tuple[ReleaseColumn, ...]] = {}
        with self._connection() as conn:
            row = conn.execute("SELECT pg_is_in_recovery()").fetchone()
            #: a mirror that only follows: nothing can be made there, no temporary table either
            self._follows = bool(row and row[0])
            conn.commit()
            self.q3c = self._prepare(conn)

    def _prepare(self, conn: psycopg.Connection[Any]) -> bool:
        """Make schema and functions; whether Q3C is there."""
        if not self._follows:
            conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for statement in pgcells.statements():
                conn.execute(statement)
            conn.execute(
                "CREATE TABLE IF NOT EXISTS desdm_service.loaded (release text PRIMARY KEY, fingerprint text NOT NULL)"
            )
            conn.commit()
            try:
                conn.execute("CREATE EXTENSION IF NOT EXISTS q3c")
                conn.commit()
            except psycopg.Error:
                # Not installed, or not for this user: it is an accelerator, nothing more.
                conn.rollback()
        found = conn.execute("SELECT 1 FROM pg_extension WHERE extname = 'q3c'").fetchone()
        if not self._follows:
            conn.execute(pgcells.joining(found is not None))
        conn.commit()
        return found is not None

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection, from those that are idle where one still lives; rolled back at the end."""
        conn = None
        try:
            conn = self._take()
            yield conn
        except psycopg.OperationalError as err:
            if conn is None or conn.closed or conn.broken:
                raise DatabaseUnavailable(
                    "the database of the release tables does not answer; try again later"
                ) from err
            raise
        finally:
            if conn is not None:
                self._give(conn)

    def _take(self) -> psycopg.Connection[Any]:
        while True:
            with self._lock:
                conn = self._idle.pop() if self._idle else None
            if conn is None:
                break
            try:
                conn.execute("BEGIN")
                return conn
            except psycopg.OperationalError:
                # It died while it lay idle; the next, or a new one, may live.
                conn.close()
        extra: dict[str, Any] = {} if self._password is None else {"password": self._password}
        return psycopg.connect(
            self._url, connect_timeout=10, application_name="desdm", cursor_factory=psycopg.ClientCursor, **extra,
            options="-c timezone=UTC -c jit=off -c search_path=desdm_service,public",
        )  # fmt: skip

    def _give(self, conn: psycopg.Connection[Any]) -> None:
        try:
            if not conn.closed:
                conn.rollback()
        except psycopg.Error:
            conn.close()
        with self._lock:
            if not conn.closed and len(self._idle) < _IDLE:
                self._idle.append(conn)
                return
        conn.close()

    # What there is to ask

    def attach(self, release: str, tables: Sequence[ReleaseTable], root: Path) -> None:
        """Load a release that is not in the database yet, or not as it is now; whole or not at all."""
        wanted = _fingerprint(tables)
        with self._connection() as conn:
            if self._loaded(conn, release) == wanted:
                return
            if self._follows:
                raise ConflictError(
                    f"{release} is not in this database yet, and it follows another; load it there"
                )
            conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            if self._loaded(conn, release) == wanted:
                return
            conn.execute("SET LOCAL maintenance_work_mem = '512MB'")
            conn.execute("SET LOCAL synchronous_commit = off")
            conn.execute(f"DROP SCHEMA IF EXISTS {name(release)} CASCADE")
            conn.execute(f"CREATE SCHEMA {name(release)}")
            for table in tables:
                pgload.load(conn, table, root, release, self.q3c)
            conn.execute(
                "INSERT INTO desdm_service.loaded VALUES (%s, %s) ON CONFLICT (release) DO UPDATE SET fingerprint = %s",
                (release, wanted, wanted),
            )
            conn.commit()

    def _loaded(self, conn: psycopg.Connection[Any], release: str) -> str | None:
        row = conn.execute(
            "SELECT fingerprint FROM desdm_service.loaded WHERE release = %s", (release,)
        ).fetchone()
        return None if row is None else str(row[0])

    def replace(self, schema: str, table: str, columns: Sequence[ReleaseColumn], rows: pa.Table) -> None:
        """Put a small table of the service's own in place."""
        if not self._follows:
            with self._connection() as conn:
                conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                conn.execute(f"CREATE SCHEMA IF NOT EXISTS {name(schema)}")
                conn.execute(f"DROP TABLE IF EXISTS {name(schema, table)}")
                self._make(conn, (schema, table), columns, rows.to_batches())
                conn.commit()
        with self._lock:
            self._own = {**self._own, (schema, table): tuple(columns)}

    def _make(
        self, conn: psycopg.Connection[Any], where: tuple[str, ...], columns: Sequence[ReleaseColumn],
        batches: Sequence[pa.RecordBatch] | Iterator[pa.RecordBatch], kind: str = "",
    ) -> int:  # fmt: skip
        conn.execute(
            f"CREATE {kind} TABLE {name(*where)} ({pgload.declared(columns)}){' ON COMMIT DROP' if kind else ''}"
        )
        return pgload.copy_in(conn, name(*where), _cleaned(iter(batches), columns))

    def replaced(self) -> Mapping[tuple[str, str], tuple[ReleaseColumn, ...]]:
        """The service's own tables with their columns."""
        return self._own

    # Queries

    @contextmanager
    def execute(
        self,
        query: Query,
        *,
        uploads: Mapping[str, Upload] | None = None,
        owner: str = "",
        seconds: float | None = None,
        cancel: Cancel | None = None,
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """Run a query; its rows come as the database sends them, and it ends when the context does."""
        late = threading.Event()
        timer = None
        with self._connection() as conn:

            def end() -> None:
                conn.cancel_safe(timeout=5)

            def expire() -> None:
                late.set()
                end()

            rows: Iterator[pa.RecordBatch] | None = None
            try:
                if cancel is not None:
                    cancel.callbacks.append(end)
                    if cancel.event.is_set():
                        raise ended(seconds, False)
                if seconds:
                    timer = threading.Timer(seconds, expire)
                    timer.daemon = True
                    timer.start()
                rows = self._rows(conn, query, uploads or {}, seconds, late, cancel)
                yield rows
            finally:
                if timer is not None:
                    timer.cancel()
                if cancel is not None and end in cancel.callbacks:
                    cancel.callbacks.remove(end)
                if conn.info.transaction_status is psycopg.pq.TransactionStatus.ACTIVE:
                    # The reader left in the middle: the rest is not fetched, the connection goes.
                    conn.close()

    def _rows(
        self, conn: psycopg.Connection[Any], query: Query, uploads: Mapping[str, Upload], seconds: float | None,
        late: threading.Event, cancel: Cancel | None,
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        try:
            sql, values = query.sql, {f"p{i}": v for i, v in enumerate(query.params, 1)}
            if self._follows:
                sql = _with_uploads(sql, uploads, values)
            else:
                for upload in uploads.values():
                    table = f"tap_upload_{upload.name}"
                    self._make(conn, (table,), upload.columns, upload.rows.to_batches(), "TEMPORARY")
                    conn.execute(f"ANALYZE {name(table)}")
            conn.execute("SET TRANSACTION READ ONLY")
            text = f"COPY ({sql}) TO STDOUT (FORMAT csv)"
            with (
                conn.cursor() as cursor,
                cursor.copy(text if values else text.replace("%%", "%"), values or None) as copy,
            ):
                yield from pgread.batches(copy, query.columns)
        except (psycopg.Error, pa.ArrowException) as err:
            raise self._fault(err, conn, seconds, late, cancel) from None

    def _fault(
        self, err: Exception, conn: psycopg.Connection[Any], seconds: float | None, late: threading.Event,
        cancel: Cancel | None,
    ) -> DesdmError:  # fmt: skip
        if late.is_set() or (cancel is not None and cancel.event.is_set()):
            return ended(seconds, late.is_set())
        gone = isinstance(err, psycopg.OperationalError) and (
            conn.closed or conn.broken or (err.sqlstate or "57").startswith(("08", "57P", "53", "58"))
        )
        if gone or isinstance(err, psycopg.errors.InsufficientResources):
            return DatabaseUnavailable("the database of the release tables does not answer; try again later")
        return told(str(err).partition("\n")[0])

    # Tables of users

    def save(
        self,
        owner: str,
        name_: str,
        columns: Sequence[ReleaseColumn],
        rows: Iterator[pa.RecordBatch],
        *,
        append: bool = False,
    ) -> tuple[int, int]:
        """Make or extend a table of a user, whole or not at all; rows and bytes that it then has."""
        schema = f"mydb_{owner}"
        where = name(schema, name_)
        try:
            with self._connection() as conn:
                conn.execute(f"CREATE SCHEMA IF NOT EXISTS {name(schema)}")
                if append:
                    listed = ", ".join(name(c.name) for c in columns)
                    pgload.copy_in(conn, f"{where} ({listed})", _cleaned(rows, columns))
                else:
                    conn.execute(f"DROP TABLE IF EXISTS {where}")
                    self._make(conn, (schema, name_), columns, rows)
                total = conn.execute(
                    f"SELECT count(*), pg_total_relation_size('{where.replace(chr(39), chr(39) * 2)}') FROM {where}"  # noqa: S608
                ).fetchone()
                conn.commit()
        except psycopg.errors.UndefinedTable:
            raise NotFoundError(f"there is no table mydb.{name_} to append to") from None
        except psycopg.OperationalError as err:
            raise DatabaseUnavailable(
                "the database of the release tables does not answer; try again later"
            ) from err
        except psycopg.Error as err:
            raise told(str(err).partition("\n")[0]) from None
        return (int(total[0]), int(total[1])) if total else (0, 0)

    def drop(self, owner: str, name_: str) -> None:
        """Drop a table of a user."""
        with self._connection() as conn:
            conn.execute(f"DROP TABLE IF EXISTS {name(f'mydb_{owner}', name_)}")
            conn.commit()

    def ping(self) -> bool:
        """Whether it answers."""
        try:
            with self._connection() as conn:
                return conn.execute("SELECT 1").fetchone() == (1,)
        except (DatabaseUnavailable, psycopg.Error):
            return False

    def close(self) -> None:
        """Close the connections that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for conn in idle:
            conn.close()


def _fingerprint(tables: Sequence[ReleaseTable]) -> str:
    """What a release holds: published ones never change, so names, types and counts say it."""
    facts = [(t.name, t.row_count, t.path, [(c.name, kind_of(c)) for c in t.columns]) for t in tables]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _cleaned(batches: Iterator[pa.RecordBatch], columns: Sequence[ReleaseColumn]) -> Iterator[pa.RecordBatch]:
    """Rows with the columns in order, and NULL for NaN, which is no value."""
    import pyarrow.compute as pc

    for batch in batches:
        arrays = []
        for column in columns:
            array = batch.column(column.name)
            if pa.types.is_floating(array.type):
                array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
            arrays.append(array)
        yield pa.RecordBatch.from_arrays(arrays, [c.name for c in columns])


def _with_uploads(sql: str, uploads: Mapping[str, Upload], values: dict[str, Any]) -> str:
    """The query with its uploads as arrays in front of it: on a mirror no table can be made."""
    from desdm.services.engines.writing import SQL_TYPES, quote

    parts = []
    for number, upload in enumerate(uploads.values()):
        arrays, names = [], []
        for place, column in enumerate(upload.columns):
            key = f"u{number}_{place}"
            kind = SQL_TYPES["postgresql"].get(kind_of(column), "text")
            clean = next(
                _cleaned(iter(upload.rows.select([column.name]).combine_chunks().to_batches()), [column]),
                None,
            )
            values[key] = [] if clean is None else clean.column(0).to_pylist()
            arrays.append(f"%({key})s::{kind}[]")
            names.append(quote(column.name, "postgresql"))
        table = quote(f"tap_upload_{upload.name}", "postgresql")
        parts.append(
            f"{table} AS MATERIALIZED (SELECT * FROM unnest({', '.join(arrays)}) AS u({', '.join(names)}))"  # noqa: S608
        )
    if not parts:
        return sql
    rest = f", {sql[5:]}" if sql.startswith("WITH ") else f" {sql}"
    return f"WITH {', '.join(parts)}{rest}"
