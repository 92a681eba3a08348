"""Commands of the shell, with the names that users of easyaccess know."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click
import pyarrow as pa

from desdm.client.answers import OwnTable
from desdm.client.shell import settings as settings_file
from desdm.client.shell.session import Leave, Session
from desdm.errors import AccessDenied, NotFoundError, UsageError

__all__ = ["COMMANDS", "HELP", "INSTEAD"]


def _describe_table(shell: Session, words: tuple[str, ...]) -> None:
    """List the columns of a table, with a pattern on request."""
    table, pattern = _table_and_pattern(words)
    name = _full_name(shell, table)
    columns = shell.client.columns(name)
    if not columns.num_rows:
        raise NotFoundError(f"there is no table {table}; find_tables %part% looks for names")
    _show_like(shell, columns, "column_name", pattern, f"column of {name}")


def _find_tables(shell: Session, words: tuple[str, ...]) -> None:
    """List tables by a pattern on their names."""
    rows = shell.client.tables()
    own = [
        {"schema_name": "mydb", "table_name": f"mydb.{table['name']}", "description": "table of your own"}
        for table in _own_tables(shell)
    ]
    if own:
        rows = pa.concat_tables([rows, pa.Table.from_pylist(own, schema=rows.schema)])
    _show_like(shell, rows, "table_name", words[0] if words else "%", "table")


def _find_tables_with_column(shell: Session, words: tuple[str, ...]) -> None:
    """List tables by a pattern on their columns."""
    if len(words) != 1:
        raise UsageError("find_tables_with_column COLUMN (% matches any characters)")
    columns, _ = shell.client.rows(
        "SELECT table_name, column_name, unit, description FROM tap_schema.columns"
    )
    own = [
        {
            "table_name": f"mydb.{t['name']}",
            "column_name": c["name"],
            "unit": c.get("unit"),
            "description": c.get("text"),
        }
        for t in _own_tables(shell)
        for c in t["columns"]
    ]
    if own:
        columns = pa.concat_tables([columns, pa.Table.from_pylist(own, schema=columns.schema)])
    _show_like(shell, columns, "column_name", words[0], "table with a column")


def _own_tables(shell: Session) -> list[OwnTable]:
    """Return the user's tables; none for a caller who may not have any."""
    try:
        return shell.client.mydb.tables()
    except AccessDenied:
        return []


def _show(shell: Session, words: tuple[str, ...]) -> None:
    """Translate SHOW TABLES and SHOW COLUMNS of other databases."""
    # SHOW TABLES, SHOW COLUMNS FROM TABLE, SHOW DATABASES of other databases.
    subject = words[0].lower() if words else ""
    if subject in ("tables", "databases", "schemas"):
        _find_tables(shell, ())
    elif subject in ("columns", "fields") and len(words) > 1:
        _describe_table(shell, words[-1:])
    else:
        raise UsageError(
            "show is not known here; find_tables [%part%], describe_table TABLE, config, show_db"
        )


def _user_tables(shell: Session, _: tuple[str, ...]) -> None:
    """List the user's tables."""
    tables = shell.client.mydb.tables()
    if not tables:
        shell.answer("no tables of your own yet; next: load_table FILE")
        return
    shell.show(pa.Table.from_pylist([{k: t.get(k) for k in ("name", "rows", "bytes")} for t in tables]))


def _myquota(shell: Session, _: tuple[str, ...]) -> None:
    """Print bytes used and quota."""
    status = shell.client.mydb.status()
    shell.answer(f"{status.get('used', 0):,} of {status.get('quota', 0):,} bytes are used")


def _whoami(shell: Session, _: tuple[str, ...]) -> None:
    """Print login, role and server."""
    account = shell.client.whoami()
    login = account.get("login") or "nobody in particular (no token)"
    shell.answer(f"{login}, role {account.get('role', 'public')}, at {shell.client.connection.url}")


def _load_table(shell: Session, words: tuple[str, ...]) -> None:
    """Create a user's table from a file."""
    path, name = _file_and_name("load_table", words)
    table = shell.client.mydb.load(name, path)
    shell.say(f"mydb.{name} is made{_rows(table)}")
    shell.names.refresh()


def _append_table(shell: Session, words: tuple[str, ...]) -> None:
    """Add the rows of a file to a user's table."""
    path, name = _file_and_name("append_table", words)
    table = shell.client.mydb.append(name, path)
    shell.say(f"rows were added to mydb.{name}{_rows(table)}")


def _drop_table(shell: Session, words: tuple[str, ...]) -> None:
    """Drop a user's table, after confirmation at a terminal."""
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
    """Check a query and list its columns without running it."""
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
    """Print the last statements."""
    most = int(words[0]) if words and words[0].isdigit() else 20
    for n, text in enumerate(shell.past[-most:], max(1, len(shell.past) - most + 1)):
        shell.answer(f"{n:5d}  {text}")


