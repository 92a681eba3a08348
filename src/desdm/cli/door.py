"""What every command gets: the installation, opened when first asked for, and a way to show an answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Progress

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

    @property
    def console(self) -> Console:
        """Standard output for people: colours only on a terminal, wide where it is a file or pipe."""
        from rich.console import Console

        return Console(
            width=None if sys.stdout.isatty() else 160, highlight=False, soft_wrap=not sys.stdout.isatty()
        )

    def show(self, document: object, human: Callable[[], object], as_json: bool) -> None:
        """Write ``document`` as one JSON document, or let ``human`` write for people."""
        if as_json:
            sys.stdout.write(json.dumps(document, default=str, ensure_ascii=False) + "\n")
        else:
            human()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
        """Write a table for people; numbers are set right."""
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False
        )
        kept = [list(row) for row in rows]
        for i, column in enumerate(columns):
            right = bool(kept) and all(isinstance(row[i], int | float) or row[i] is None for row in kept)
            table.add_column(column, justify="right" if right else "left", overflow="fold")
        for row in kept:
            table.add_row(*(cell if isinstance(cell, Text) else _cell(cell) for cell in row))
        self.console.print(table)

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
            transient=True,
        )


def _cell(value: Any) -> Any:
    from rich.text import Text

    if value is None:
        return Text("")
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    return Text(str(value))


pass_door = click.make_pass_decorator(Door)

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
