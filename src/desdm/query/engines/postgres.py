"""PostgreSQL engine: release tables with B-trees on ``hpix29`` and, if it is installed, an index of Q3C."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import psycopg.sql
import pyarrow as pa
from psycopg.rows import TupleRow

from desdm.config import Config
from desdm.errors import ConflictError, DatabaseUnavailable, DesdmError, NotFoundError
from desdm.query.engines import pgcells, pgload, pgread, scalars
from desdm.query.engines.digests import require_recorded_digests
from desdm.query.engines.faults import public_error
from desdm.query.engines.model import Cancel, Query, Upload
from desdm.query.engines.pgconnect import Connections, abandon, interrupt
from desdm.query.engines.pgload import name
from desdm.query.engines.pguploads import cleaned, with_uploads
from desdm.query.engines.running import Running
from desdm.query.engines.writing import kind_of
from desdm.release.model import ReleaseColumn, ReleaseFile, ReleaseTable

__all__ = ["PostgresEngine"]

#: Seconds that `close` waits for running queries.
_PATIENCE = 1.0
_NOT_HERE = "the database of this server is read-only: tables cannot be changed; use a server that can write"
_LOCK = 5_150_429
#: Version of the loading; with another number all releases are loaded again. 2: NaN of every file is NULL.
_LOADING = 2


class PostgresEngine:
    """Answers queries with PostgreSQL.

    Parameters
    ----------
    url
        ``postgresql://user@host/name``; the password is in the URL or in the settings.
    """

    dialect = "postgresql"

    def __init__(self, url: str, config: Config | None = None) -> None:
        self._connections = Connections(url, config)
        self._lock = threading.Lock()
        self._running: set[Running] = set()
        self._own: dict[tuple[str, str], tuple[ReleaseColumn, ...]] = {}
        with self._connections.taken() as conn:
            row = conn.execute("SHOW transaction_read_only").fetchone()
            #: a read-only database, such as a standby: not even temporary tables can be created
            self._reads_only = row is not None and row[0] == "on"
            conn.commit()
            self.q3c = self._prepare(conn)

    def _prepare(self, conn: psycopg.Connection[TupleRow]) -> bool:
        """Create schema and functions; return whether Q3C is installed."""
        if not self._reads_only:
            conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for statement in (*pgcells.statements(), *scalars.statements()):
                conn.execute(statement)
            conn.execute(
                "CREATE TABLE IF NOT EXISTS desdm_service.loaded (release text PRIMARY KEY, fingerprint text NOT NULL)"
            )
            conn.commit()
            try:
                conn.execute("CREATE EXTENSION IF NOT EXISTS q3c")
                conn.commit()
            except psycopg.Error:
                # Q3C is not installed, or this user may not create extensions; queries work without it.
                conn.rollback()
        extension = conn.execute("SELECT 1 FROM pg_extension WHERE extname = 'q3c'").fetchone()
        if not self._reads_only:
            conn.execute(pgcells.joining(extension is not None))
        conn.commit()
        return extension is not None

    # Tables

    def attach(
        self, release: str, tables: Sequence[ReleaseTable], root: Path, files: Sequence[ReleaseFile] = ()
    ) -> None:
        """Load a release that is not in the database or differs from it, in one transaction.

        Parameters
        ----------
        release
            Name of the release, which is the schema.
        tables
            Its tables.
        root
            Directory of the release, in HATS layout.
        files
            Its recorded files: rows are taken only from files with their recorded digests.
        """
        wanted = _fingerprint(tables)
        with self._connections.taken() as conn:
            if self._loaded(conn, release) == wanted:
                return
            if self._reads_only:
                raise ConflictError(
                    f"{release} is not in this database, which is read-only; load it with a server that can write"
                )
            require_recorded_digests(release, tables, root, files)
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

    def _loaded(self, conn: psycopg.Connection[TupleRow], release: str) -> str | None:
        """Return the fingerprint of a release as it is in the database, or None."""
        row = conn.execute(
            "SELECT fingerprint FROM desdm_service.loaded WHERE release = %s", (release,)
        ).fetchone()
        return None if row is None else str(row[0])

    def replace(self, schema: str, table: str, columns: Sequence[ReleaseColumn], rows: pa.Table) -> None:
        """Replace the rows of one of the service's own tables.

        Parameters
        ----------
        schema, table
            Name of the table.
        columns
            Its columns.
        rows
            All its rows.
        """
        if not self._reads_only:
            with self._connections.taken() as conn:
                conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                conn.execute(f"CREATE SCHEMA IF NOT EXISTS {name(schema)}")
                self._fill(conn, name(schema, table), columns, rows)
                conn.commit()
        with self._lock:
            self._own = {**self._own, (schema, table): tuple(columns)}

    def _fill(
        self, conn: psycopg.Connection[TupleRow], where: str, columns: Sequence[ReleaseColumn], rows: pa.Table
    ) -> None:
        """Replace the rows of one of the service's own tables, and the table if its columns changed."""
        # A table is dropped only if its columns changed: DROP waits for running queries and blocks new ones; other rows
        # do not.
        declared = pgload.declared(columns)
        comment = conn.execute(
            "SELECT obj_description(to_regclass(%s), 'pg_class')", (where.replace("%%", "%"),)
        ).fetchone()
        if comment is not None and comment[0] == declared:
            conn.execute(f"DELETE FROM {where}")  # noqa: S608
        else:
            conn.execute(f"DROP TABLE IF EXISTS {where}")
            conn.execute(f"CREATE TABLE {where} ({declared})")
            conn.execute(
                psycopg.sql.SQL("COMMENT ON TABLE {} IS {}").format(psycopg.sql.SQL(where), declared)
            )
        pgload.copy_in(conn, where, cleaned(iter(rows.to_batches()), columns))

    def _make(
        self,
        conn: psycopg.Connection[TupleRow],
        where: tuple[str, ...],
        columns: Sequence[ReleaseColumn],
        batches: Sequence[pa.RecordBatch] | Iterator[pa.RecordBatch],
        kind: str = "",
    ) -> int:
        """Create a table and copy rows into it; return their number."""
        conn.execute(
            f"CREATE {kind} TABLE {name(*where)} ({pgload.declared(columns)}){' ON COMMIT DROP' if kind else ''}"
        )
        return pgload.copy_in(conn, name(*where), cleaned(iter(batches), columns))

    def replaced(self) -> Mapping[tuple[str, str], tuple[ReleaseColumn, ...]]:
        """Return the service's own tables with their columns."""
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
        """Run a query and yield its rows as the database sends them; it ends with the context.

        Parameters
        ----------
        query
            SQL with its parameters and columns.
        uploads
            Uploaded tables by name.
        owner
            User whose own tables the query may read.
        seconds
            Deadline; None for none.
        cancel
            Cancels the query from another thread.

        Raises
        ------
        LimitExceeded
            It took longer than ``seconds``.
        DatabaseUnavailable
            The connection to the database broke, maybe after some rows.
        """
        with self._connections.taken() as conn:
            running = Running(lambda: interrupt(conn), seconds, cancel)
            with running:
                self._running.add(running)
                try:
                    yield running.rows(self._rows(conn, query, uploads or {}, running))
                finally:
                    self._running.discard(running)
            if running.was_ended:
                # The cancel request might reach the next query on the same connection.
                conn.close()

    def _rows(
        self,
        conn: psycopg.Connection[TupleRow],
        query: Query,
        uploads: Mapping[str, Upload],
        running: Running,
    ) -> Generator[pa.RecordBatch]:
        """Run a query and yield its batches."""
        try:
            sql, values = query.sql, {f"p{i}": v for i, v in enumerate(query.params, 1)}
            if self._reads_only:
                sql = with_uploads(sql, uploads, values)
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
                try:
                    yield from pgread.batches(copy, query.columns)
                except GeneratorExit:
                    # The reader stopped early: the connection is closed, because the rest of the rows is not fetched.
                    if conn.info.transaction_status is psycopg.pq.TransactionStatus.ACTIVE:
                        abandon(conn)
                    raise
        except (psycopg.Error, pa.ArrowException) as err:
            raise self._fault(err, conn, running) from None

    def _fault(self, err: Exception, conn: psycopg.Connection[TupleRow], running: Running) -> DesdmError:
        """Return the public error for an error of PostgreSQL."""
        if running.was_ended:
            return running.fault()
        gone = isinstance(err, psycopg.OperationalError) and (
            conn.closed or conn.broken or (err.sqlstate or "57").startswith(("08", "57P", "53", "58"))
        )
        if gone or isinstance(err, psycopg.errors.InsufficientResources):
            return DatabaseUnavailable("the database of the release tables does not answer; try again later")
        return public_error(str(err).partition("\n")[0])

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
        """Create or extend a table of a user, in one transaction.

        Parameters
        ----------
        owner, name_
            User and table.
        columns
            Columns of the table.
        rows
            Batches to write.
        append
            Whether the rows are added to a table that exists.

        Returns
        -------
        tuple
            Rows and bytes of the table.
        """
        schema = f"mydb_{owner}"
        where = name(schema, name_)
        try:
            with self._connections.taken() as conn:
                conn.execute(f"CREATE SCHEMA IF NOT EXISTS {name(schema)}")
                if append:
                    listed = ", ".join(name(c.name) for c in columns)
                    pgload.copy_in(conn, f"{where} ({listed})", cleaned(rows, columns))
                else:
                    conn.execute(f"DROP TABLE IF EXISTS {where}")
                    self._make(conn, (schema, name_), columns, rows)
                total = conn.execute(
                    f"SELECT count(*), pg_total_relation_size('{where.replace(chr(39), chr(39) * 2)}') FROM {where}"  # noqa: S608
                ).fetchone()
                conn.commit()
        except psycopg.errors.UndefinedTable:
            raise NotFoundError(f"there is no table mydb.{name_} to append to") from None
        except psycopg.errors.ReadOnlySqlTransaction:
            raise ConflictError(_NOT_HERE) from None
        except psycopg.OperationalError as err:
            raise DatabaseUnavailable(
                "the database of the release tables does not answer; try again later"
            ) from err
        except psycopg.Error as err:
            raise public_error(str(err).partition("\n")[0]) from None
        return (int(total[0]), int(total[1])) if total else (0, 0)

    def drop(self, owner: str, name_: str) -> None:
        """Drop a table of a user."""
        try:
            with self._connections.taken() as conn:
                conn.execute(f"DROP TABLE IF EXISTS {name(f'mydb_{owner}', name_)}")
                conn.commit()
        except psycopg.errors.ReadOnlySqlTransaction:
            raise ConflictError(_NOT_HERE) from None

    def ping(self) -> bool:
        """Tell whether the database answers."""
        try:
            with self._connections.taken() as conn:
                return conn.execute("SELECT 1").fetchone() == (1,)
        except (DatabaseUnavailable, psycopg.Error):
            return False

    def close(self) -> None:
        """Cancel running queries and close the connections."""
        for running in list(self._running):
            running.end()
        self._connections.close()
        for running in list(self._running):
            running.stop(_PATIENCE)


def _fingerprint(tables: Sequence[ReleaseTable]) -> str:
    """Return a digest of names, types and row counts, which identify a published release since it never changes."""
    facts = [(t.name, t.row_count, t.path, [(c.name, kind_of(c)) for c in t.columns]) for t in tables]
    return hashlib.sha256(json.dumps([_LOADING, facts]).encode()).hexdigest()