def _config(shell: Session, words: tuple[str, ...]) -> None:
    """Print or change settings."""
    # easyaccess: config KEY set VALUE, config KEY show, config all show.
    words = tuple(w for w in words if w.lower() not in ("set", "show", "all"))
    if len(words) == 1:
        values = asdict(shell.settings)
        if words[0] not in values:
            raise UsageError(f"there is no setting {words[0]}; there are: {', '.join(values)}")
        shell.answer(f"{words[0]:12s} {_setting(values[words[0]])}")
        return
    if len(words) == 2:
        shell.settings = shell.settings.changed(words[0], words[1])
        settings_file.store(shell.settings)
    elif words:
        raise UsageError("config shows all settings; config NAME VALUE changes one")
    for name, value in asdict(shell.settings).items():
        shell.answer(f"{name:12s} {_setting(value)}")


def _setting(value: object) -> object:
    """Return a setting as printed: yes or no for a truth value."""
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _loadsql(shell: Session, words: tuple[str, ...]) -> None:
    """Run the statements of a file."""
    if len(words) != 1:
        raise UsageError("loadsql FILE, or @FILE")
    shell.run_file(Path(words[0]).expanduser())


def _refresh(shell: Session, _: tuple[str, ...]) -> None:
    """Reload the names for completion."""
    shell.names.refresh()
    shell.say("names of tables and columns are being read again")


def _help(shell: Session, words: tuple[str, ...]) -> None:
    """Print the help of one or all commands."""
    if words and words[0] in HELP:
        shell.answer(f"{words[0]} {HELP[words[0]]}")
        return
    shell.answer("SELECT …;                      show the rows")
    shell.answer(
        "SELECT …; > mydb.name          keep them in a table of your own (also CREATE TABLE name AS SELECT …;)"
    )
    shell.answer("\\x                             one column a line, on and off")
    shell.answer("! COMMAND                      a command of the operating system")
    shell.answer("SELECT …; > out.fits           write them (csv tab fits parquet vot h5)")
    shell.answer("@file.sql [> out.csv]          the statements of a file")
    for name, text in HELP.items():
        shell.answer(f"{name:30s} {text}")


def _version(shell: Session, _: tuple[str, ...]) -> None:
    """Print version and server."""
    from desdm import __version__

    shell.answer(f"desdm {__version__}, at {shell.client.connection.url}")


def _clear(_: Session, __: tuple[str, ...]) -> None:
    """Clear the screen."""
    click.clear()


def _edit(shell: Session, _: tuple[str, ...]) -> None:
    """Edit the last query and run it."""
    if not shell.interactive:
        raise UsageError("edit needs a person at a terminal; the statements of a script are in its file")
    text = click.edit(f"{shell.last};\n" if shell.last else "SELECT ", extension=".sql")
    if text and text.strip():
        shell.attempt(text)


def _show_index(shell: Session, words: tuple[str, ...]) -> None:
    """Print the indexed columns of a table."""
    if len(words) != 1:
        raise UsageError("show_index TABLE")
    name = _full_name(shell, words[0]).lower()
    if name.startswith("mydb."):
        raise UsageError("indexes are those of release tables; a table of your own has none to choose")
    rows, _ = shell.client.rows("SELECT table_name, column_name, indexed FROM tap_schema.columns")
    columns = [row for row in rows.to_pylist() if row["table_name"].lower() == name]
    if not columns:
        raise NotFoundError(f"there is no table {words[0]}; find_tables %part% looks for names")
    names = [row["column_name"] for row in columns if row["indexed"]]
    shell.answer(
        f"searched by position (cone, box, polygon) and by: {', '.join(names)}"
        if names
        else "no column is marked as indexed; searches by position are fast in every release table"
    )


def _help_function(shell: Session, words: tuple[str, ...]) -> None:
    """Point to the description of ADQL functions."""
    shell.answer(
        "functions of ADQL, and those of this server, are described at /tap/capabilities and /tap/examples"
    )
    if words:
        shell.answer(f"to see whether {words[0]} is known, use it in a query after the word explain")


def _system(shell: Session, words: tuple[str, ...]) -> None:
    """Run a command of the operating system."""
    if not words:
        raise UsageError("shell COMMAND, or ! COMMAND")
    shell.system(" ".join(words))


def _find_user(shell: Session, words: tuple[str, ...]) -> None:
    """Print the caller, and how to list others."""
    _whoami(shell, words)
    shell.answer("other people are listed by the installation's operator: desdm account list")


def _quit(_: Session, __: tuple[str, ...]) -> None:
    """Leave the shell."""
    raise Leave


