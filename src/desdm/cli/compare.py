"""desdm compare: what differs between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import RUN

if TYPE_CHECKING:
    from desdm.operations.compare import Comparison


@click.command()
@click.argument("first", type=RUN)
@click.argument("second", type=RUN)
@click.option("--pixels", is_flag=True, help="Compare the contents of images and catalogues too.")
@json_option
@pass_command_context
def command(context: CommandContext, first: str, second: str, pixels: bool, as_json: bool) -> None:
    """Compare runs FIRST and SECOND: settings, inputs, calibrations, software, messages, numbers, verdicts.

    Names of runs, paths and times are no differences; times are listed beside each other.
    """
    from dataclasses import asdict

    from desdm.operations.compare import compare_runs

    facility = context.facility
    with facility.database.read() as conn:
        comparison = compare_runs(conn, facility.archive, first, second, pixels=pixels)
    document = {**asdict(comparison), "same": comparison.same}
    context.show(document, lambda: _print(context, comparison), as_json)


def _print(context: CommandContext, c: Comparison) -> None:
    """Print a comparison: only what differs, then the times."""
    for side in (c.first, c.second):
        click.echo(f"{side.run}  {side.pipeline}  {side.state}, data {side.data_state}, {side.run_class} run")
    if c.same:
        click.echo("nothing differs")
    heads = ("FIRST", "SECOND")
    for title, column, rows in (
        ("Settings", "SETTING", c.settings),
        ("Software", "PROGRAM", c.software),
        ("Verdicts", "NUMBER", c.verdicts),
        ("Files made", "FILE TYPE", c.outputs),
    ):
        if rows:
            context.table((column, *heads), [(d.key, d.before, d.after) for d in rows], title, mixed=heads)
    inputs = [("first", f.filetype, f.filename) for f in c.inputs_only_first]
    inputs += [("second", f.filetype, f.filename) for f in c.inputs_only_second]
    if inputs:
        context.table(("ONLY IN", "FILE TYPE", "FILE"), inputs, "Inputs")
    if c.calibrations:
        taken = [
            (d.filetype, d.ccdnum, d.band, d.before, d.after, f"{d.before_rule} → {d.after_rule}")
            for d in c.calibrations
        ]
        context.table(("FILE TYPE", "CCD", "BAND", *heads, "RULE"), taken, "Calibrations")
    counts = [(m.level, m.before, m.after) for m in c.messages]
    if counts:
        context.table(("LEVEL", *heads), counts, "Messages")
    for message in c.messages:
        for place, texts in (("first", message.only_before), ("second", message.only_after)):
            for text in texts:
                click.echo(f"only in the {place}: {text}")
    if c.metrics:
        numbers = [
            (d.module, d.keys, d.band, d.name, d.before, d.after, d.difference, d.unit) for d in c.metrics
        ]
        titles = ("MODULE", "KEYS", "BAND", "NUMBER", *heads, "DIFFERENCE", "UNIT")
        context.table(titles, numbers, "QA numbers", mixed=(*heads, "DIFFERENCE"))
    if c.files:
        files = [(d.name, d.part, d.text, d.largest) for d in c.files]
        context.table(("FILE", "PART", "WHAT", "LARGEST"), files, "Contents", mixed=("LARGEST",))
    times = [(name, c.times[0].modules.get(name), c.times[1].modules.get(name)) for name in _modules(c)]
    totals = [
        ("all, wall", c.times[0].wall_s, c.times[1].wall_s),
        ("all, CPU", c.times[0].cpu_s, c.times[1].cpu_s),
    ]
    context.table(("MODULE", *heads), [*times, *totals], "Seconds", mixed=heads)


def _modules(comparison: Comparison) -> list[str]:
    """Return the modules of both runs, in order."""
    return list(dict.fromkeys([*comparison.times[0].modules, *comparison.times[1].modules]))
