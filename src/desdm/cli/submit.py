"""desdm submit: plan and run a pipeline or a submit WCL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import PIPELINE

if TYPE_CHECKING:
    from desdm.cli.context import JsonValue


def _settings(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """Parse settings KEY=VALUE."""
    return settings_of(pairs)


def settings_of(pairs: tuple[str, ...]) -> dict[str, str]:
    """Settings of ``--set KEY=VALUE``."""
    settings = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise click.BadParameter(f"{pair!r}: say key=value")
        settings[key.strip()] = value
    return settings


@click.command()
@click.argument("pipeline", type=PIPELINE)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", callback=_settings, help="A setting.")
@click.option(
    "--run-class",
    type=click.Choice(["dev", "qualify", "study", "survey"]),
    help="What the run is for; only survey runs are production.  [default: survey]",
)
@click.option("--label", "labels", multiple=True, help="A label for the run.")
@click.option("--wait", is_flag=True, help="Stay until the run ends.")
@click.option("--again", is_flag=True, help="Make a new attempt even if the same work is done.")
@click.option(
    "--resume", is_flag=True, help="If the unit's last attempt of the same work is not done, go on with it."
)
@click.option("--dry-run", is_flag=True, help="Plan and check; write and run nothing.")
@click.option("--reason", default="", help="Why; recorded with the event.")
@click.option("--compat", is_flag=True, help="Read a submit WCL as the original did.")
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
    from desdm.pipelines import get
    from desdm.quality.qa.selection import omissions
    from desdm.schema.states import AttemptState

    facility = context.facility
    surprises: list[wcl.Finding] = []
    if pipeline.endswith((".wcl", ".des")) or "/" in pipeline:
        source = wcl.read(pipeline, compat=compat, functions=include_functions(facility.database))
        surprises = source.warnings
        for surprise in surprises:
            click.echo(f"note: {surprise.message}", err=True)
        value, top = from_wcl(source.tree, pipeline, settings=settings, locate=source.origin)
        for line in describe_ignored_keys(source.tree):
            click.echo(f"note: {line}", err=True)
    else:
        value, top = get(pipeline), {}
    if run_class is not None:
        settings = {**settings, "run_class": run_class}
    submission = submit(
        facility.config,
        facility.database,
        facility.archive,
        value,
        settings,
        who=facility.config.operator,
        labels=labels,
        again=again,
        resume=resume,
        dry_run=dry_run,
        top=top,
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
        "omitted": [one.document() for one in submission.omitted],
    }
    if dry_run:
        document["inputs"] = [i._asdict() for i in submission.inputs]

    if submission.notes or surprises:
        document["notes"] = [*(surprise.message for surprise in surprises), *submission.notes]

    def human() -> None:
        for note in submission.notes:
            click.echo(f"note: {note}")
        for line in omissions(submission.omitted):
            click.echo(f"left out: {line}")
        if dry_run and submission.reused:
            click.echo(
                f"{submission.run} has done the same work already: {state.value}, on {len(submission.inputs)} inputs"
            )
        elif dry_run:
            click.echo(
                f"{submission.run} would be {submission.jobs} jobs with {submission.wrappers} wrappers "
                f"on {len(submission.inputs)} inputs"
            )
        elif submission.reused:
            click.echo(
                f"{submission.run} has done the same work already: {state.value} (a new attempt: --again)"
            )
        else:
            click.echo(
                f"{submission.run} {state.value}: {submission.jobs} jobs, {submission.wrappers} wrappers"
            )
            click.echo(f"next: desdm show {submission.run}   desdm report {submission.run}")

    context.show(document, human, as_json)
    ctx.exit(exit_status(state))
