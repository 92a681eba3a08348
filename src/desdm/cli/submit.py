"""desdm submit: plan and run a pipeline or a submit WCL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import PIPELINE

if TYPE_CHECKING:
    from desdm.cli.context import JsonValue


def _parse_settings_option(
    _ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str]:
    """Parse the values of option ``--set``, as click calls it."""
    return parse_settings(pairs)


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Parse the pairs of ``--set KEY=VALUE``; raise `BadParameter` for a pair without key or '='."""
    settings = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise click.BadParameter(
                f"{pair!r} is not of the form KEY=VALUE; write for instance --set expnum=229686"
            )
        settings[key.strip()] = value
    return settings


@click.command()
@click.argument("pipeline", type=PIPELINE)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_parse_settings_option,
    help="Set a parameter of the pipeline, for instance expnum=229686; may be repeated.",
)
@click.option(
    "--run-class",
    type=click.Choice(["dev", "qualify", "study", "survey"]),
    help="What the run is for; only survey runs are production.  [default: survey]",
)
@click.option("--label", "labels", multiple=True, help="A label for the run.")
@click.option("--wait", is_flag=True, help="Wait until the run ends.")
@click.option("--again", is_flag=True, help="Make a new attempt even if this work has been done already.")
@click.option(
    "--resume", is_flag=True, help="Resume the unit's last attempt at the same work if it is unfinished."
)
@click.option("--dry-run", is_flag=True, help="Plan and check; write and run nothing.")
@click.option("--reason", default="", help="Reason for the run; recorded with its event.")
@click.option(
    "--compat", is_flag=True, help="Read the submit WCL with the rules of the original DESDM framework."
)
@json_option
@pass_command_context
@click.pass_context
def command(
    ctx: click.Context,
    context: CommandContext,
    pipeline: str,
    settings: dict[str, str],
    run_class: str | None,
    labels: tuple[str, ...],
    wait: bool,
    again: bool,
    resume: bool,
    dry_run: bool,
    reason: str,
    compat: bool,
    as_json: bool,
) -> None:
    """Plan and run PIPELINE: a name (see: desdm pipeline list) or a submit WCL file."""
    from desdm import wcl
    from desdm.cli.runs import drive_here, drive_in_background, exit_status
    from desdm.framework.submit import submit
    from desdm.framework.submitwcl import describe_ignored_keys, from_wcl
    from desdm.framework.tileinfo import include_functions
    from desdm.numbers import counted
    from desdm.pipelines import get
    from desdm.quality.qa.selection import omissions
    from desdm.schema.states import AttemptState

    facility = context.facility
    warnings: list[wcl.Finding] = []
    if pipeline.endswith((".wcl", ".des")) or "/" in pipeline:
        source = wcl.read(pipeline, compat=compat, functions=include_functions(facility.database))
        warnings = source.warnings
        for warning in warnings:
            click.echo(f"note: {warning.message}", err=True)
        definition, top_keys = from_wcl(source.tree, pipeline, settings=settings, locate=source.origin)
        for line in describe_ignored_keys(source.tree):
            click.echo(f"note: {line}", err=True)
    else:
        definition, top_keys = get(pipeline), {}
    if run_class is not None:
        settings = {**settings, "run_class": run_class}
    submission = submit(
        facility.config,
        facility.database,
        facility.archive,
        definition,
        settings,
        who=facility.config.operator,
        labels=labels,
        again=again,
        resume=resume,
        dry_run=dry_run,
        top=top_keys,
        reason=reason,
    )
    state = submission.state
    if not dry_run and state not in (AttemptState.DONE, AttemptState.FLAGGED):
        if wait:
            state = drive_here(context, submission.run, reason=reason)
        else:
            drive_in_background(context, submission.run, reason=reason)
    document: dict[str, JsonValue] = {
        "attempt": submission.run,
        "state": state.value,
        "jobs": submission.jobs,
        "wrappers": submission.wrappers,
        "reused": submission.reused,
        "omitted": [omission.document() for omission in submission.omitted],
    }
    if dry_run:
        document["inputs"] = [i._asdict() for i in submission.inputs]

    if submission.notes or warnings:
        document["notes"] = [*(warning.message for warning in warnings), *submission.notes]

    def print_text() -> None:
        """Print what was submitted; notes go to standard error."""
        for note in submission.notes:
            click.echo(f"note: {note}", err=True)
        for line in omissions(submission.omitted):
            click.echo(f"left out: {line}")
        if dry_run and submission.reused:
            click.echo(
                f"{submission.run} has already done this work: state {state.value}, {len(submission.inputs)} inputs"
            )
        elif dry_run:
            click.echo(
                f"{submission.run} would have {counted(submission.jobs, 'job')} with "
                f"{counted(submission.wrappers, 'wrapper')} on {counted(len(submission.inputs), 'input')}"
            )
        elif submission.reused:
            click.echo(
                f"{submission.run} has already done this work: state {state.value} (for a new attempt: --again)"
            )
        else:
            click.echo(
                f"{submission.run} {state.value}: {counted(submission.jobs, 'job')}, "
                f"{counted(submission.wrappers, 'wrapper')}"
            )
            click.echo(f"next: desdm show {submission.run}   desdm report {submission.run}")

    context.show(document, print_text, as_json)
    ctx.exit(exit_status(state))
