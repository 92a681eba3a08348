"""desdm tag: tag files or attempts; list tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from desdm.operations.acceptance import TagChange
    from desdm.release.holders import Holder

__all__ = ["command", "notes_of", "print_retagged"]


def notes_of(changed: TagChange, holders: Sequence[Holder] = ()) -> list[str]:
    """Return what an act changed and concerns beside its subject: the lines that the text of a command prints."""
    return [
        *(f"{run} received the tag {name}" for name, run in changed.added),
        *(f"{run} lost the tag {name}" for name, run in changed.removed),
        *([changed.note] if changed.note else []),
        *(holder.text for holder in holders),
    ]


def print_retagged(changed: TagChange) -> None:
    """Print which runs gained or lost the tag of accepted runs."""
    for name, run in changed.added:
        click.echo(f"{run} received the tag {name}")
    for name, run in changed.removed:
        click.echo(f"{run} lost the tag {name}")
    if changed.note:
        click.echo(f"note: {changed.note}", err=True)


@click.command()
@click.argument("tag", required=False)
@click.argument("names", metavar="NAME…", nargs=-1)
@click.option("--attempt", "attempts", metavar="RUN", type=RUN, multiple=True, help="Tag a whole attempt.")
@click.option("--text", default="", help="What the tag stands for.")
@click.option("--reason", default="", help="Why it is set or removed.")
@click.option("--remove", is_flag=True, help="Take the tag off.")
@click.option("--list", "listing", is_flag=True, help="List all tags.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    tag: str | None,
    names: tuple[str, ...],
    attempts: tuple[str, ...],
    text: str,
    reason: str,
    remove: bool,
    listing: bool,
    as_json: bool,
) -> None:
    """Tag files or attempts; tagged data, and what they were derived from, cannot be deleted."""
    from desdm.archive import tags
    from desdm.errors import UsageError
    from desdm.operations.acceptance import require_manual_tag

    facility = context.facility
    if listing or tag is None:
        with facility.database.read() as conn:
            tag_list = tags.list_tags(conn)
        rows = [[t.tag, t.files, t.attempts, t.description] for t in tag_list]
        document: object = [t._asdict() for t in tag_list]
        context.show(
            document,
            lambda: context.table(["tag", "files", "attempts", "stands for"], rows, empty="no tag yet"),
            as_json,
        )
        return
    if not names and not attempts:
        raise UsageError("name files, or give --attempt; desdm tag --list shows the tags")
    require_manual_tag(tag)
    who = facility.config.operator
    with facility.database.write() as conn:
        if remove:
            count = tags.untag(conn, tag, names, attempts, who=who, reason=reason)
        else:
            count = tags.tag(conn, tag, names, attempts, who=who, description=text, reason=reason)
    what = "untagged" if remove else "tagged"
    context.show(
        {"tag": tag, what: count, "notes": []}, lambda: click.echo(f"{tag}: {count} {what}"), as_json
    )
