"""Completion: names of tables and columns, loaded in the background; the shell works without them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from typing_extensions import override

from desdm.client.client import Client
from desdm.errors import DesdmError

__all__ = ["Names", "ShellCompleter"]

_WORDS = (
    "SELECT",
    "TOP",
    "DISTINCT",
    "FROM",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "LIKE",
    "ILIKE",
    "IS",
    "NULL",
    "ORDER",
    "BY",
    "GROUP",
    "HAVING",
    "JOIN",
    "LEFT",
    "ON",
    "AS",
    "COUNT",
    "AVG",
    "MIN",
    "MAX",
    "SUM",
    "CONTAINS",
    "POINT",
    "CIRCLE",
    "POLYGON",
    "BOX",
    "DISTANCE",
    "INTERSECTS",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "WITH",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "COALESCE",
    "OFFSET",
    "desdm_depth",
    "desdm_nexp",
    "desdm_fraction",
    "desdm_in_footprint",
    "ivo_healpix_index",
)


class Names:
    """Tables with their columns, as last loaded."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._tables: dict[str, list[str]] = {}

    def refresh(self) -> None:
        """Load the names in the background; without an answer they stay unchanged."""
        threading.Thread(target=self._load, name="desdm-names", daemon=True).start()

    def _load(self) -> None:
        """Load the names of tables and columns."""
        try:
            tables, _ = self._client.rows("SELECT table_name FROM tap_schema.tables")
            columns, _ = self._client.rows("SELECT table_name, column_name FROM tap_schema.columns")
        except DesdmError:
            return
        columns_by_table: dict[str, list[str]] = {name: [] for name in tables["table_name"].to_pylist()}
        for table, column in zip(*(c.to_pylist() for c in columns.columns), strict=True):
            columns_by_table.setdefault(table, []).append(column)
        with suppress(DesdmError):  # who has no account has no tables
            for table_of_user in self._client.mydb.tables():
                columns_by_table[f"mydb.{table_of_user['name']}"] = [
                    column["name"] for column in table_of_user["columns"]
                ]
        with self._lock:
            self._tables = columns_by_table

    @property
    def tables(self) -> list[str]:
        """Return the names of the tables."""
        with self._lock:
            return sorted(self._tables)

    def columns(self, text: str) -> list[str]:
        """Return the columns of the tables that ``text`` names; of all tables if it names none."""
        lower = text.lower()
        with self._lock:
            tables = [t for t in self._tables if t.lower() in lower] or list(self._tables)
            return sorted({c for t in tables for c in self._tables[t]})


class ShellCompleter(Completer):
    """Commands at a line's beginning, files after ``>`` and ``@``, else tables, columns and words of ADQL."""

    def __init__(self, names: Names, commands: Iterable[str]) -> None:
        self._names, self._commands = names, sorted(commands)
        self._files = PathCompleter(expanduser=True)

    @override
    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield the completions of the input."""
        before = document.text_before_cursor
        word = document.get_word_before_cursor(WORD=True).lstrip("(,")
        first = before.split(None, 1)[0].lower() if before.split() else ""
        if before.startswith("@") or ">" in before.rpartition(";")[2] or first in _FILES:
            start = max(before.rfind(" "), before.rfind("@"), before.rfind(">")) + 1
            yield from self._files.get_completions(Document(before[start:]), complete_event)
            return
        candidates: list[str] = [*self._names.tables, *self._names.columns(document.text)]
        if " " not in before.lstrip():
            candidates += self._commands
        elif first not in self._commands:
            candidates += _WORDS
        part = word.rpartition(".")[2] if word.rpartition(".")[0] and word not in candidates else word
        for name in dict.fromkeys(candidates):
            if name.lower().startswith(word.lower()) and word:
                yield Completion(name, start_position=-len(word))
            elif part != word and name.lower().startswith(part.lower()) and "." not in name:
                yield Completion(name, start_position=-len(part))


_FILES = frozenset(("load_table", "append_table", "loadsql"))
