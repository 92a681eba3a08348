"""The door of the command line: finds the command, runs it, turns errors into exit statuses.

Exit status: 0 done, 1 done with refusals or findings, 2 usage, 3 transient, 4 fatal.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from desdm import __version__
from desdm.cli import COMMANDS
from desdm.cli.door import Door
from desdm.errors import DesdmError, storage_error

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method: object) -> object:
        """Python 3.11 has no typing.override, and importing its stand-in costs what --help may not."""
        return method


__all__ = ["main"]


class _Commands(click.Group):
    # Commands are imported when they are called, so that --help and completion are instant.

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.name for entry in COMMANDS]

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"desdm.cli.{cmd_name}").command
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for shelf in dict.fromkeys(entry.shelf for entry in COMMANDS):
            with formatter.section(shelf):
                formatter.write_dl([(e.name, e.text) for e in COMMANDS if e.shelf == shelf])


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--home", type=click.Path(), help="Installation (else $DESDM_HOME, else desdm.toml upward).")
@click.version_option(__version__, prog_name="desdm")
@click.pass_context
def desdm(ctx: click.Context, home: str | None) -> None:
    """Formal production for a sky survey: archive, process and serve its core data."""
    ctx.obj = ctx.with_resource(Door(home))


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        status = desdm.main(standalone_mode=False)
    except click.exceptions.Abort:
        _leave("interrupted", "usage", 130)
    except click.exceptions.NoArgsIsHelpError as err:
        click.echo(err.format_message())
        sys.exit(2)
    except click.ClickException as err:
        hint = (
            f" (see: {err.ctx.command_path} --help)" if isinstance(err, click.UsageError) and err.ctx else ""
        )
        _leave(err.format_message() + hint, "usage", err.exit_code)
    except DesdmError as err:
        _leave_with(err)
    except BrokenPipeError:
        # The reader of our output went away (``desdm files | head``): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as err:
        found = _explained(err)
        if found is None:
            raise
        _leave_with(found)
    sys.exit(status if isinstance(status, int) else 0)


def _explained(err: Exception) -> DesdmError | None:
    """The typed error behind one that no layer below foresaw: of a file, of the database; None: a fault of ours.

    A damaged database may give rows that no code can read. Before a traceback is shown, it is looked at.
    """
    if isinstance(err, OSError):
        return storage_error(err)
    sql = sys.modules.get("desdm.schema.database")
    if sql is None:
        return None
    from sqlalchemy.exc import SQLAlchemyError

    from desdm.facility import damage_of_database

    found = sql.database_error(err) if isinstance(err, SQLAlchemyError) else None
    return found or damage_of_database(_home())


def _home() -> str | None:
    """The value of ``--home``, if it stands on the command line."""
    for word, following in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        if word == "--home":
            return following
        if word.startswith("--home="):
            return word.partition("=")[2]
    return None


def _leave_with(err: DesdmError) -> None:
    kind = {2: "usage", 3: "transient"}.get(err.exit_status, "fatal")
    _leave(str(err), kind, err.exit_status)


def _leave(message: str, kind: str, status: int) -> None:
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": {"kind": kind, "message": message}}) + "\n")
    click.echo(click.style("error: ", fg="red", bold=True) + message, err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
