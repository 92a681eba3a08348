"""desdm retry: repeat a run with a reason, as it was or with named changes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import RUN

if TYPE_CHECKING:
    from desdm.cli.context import JsonValue
    from desdm.framework.submit import Submission
    from desdm.operations.compare import InputChanges
    from desdm.operations.retry import Retry


@click.command()
@click.argument("run", type=RUN)
@click.option("--reason", default="", help="Why; recorded with the new attempt.")
@click.option(
    "--only-failed", is_flag=True, help="Go on with RUN itself at its first module that is not done."
)
@click.option(
    "--with",
    "texts",
    multiple=True,
    metavar="CHANGE",
    help="setting=KEY:VALUE, calibration=TYPE:FILE or software=PROGRAM:PATH; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done; write and run nothing.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Stay until the run ends.")
@json_option
@pass_command_context
@click.pass_context
def command(
    ctx: click.Context,
    context: CommandContext,
    run: str,
    reason: str,
    only_failed: bool,
    texts: tuple[str, ...],
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Repeat RUN: prints what it does, and makes a new attempt that names RUN as the one that it replaces."""
    from desdm.cli.runs import drive_here, drive_in_background, exit_status
    from desdm.operations.compare import compare_planned_inputs
    from desdm.operations.queue.repeated import settle_repeated
    from desdm.operations.retry import parse_changes, plan_retry, submit_retry

    facility = context.facility
    changes = parse_changes(texts)
    with facility.database.read() as conn:
        retry = plan_retry(conn, run, changes, reason=reason, only_failed=only_failed)
    name, state = retry.attempt.run, retry.attempt.state
    document: dict[str, JsonValue] = {
        "replaces": None if only_failed else retry.attempt.run,
        "pipeline": retry.pipeline.name,
        "only_failed": only_failed,
        "changes": [{"key": c.key, "before": c.before, "after": c.after} for c in retry.changes],
        "settings": dict(retry.settings),
        "reason": retry.reason,
        "dry_run": dry_run,
    }
    if only_failed:
        if not as_json:
            click.echo(f"{name} goes on at its first module that is not done; what is good stays")
    else:
        submission = submit_retry(
            facility.config, facility.database, facility.archive, retry, dry_run=dry_run
        )
        with facility.database.read() as conn:
            changed = compare_planned_inputs(conn, retry.attempt, submission)
        name, state = submission.run, submission.state
        document |= {
            "jobs": submission.jobs,
            "wrappers": submission.wrappers,
            "notes": list(submission.notes),
            "calibrations": [asdict(one) for one in changed.calibrations],
            "inputs_only_first": list(changed.only_before),
            "inputs_only_second": list(changed.only_after),
        }
        if dry_run:
            document["inputs"] = [one._asdict() for one in submission.inputs]
        if not as_json:
            _print_plan(context, retry, submission, changed)
    if not dry_run:
        if wait:
            state = drive_here(context, name, reason=retry.reason)
        else:
            drive_in_background(context, name, reason=retry.reason)
        with facility.database.write() as conn:
            settle_repeated(conn, facility.production, name, who=facility.config.operator)
    document |= {"attempt": name, "state": state.value}
    end = "nothing is written: leave --dry-run away" if dry_run else f"{name} {state.value}"
    context.show(document, lambda: click.echo(end), as_json)
    ctx.exit(0 if dry_run else exit_status(state))


def _print_plan(context: CommandContext, retry: Retry, submission: Submission, changed: InputChanges) -> None:
    """Print what a retry does before it does it."""
    from desdm.numbers import counted

    size = f"{counted(submission.jobs, 'job')}, {counted(submission.wrappers, 'wrapper')}"
    click.echo(f"{submission.run} repeats {retry.attempt.run}: {size}")
    rows = [(c.key, c.before, c.after) for c in retry.changes]
    context.table(("SETTING", "BEFORE", "AFTER"), rows, empty="with the same settings")
    if changed.calibrations:
        context.table(
            ("CALIBRATION", "CCD", "BAND", "BEFORE", "AFTER", "RULE"),
            [(c.filetype, c.ccdnum, c.band, c.before, c.after, c.after_rule) for c in changed.calibrations],
        )
    for name in changed.only_before:
        click.echo(f"no longer taken: {name}")
    for name in changed.only_after:
        click.echo(f"taken now, not before: {name}")
    if not changed.any:
        click.echo("with the same inputs and calibrations")
    for note in submission.notes:
        click.echo(f"note: {note}", err=True)
