"""Names for completion: tables and columns, asked for once in the background; without them the shell works too."""

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
    "SELECT", "TOP", "DISTINCT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "ILIKE", "IS",
    "NULL", "ORDER", "BY", "GROUP", "HAVING", "JOIN", "LEFT", "ON", "AS", "COUNT", "AVG", "MIN", "MAX", "SUM",
    "CONTAINS", "POINT", "CIRCLE", "POLYGON", "BOX", "DISTANCE", "INTERSECTS", "UNION", "EXCEPT", "INTERSECT",
    "WITH", "CASE", "WHEN", "THEN", "ELSE", "END", "CAST", "COALESCE", "OFFSET", "desdm_depth", "desdm_nexp",
    "desdm_fraction", "desdm_in_footprint", "ivo_healpix_index",
)  # fmt: skip


class Names:
    """Tables with their columns, as the service last told them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._tables: dict[str, list[str]] = {}

    def refresh(self) -> None:
        """Ask again, in the background; a server that does not answer leaves the names as they were."""
        threading.Thread(target=self._ask, name="desdm-names", daemon=True).start()

    def _ask(self) -> None:
        try:
            tables, _ = self._client.rows("SELECT table_name FROM tap_schema.tables")
            columns, _ = self._client.rows("SELECT table_name, column_name FROM tap_schema.columns")
        except DesdmError:
            return
        found: dict[str, list[str]] = {name: [] for name in tables["table_name"].to_pylist()}
        for table, column in zip(*(c.to_pylist() for c in columns.columns), strict=True):
            found.setdefault(table, []).append(column)
        with suppress(DesdmError):  # who has no account has no tables
            for own in self._client.mydb.tables():
                found[f"mydb.{own['name']}"] = [column["name"] for column in own["columns"]]
        with self._lock:
            self._tables = found

    @property
    def tables(self) -> list[str]:
        """Names of tables."""
        with self._lock:
            return sorted(self._tables)

    def columns(self, text: str) -> list[str]:
        """Columns of the tables that ``text`` names; of all tables if it names none."""
        low = text.lower()
        with self._lock:
            named = [t for t in self._tables if t.lower() in low] or list(self._tables)
            return sorted({c for t in named for c in self._tables[t]})


class ShellCompleter(Completer):
    """Commands at a line's beginning, files after ``>`` and ``@``, else tables, columns and words of ADQL."""

    def __init__(self, names: Names, commands: Iterable[str]) -> None:
        self._names, self._commands = names, sorted(commands)
        self._files = PathCompleter(expanduser=True)

    @override
    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What may follow."""
        before = document.text_before_cursor
        word = document.get_word_before_cursor(WORD=True).lstrip("(,")
        first = before.split(None, 1)[0].lower() if before.split() else ""
        if before.startswith("@") or ">" in before.rpartition(";")[2] or first in _FILES:
            start = max(before.rfind(" "), before.rfind("@"), before.rfind(">")) + 1
            yield from self._files.get_completions(Document(before[start:]), complete_event)
            return
        wanted: list[str] = [*self._names.tables, *self._names.columns(document.text)]
        if " " not in before.lstrip():
            wanted += self._commands
        elif first not in self._commands:
            wanted += _WORDS
        part = word.rpartition(".")[2] if word.rpartition(".")[0] and word not in wanted else word
        for name in dict.fromkeys(wanted):
            if name.lower().startswith(word.lower()) and word:
                yield Completion(name, start_position=-len(word))
            elif part != word and name.lower().startswith(part.lower()) and "." not in name:
                yield Completion(name, start_position=-len(part))


_FILES = frozenset(("load_table", "append_table", "loadsql"))
