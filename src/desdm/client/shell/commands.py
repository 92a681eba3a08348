"""The commands of the shell, in the words that users of easyaccess know."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from desdm.client.shell import settings as kept
from desdm.client.shell.session import Session
from desdm.errors import NotFoundError, UsageError

__all__ = ["COMMANDS", "HELP", "INSTEAD"]


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
    # easyaccess: config KEY set VALUE, config KEY show, config all show.
    words = tuple(w for w in words if w.lower() not in ("set", "show", "all"))
    if len(words) == 1:
        held = asdict(shell.settings)
        if words[0] not in held:
            raise UsageError(f"there is no setting {words[0]}; there are: {', '.join(held)}")
        shell.say(f"{words[0]:12s} {_setting(held[words[0]])}")
        return
    if len(words) == 2:
        shell.settings = shell.settings.changed(words[0], words[1])
        kept.store(shell.settings)
    elif words:
        raise UsageError("config shows all settings; config NAME VALUE changes one")
    for name, value in asdict(shell.settings).items():
        shell.say(f"{name:12s} {_setting(value)}")


def _setting(value: object) -> object:
    return ("yes" if value else "no") if isinstance(value, bool) else value


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
    shell.say(
        "SELECT …; > mydb.name           keep them in a table of your own (also CREATE TABLE name AS SELECT …;)"
    )
    shell.say("\\x                             one column a line, on and off")
    shell.say("! COMMAND                      a command of the operating system")
    shell.say("SELECT …; > out.fits           write them (csv tab fits parquet vot h5)")
    shell.say("@file.sql [> out.csv]          the statements of a file")
    for name, text in HELP.items():
        shell.say(f"{name:30s} {text}")


def _version(shell: Session, _: tuple[str, ...]) -> None:
    from desdm import __version__

    shell.say(f"desdm {__version__}, at {shell.client.connection.url}")


def _clear(_: Session, __: tuple[str, ...]) -> None:
    click.clear()


def _edit(shell: Session, _: tuple[str, ...]) -> None:
    text = click.edit(f"{shell.last};\n" if shell.last else "SELECT ", extension=".sql")
    if text and text.strip():
        shell.attempt(text)


def _show_index(shell: Session, words: tuple[str, ...]) -> None:
    if len(words) != 1:
        raise UsageError("show_index TABLE")
    name = _full_name(shell, words[0]).lower()
    rows, _ = shell.client.rows("SELECT table_name, column_name, indexed FROM tap_schema.columns")
    columns = [row for row in rows.to_pylist() if row["table_name"].lower() == name]
    if not columns:
        raise NotFoundError(f"there is no table {words[0]}; find_tables %part% looks for names")
    names = [row["column_name"] for row in columns if row["indexed"]]
    shell.say(
        f"searched by position (cone, box, polygon) and by: {', '.join(names)}" if names
        else "no column is marked as indexed; searches by position are fast in every release table"
    )  # fmt: skip


def _help_function(shell: Session, words: tuple[str, ...]) -> None:
    shell.say(
        "functions of ADQL, and those of this server, are described at /tap/capabilities and /tap/examples"
    )
    if words:
        shell.say(f"to see whether {words[0]} is known, use it in a query after the word explain")


def _system(shell: Session, words: tuple[str, ...]) -> None:
    if not words:
        raise UsageError("shell COMMAND, or ! COMMAND")
    shell.system(" ".join(words))


def _find_user(shell: Session, words: tuple[str, ...]) -> None:
    _whoami(shell, words)
    shell.say("other people are listed by the installation's operator: desdm account list")


def _quit(_: Session, __: tuple[str, ...]) -> None:
    raise EOFError


#: Words of easyaccess that have no counterpart in the shell, and what to do instead.
INSTEAD = {
    "set_password": "desdm account password LOGIN at the installation, or the page /account",
    "change_db": "one shell asks one server; start another: desdm sql --url ADDRESS",
    "add_comment": "texts of a table of your own are given when it is made: load_table with a VOTable or FITS file",
    "prefetch": "answers come as a stream; config max_rows sets how many rows are shown",
    "execproc": "the service runs queries only, no procedures",
    "import": "no code is loaded; Python: from desdm.client import Client",
    "user_api": "Python: from desdm.client import Client; Client(ADDRESS).query(ADQL)",
    "online_tutorial": "the page /api of the server, and /tap/examples",
    "insert": "append_table FILE NAME adds rows to a table of your own",
    "update": "tables are made anew: SELECT … ; > mydb.NAME",
    "delete": "drop_table NAME drops a table of your own",
    "alter": "tables are made anew: SELECT … ; > mydb.NAME",
    "create": "CREATE TABLE mydb.NAME AS SELECT …; or SELECT … ; > mydb.NAME; or load_table FILE",
}
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
    "show_db": "which server this is, and who you are to it",
    "show_index": "TABLE: columns by which it is searched quickly",
    "version": "of desdm, and the server",
    "edit": "the last query, in $EDITOR",
    "clear": "clear the screen",
    "quit": "leave (also exit, Ctrl-D)",
}

COMMANDS: dict[str, Callable[[Session, tuple[str, ...]], None]] = {
    "describe_table": _describe_table, "find_tables": _find_tables, "find_tables_with_column": _find_tables_with_column,
    "user_tables": _user_tables, "mytables": _user_tables, "myquota": _myquota, "whoami": _whoami,
    "load_table": _load_table, "append_table": _append_table, "drop_table": _drop_table, "explain": _explain,
    "explain_query": _explain, "history": _history, "config": _config, "loadsql": _loadsql, "refresh": _refresh,
    "refresh_metadata_cache": _refresh, "version": _version, "show_db": _whoami, "show_index": _show_index, "edit": _edit,
    "clear": _clear, "find_user": _find_user, "help_function": _help_function, "shell": _system, "desc": _describe_table,
    "describe": _describe_table, "tables": _find_tables, "show_tables": _find_tables, "help": _help,
    "quit": _quit, "exit": _quit, "?": _help,
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
