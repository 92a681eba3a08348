"""The command line: finds the command, runs it, turns errors into exit statuses.

Exit status: 0 done, 1 done with refusals or findings, 2 usage, 3 transient, 4 fatal.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from desdm import __version__
from desdm.cli import COMMANDS
from desdm.cli.context import CommandContext
from desdm.cli.streams import finish_output, prepare_streams
from desdm.errors import DesdmError, TransientError, storage_error

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method: object) -> object:
        """Python 3.11 has no typing.override, and importing its stand-in costs what --help may not."""
        return method


__all__ = ["main"]


class _Commands(click.Group):
    """Group whose commands are imported when they are called, so that --help and completion are instant."""

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
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.list_commands(ctx) and not ctx.resilient_parsing:
            args = self._resolve_alias(ctx, name, args[1:])
        return super().resolve_command(ctx, args)

    def _resolve_alias(self, ctx: click.Context, word: str, rest: list[str]) -> list[str]:
        """Return the arguments for which an alias stands; `UsageError` with a hint for an unknown word."""
        from difflib import get_close_matches

        from desdm.cli.aliases import ALIASES, HINTS

        if word in ("help", "man"):
            # `help release create` is `release create --help`.
            if rest:
                return [*rest, "--help"]
            click.echo(ctx.get_help())
            ctx.exit()
        if word == "version":
            click.echo(f"desdm, version {__version__}")
            ctx.exit()
        if word in ALIASES:
            return [*ALIASES[word], *rest]
        if word in HINTS:
            raise click.UsageError(f"there is no command {word}: {HINTS[word]}", ctx)
        similar = get_close_matches(word.lower(), [*self.list_commands(ctx), *ALIASES, *HINTS], 3, 0.7)
        if similar and similar[0] in HINTS:
            raise click.UsageError(f"there is no command {word}: {HINTS[similar[0]]}", ctx)
        suggestions = [name for name in similar if name not in HINTS]
        hint = (
            f"did you mean {' or '.join(suggestions)}?" if suggestions else "desdm --help lists the commands"
        )
        raise click.UsageError(f"there is no command {word}; {hint}", ctx)

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _home_first(args))

    @override
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.UsageError as err:
            from desdm.cli.aliases import advice

            if hint := advice(err):
                raise click.UsageError(f"{err.message.rstrip('.')}; {hint}", err.ctx) from err
            raise
        except BrokenPipeError as err:
            # Of a program or a socket: our own output raises none. click would end with status 1 and no word.
            raise TransientError(
                "a program or a connection that was written to has ended; try again"
            ) from err

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(entry.section for entry in COMMANDS):
            with formatter.section(section):
                formatter.write_dl([(e.name, e.text) for e in COMMANDS if e.section == section])


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--home", type=click.Path(), help="Installation (else $DESDM_HOME, else desdm.toml upward).")
@click.version_option(__version__, "--version", "-V", prog_name="desdm")
@click.pass_context
def desdm(ctx: click.Context, home: str | None) -> None:
    """Formal production for a sky survey: archive, process and serve its core data."""
    if home == "":
        raise click.UsageError("--home is empty; name the folder of an installation")
    ctx.obj = ctx.with_resource(CommandContext(home))


def main() -> None:
    """Run the command line and exit with its status."""
    prepare_streams()
    try:
        status = desdm.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        _exit("interrupted", "usage", 130)
    except click.exceptions.NoArgsIsHelpError as err:
        click.echo(err.format_message())
        sys.exit(2)
    except click.ClickException as err:
        hint = (
            f" (see: {err.ctx.command_path} --help)" if isinstance(err, click.UsageError) and err.ctx else ""
        )
        # click lists choices on lines of their own; an error is one line.
        _exit(" ".join(err.format_message().split()) + hint, "usage", err.exit_code)
    except DesdmError as err:
        _exit_with(err)
    except ModuleNotFoundError as err:
        package = (err.name or "").partition(".")[0]
        if package in ("", "desdm"):
            raise
        _exit(
            f"this command needs the package {package}, which the client alone does not have: "
            "pip install 'desdm[facility]'",
            "usage",
            2,
        )
    except _damage_errors() as err:
        known_error = _typed_error(err)
        if known_error is None:
            raise
        _exit_with(known_error)
    sys.exit(status if isinstance(status, int) else 0)


def _home_first(args: list[str]) -> list[str]:
    """Move ``--home`` before the command, where click reads it; users may write it after the command."""
    end = args.index("--") if "--" in args else len(args)
    first: list[str] = []
    rest: list[str] = []
    place = 0
    while place < end:
        count = 2 if args[place] == "--home" else 1
        (first if args[place] == "--home" or args[place].startswith("--home=") else rest).extend(
            args[place : min(place + count, end)]
        )
        place += count
    return [*first, *rest, *args[end:]]


def _damage_errors() -> tuple[type[Exception], ...]:
    """Return the types of errors that a damaged file or database may cause, those of loaded libraries included."""
    types: list[type[Exception]] = [
        OSError,
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ]
    for module, name in (("sqlalchemy.exc", "SQLAlchemyError"), ("sqlite3", "Error")):
        if module in sys.modules:
            types.append(getattr(sys.modules[module], name))
    return tuple(types)


def _typed_error(err: Exception) -> DesdmError | None:
    """Return the typed error behind an unforeseen one: of a file or of the database; None for a fault of the program.

    A damaged database may give rows that no code can read. The database is examined before a traceback is printed.
    """
    if isinstance(err, OSError):
        return storage_error(err)
    sql = sys.modules.get("desdm.schema.database")
    if sql is None:
        return None
    from sqlalchemy.exc import SQLAlchemyError

    from desdm.facility import damage_of_database

    error = sql.database_error(err) if isinstance(err, SQLAlchemyError) else None
    return error or damage_of_database(_home())


def _home() -> str | None:
    """Return the value of ``--home`` on the command line."""
    for word, following in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        if word == "--home":
            return following
        if word.startswith("--home="):
            return word.partition("=")[2]
    return None


def _exit_with(err: DesdmError) -> None:
    """Exit with message and status of an error."""
    kind = {1: "usage", 2: "usage", 3: "transient"}.get(err.exit_status, "fatal")
    _exit(str(err), kind, err.exit_status)


def _exit(message: str, kind: str, status: int) -> None:
    """Print an error and exit."""
    if "--json" in sys.argv:
        import json

        sys.stdout.write(json.dumps({"error": {"kind": kind, "message": message}}) + "\n")
    click.echo(click.style("error: ", fg="red", bold=True) + message, err=True)
    finish_output()
    sys.exit(status)


if __name__ == "__main__":
    main()
