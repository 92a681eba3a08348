"""Open the engine of an installation: DuckDB in this process, or PostgreSQL."""

from __future__ import annotations

from desdm.config import Config
from desdm.errors import ConfigError
from desdm.query.engines.model import Engine

__all__ = ["open_engine"]


def open_engine(config: Config, url: str | None = None) -> Engine:
    """Open the engine of an installation.

    Parameters
    ----------
    url
        PostgreSQL of the release tables; None: ``services.database`` of the settings; empty: DuckDB.

    Raises
    ------
    ConfigError
        The URL is not one of PostgreSQL.
    DatabaseUnavailable
        PostgreSQL does not answer.
    """
    wanted = config.services_database if url is None else url
    if not wanted:
        from desdm.query.engines.duckdb import DuckEngine

        return DuckEngine(config.home)
    if not wanted.startswith(("postgresql://", "postgresql+psycopg://", "postgres://")):
        raise ConfigError("the database of release tables is a URL postgresql://user@host/name")
    from desdm.query.engines.postgres import PostgresEngine

    return PostgresEngine(wanted, config)
