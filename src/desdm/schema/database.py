"""Opens a database: engine, transactions for reading and writing, and blocks of new numbers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Select, Table, create_engine, event, func, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    DBAPIError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from desdm.errors import (
    ConfigError,
    DamagedDatabase,
    DatabaseUnavailable,
    DesdmError,
    StorageFull,
    StorageUnavailable,
    UsageError,
    storage_error,
)
from desdm.modes import make_private
from desdm.schema import tables as _tables  # noqa: F401  foreign keys find their tables when all are loaded
from desdm.schema.version import HEAD

__all__ = ["Database", "database_error", "new_ids", "translated"]

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a reported commit must survive a loss of power
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-65536",
    "PRAGMA mmap_size=1073741824",
    "PRAGMA temp_store=MEMORY",
)


class Database:
    """One database of an installation.

    Parameters
    ----------
    url
        ``sqlite:///…/desdm.sqlite`` or ``postgresql+psycopg://…``.
    patience
        Seconds that a statement waits for a lock that another holds.
    create
        Whether a SQLite file that does not exist is created; otherwise a connection raises `ConfigError`.
    writable
        False: every connection is opened for reading only, whatever the modes of the file allow.
    """

    def __init__(
        self, url: str | URL, patience: float = 60.0, *, create: bool = True, writable: bool = True
    ) -> None:
        self._writable = writable
        try:
            self.url = make_url(url)
            with translated():
                self.engine = _engine(self.url, patience, create and writable, writable)
            self._patience = patience
            if self.dialect == "sqlite":
                event.listen(self.engine, "connect", self._set_patience)
        except (ArgumentError, NoSuchModuleError) as err:
            raise ConfigError(
                f"database URL cannot be used: {err}; sqlite:/// or postgresql+psycopg://"
            ) from err

    def wait_at_most(self, seconds: float) -> None:
        """Wait no longer for locks of SQLite from now on; a server must not hold its threads for a long writer."""
        self._patience = seconds
        self.engine.dispose()

    def _set_patience(self, dbapi_connection: Any, _record: Any) -> None:
        """Set how long a new connection to SQLite waits for a lock."""
        dbapi_connection.execute(f"PRAGMA busy_timeout={round(self._patience * 1000)}")

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    @property
    def read_only(self) -> bool:
        """Whether the database was opened for reading, or is a SQLite file that its modes or its file system protect."""
        if not self._writable:
            return True
        if self.dialect != "sqlite" or not self.url.database:
            return False
        return _read_only(Path(self.url.database))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database; what it writes is rolled back."""
        with translated(), self.engine.connect() as conn:
            # By default each statement of PostgreSQL sees a state of its own.
            if self.dialect == "postgresql":
                conn = conn.execution_options(isolation_level="REPEATABLE READ")
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in one transaction: committed at the end, rolled back on any error.

        On SQLite the write lock is taken at once, so that two writers queue up and never dead-lock.

        Raises
        ------
        StorageUnavailable
            The SQLite file or its directory cannot be written.
        """
        if not self._writable:
            raise StorageUnavailable(f"{self.describe()} was opened for reading only; nothing is written")
        if self.read_only:
            raise StorageUnavailable(
                f"{self.url.database} cannot be written: it or its file system is read only; make it writable"
            )
        with translated(), self.engine.connect().execution_options(desdm_write=True) as conn, conn.begin():
            yield conn

    def require_current(self) -> None:
        """Raise `ConfigError` unless the schema is this program's."""
        version = self.schema_version()
        if version is None:
            raise ConfigError(
                f"database {self.describe()} is empty or of another program: it has no schema; restore it from a backup, or "
                "correct database.url in desdm.toml; if the installation never held data, run: desdm init --upgrade"
            )
        if version != HEAD:
            raise ConfigError(
                f"schema of {self.describe()} is at {version}, this program needs {HEAD}; run: desdm init --upgrade"
            )

    def schema_version(self) -> str | None:
        """Return the revision of the schema; None: the database has no schema.

        Raises
        ------
        ConfigError
            The schema is newer than this program, which cannot read it.
        DamagedDatabase
            The schema does not say its revision.
        """
        with self.read() as conn:
            if not inspect(conn).has_table("alembic_version"):
                return None
            version = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if not version:
            raise DamagedDatabase(
                f"{self.describe()} does not say which schema it has; run: desdm doctor, and restore it from a backup"
            )
        if str(version) > HEAD:
            raise ConfigError(
                f"schema of {self.describe()} is at {version}, this program knows schemas up to {HEAD}: the program is older "
                "than the database; update the program"
            )
        return str(version)

    def integrity(self) -> str:
        """What an integrity check finds wrong; empty: nothing.

        SQLite reads every page (``PRAGMA quick_check``); PostgreSQL keeps checksums of its own, and must answer.
        """
        with self.read() as conn:
            if self.dialect != "sqlite":
                conn.execute(text("SELECT 1"))
                return ""
            problems = [str(row[0]) for row in conn.execute(text("PRAGMA quick_check(5)"))]
        return "" if problems == ["ok"] else "; ".join(" ".join(one.split()) for one in problems)[:400]

    def describe(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Raise every error of the database that is not the caller's as a typed one; the one place of translation."""
    try:
        yield
    except SQLAlchemyError as err:
        translated = database_error(err)
        if translated is None:
            raise
        raise translated from err
    except UnicodeEncodeError as err:
        # A lone surrogate: Python's sign for a byte of an argument or a file name that is not UTF-8.
        raise UsageError(
            f"{err.object!r:.200} is not UTF-8 text, which a database cannot hold; correct it"
        ) from err
    except OSError as err:
        raise storage_error(err) from err


def database_error(err: SQLAlchemyError) -> DesdmError | None:
    """The typed error for an error of the database; None for one of our own statements or constraints.

    The class of the driver's error says too little: SQLite calls a damaged page, a read-only file and a full disk alike
    an operational error, so its own codes decide (https://www.sqlite.org/rescode.html); for PostgreSQL the SQLSTATE does.
    """
    if isinstance(err, PoolTimeout):
        return DatabaseUnavailable("all connections to the database are in use; try again")
    if not isinstance(err, DBAPIError):
        return None
    message = " ".join(str(err.orig).split())
    code = str(getattr(err.orig, "sqlite_errorname", None) or getattr(err.orig, "sqlstate", None) or "")
    if any(mark in message for mark in _FULL_TEXTS) or code.startswith(_FULL):
        return StorageFull(f"the database could not write: {message}; make room and try again")
    if code.startswith(_READING):
        return StorageUnavailable(
            f"the database was opened for reading only, or cannot be written: {message}"
        )
    if code.startswith(_DAMAGED) or any(mark in message for mark in _DAMAGED_TEXTS):
        return DamagedDatabase(
            f"the database is damaged: {message}; run: desdm doctor, and restore it from a backup"
        )
    if isinstance(err, OperationalError) or err.connection_invalidated:
        return DatabaseUnavailable(
            f"the database does not answer: {message}; try again, or see: desdm doctor"
        )
    if isinstance(err, DataError) and "NUL" in message:
        return UsageError("a text with the byte NUL cannot be kept in a database; leave it out")
    if isinstance(err, InternalError | DataError) or type(err) is DatabaseError:
        return DamagedDatabase(f"the database answers what it should not: {message}; run: desdm doctor")
    return None


#: SHMSIZE: the index of the write-ahead log could not grow, which on a full disk fails first.
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "53100")
#: PostgreSQL: read-only transaction.
_READING = ("SQLITE_READONLY", "25006")
_FULL_TEXTS = ("disk is full", "No space left")
#: PostgreSQL: class XX, internal errors and corrupted data; 42P01 and 42703, a table or column of ours is not there.
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ", "XX", "42P01", "42703")
_DAMAGED_TEXTS = ("malformed", "no such table", "no such column", "Could not decode")


