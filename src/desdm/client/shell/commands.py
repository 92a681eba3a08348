"""The commands of the shell, in the words that users of easyaccess know."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from desdm.client.shell import settings as kept
from desdm.client.shell.session import Session
from desdm.errors import NotFoundError, UsageError

__all__ = ["COMMANDS", "HELP"]


def _describe_table(shell: Session, words: tuple[str, ...]) -> None:
    table, pattern = _table_and_pattern(words)
    name = _full_name(shell, table)
    columns = shell.client.columns(name)
    if not columns.num_rows:
        raise NotFoundError(f"there is no table {table}; find_tables %part% looks for names")
    shell.show(_like(columns, "column_name", pattern))


def _find_tables(shell: Session, words: tuple[str, ...]) -> None:
    shell.show(_like(shell.client.tables(), "table_name", words[0] if words else "%"))


def _find_tables_with_column(shell: Session, words: tuple[str, ...]) -> None:
    if len(words) != 1:
        raise UsageError("find_tables_with_column COLUMN (% stands for anything)")
    columns, _ = shell.client.rows(
        "SELECT table_name, column_name, unit, description FROM tap_schema.columns"
    )
    shell.show(_like(columns, "column_name", words[0]))


def _user_tables(shell: Session, _: tuple[str, ...]) -> None:
    tables = shell.client.mydb.tables()
    if not tables:
        shell.say("no tables of your own yet; next: load_table FILE")
        return
    shell.show(pa.Table.from_pylist([{k: t.get(k) for k in ("name", "rows", "bytes")} for t in tables]))


def _myquota(shell: Session, _: tuple[str, ...]) -> None:
    status = shell.client.mydb.status()
    shell.say(f"{status.get('used', 0):,} of {status.get('quota', 0):,} bytes are used")


def _whoami(shell: Session, _: tuple[str, ...]) -> None:
    found = shell.client.whoami()
    login = found.get("login") or "nobody in particular (no token)"
    shell.say(f"{login}, role {found.get('role', 'public')}, at {shell.client.connection.url}")


def _load_table(shell: Session, words: tuple[str, ...]) -> None:
    path, name = _file_and_name("load_table", words)
    made = shell.client.mydb.load(name, path) or {}
    shell.say(f"mydb.{name} is made{_rows(made)}")
    shell.names.refresh()


def _append_table(shell: Session, words: tuple[str, ...]) -> None:
    path, name = _file_and_name("append_table", words)
    made = shell.client.mydb.append(name, path) or {}
    shell.say(f"rows were added to mydb.{name}{_rows(made)}")


def _drop_table(shell: Session, words: tuple[str, ...]) -> None:
    if len(words) != 1:
        raise UsageError("drop_table NAME")
    name = words[0].removeprefix("mydb.")
    if shell.interactive and not shell.confirm(f"drop mydb.{name} and all its rows?"):
        shell.say("it stays")
        return
    shell.client.mydb.drop(name)
    shell.say(f"mydb.{name} is dropped")
    shell.names.refresh()


def _explain(shell: Session, words: tuple[str, ...]) -> None:
    adql = words[0] if words else shell.last
    if not adql:
        raise UsageError("explain QUERY; without one the last query is explained")
    rows, _ = shell.client.rows(adql, maxrec=0)
    shell.say("the query is allowed and would answer with these columns:")
    about = [{k.decode(): v.decode() for k, v in (f.metadata or {}).items()} for f in rows.schema]
    shell.show(
        pa.table(
            {
                "column": rows.column_names,
                "type": [str(f.type) for f in rows.schema],
                "unit": [a.get("unit", "") for a in about],
                "ucd": [a.get("ucd", "") for a in about],
                "description": [a.get("description", "") for a in about],
            }
        )
    )


def _history(shell: Session, words: tuple[str, ...]) -> None:
    most = int(words[0]) if words and words[0].isdigit() else 20
    for n, text in enumerate(shell.past[-most:], max(1, len(shell.past) - most + 1)):
        shell.say(f"{n:5d}  {text}")


def _config(shell: Session, words: tuple[str, ...]) -> None:
    if len(words) == 2:
        shell.settings = shell.settings.changed(words[0], words[1])
        kept.store(shell.settings)
    elif words:
        raise UsageError("config shows all settings; config NAME VALUE changes one")
    for name, value in asdict(shell.settings).items():
        shell.say(f"{name:12s} {('yes' if value else 'no') if isinstance(value, bool) else value}")


def _loadsql(shell: Session, words: tuple[str, ...]) -> None:
    if len(words) != 1:
        raise UsageError("loadsql FILE, or @FILE")
    shell.run_file(Path(words[0]).expanduser())


def _refresh(shell: Session, _: tuple[str, ...]) -> None:
    shell.names.refresh()
    shell.say("names of tables and columns are being read again")


def _help(shell: Session, words: tuple[str, ...]) -> None:
    if words and words[0] in HELP:
        shell.say(f"{words[0]} {HELP[words[0]]}")
        return
    shell.say("SELECT …;                      show the rows")
    shell.say("SELECT …; > out.fits           write them (csv tab fits parquet vot h5)")
    shell.say("@file.sql [> out.csv]          the statements of a file")
    for name, text in HELP.items():
        shell.say(f"{name:30s} {text}")


def _quit(_: Session, __: tuple[str, ...]) -> None:
    raise EOFError


#: What each command says of itself.
HELP = {
    "describe_table": "TABLE [with %part%]: columns, units and texts",
    "find_tables": "[%part%]: tables by name",
    "find_tables_with_column": "%part%: tables that have a column",
    "mytables": "tables of your own (also user_tables)",
    "myquota": "room for tables of your own",
    "whoami": "who you are to the server",
    "load_table": "FILE [NAME]: make mydb.NAME of a file (csv tab fits parquet vot)",
    "append_table": "FILE [NAME]: add a file's rows to mydb.NAME",
    "drop_table": "NAME: drop mydb.NAME",
    "explain": "[QUERY]: whether it is allowed, and its columns; nothing is run",
    "history": "[N]: the last things typed",
    "config": "[NAME VALUE]: settings",
    "loadsql": "FILE: the statements of a file",
    "refresh": "read names of tables and columns again",
    "help": "[COMMAND]: this",
    "quit": "leave (also exit, Ctrl-D)",
}

COMMANDS: dict[str, Callable[[Session, tuple[str, ...]], None]] = {
    "describe_table": _describe_table, "find_tables": _find_tables, "find_tables_with_column": _find_tables_with_column,
    "user_tables": _user_tables, "mytables": _user_tables, "myquota": _myquota, "whoami": _whoami,
    "load_table": _load_table, "append_table": _append_table, "drop_table": _drop_table, "explain": _explain,
    "explain_query": _explain, "history": _history, "config": _config, "loadsql": _loadsql, "refresh": _refresh,
    "refresh_metadata_cache": _refresh, "help": _help, "quit": _quit, "exit": _quit, "?": _help,
}  # fmt: skip


def _table_and_pattern(words: tuple[str, ...]) -> tuple[str, str]:
    if len(words) == 1:
        return words[0], "%"
    if len(words) == 3 and words[1].lower() == "with":
        return words[0], words[2]
    raise UsageError("describe_table TABLE [with %part%]")


def _full_name(shell: Session, table: str) -> str:
    if "." in table:
        return table
    found = [
        t
        for t in shell.client.tables()["table_name"].to_pylist()
        if t.lower().split(".")[-1] == table.lower()
    ]
    if len(found) > 1:
        raise UsageError(f"{table} stands in several releases: {', '.join(found)}; say which")
    return found[0] if found else table


def _like(rows: pa.Table, column: str, pattern: str) -> pa.Table:
    shape = re.compile(fnmatch.translate(pattern.replace("%", "*")), re.IGNORECASE)
    return rows.filter(pa.array([bool(shape.match(text)) for text in rows[column].to_pylist()], pa.bool_()))


def _file_and_name(command: str, words: tuple[str, ...]) -> tuple[Path, str]:
    if len(words) not in (1, 2):
        raise UsageError(f"{command} {HELP[command].split(':')[0]}")
    path = Path(words[0]).expanduser()
    name = (words[1] if len(words) == 2 else path.stem).removeprefix("mydb.")
    return path, name


def _rows(made: dict[str, Any]) -> str:
    return f": {made['rows']:,} rows" if "rows" in made else ""
