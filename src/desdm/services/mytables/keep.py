"""Creates, extends and drops tables of a user within the quota, in the query engine and in the service database."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Iterator, Sequence

import pyarrow as pa

from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied, ConflictError, LimitExceeded, LimitKind, NotFoundError, UsageError
from desdm.release.model import ReleaseColumn
from desdm.schema.adqlwords import STRUCTURAL
from desdm.services.context import Services
from desdm.services.limits import limits_of
from desdm.services.mydb import store
from desdm.services.mydb.model import UserTable
from desdm.services.uws.store import now

__all__ = ["Keeper", "require_mydb"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}")


def require_mydb(caller: Caller) -> None:
    """Raise `AccessDenied` unless the caller may have own tables."""
    if not caller.may(Action.MYDB):
        if caller.known:
            # The role allows it, so that the token lacks the scope.
            raise AccessDenied(
                f"this token does not allow tables of your own: it lacks the scope {Action.MYDB.value}; "
                f"make one that has it: desdm account token {caller.login} --scope {Action.READ.value} "
                f"--scope {Action.MYDB.value}",
                True,
            )
        raise AccessDenied(
            "tables of your own need an account: log in on the page /login, or pass a token of the page /account "
            "(DESDM_TOKEN, or --token TOKEN); the operator of the installation adds accounts: desdm account add LOGIN",
            False,
        )


class _OwnerLock:
    """Lock of the tables of one user."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Keeper:
    """Manages the tables of all users on one server; changes to tables of one user are serialised."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._locks_lock = threading.Lock()
        self._locks: weakref.WeakValueDictionary[str, _OwnerLock] = weakref.WeakValueDictionary()

    def _lock(self, owner: str) -> _OwnerLock:
        """Return the lock of one user's tables, so that users do not wait for each other."""
        with self._locks_lock:
            return self._locks.setdefault(owner, _OwnerLock())

    def tables(self, caller: Caller) -> list[UserTable]:
        """Return the tables of a user."""
        with self._services.state.read() as conn:
            return store.tables(conn, caller.login)

    def save(
        self,
        caller: Caller,
        name: str,
        columns: Sequence[ReleaseColumn],
        rows: Iterator[pa.RecordBatch],
        *,
        append: bool,
        text: str = "",
    ) -> UserTable:
        """Create a table, or append rows to it, atomically.

        Parameters
        ----------
        caller
            Owner of the table.
        name
            Name of the table.
        columns
            Columns of the rows.
        rows
            Rows.
        append
            Append to an existing table instead of creating one.
        text
            Description; empty: that of the existing table.

        Returns
        -------
        UserTable
            Record of the table.

        Raises
        ------
        UsageError
            The name is invalid, or the columns differ from those of the table.
        ConflictError
            The table to create exists already.
        NotFoundError
            The table to append to does not exist.
        LimitExceeded
            The rows exceed the quota.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"table {name[:48]!r}: 48 letters, digits and _ at most, a letter first")
        with self._lock(caller.login).lock:
            tables = self.tables(caller)
            existing = next((t for t in tables if t.name.lower() == name.lower()), None)
            if existing is not None and not append:
                raise ConflictError(
                    f"mydb.{existing.name} is there already; drop it (drop_table), add to it (append_table), "
                    "or choose another name"
                )
            if existing is None and name.upper() in STRUCTURAL:
                raise UsageError(f"{name} is a reserved word of ADQL; give the table another name")
            if existing is None and append:
                raise NotFoundError(f"there is no mydb.{name} to add to; make it first")
            if existing is not None and [c.name for c in existing.columns] != [c.name for c in columns]:
                raise UsageError(
                    f"mydb.{existing.name} has the columns {', '.join(c.name for c in existing.columns)}, and the rows to "
                    f"add have {', '.join(c.name for c in columns)}: they must be the same, in the same order"
                )
            free = limits_of(caller.role).mydb_bytes - sum(t.size for t in tables)
            table_name = name if existing is None else existing.name
            total, size = self._services.engine.save(
                caller.login, table_name, columns, _within_quota(rows, free), append=append
            )
            # The engine returns the bytes of the new rows.
            before = 0 if existing is None else existing.size
            table = UserTable(
                caller.login,
                table_name,
                total,
                before + size,
                tuple(columns),
                text or (existing.text if existing else ""),
                existing.created_at if existing else now(),
            )
            with self._services.state.write() as conn:
                store.put(conn, table)
        return table

    def drop(self, caller: Caller, name: str) -> None:
        """Drop a table; `NotFoundError` if there is none."""
        with self._lock(caller.login).lock:
            existing = next((t for t in self.tables(caller) if t.name.lower() == name.lower()), None)
            if existing is None:
                raise NotFoundError(f"there is no mydb.{name[:48]}")
            self._services.engine.drop(caller.login, existing.name)
            with self._services.state.write() as conn:
                store.remove(conn, caller.login, existing.name)


def _within_quota(rows: Iterator[pa.RecordBatch], free: int) -> Iterator[pa.RecordBatch]:
    """Pass batches on; `LimitExceeded` when they exceed the free bytes."""
    size = 0
    for batch in rows:
        size += batch.nbytes
        if size > free:
            raise LimitExceeded(
                f"the table is larger than the {max(0, free) // 1_000_000} MB that are free for your tables; drop some",
                LimitKind.QUOTA,
            )
        yield batch