#: Words of easyaccess that have no counterpart in the shell, and what to do instead.
INSTEAD = {
    "set_password": "desdm account password LOGIN at the installation, or the page /account",
    "change_db": "one shell uses one server; start another: desdm sql --url ADDRESS",
    "add_comment": "texts of a table of your own come with its rows: load_table with a VOTable or FITS file",
    "prefetch": "answers come as a stream; config max_rows sets how many rows are printed",
    "execproc": "the service runs queries only, no procedures",
    "import": "no code is loaded; Python: from desdm.client import Client",
    "user_api": "Python: from desdm.client import Client; Client(ADDRESS).query(ADQL)",
    "online_tutorial": "the page /api of the server, and /tap/examples",
    "use": "one shell uses one server; a table of another schema is named SCHEMA.TABLE",
    "commit": "nothing is to be committed: queries change nothing, a table of your own is stored at once",
    "rollback": "nothing can be rolled back: a table of your own is stored at once",
    "set": "config NAME VALUE",
    "spool": "SELECT …; > file.csv",
    "truncate": "drop_table NAME drops a table of your own",
    "plot": "SELECT …; > file.fits, and plot it with TOPCAT or Python; the server's pages /map and /cutout draw the sky",
    "login": "start the shell with a token of the page /account: DESDM_TOKEN, or desdm sql --token TOKEN",
    "<": "@FILE does the statements of a file",
    "insert": "append_table FILE NAME adds rows to a table of your own",
    "update": "create the table again: SELECT … ; > mydb.NAME",
    "delete": "drop_table NAME drops a table of your own",
    "alter": "create the table again: SELECT … ; > mydb.NAME",
    "create": "CREATE TABLE mydb.NAME AS SELECT …; or SELECT … ; > mydb.NAME; or load_table FILE",
}
#: Help text of each command.
HELP = {
    "describe_table": "TABLE [with %part%]: columns, units and texts",
    "find_tables": "[%part%]: tables by name",
    "find_tables_with_column": "%part%: tables that have a column",
    "mytables": "tables of your own (also user_tables)",
    "myquota": "room for tables of your own",
    "whoami": "who you are to the server",
    "load_table": "FILE [NAME]: make mydb.NAME of a file (csv tab fits parquet vot)",
    "append_table": "FILE [NAME]: add a file's rows to mydb.NAME",
    "drop_table": "NAME: drop mydb.NAME (asks at a terminal, not in a script)",
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
    "describe_table": _describe_table,
    "find_tables": _find_tables,
    "find_tables_with_column": _find_tables_with_column,
    "user_tables": _user_tables,
    "mytables": _user_tables,
    "myquota": _myquota,
    "whoami": _whoami,
    "load_table": _load_table,
    "append_table": _append_table,
    "drop_table": _drop_table,
    "explain": _explain,
    "explain_query": _explain,
    "history": _history,
    "config": _config,
    "loadsql": _loadsql,
    "refresh": _refresh,
    "refresh_metadata_cache": _refresh,
    "version": _version,
    "show_db": _whoami,
    "show_index": _show_index,
    "edit": _edit,
    "clear": _clear,
    "find_user": _find_user,
    "help_function": _help_function,
    "shell": _system,
    "desc": _describe_table,
    "describe": _describe_table,
    "tables": _find_tables,
    "show_tables": _find_tables,
    "help": _help,
    "quit": _quit,
    "exit": _quit,
    "bye": _quit,
    "logout": _quit,
    "?": _help,
    "show": _show,
}


def _table_and_pattern(words: tuple[str, ...]) -> tuple[str, str]:
    """Parse TABLE [with %part%]."""
    if len(words) == 1:
        return words[0], "%"
    if len(words) == 3 and words[1].lower() == "with":
        return words[0], words[2]
    raise UsageError("describe_table TABLE [with %part%]")


def _full_name(shell: Session, table: str) -> str:
    """Return the name of a table with its schema, if only one schema has it."""
    if "." in table:
        return table
    names = [
        *shell.client.tables()["table_name"].to_pylist(),
        *(f"mydb.{t['name']}" for t in _own_tables(shell)),
    ]
    matches = [name for name in names if _bare(name).lower() == table.lower()]
    if len(matches) > 1:
        raise UsageError(f"{table} is in several schemas: {', '.join(matches)}; write the schema too")
    return matches[0] if matches else table


def _show_like(shell: Session, rows: pa.Table, column: str, pattern: str, kind: str) -> None:
    """Print the rows whose name matches a pattern, with or without its schema."""
    expression = re.compile(fnmatch.translate(pattern.replace("%", "*")), re.IGNORECASE)
    matches = [
        bool(expression.match(text) or expression.match(_bare(text))) for text in rows[column].to_pylist()
    ]
    if any(matches):
        shell.show(rows.filter(pa.array(matches, pa.bool_())))
    elif pattern == "%":
        shell.answer(f"no {kind} yet")
    else:
        shell.answer(f"no {kind} is called {pattern}; % matches any characters: %{pattern.strip('%')}%")


def _bare(name: str) -> str:
    """Return the name of a table without its schema."""
    return name.rpartition(".")[2]


def _file_and_name(command: str, words: tuple[str, ...]) -> tuple[Path, str]:
    """Parse FILE [NAME]."""
    if len(words) not in (1, 2):
        raise UsageError(f"{command} {HELP[command].split(':')[0]}")
    path = Path(words[0]).expanduser()
    name = (words[1] if len(words) == 2 else path.stem).removeprefix("mydb.")
    return path, name


def _rows(table: OwnTable | None) -> str:
    """Describe the size of a table."""
    return f": {table['rows']:,} rows" if table and "rows" in table else ""
