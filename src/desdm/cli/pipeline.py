"""desdm pipeline: list pipelines, show one, write one as submit WCL."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.cli.names import PIPELINE


@click.group(cls=CommandGroup)
def command() -> None:
    """List pipelines, show one, write one as submit WCL."""


@command.command("list")
@json_option
@pass_command_context
def list_(context: CommandContext, as_json: bool) -> None:
    """Every pipeline with one line on it."""
    from desdm.pipelines import PIPELINES

    document = [{"pipeline": p.name, "version": p.version, "unit": p.unit, "text": p.text} for p in PIPELINES]
    rows = [tuple(d.values()) for d in document]
    context.show(document, lambda: context.table(("PIPELINE", "VERSION", "UNIT", "TEXT"), rows), as_json)


@command.command()
@click.argument("name", type=PIPELINE)
@click.option("--wcl", "as_wcl", is_flag=True, help="As submit WCL, for: desdm submit FILE.wcl")
@json_option
@pass_command_context
def show(context: CommandContext, name: str, as_wcl: bool, as_json: bool) -> None:
    """Blocks and modules of pipeline NAME (or of a submit WCL file), with what each reads and makes."""
    from pathlib import Path

    from desdm import wcl
    from desdm.framework.submitwcl import read_submit, to_wcl
    from desdm.pipelines import get

    pipeline = read_submit(Path(name))[0] if name.endswith((".wcl", ".des")) else get(name)
    tree = to_wcl(pipeline)
    if as_wcl and not as_json:
        click.echo(wcl.dumps(tree), nl=False)
        return

    def human() -> None:
        click.echo(f"{pipeline.name} {pipeline.version}: {pipeline.text}")
        for block in pipeline.blocks:
            rows = [
                (
                    m.name,
                    m.text,
                    ",".join(m.loop),
                    ", ".join(
                        f.depends or f.query.get("filetype", f.filetype) or f.filename for f in m.inputs
                    ),
                    ", ".join(f.filetype for f in m.outputs),
                )
                for m in block.modules
            ]
            by = f", jobs by {','.join(block.divide_jobs_by)}" if block.divide_jobs_by else ""
            context.table(
                ("MODULE", "WHAT IT DOES", "LOOP", "READS", "MAKES"), rows, f"block {block.name}{by}"
            )

    context.show(tree, human, as_json)
