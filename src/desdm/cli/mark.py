"""desdm mark: mark a run's data active, good for use, or junk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from typing_extensions import override

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.findings import print_holders
from desdm.cli.names import RUN

if TYPE_CHECKING:
    from desdm.framework.mark import Mark


_STATES = ("active", "junk")


class _Mark(click.Command):
    """Takes ``mark junk RUN`` for ``mark RUN junk``."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first, second = (*args, "", "")[:2]
        if (
            first.lower() in _STATES
            and second
            and not second.startswith("-")
            and second.lower() not in _STATES
        ):
            args = [second, first, *args[2:]]
        return super().parse_args(ctx, args)


@click.command(cls=_Mark)
@click.argument("run", type=RUN)
@click.argument("state", type=click.Choice(_STATES, case_sensitive=False))
@click.option("--reason", default="", help="Why; required, and recorded with the mark.")
@json_option
@pass_command_context
def command(context: CommandContext, run: str, state: str, reason: str, as_json: bool) -> None:
    """Mark the data of RUN active (good for use; a flagged run can then be released) or junk (not to be used)."""
    from desdm.archive.catalog import attempt_number
    from desdm.cli.tag import notes_of, print_retagged
    from desdm.framework.mark import mark
    from desdm.operations.acceptance import TagChange, refresh_tags_of_run
    from desdm.release.holders import Holder, holders_of_run
    from desdm.schema.states import DataState

    facility = context.facility
    who = facility.config.operator
    affected: list[Holder] = []
    with facility.database.write() as conn:
        result = mark(conn, run, DataState(state.upper()), who=who, reason=reason)
        changed = TagChange()
        if result.changed:
            changed = refresh_tags_of_run(
                conn, facility.production, result.run, who=who, reason=f"{result.after.value}: {reason}"
            )
    if result.after is DataState.JUNK:
        with facility.database.read() as conn:
            affected = holders_of_run(conn, facility.config.releases, attempt_number(conn, result.run))
    document = {
        "run": result.run,
        "data_state": result.after.value,
        "before": result.before.value,
        "changed": result.changed,
        "recorded": result.recorded,
        "releases": [h.release for h in affected],
        "notes": notes_of(changed, affected),
    }

    def human() -> None:
        click.echo(_text(result))
        print_retagged(changed)
        print_holders(affected)

    context.show(document, human, as_json)


def _text(result: Mark) -> str:
    """Describe the result of a mark."""
    if not result.recorded:
        return (
            f"{result.run} is {result.after.value} already, by you and for this reason; nothing was changed"
        )
    if not result.changed:
        return f"{result.run} is {result.after.value} already; your mark and its reason are recorded beside the earlier one"
    return f"{result.run} is {result.after.value}, was {result.before.value}: {result.after.text}"
