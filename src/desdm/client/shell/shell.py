"""The shell itself: reads what is typed, does it, tells what went wrong, and goes on."""

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
from desdm.client.shell import settings as kept
from desdm.client.shell.commands import COMMANDS, HELP, INSTEAD
from desdm.client.shell.naming import Names
from desdm.client.shell.prompt import session_of
from desdm.client.shell.reading import Line, complete, read, statements, target_within
from desdm.client.shell.session import Leave
from desdm.client.shell.showing import expanded_lines, row_lines
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
        Whether somebody sits there: asks before it drops a table.
    quiet
        Say nothing but rows and errors.
    """

    def __init__(self, client: Client, *, interactive: bool, quiet: bool = False) -> None:
        self.client, self.interactive, self.quiet = client, interactive, quiet
        self.settings = kept.load()
        self.names = Names(client)
        self.past: list[str] = []
        self.last = ""
        self._depth = 0
        self.expanded = False

    def say(self, text: str) -> None:
        """Tell something beside the answer; --quiet leaves it out."""
        if not self.quiet:
            click.echo(text)

    def answer(self, text: str) -> None:
        """Write an answer that is no row."""
        click.echo(text)

    def show(self, rows: pa.Table) -> None:
        """Show rows."""
        if self.expanded:
            click.echo("\n".join(expanded_lines(rows, self.settings.null)))
            return
        style = _painted if sys.stdout.isatty() else None
        click.echo("\n".join(row_lines(rows, self.settings.null, terminal_width(), style)))

    def confirm(self, question: str) -> bool:
        """Ask for a yes."""
        try:
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            return False

    def attempt(self, text: str) -> bool:
        """Do what was typed; whether it went well. No error of the server, the network or a file comes out.

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
        """Do one thing.

        Raises
        ------
        DesdmError
            What went wrong.
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
            known = {**dict.fromkeys(COMMANDS), **dict.fromkeys(_STATEMENTS)}
            near = get_close_matches(line.command, known, 2, 0.75) or get_close_matches(
                line.command, known, 2, 0.6
            )
            near = near or [name for name in HELP if name.startswith(line.command[:4])]
            near = [name.upper() if name in _STATEMENTS else name for name in near]
            hint = f"; did you mean {' or '.join(near)}?" if near else "; help shows what there is"
            raise UsageError(f"{line.command[:60]} is no command and no SELECT{hint}")

    def query(self, adql: str, target: Path | None = None) -> None:
        """Run a query: show its rows, or write them to a file."""
        self.last = adql
        begin = time.monotonic()
        if target is not None:
            there = target.exists()
            if there and self.interactive and not self.confirm(f"{target} is there already; replace it?"):
                self.say("it stays")
                return
            with _better_advice(adql):
                self.client.save(adql, target)
            done = "replaced" if there else "written"
            self.say(f"{target} is {done}: {target.stat().st_size:,} bytes{self._took(begin)}")
            return
        most = self.settings.max_rows
        with _better_advice(adql):
            rows, cut = self.client.rows(adql, maxrec=most, async_=self.settings.job)
        self.show(rows)
        more = (
            f", and there are more: end with '; > file.csv' for all (config max_rows {most})" if cut else ""
        )
        self.say(f"\n{rows.num_rows} row{'s' * (rows.num_rows != 1)}{self._took(begin)}{more}")

    def keep(self, adql: str, name: str) -> None:
        """Make a table of one's own of a query's rows; they do not leave the server."""
        self.last = adql
        begin = time.monotonic()
        with _better_advice(adql):
            made = self.client.mydb.keep(name, adql)
        self.say(f"mydb.{name} is made: {made['rows']:,} rows{self._took(begin)}")
        self.names.refresh()

    def system(self, text: str) -> None:
        """Run a command of the operating system's shell."""
        import subprocess

        ended = subprocess.run(text, shell=True, check=False)  # noqa: S602 - it is what the user typed
        if ended.returncode:
            raise UsageError(f"the command ended with status {ended.returncode}")

    def run_file(self, path: Path, target: Path | None = None) -> None:
        """Do the statements of a file, one after the other, up to the first that fails."""
        try:
            parts = statements(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as err:
            raise UsageError(
                f"{path} cannot be read: {getattr(err, 'strerror', None) or 'it is no text'}"
            ) from err
        if not parts:
            raise UsageError(f"{path} holds no statement")
        if target is not None and len(parts) > 1:
            raise UsageError(f"{path} holds {len(parts)} statements; one target does not serve them all")
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

    def _took(self, begin: float) -> str:
        return f", {time.monotonic() - begin:.2f} s" if self.settings.timing else ""

    def loop(self) -> None:
        """Read and do, until the end."""
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
        """Do one thing after the other, up to the first that fails, or that ends the shell.

        Raises
        ------
        DesdmError
            What went wrong.
        """
        try:
            for text in texts:
                self.run(read(text))
        except Leave:
            return


@contextmanager
def _better_advice(adql: str) -> Iterator[None]:
    """Add to the server's refusal of a query what the shell knows of it: its target stands before the ``;``."""
    try:
        yield
    except UsageError as err:
        target = target_within(adql)
        if not target:
            raise
        raise UsageError(f"{err}; the target stands after the ;, as in: SELECT …; > {target}") from err


def _painted(text: str, colour: str) -> str:
    """The text with the codes of a terminal."""
    if colour in ("bold", "dim"):
        return click.style(text, bold=colour == "bold" or None, dim=colour == "dim" or None)
    return click.style(text, fg=colour or None)
