"""desdm mark: mark a run's data active, good for use, or junk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from typing_extensions import override

from desdm.cli.door import Door, json_option, pass_door
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
@click.option("--reason", default="", help="Why; required, and kept with the mark.")
@json_option
@pass_door
def command(door: Door, run: str, state: str, reason: str, as_json: bool) -> None:
    """Mark the data of RUN active (good for use; a flagged run can then be released) or junk (not to be used)."""
    from desdm.archive.catalog import attempt_number
    from desdm.cli.tag import print_retagged
    from desdm.framework.mark import mark
    from desdm.operations.acceptance import TagChange, refresh_tags_of
    from desdm.release.holders import Holder, holders_of_run
    from desdm.schema.states import DataState

    facility = door.facility
    who = facility.config.operator
    held: list[Holder] = []
    with facility.database.write() as conn:
        made = mark(conn, run, DataState(state.upper()), who=who, reason=reason)
        changed = TagChange()
        if made.changed:
            changed = refresh_tags_of(
                conn, facility.production, made.run, who=who, reason=f"{made.after.value}: {reason}"
            )
    if made.after is DataState.JUNK:
        with facility.database.read() as conn:
            held = holders_of_run(conn, facility.config.releases, attempt_number(conn, made.run))
    document = {
        "run": made.run, "data_state": made.after.value, "before": made.before.value, "changed": made.changed,
        "releases": [h.release for h in held],
    }  # fmt: skip

    def human() -> None:
        click.echo(_text(made))
        print_retagged(changed)
        print_holders(held)

    door.show(document, human, as_json)


def _text(made: Mark) -> str:
    if not made.changed:
        return f"{made.run} is {made.after.value} already; nothing was changed"
    return f"{made.run} is {made.after.value}, was {made.before.value}: {made.after.text}"
