"""The shell itself: reads what is typed, does it, tells what went wrong, and goes on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pyarrow as pa
from rich.console import Console

from desdm.client.client import Client
from desdm.client.shell import settings as kept
from desdm.client.shell.commands import COMMANDS, HELP
from desdm.client.shell.naming import Names
from desdm.client.shell.prompt import session_of
from desdm.client.shell.reading import Line, complete, read, statements
from desdm.client.shell.showing import show
from desdm.errors import DesdmError, UsageError

__all__ = ["Shell"]

_DEEPEST = 10


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
        self._out = Console(
            width=None if sys.stdout.isatty() else 160, highlight=False, soft_wrap=not sys.stdout.isatty()
        )
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Tell something that is no row."""
        if not self.quiet:
            self._out.print(text, markup=False)

    def show(self, rows: pa.Table) -> None:
        """Show rows."""
        show(self._out, rows, rows.num_rows, self.settings.null)

    def confirm(self, question: str) -> bool:
        """Ask for a yes."""
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    def attempt(self, text: str) -> bool:
        """Do what was typed; whether it went well. No error of the server, the network or a file comes out.

        Raises
        ------
        EOFError
            To leave.
        """
        if not text.strip():
            return True
        self.past.append(" ".join(text.split()))
        try:
            self.run(read(text))
        except KeyboardInterrupt:
            self._err.print("interrupted", style="yellow", markup=False)
        except DesdmError as err:
            self._err.print(f"error: {err}", style="red", markup=False)
        except RecursionError:
            self._err.print("error: the statement is nested too deeply", style="red", markup=False)
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
            self.query(line.adql, line.target)
        elif line.command == "@":
            self.run_file(Path(line.words[0]).expanduser(), line.target)
        elif line.command in COMMANDS:
            COMMANDS[line.command](self, line.words)
        else:
            near = [name for name in HELP if name.startswith(line.command[:4])]
            hint = f"; did you mean {' or '.join(near)}?" if near else "; help shows what there is"
            raise UsageError(f"{line.command[:60]} is no command and no SELECT{hint}")

    def query(self, adql: str, target: Path | None = None) -> None:
        """Run a query: show its rows, or write them to a file."""
        self.last = adql
        begin = time.monotonic()
        if target is not None:
            self.client.save(adql, target)
            self.say(f"{target} is written: {target.stat().st_size:,} bytes{self._took(begin)}")
            return
        most = self.settings.max_rows
        rows, cut = self.client.rows(adql, maxrec=most, async_=self.settings.job)
        self.show(rows)
        more = (
            f", and there are more: end with '; > file.csv' for all (config max_rows {most})" if cut else ""
        )
        self.say(f"\n{rows.num_rows} row{'s' * (rows.num_rows != 1)}{self._took(begin)}{more}")

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
            except EOFError:
                return
