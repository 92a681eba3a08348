"""The shell: read input, run it, report errors, continue."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import click
import pyarrow as pa

from desdm.client.client import Client
from desdm.client.shell import settings as settings_file
from desdm.client.shell.commands import COMMANDS, HELP, INSTEAD
from desdm.client.shell.completion import Names
from desdm.client.shell.layout import expanded_lines, row_lines
from desdm.client.shell.parser import Line, complete, read, statements, target_within
from desdm.client.shell.prompt import session_of
from desdm.client.shell.session import Leave
from desdm.errors import DesdmError, UsageError
from desdm.texttable import terminal_width

__all__ = ["Shell"]

_DEEPEST = 10
#: First words of statements, for typing errors.
_STATEMENTS = ("select", "with", "create table", "drop table")


class Shell:
    """One session at one server.

    Parameters
    ----------
    client
        The server.
    interactive
        Whether it runs at a terminal: it asks before it drops a table.
    quiet
        Print rows and errors only.
    """

    def __init__(self, client: Client, *, interactive: bool, quiet: bool = False) -> None:
        self.client, self.interactive, self.quiet = client, interactive, quiet
        self.settings = settings_file.load()
        self.names = Names(client)
        self.past: list[str] = []
        self.last = ""
        self._depth = 0
        self.expanded = False

    def say(self, text: str) -> None:
        """Print a message beside the answer; --quiet omits it."""
        if not self.quiet:
            click.echo(text)

    def answer(self, text: str) -> None:
        """Print an answer that is not a table."""
        click.echo(text)

    def show(self, rows: pa.Table) -> None:
        """Print rows."""
        if self.expanded:
            click.echo("\n".join(expanded_lines(rows, self.settings.null)))
            return
        style = _styled if sys.stdout.isatty() else None
        click.echo("\n".join(row_lines(rows, self.settings.null, terminal_width(), style)))

    def confirm(self, question: str) -> bool:
        """Ask for confirmation."""
        try:
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            return False

    def attempt(self, text: str) -> bool:
        """Run input and report its errors; return whether it succeeded.

        Raises
        ------
        Leave
            If the shell is to end.
        """
        if not text.strip():
            return True
        self.past.append(" ".join(text.split()))
        try:
            self.run(read(text))
        except KeyboardInterrupt:
            click.secho("interrupted", fg="yellow", err=True)
        except DesdmError as err:
            click.secho(f"error: {err}", fg="red", err=True)
        except RecursionError:
            click.secho("error: the statement is nested too deeply", fg="red", err=True)
        else:
            return True
        return False

    def run(self, line: Line) -> None:
        """Run a parsed statement or command.

        Raises
        ------
        DesdmError
            The error of the statement.
        """
        if line.command == "query":
            if line.table:
                self.keep(line.adql, line.table)
            else:
                self.query(line.adql, line.target)
        elif line.command == "\\x":
            self.expanded = not self.expanded
            self.say("one column a line: " + ("yes" if self.expanded else "no"))
        elif line.command == "!":
            self.system(line.words[0])
        elif line.command == "@":
            self.run_file(Path(line.words[0]).expanduser(), line.target)
        elif line.command in COMMANDS:
            COMMANDS[line.command](self, line.words)
        else:
            if line.command in INSTEAD:
                raise UsageError(f"there is no {line.command} here: {INSTEAD[line.command]}")
            candidates = {**dict.fromkeys(COMMANDS), **dict.fromkeys(_STATEMENTS)}
            similar = get_close_matches(line.command, candidates, 2, 0.75) or get_close_matches(
                line.command, candidates, 2, 0.6
            )
            similar = similar or [name for name in HELP if name.startswith(line.command[:4])]
            similar = [name.upper() if name in _STATEMENTS else name for name in similar]
            hint = f"; did you mean {' or '.join(similar)}?" if similar else "; help lists the commands"
            raise UsageError(f"{line.command[:60]} is neither a command nor a SELECT{hint}")

    def query(self, adql: str, target: Path | None = None) -> None:
        """Run a query: print its rows, or write them to a file."""
        self.last = adql
        begin = time.monotonic()
        if target is not None:
            exists = target.exists()
            if exists and self.interactive and not self.confirm(f"{target} exists already; replace it?"):
                self.say("it was not replaced")
                return
            with _better_advice(adql):
                self.client.save(adql, target)
            verb = "replaced" if exists else "written"
            self.say(f"{target} is {verb}: {target.stat().st_size:,} bytes{self._duration(begin)}")
            return
        limit = self.settings.max_rows
        with _better_advice(adql):
            rows, cut = self.client.rows(adql, maxrec=limit, async_=self.settings.job)
        self.show(rows)
        more = (
            f", and there are more: end with '; > file.csv' for all (config max_rows {limit})" if cut else ""
        )
        self.say(f"\n{rows.num_rows} row{'s' * (rows.num_rows != 1)}{self._duration(begin)}{more}")

    def keep(self, adql: str, name: str) -> None:
        """Create a user's table from the rows of a query; they do not leave the server."""
        self.last = adql
        begin = time.monotonic()
        with _better_advice(adql):
            table = self.client.mydb.keep(name, adql)
        self.say(f"mydb.{name} is made: {table['rows']:,} rows{self._duration(begin)}")
        self.names.refresh()

    def system(self, text: str) -> None:
        """Run a command of the operating system's shell."""
        import subprocess

        process = subprocess.run(text, shell=True, check=False)  # noqa: S602 - it is what the user typed
        if process.returncode:
            raise UsageError(f"the command ended with status {process.returncode}")

    def run_file(self, path: Path, target: Path | None = None) -> None:
        """Run the statements of a file in order, up to the first that fails."""
        try:
            parts = statements(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as err:
            raise UsageError(
                f"{path} cannot be read: {getattr(err, 'strerror', None) or 'it is not text'}"
            ) from err
        if not parts:
            raise UsageError(f"{path} has no statement")
        if target is not None and len(parts) > 1:
            raise UsageError(f"{path} has {len(parts)} statements; one target cannot receive all answers")
        if self._depth >= _DEEPEST:
            raise UsageError(f"{path} is loaded by itself")
        self._depth += 1
        try:
            for part in parts:
                line = read(part)
                if target is not None and line.command == "query":
                    line = Line("query", adql=line.adql, target=target)
                self.run(line)
        finally:
            self._depth -= 1

    def _duration(self, begin: float) -> str:
        """Return the duration as text, if the settings show it."""
        return f", {time.monotonic() - begin:.2f} s" if self.settings.timing else ""

    def loop(self) -> None:
        """Read and run input until the end."""
        session = session_of(self, complete)
        self.names.refresh()
        self.say(f"{self.client.connection.url}: type a SELECT and end it with ; or type help")
        while True:
            try:
                text = session.prompt()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            try:
                self.attempt(text)
            except Leave:
                return

    def script(self, texts: Iterable[str]) -> None:
        """Run statements in order, up to the first that fails, or that leaves the shell.

        Raises
        ------
        DesdmError
            The error of the statement.
        """
        remaining = list(texts)
        try:
            while remaining:
                self.run(read(remaining.pop(0)))
        except Leave:
            return
        except DesdmError:
            if remaining:
                click.echo(f"stopped at the statement below; not run: {len(remaining)} after it", err=True)
            raise


@contextmanager
def _better_advice(adql: str) -> Iterator[None]:
    """Add to an error of the server that the target belongs after the ``;``, if it is before it."""
    try:
        yield
    except UsageError as err:
        target = target_within(adql)
        if not target:
            raise
        raise UsageError(f"{err}; the target stands after the ;, as in: SELECT …; > {target}") from err


def _styled(text: str, colour: str) -> str:
    """Return text with the codes of a terminal."""
    if colour in ("bold", "dim"):
        return click.style(text, bold=colour == "bold" or None, dim=colour == "dim" or None)
    return click.style(text, fg=colour or None)
