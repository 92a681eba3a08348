"""Embedded engine: one DuckDB in the server's process, native copies of releases, one cursor for each query."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from desdm.errors import (
    CorruptFile,
    DatabaseUnavailable,
    DesdmError,
    LimitExceeded,
    LimitKind,
    NotFoundError,
    OwnTablesUnavailable,
)
from desdm.query.catalogue import MYDB
from desdm.query.engines import cells, native, scalars
from desdm.query.engines.duckdb_user_tables import UserTables
from desdm.query.engines.faults import public_error
from desdm.query.engines.model import Cancel, Query, Upload
from desdm.query.engines.running import Running
from desdm.query.engines.writing import quote
from desdm.release.model import ReleaseColumn, ReleaseFile, ReleaseTable

__all__ = ["DuckEngine"]

#: Rows of one batch.
_BATCH = 32_768
#: Seconds that `close` waits for running queries.
_PATIENCE = 1.0
#: Least time between two attempts to write an unreadable native copy again, seconds.
_REMAKE_SECONDS = 600.0
_LOG = logging.getLogger(__name__)


class _Attached(NamedTuple):
    """A release that can be queried: its native copy, and the sources of the copy."""

    path: Path
    tables: Sequence[ReleaseTable]
    root: Path
    files: Sequence[ReleaseFile]


class DuckEngine:
    """Answers queries with DuckDB.

    Parameters
    ----------
    home
        Folder of the installation; copies of releases are in ``serving``, tables of users in ``mydb``.
    memory
        Largest memory of the database, in DuckDB's form (``4GB``).
    threads
        Number of threads; None: one for each processor.
    """

    dialect = "duckdb"

    def __init__(self, home: Path, memory: str = "4GB", threads: int | None = None) -> None:
        self._serving, self._mydb, self._memory = home / "serving", home / "mydb", memory
        self._lock = threading.RLock()
        self._attached: dict[str, _Attached] = {}
        #: releases whose copy could not be read, and when a copy was last made anew for that
        self._unreadable: set[str] = set()
        self._remade: dict[str, float] = {}
        self._running: set[Running] = set()
        self._user_tables = UserTables(self._mydb)
        self._own: dict[tuple[str, str], tuple[ReleaseColumn, ...]] = {}
        self._serving.mkdir(parents=True, exist_ok=True)
        self._mydb.mkdir(parents=True, exist_ok=True)
        self._conn = duckdb.connect(
            config={
                "ieee_floating_point_ops": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
                "memory_limit": memory,
                "threads": threads or os.cpu_count() or 1,
                "temp_directory": str(self._serving / "tmp"),
            }
        )
        cells.define(self._conn)
        scalars.define(self._conn)
        # Files of the two folders only, and the setting is locked: no query can read anything else.
        folders = ", ".join("'" + f"{f}/".replace("'", "''") + "'" for f in (self._serving, self._mydb))
        self._conn.execute(f"SET allowed_directories = [{folders}]")
        self._conn.execute("SET enable_external_access = false")
        self._conn.execute("SET lock_configuration = true")

    # Tables

    def attach(
        self, release: str, tables: Sequence[ReleaseTable], root: Path, files: Sequence[ReleaseFile] = ()
    ) -> None:
        """Attach the native copy of a release, which is written if it is absent.

        Parameters
        ----------
        release
            Name of the release, which is the schema.
        tables
            Its tables.
        root
            Directory of the release, in HATS layout.
        files
            Its recorded files: a copy is made only from files with their recorded digests.

        Raises
        ------
        CorruptFile
            A file of the tables is missing or damaged.
        StorageFull
            No room for the copy.
        """
        path = native.make(self._serving, release, tables, root, self._memory, files)
        with self._lock:
            before = self._attached.get(release)
            if before is not None and before.path == path:
                return
            try:
                self._attach_copy(release, path)
            except duckdb.Error as err:
                _LOG.warning("%s cannot be read and is made anew: %s", path, err)
                native.discard(path)
                path = native.make(self._serving, release, tables, root, self._memory, files)
                try:
                    self._attach_copy(release, path)
                except duckdb.Error as again:
                    raise CorruptFile(f"{path}: the copy that serves {release} cannot be read") from again
            self._attached[release] = _Attached(path, tables, root, files)

    def _attach_copy(self, release: str, path: Path) -> None:
        """Attach a native copy under the name of its release, in place of an older one."""
        name = quote(release, "duckdb")
        self._conn.execute(f"DETACH DATABASE IF EXISTS {name}")
        self._attached.pop(release, None)
        self._conn.execute(f"ATTACH {_text(path)} AS {name} (READ_ONLY)")

    def _remake_copies(self, query: Query) -> None:
        """Write those copies again that a query reads and that could not be read before."""
        for release in self._unreadable & {schema for schema, _ in query.tables}:
            with self._lock:
                attached = self._attached.get(release)
                recent = time.monotonic() - self._remade.get(release, -_REMAKE_SECONDS) < _REMAKE_SECONDS
                if release not in self._unreadable or attached is None or recent:
                    continue
                self._remade[release] = time.monotonic()
                _LOG.warning("%s cannot be read and is made anew", attached.path)
                self._conn.execute(f"DETACH DATABASE IF EXISTS {quote(release, 'duckdb')}")
                native.discard(attached.path)
                del self._attached[release]
                try:
                    self.attach(release, attached.tables, attached.root, attached.files)
                except DesdmError:
                    self._attached[release] = attached
                    raise
                self._unreadable.discard(release)

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
        where = f"{quote(schema, 'duckdb')}.{quote(table, 'duckdb')}"
        with self._lock, self._conn.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema, 'duckdb')}")
            cursor.register("desdm_rows", rows)
            cursor.execute(
                f"CREATE OR REPLACE TABLE {where} AS SELECT {native.projection(columns)} FROM desdm_rows"  # noqa: S608
            )
            cursor.unregister("desdm_rows")
            self._own = {**self._own, (schema, table): tuple(columns)}

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
        """Run a query and yield its rows as they are computed; it ends with the context.

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
            It took longer than ``seconds``, or needs too much memory.
        """
        if self._unreadable:
            self._remake_copies(query)
        if any(schema == MYDB for schema, _ in query.tables):
            self._open(owner)
        cursor = self._conn.cursor()
        try:
            with Running(partial(_interrupt, cursor), seconds, cancel) as running:
                self._running.add(running)
                try:
                    for upload in (uploads or {}).values():
                        cursor.register(f"tap_upload_{upload.name}", self._cleaned(cursor, upload))
                    yield running.rows(self._batches(cursor, query, running))
                finally:
                    self._running.discard(running)
        finally:
            with suppress(duckdb.Error):
                cursor.close()

    def _cleaned(self, cursor: duckdb.DuckDBPyConnection, upload: Upload) -> pa.Table:
        """Return the rows of an upload in the engine's types."""
        cursor.register("desdm_rows", upload.rows)
        try:
            return cursor.sql(f"SELECT {native.projection(upload.columns)} FROM desdm_rows").to_arrow_table()  # noqa: S608
        except duckdb.Error as err:
            raise public_error(str(err)) from None if isinstance(err, duckdb.Error) else err
        finally:
            cursor.unregister("desdm_rows")

    def _batches(
        self, cursor: duckdb.DuckDBPyConnection, query: Query, running: Running
    ) -> Generator[pa.RecordBatch]:
        """Run a query and yield its batches; translate the errors of DuckDB."""
        try:
            reader = cursor.sql(query.sql, params=list(query.params) or None).to_arrow_reader(_BATCH)
            yield from reader
        except (duckdb.Error, pa.ArrowException, RuntimeError, OSError) as err:
            raise self._fault(err, running, query) from None

    def _fault(self, err: Exception, running: Running, query: Query) -> DesdmError:
        """Return the public error for an error of DuckDB or Arrow."""
        if running.was_ended:
            return running.fault()
        message = str(err)
        if isinstance(err, duckdb.OutOfMemoryException) or "Out of Memory" in message:
            return LimitExceeded(
                "the query needs more memory than the service has; select fewer rows or columns",
                LimitKind.SIZE,
            )
        if (
            isinstance(err, duckdb.IOException | duckdb.ConnectionException | OSError)
            or "IO Error" in message
        ):
            self._note_unreadable(message, query)
            return DatabaseUnavailable("the database of the release tables cannot be read; try again later")
        return public_error(message)

    def _note_unreadable(self, message: str, query: Query) -> None:
        """Remember the releases of a query whose copy the message says to be damaged."""
        for release in {schema for schema, _ in query.tables}:
            attached = self._attached.get(release)
            if attached is not None and (str(attached.path) in message or "checksum" in message.lower()):
                _LOG.error("%s cannot be read: %s", attached.path, message)
                self._unreadable.add(release)

    # Tables of users

    def _open(self, owner: str) -> None:
        """Attach the tables of a user, which a query reads."""
        with self._lock:
            if not self._user_tables.attach(self._conn, owner):
                raise OwnTablesUnavailable(
                    "the file of your own tables is missing; report it to the operators of this service"
                )

    def save(
        self,
        owner: str,
        name: str,
        columns: Sequence[ReleaseColumn],
        rows: Iterator[pa.RecordBatch],
        *,
        append: bool = False,
    ) -> tuple[int, int]:
        """Create or extend a table of a user, in one transaction.

        Parameters
        ----------
        owner, name
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
            Rows of the table, and bytes that were written.

        Raises
        ------
        NotFoundError
            There is no table to append to.
        """
        database = quote(f"mydb_{owner}", "duckdb")
        where, counted = f"{database}.{quote(name, 'duckdb')}", [0]
        self._create(owner)
        with self._conn.cursor() as cursor:
            first = next(rows, None)
            if first is not None:
                reader = pa.RecordBatchReader.from_batches(first.schema, _counted(first, rows, counted))
                cursor.register("desdm_rows", reader)
            try:
                cursor.execute("BEGIN")
                if first is None and not append:
                    cursor.execute(f"CREATE OR REPLACE TABLE {where} ({_declared(columns)})")
                elif first is not None:
                    verb = f"INSERT INTO {where} BY NAME" if append else f"CREATE OR REPLACE TABLE {where} AS"
                    cursor.execute(f"{verb} SELECT {native.projection(columns)} FROM desdm_rows")  # noqa: S608
                cursor.execute("COMMIT")
            except duckdb.CatalogException:
                cursor.execute("ROLLBACK")
                raise NotFoundError(f"there is no table mydb.{name} to append to") from None
            except (duckdb.Error, pa.ArrowException) as err:
                cursor.execute("ROLLBACK")
                raise public_error(str(err)) from None
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            total = cursor.execute(f"SELECT count(*) FROM {where}").fetchone()  # noqa: S608
        return int(total[0]) if total else 0, counted[0]

    def _create(self, owner: str) -> None:
        """Attach the tables of a user; create their file if it is absent."""
        with self._lock:
            self._user_tables.attach(self._conn, owner, create=True)

    def drop(self, owner: str, name: str) -> None:
        """Drop a table of a user."""
        with self._lock, self._conn.cursor() as cursor:
            if self._user_tables.attach(self._conn, owner):
                cursor.execute(
                    f"DROP TABLE IF EXISTS {quote(f'mydb_{owner}', 'duckdb')}.{quote(name, 'duckdb')}"
                )

    def ping(self) -> bool:
        """Tell whether the database answers."""
        try:
            with self._conn.cursor() as cursor:
                return bool(cursor.execute("SELECT 1").fetchone() == (1,))
        except duckdb.Error:
            return False

    def close(self) -> None:
        """Cancel running queries and close the database."""
        for running in list(self._running):
            running.end()
        free = [running.stop(_PATIENCE) for running in list(self._running)]
        if all(free):
            self._conn.close()


def _interrupt(cursor: duckdb.DuckDBPyConnection) -> None:
    """Cancel what a cursor executes; do nothing if it is closed."""
    with suppress(duckdb.ConnectionException):
        cursor.interrupt()


def _declared(columns: Sequence[ReleaseColumn]) -> str:
    """Return the column definitions of CREATE TABLE."""
    from desdm.query.engines.writing import SQL_TYPES, kind_of

    types = SQL_TYPES["duckdb"]
    return ", ".join(f"{quote(c.name, 'duckdb')} {types.get(kind_of(c), 'DOUBLE[]')}" for c in columns)


def _counted(
    first: pa.RecordBatch, rest: Iterator[pa.RecordBatch], counted: list[int]
) -> Iterator[pa.RecordBatch]:
    """Yield the batches and add their sizes in bytes to ``counted[0]``."""
    counted[0] += first.nbytes
    yield first
    for batch in rest:
        counted[0] += batch.nbytes
        yield batch


def _text(path: Path) -> str:
    """Return a path as a text literal of SQL."""
    return "'" + str(path).replace("'", "''") + "'"
