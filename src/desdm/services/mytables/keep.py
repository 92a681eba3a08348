"""Makes, extends and drops tables of a user, within the quota; the engine's rows and our record go together."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Iterator, Sequence

import pyarrow as pa

from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied, ConflictError, LimitExceeded, NotFoundError, UsageError
from desdm.query.adql.reader import STRUCTURAL
from desdm.release.model import ReleaseColumn
from desdm.services.context import Services
from desdm.services.limits import limits_of
from desdm.services.mydb import store
from desdm.services.mydb.model import UserTable
from desdm.services.uws.store import now

__all__ = ["Keeper", "allowed"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}")


def allowed(caller: Caller) -> None:
    """Refuse who may not keep tables."""
    if not caller.may(Action.MYDB):
        if caller.known:
            # Whatever the role, a token allows no more than its scopes.
            raise AccessDenied(
                f"this token does not allow tables of your own: it lacks the scope {Action.MYDB.value}; "
                f"make one that has it: desdm account token {caller.login} --scope {Action.READ.value} "
                f"--scope {Action.MYDB.value}",
                True,
            )
        raise AccessDenied("tables of your own need an account; log in", False)


class _OwnerLock:
    """Held while tables of one user are changed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Keeper:
    """Keeps the tables of all users of one server; two deeds on tables of one user follow one another."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._guard = threading.Lock()
        self._locks: weakref.WeakValueDictionary[str, _OwnerLock] = weakref.WeakValueDictionary()

    def _lock(self, owner: str) -> _OwnerLock:
        """The lock of one user's tables; a query of one user does not hold up another."""
        with self._guard:
            return self._locks.setdefault(owner, _OwnerLock())

    def tables(self, caller: Caller) -> list[UserTable]:
        """Tables of a user."""
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
        """Make a table, or add rows to it; whole or not at all.

        Raises
        ------
        UsageError
            The name cannot be a table's, or the columns are not those of the table.
        ConflictError
            A table to make is there already.
        NotFoundError
            A table to extend is not there.
        LimitExceeded
            The quota does not suffice.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"table {name[:48]!r}: 48 letters, digits and _ at most, a letter first")
        with self._lock(caller.login).lock:
            held = self.tables(caller)
            known = next((t for t in held if t.name.lower() == name.lower()), None)
            if known is not None and not append:
                raise ConflictError(f"mydb.{known.name} is there already; drop it, or add to it")
            if known is None and name.upper() in STRUCTURAL:
                raise UsageError(f"{name} is a reserved word of ADQL; give the table another name")
            if known is None and append:
                raise NotFoundError(f"there is no mydb.{name} to add to; make it first")
            if known is not None and [c.name for c in known.columns] != [c.name for c in columns]:
                raise UsageError(
                    f"mydb.{known.name} has the columns {', '.join(c.name for c in known.columns)}"
                )
            free = limits_of(caller.role).mydb_bytes - sum(t.size for t in held)
            stands = name if known is None else known.name
            total, size = self._services.engine.save(
                caller.login, stands, columns, _bounded(rows, free), append=append
            )
            # The engine tells the bytes that came now.
            before = 0 if known is None else known.size
            made = UserTable(
                caller.login, stands, total, before + size, tuple(columns),
                text or (known.text if known else ""), known.created_at if known else now(),
            )  # fmt: skip
            with self._services.state.write() as conn:
                store.put(conn, made)
        return made

    def drop(self, caller: Caller, name: str) -> None:
        """Drop a table; `NotFoundError` if there is none."""
        with self._lock(caller.login).lock:
            known = next((t for t in self.tables(caller) if t.name.lower() == name.lower()), None)
            if known is None:
                raise NotFoundError(f"there is no mydb.{name[:48]}")
            self._services.engine.drop(caller.login, known.name)
            with self._services.state.write() as conn:
                store.remove(conn, caller.login, known.name)


def _bounded(rows: Iterator[pa.RecordBatch], free: int) -> Iterator[pa.RecordBatch]:
    taken = 0
    for batch in rows:
        taken += batch.nbytes
        if taken > free:
            raise LimitExceeded(
                f"the table is larger than the {max(0, free) // 1_000_000} MB that are free for your tables; drop some",
                "quota",
            )
        yield batch