def _engine(url: URL, patience: float, create: bool, writable: bool) -> Engine:
    """Return the SQLAlchemy engine of a URL, with its connection settings."""
    if url.get_backend_name() == "sqlite":
        if url.database and create:
            make_private(Path(url.database).parent)
        # Whether a file may be read as one that nobody changes is decided at each connection: a reader keeps none.
        pool = None if writable else NullPool
        engine = create_engine(url, connect_args={"timeout": patience}, poolclass=pool)

        def connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
            """Connect to a file that is there, without writing where that is impossible; None: in the ordinary way."""
            path = Path(arguments[0])
            if not create and not path.exists():
                raise ConfigError(
                    f"database {path} is not there; mount its disk, correct database.url in desdm.toml, or restore it from a backup"
                )
            if _read_only(path) or not writable:
                return _connect_read_only(path, options)
            return None

        if url.database and url.database != ":memory:" and not url.database.startswith("file:"):
            event.listen(engine, "do_connect", connect)
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    if url.get_backend_name() == "postgresql":
        settings = f"-c lock_timeout={round(patience * 1000)}"
        if not writable:
            settings += " -c default_transaction_read_only=on"
        options = {"connect_timeout": 10, "options": settings}
        return create_engine(url, pool_pre_ping=True, connect_args=options)
    raise ArgumentError(f"no such engine: {url.get_backend_name()}")


