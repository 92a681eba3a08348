"""desdm sql: a shell for queries, and queries from scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from desdm.cli.context import CommandContext, pass_command_context
from desdm.errors import UsageError


@click.command()
@click.option(
    "--url",
    help="Address of the service (default: this installation, served while the shell runs).",
    envvar="DESDM_URL",
    show_envvar=True,
)
@click.option("--token", help="Token of an account.", envvar="DESDM_TOKEN", show_envvar=True)
@click.option(
    "-c", "--command", "commands", multiple=True, metavar="TEXT", help="Do this and end; may be repeated."
)
@click.option("-l", "--loadsql", type=click.Path(path_type=Path), help="Do the statements of a file and end.")
@click.option(
    "-lt",
    "--load-table",
    "load",
    type=click.Path(path_type=Path),
    help="Make a table of your own of a file and end.",
)
@click.option(
    "-at",
    "--append-table",
    "append",
    type=click.Path(path_type=Path),
    help="Add a file's rows to a table of your own and end.",
)
@click.option("-tn", "--tablename", help="Name of that table (default: the file's name).")
@click.option("-q", "--quiet", is_flag=True, help="Only rows and errors.")
@pass_command_context
def command(
    context: CommandContext,
    url: str | None,
    token: str | None,
    commands: tuple[str, ...],
    loadsql: Path | None,
    load: Path | None,
    append: Path | None,
    tablename: str | None,
    quiet: bool,
) -> None:
    """A shell for queries: completion, answers into files, tables of your own. `help` in it shows the words."""
    import shlex
    import sys

    from desdm.client import Client
    from desdm.client.shell.parser import statements
    from desdm.client.shell.shell import Shell

    todo = list(commands)
    if loadsql is not None:
        todo.append(f"loadsql {shlex.quote(str(loadsql))}")
    for verb, path in (("load_table", load), ("append_table", append)):
        if path is not None:
            todo.append(shlex.join([verb, str(path), tablename or path.stem]))
    with ExitStack() as stack:
        address = url or stack.enter_context(_own(context))
        interactive = not todo and sys.stdin.isatty()
        client = stack.enter_context(Client(address, token))
        shell = Shell(client, interactive=interactive, quiet=quiet)
        if interactive:
            shell.loop()
            return
        shell.script(todo or statements(sys.stdin.read()))


@contextmanager
def _own(context: CommandContext) -> Iterator[str]:
    """This installation, served at a free port of this machine for as long as the shell runs."""
    import subprocess
    import sys
    import tempfile

    from desdm.cli.child import ends_with_parent

    home = str(context.require_installation().config.home)
    program = [sys.executable, "-c", "from desdm.cli.main import main; main()"]
    with tempfile.TemporaryFile("w+") as log:
        # A session of its own: Ctrl-C in the shell ends a query, not the server.
        server = subprocess.Popen(
            [*program, "--home", home, "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            preexec_fn=ends_with_parent(),  # noqa: PLW1509 - no other thread runs yet
        )
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if " at http" not in line:
                server.wait(10)
                log.seek(0)
                raise UsageError(f"this installation cannot be served: {log.read().strip()[-500:]}")
            yield line.rpartition(" at ")[2].strip()
        finally:
            server.terminate()
            server.wait(20)
