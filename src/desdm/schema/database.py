"""Opens a database: engine, transactions for reading and writing, and blocks of new numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from desdm.errors import ConfigError, DatabaseUnavailable, StorageFull
from desdm.schema.version import HEAD

__all__ = ["Database", "new_ids"]

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a commit that was told must survive a loss of power
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
    """

    def __init__(self, url: str | URL, patience: float = 60.0) -> None:
        try:
            self.url = make_url(url)
            self.engine = _engine(self.url, patience)
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

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database; what it writes is rolled back."""
        with _translated(), self.engine.connect() as conn:
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in one transaction: committed at the end, rolled back on any error.

        On SQLite the write lock is taken at once, so that two writers queue up and never dead-lock.
        """
        with _translated(), self.engine.connect().execution_options(desdm_write=True) as conn, conn.begin():
            yield conn

    def require_current(self) -> None:
        """Raise `ConfigError` unless the schema is this program's."""
        with self.read() as conn:
            if not inspect(conn).has_table("alembic_version"):
                raise ConfigError(f"database {self.describe()} has no schema; run: desdm init")
            found = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found != HEAD:
            raise ConfigError(
                f"schema of {self.describe()} is at {found}, this program needs {HEAD}; run: desdm init --upgrade"
            )

    def describe(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as err:
        said = str(err.orig)
        if "disk is full" in said or "disk I/O error" in said or "No space left" in said:
            raise StorageFull(f"the database could not write: {said}; make room and try again") from err
        raise DatabaseUnavailable(f"the database does not answer: {said.strip()}; try again") from err
    except PoolTimeout as err:
        raise DatabaseUnavailable("all connections to the database are in use; try again") from err
    except DBAPIError as err:
        if err.connection_invalidated:
            raise DatabaseUnavailable(f"the connection to the database broke: {err.orig}; try again") from err
        raise


def _engine(url: URL, patience: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": patience})
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    if url.get_backend_name() == "postgresql":
        options = {"connect_timeout": 10, "options": f"-c lock_timeout={round(patience * 1000)}"}
        return create_engine(url, pool_pre_ping=True, connect_args=options)
    raise ArgumentError(f"no such engine: {url.get_backend_name()}")


def _sqlite_connected(dbapi_connection: Any, _record: Any) -> None:
    # Transactions are begun by us: the driver's own guess would take the write lock late.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _sqlite_begin(conn: Connection) -> None:
    writing = conn.get_execution_options().get("desdm_write", False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def new_ids(conn: Connection, table: Table, count: int) -> Sequence[int]:
    """``count`` fresh numbers for ``table.id``, to be used in this transaction.

    Rows of a bulk insert name each other (files and their parents), so their numbers must be known before
    the insert. On SQLite the writer holds the lock, so that the next numbers are its own; on PostgreSQL
    they come from the column's sequence.
    """
    if count == 0:
        return range(0)
    if conn.dialect.name == "sqlite":
        top = conn.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
        return range(top + 1, top + 1 + count)
    sequence = f"{table.name}_id_seq"
    drawn = select(func.nextval(sequence)).select_from(func.generate_series(1, count))
    return [row[0] for row in conn.execute(drawn)]
