"""Interface of query engines, and the records that they take."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from desdm.release.model import ReleaseColumn, ReleaseFile, ReleaseTable

__all__ = ["Cancel", "Engine", "Query", "Upload"]


@dataclass(frozen=True, slots=True)
class Query:
    """An ADQL query in the engine's own SQL.

    Attributes
    ----------
    sql, params
        Statement with the engine's placeholders, and the values of its parameters.
    columns
        Description of the answer's columns, in order.
    tables
        (schema, table) that the query reads, as TAP_SCHEMA names them; rights are checked for these.
    top
        Rows after TOP, or None.
    """

    sql: str
    params: tuple[Any, ...]
    columns: tuple[ReleaseColumn, ...]
    tables: frozenset[tuple[str, str]]
    top: int | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """A table uploaded with a query: ``TAP_UPLOAD.<name>``."""

    name: str
    columns: tuple[ReleaseColumn, ...]
    rows: pa.Table


@dataclass(slots=True)
class Cancel:
    """Cancels a query from another thread; the engine adds to ``callbacks`` what cancels it in the database."""

    event: threading.Event = field(default_factory=threading.Event)
    callbacks: list[Any] = field(default_factory=list)

    def __call__(self) -> None:
        """Cancel the query."""
        self.event.set()
        for callback in list(self.callbacks):
            callback()


class Engine(Protocol):
    """Answers queries on release tables, uploads and tables of users."""

    #: Dialect of its SQL: ``duckdb`` or ``postgresql``.
    dialect: str

    def attach(
        self, release: str, tables: Sequence[ReleaseTable], root: Path, files: Sequence[ReleaseFile] = ()
    ) -> None:
        """Make the tables of a release available for queries; the call is idempotent.

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

        Raises
        ------
        CorruptFile
            A file of the tables is missing or damaged.
        TransientError
            There is no room, or a database or file is not available.
        """

    def replace(self, schema: str, table: str, columns: Sequence[ReleaseColumn], rows: pa.Table) -> None:
        """Replace the rows of one of the service's own tables: ``tap_schema.…``, ``ivoa.obscore``.

        Parameters
        ----------
        schema, table
            Name of the table.
        columns
            Its columns.
        rows
            All its rows.
        """

    def replaced(self) -> Mapping[tuple[str, str], tuple[ReleaseColumn, ...]]:
        """Return the service's own tables, by schema and name, with their columns."""

    def execute(
        self,
        query: Query,
        *,
        uploads: Mapping[str, Upload] | None = None,
        owner: str = "",
        seconds: float | None = None,
        cancel: Cancel | None = None,
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """Run a query and yield its rows as they come, with bounded memory.

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

    def save(
        self,
        owner: str,
        name: str,
        columns: Sequence[ReleaseColumn],
        rows: Iterator[pa.RecordBatch],
        *,
        append: bool = False,
    ) -> tuple[int, int]:
        """Create or extend ``mydb.<name>`` of a user, in one transaction.

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
            Rows and bytes.
        """

    def drop(self, owner: str, name: str) -> None:
        """Drop ``mydb.<name>`` of ``owner``."""

    def ping(self) -> bool:
        """Tell whether the engine answers."""

    def close(self) -> None:
        """Cancel running queries and close all connections."""
