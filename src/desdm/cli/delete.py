"""desdm delete: delete files; shows its plan first, recoverable for a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import RUN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from desdm.archive.delete import Plan
    from desdm.archive.model import FileRecord
    from desdm.cli.context import JsonValue

_MOST = 20


@click.command()
@click.argument("names", metavar="NAME…", nargs=-1)
@click.option("--attempt", metavar="RUN", type=RUN, help="All files of an attempt; also with --undelete.")
@click.option("--filetype", metavar="TYPE", help="Of an attempt, only this type.")
@click.option("--reason", default="", help="Why; recorded with the files in the trash and with the event.")
@click.option("--yes", "-d", is_flag=True, help="Do it; without this only the plan is printed.")
@click.option("--undelete", is_flag=True, help="Bring files back from the trash, at once.")
@click.option("--trash", is_flag=True, help="List what can be brought back.")
@click.option("--purge", is_flag=True, help="Remove for good what is past its grace time, at once.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    names: tuple[str, ...],
    attempt: str | None,
    filetype: str | None,
    reason: str,
    yes: bool,
    undelete: bool,
    trash: bool,
    purge: bool,
    as_json: bool,
) -> int:
    """Delete files: without --yes only the plan is printed. Deleted files can be brought back for a time.

    Exit status 1: the plan is blocked, and nothing was deleted.
    """
    from desdm.archive import delete as deletion
    from desdm.errors import UsageError
    from desdm.texttable import size_text

    facility = context.facility
    who, archive, database = facility.config.operator, facility.archive, facility.database
    if trash:
        with database.read() as conn:
            entries = deletion.trash(conn, archive)
        document = [{"filename": f.name, "filesize": f.filesize, "purge_after": end} for f, end in entries]
        rows = [[f.name, size_text(f.filesize), end] for f, end in entries]
        context.show(
            document,
            lambda: context.table(["filename", "size", "kept until"], rows, empty="the trash is empty"),
            as_json,
        )
        return 0
    if undelete or purge:
        if undelete and attempt:
            names = (*names, *_in_trash(context, attempt, filetype))
        if undelete and not names:
            raise UsageError(
                "name the files to bring back, or give --attempt; desdm delete --trash lists them"
            )
        verb = "undeleted" if undelete else "purged"
        done = (
            deletion.undelete(database, archive, names, who=who, reason=reason)
            if undelete
            else deletion.purge(database, archive, who=who, reason=reason)
        )
        if undelete:
            _refresh_tags(context, done, f"files brought back: {reason}" if reason else "files brought back")
        context.show({verb: [f.name for f in done]}, lambda: click.echo(f"{len(done)} files {verb}"), as_json)
        return 0
    with database.read() as conn:
        files = _selected_files(conn, names, attempt, filetype)
        plan = deletion.plan(conn, archive, files, facility.config.delete_bound)
    if yes and not plan.blocked:
        plan = deletion.delete(
            database,
            archive,
            files,
            who=who,
            reason=reason or "no reason given",
            bound=facility.config.delete_bound,
            grace_days=facility.config.grace_days,
        )
        _refresh_tags(context, plan.files, f"files deleted: {reason}" if reason else "files deleted")
    done_now = yes and not plan.blocked
    context.show(
        _document(plan, done_now),
        lambda: _print_plan(plan, done_now, facility.config.grace_days, attempt),
        as_json,
    )
    return 1 if plan.blocked else 0


def _in_trash(context: CommandContext, run: str, filetype: str | None) -> list[str]:
    """Return the names of the files of a run, or of those of one type, that are in the trash."""
    from desdm.archive import catalog
    from desdm.archive import delete as deletion
    from desdm.errors import NotFoundError

    with context.facility.database.read() as conn:
        number = catalog.attempt_number(conn, run)
        names = [
            file.name
            for file, _ in deletion.trash(conn, context.facility.archive)
            if file.pfw_attempt_id == number and filetype in (None, file.filetype)
        ]
    if not names:
        raise NotFoundError(f"no file of {run} is in the trash; see: desdm delete --trash")
    return names


def _refresh_tags(context: CommandContext, files: Sequence[FileRecord], reason: str) -> None:
    """Update the tags of accepted runs: a run without its files loses its place, and regains it with them."""
    from desdm.operations.acceptance import refresh_tags_of_attempts

    facility = context.facility
    attempts = sorted({f.pfw_attempt_id for f in files if f.pfw_attempt_id is not None})
    with facility.database.write() as conn:
        refresh_tags_of_attempts(
            conn, facility.production, attempts, who=facility.config.operator, reason=reason
        )


def _selected_files(
    conn: Connection, names: tuple[str, ...], attempt: str | None, filetype: str | None
) -> list[FileRecord]:
    """Return the files of the arguments: by name, or of an attempt."""
    from desdm.archive import catalog
    from desdm.errors import NotFoundError, UsageError

    if not names and not attempt:
        raise UsageError("name files, or give --attempt")
    files = catalog.files(conn, attempt=attempt, filetype=filetype) if attempt else []
    for name in names:
        record = catalog.by_name(conn, name)
        if record is None:
            raise NotFoundError(f"no file {name} in the archive; see: desdm files")
        files.append(record)
    return list({f.id: f for f in files}.values())


def _document(plan: Plan, done: bool) -> Mapping[str, JsonValue]:
    """Return the JSON document of a plan."""
    return {
        "files": [f.name for f in plan.files],
        "bytes": plan.bytes,
        "blocked": [{"filename": b.name, "reason": b.reason} for b in plan.blocked],
        "deleted": len(plan.files) if done else 0,
    }


def _print_plan(plan: Plan, done: bool, grace_days: float, attempt: str | None) -> None:
    """Print a plan, or what was deleted."""
    for file in plan.files[:_MOST]:
        click.echo(f"  {file.name}  {file.filesize} bytes")
    if len(plan.files) > _MOST:
        click.echo(f"  … and {len(plan.files) - _MOST} more")
    for block in plan.blocked[:_MOST]:
        click.echo(click.style("blocked: ", fg="red") + f"{block.name}: {block.reason}")
    total = f"{len(plan.files)} files, {plan.bytes} bytes"
    if done:
        what = f"--attempt {attempt}" if attempt else "NAME…"
        click.echo(f"{total} deleted; for {grace_days:g} days: desdm delete --undelete {what}")
    elif plan.blocked:
        click.echo(f"{total}: nothing is deleted while anything blocks it")
    else:
        click.echo(f"{total} would be deleted; to do it add --yes")
