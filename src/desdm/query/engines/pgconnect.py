"""Pool of connections to PostgreSQL: idle ones stay open, interrupted ones are closed, all end with the pool."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.rows import TupleRow

from desdm import config as settings
from desdm.config import Config
from desdm.errors import DatabaseUnavailable

__all__ = ["Connections", "abandon", "interrupt"]

_IDLE = 8
#: Timeout of a request to cancel a query, seconds.
_HEARD = 2.0
#: First version of the server with client_connection_check_interval.
_CHECKS = 140_000


class Connections:
    """Connections to one database.

    Parameters
    ----------
    url
        ``postgresql://user@host/name``; the password is in the URL or in the settings.
    """

    def __init__(self, url: str, config: Config | None = None) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._password = (
            settings.password(config) if config is not None and ":" not in url.split("@")[0][13:] else None
        )
        self._lock = threading.Lock()
        self._idle: list[psycopg.Connection[TupleRow]] = []
        self._used: set[psycopg.Connection[TupleRow]] = set()

    @contextmanager
    def taken(self) -> Iterator[psycopg.Connection[TupleRow]]:
        """Yield a connection, an idle one if possible; it is rolled back at the end.

        Raises
        ------
        DatabaseUnavailable
            A connection cannot be opened, or it broke.
        """
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

    def close(self) -> None:
        """Close idle connections and cancel the statements of the others."""
        with self._lock:
            idle, self._idle = self._idle, []
            used = list(self._used)
        for conn in idle:
            conn.close()
        for conn in used:
            interrupt(conn)

    def _take(self) -> psycopg.Connection[TupleRow]:
        """Return an idle connection that still works, or a new one."""
        while True:
            with self._lock:
                conn = self._idle.pop() if self._idle else None
            if conn is None:
                conn = self._connect()
                break
            try:
                conn.execute("BEGIN")
                break
            except psycopg.OperationalError:
                # The connection broke while it was idle.
                conn.close()
        with self._lock:
            self._used.add(conn)
        return conn

    def _connect(self) -> psycopg.Connection[TupleRow]:
        """Open a connection with the settings that queries need."""
        conn = psycopg.connect(
            self._url,
            connect_timeout=10,
            application_name="desdm",
            cursor_factory=psycopg.ClientCursor,
            password=self._password,  # None: as the URL or the environment has it
            options="-c timezone=UTC -c jit=off -c search_path=desdm_service,public",
        )
        if conn.info.server_version >= _CHECKS:
            # Otherwise a query goes on after this process was killed.
            conn.execute("SET client_connection_check_interval = '2s'")
            conn.commit()
        return conn

    def _give(self, conn: psycopg.Connection[TupleRow]) -> None:
        """Roll a connection back and return it to the pool."""
        try:
            if not conn.closed:
                conn.rollback()
        except psycopg.Error:
            conn.close()
        with self._lock:
            self._used.discard(conn)
            if not conn.closed and len(self._idle) < _IDLE:
                self._idle.append(conn)
                return
        conn.close()


def interrupt(conn: psycopg.Connection[TupleRow]) -> None:
    """Cancel the statement of a connection, in a thread of its own so that the caller does not wait for the server."""

    def tell() -> None:
        with suppress(psycopg.Error):
            conn.cancel_safe(timeout=_HEARD)

    threading.Thread(target=tell, name="desdm-interrupt", daemon=True).start()


def abandon(conn: psycopg.Connection[TupleRow]) -> None:
    """Close a connection in the middle of an answer, and end the query in the database."""
    with suppress(psycopg.Error):
        conn.cancel_safe(timeout=_HEARD)
    conn.close()
