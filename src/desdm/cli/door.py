"""What every command gets: the installation, opened when first asked for, and a way to show an answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from desdm.texttable import table_lines, terminal_width

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress
    from rich.tree import Tree

    from desdm.facility import Facility

__all__ = ["Door", "json_option", "pass_door"]


class Door:
    """The command's side of an installation.

    Parameters
    ----------
    home
        The ``--home`` option, or None.
    """

    def __init__(self, home: str | None) -> None:
        self.home = home
        self._facility: Facility | None = None

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._facility is not None:
            self._facility.close()

    @property
    def facility(self) -> Facility:
        """The installation; its schema is checked when it is first opened."""
        if self._facility is None:
            from desdm.facility import Facility
            from desdm.modes import close_umask

            close_umask()
            self._facility = Facility.open(self.home)
        return self._facility

    def print_tree(self, tree: Tree) -> None:
        """Write a tree for people: colours only on a terminal, whole lines where it is a file or pipe."""
        from rich.console import Console

        # In a pipe no line is cut.
        console = Console(highlight=False, width=terminal_width() or 100_000)
        with console.capture() as text:
            console.print(tree)
        click.echo("\n".join(line.rstrip() for line in text.get().splitlines()))

    def show(self, document: object, human: Callable[[], object], as_json: bool) -> None:
        """Write ``document`` as one JSON document, or let ``human`` write for people."""
        if as_json:
            sys.stdout.write(json.dumps(document, default=str, ensure_ascii=False) + "\n")
        else:
            human()

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        title: str = "",
        *,
        expendable: Sequence[str] = (),
        mixed: Sequence[str] = (),
        empty: str = "",
    ) -> None:
        """Write a table for people.

        Parameters
        ----------
        columns
            Headings.
        rows
            Cells: see `desdm.texttable.table_lines`.
        title
            A line above it.
        expendable
            Headings of columns that are left out first where the terminal is narrow.
        mixed
            Headings of number columns in which every row is of something else.
        empty
            What is said instead of a table without rows.
        """
        kept = list(rows)
        if title:
            click.secho(title, italic=sys.stdout.isatty())
        if not kept and empty:
            click.echo(empty)
            return
        lines = table_lines(
            columns, kept, width=terminal_width(), expendable=expendable, mixed=mixed,
            style=_painted if sys.stdout.isatty() else None,
        )  # fmt: skip
        click.echo("\n".join(lines))

    def progress(self) -> Progress:
        """Progress bars on standard error; silent where that is no terminal."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=2,
            transient=True,
        )


def _painted(text: str, colour: str) -> str:
    """The text with the codes of a terminal."""
    if colour in ("bold", "dim"):
        return click.style(text, bold=colour == "bold" or None, dim=colour == "dim" or None)
    return click.style(text, fg=colour or None)


pass_door = click.make_pass_decorator(Door)

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
