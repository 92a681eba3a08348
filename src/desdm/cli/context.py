"""Context of every command: the installation, opened when first used, and output as JSON or text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from enum import Enum
    from types import TracebackType

    from rich.progress import Progress
    from rich.tree import Tree
    from typing_extensions import override

    from desdm.facility import Facility

    #: A value of a JSON document; times and enums are written as text.
    JsonValue = None | str | int | float | date | Enum | Sequence["JsonValue"] | Mapping[str, "JsonValue"]

else:

    def override(method: object) -> object:
        """Return the method: the decorator is for the type checker only."""
        return method


__all__ = ["CommandContext", "CommandGroup", "json_option", "pass_command_context"]


class CommandGroup(click.Group):
    """A group whose help wraps the texts of its commands; click cuts them at the width of the terminal."""

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, c.get_short_help_str(limit=1000)) for name, c in commands if c is not None and not c.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class CommandContext:
    """The installation that a command uses, and its output.

    Parameters
    ----------
    home
        The ``--home`` option, or None.
    """

    def __init__(self, home: str | None) -> None:
        self.home = home
        self._facility: Facility | None = None

    def __enter__(self) -> CommandContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._facility is not None:
            self._facility.close()

    @property
    def facility(self) -> Facility:
        """Open the installation on first use; its schema is checked then."""
        if self._facility is None:
            from desdm.facility import Facility
            from desdm.modes import close_umask

            close_umask()
            self._facility = Facility.open(self.home)
        return self._facility

    def require_installation(self) -> Facility:
        """Return the installation, for a command that may ask a server instead; `UsageError` in the client alone."""
        from desdm.errors import UsageError

        try:
            return self.facility
        except ModuleNotFoundError as err:
            if (err.name or "").partition(".")[0] == "desdm":
                raise
            raise UsageError(
                "which server? give --url or set DESDM_URL (the client alone is installed here; an installation of "
                "your own needs: pip install 'desdm[facility]')"
            ) from err

    def print_tree(self, tree: Tree) -> None:
        """Write a tree: colours only on a terminal, whole lines in a file or pipe."""
        from rich.console import Console

        from desdm.texttable import terminal_width

        # In a pipe no line is cut.
        console = Console(highlight=False, width=terminal_width() or 100_000)
        with console.capture() as text:
            console.print(tree)
        click.echo("\n".join(line.rstrip() for line in text.get().splitlines()))

    def show(self, document: object, human: Callable[[], object], as_json: bool) -> None:
        """Write a result as one JSON document, or as text.

        Parameters
        ----------
        document
            JSON document of the result.
        human
            Writes the result as text.
        as_json
            Whether the user chose JSON.
        """
        if as_json:
            import json

            sys.stdout.write(json.dumps(document, default=str, ensure_ascii=False) + "\n")
        else:
            human()

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str = "",
        *,
        expendable: Sequence[str] = (),
        mixed: Sequence[str] = (),
        empty: str = "",
    ) -> None:
        """Write a table as text.

        Parameters
        ----------
        columns
            Headings.
        rows
            Cells: see `desdm.texttable.table_lines`.
        title
            Line above the table.
        expendable
            Headings of columns that are left out first where the terminal is narrow.
        mixed
            Headings of number columns whose rows have different quantities.
        empty
            Text printed for a table without rows.
        """
        from desdm.texttable import table_lines, terminal_width

        cells = list(rows)
        if title:
            click.secho(title, italic=sys.stdout.isatty())
        if not cells and empty:
            click.echo(empty)
            return
        lines = table_lines(
            columns,
            cells,
            width=terminal_width(),
            expendable=expendable,
            mixed=mixed,
            style=_styled if sys.stdout.isatty() else None,
        )
        click.echo("\n".join(lines))

    def progress(self) -> Progress:
        """Return progress bars on standard error, silent where that is not a terminal."""
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


def _styled(text: str, colour: str) -> str:
    """Return text with the codes of a terminal."""
    if colour in ("bold", "dim"):
        return click.style(text, bold=colour == "bold" or None, dim=colour == "dim" or None)
    return click.style(text, fg=colour or None)


pass_command_context = click.make_pass_decorator(CommandContext)

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