class _ReadOnly(sqlite3.Connection):
    """A connection that cannot write, not even the files of a write-ahead log."""


def _read_only(path: Path) -> bool:
    """Whether a file that is there, or its directory, cannot be written; SQLite needs both."""
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _connect_read_only(path: Path, options: dict[str, Any]) -> sqlite3.Connection:
    """Connect to a file that cannot, or must not, be written.

    Without a write-ahead log the file is all there is and nobody changes it: ``immutable`` then does without the log's
    companions, which cannot be created (https://www.sqlite.org/wal.html#readonly).
    """
    log, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    # Who writes keeps both companions open, empty or not; where only an index lies, a writer has just begun or ended.
    used = (log.exists() and log.stat().st_size > 0) or (index.exists() and not _read_only(path))
    flags = "mode=ro" if used else "mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?{flags}", uri=True, factory=_ReadOnly, **options
        )
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as err:
        raise StorageUnavailable(
            f"{path} cannot be read: {err}; its file system is read-only and changes are in {log.name}: make it writable"
        ) from err
    return connection


def _sqlite_connected(dbapi_connection: Any, _record: Any) -> None:
    """Set the pragmas of a new SQLite connection."""
    # Transactions are begun by us: the driver's own guess would take the write lock late.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    for pragma in _PRAGMAS:
        if isinstance(dbapi_connection, _ReadOnly) and "journal_mode" in pragma:
            continue
        cursor.execute(pragma)
    cursor.close()


def _sqlite_begin(conn: Connection) -> None:
    """Begin a SQLite transaction; a writing one takes the write lock at once."""
    writing = conn.get_execution_options().get("desdm_write", False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@cache
def _largest_id(table: Table) -> Select[Any]:
    """Statement for the largest number in ``table.id``, 0 if it is empty; cached, since each deposit asks."""
    return select(func.coalesce(func.max(table.c.id), 0))


def new_ids(conn: Connection, table: Table, count: int) -> Sequence[int]:
    """``count`` fresh numbers for ``table.id``, to be used in this transaction.

    Rows of a bulk insert name each other (files and their parents), so their numbers must be known before
    the insert. On SQLite the writer holds the lock, so that the next numbers are its own; on PostgreSQL
    they come from the column's sequence.

    Parameters
    ----------
    conn
        Connection to the database.
    table
        Table with a column ``id``.
    count
        How many numbers are needed.
    """
    if count == 0:
        return range(0)
    if conn.dialect.name == "sqlite":
        top = int(conn.execute(_largest_id(table)).scalar_one())
        return range(top + 1, top + 1 + count)
    sequence = f"{table.name}_id_seq"
    drawn = select(func.nextval(sequence)).select_from(func.generate_series(1, count))
    return [row[0] for row in conn.execute(drawn)]
