"""desdm dispatch: data sent to working groups with a question, and their answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.schema.operationstates import DispatchState

if TYPE_CHECKING:
    from datetime import datetime

    from desdm.quality.qa.model import Dispatch

_VERDICTS = ("valid", "partly", "invalid", "unclear")


@click.group("dispatch", cls=CommandGroup)
def command() -> None:
    """Data sent to working groups with a question; an answer is evidence for a mark, and never a mark itself."""


@command.command("open")
@click.argument("group")
@click.argument("subject")
@click.argument("question")
@click.option("--criteria", default="", help="By what the answer is judged.")
@click.option(
    "--due", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), required=True, help="When it is due, UTC."
)
@json_option
@pass_command_context
def open_(
    context: CommandContext,
    group: str,
    subject: str,
    question: str,
    criteria: str,
    due: datetime,
    as_json: bool,
) -> None:
    """Send SUBJECT (an exposure, CCD, tile, run or file) to working GROUP with a QUESTION."""
    from desdm.archive.store import now
    from desdm.operations.qa.dispatch import open_dispatch

    facility = context.facility
    with facility.database.write() as conn:
        one = open_dispatch(
            conn,
            group,
            subject,
            question,
            criteria,
            due,
            who=facility.config.operator,
            scope=facility.production,
            now=now(),
        )
    _show(context, one, as_json)


@command.command("list")
@click.option("--group", default="", help="Only those to this working group.")
@click.option("--subject", default="", help="Only those of this subject.")
@click.option("--all", "everything", is_flag=True, help="Also those that wait for no answer.")
@json_option
@pass_command_context
def list_(context: CommandContext, group: str, subject: str, everything: bool, as_json: bool) -> None:
    """List dispatches, the first that is due first."""
    from desdm.archive.store import now
    from desdm.quality.qa import store

    with context.facility.database.read() as conn:
        rows = store.dispatches(conn, group=group, subject=subject, everything=everything)
    today = now()
    late = {
        one.id
        for one in rows
        if one.due_at < today and one.state in (DispatchState.OFFERED, DispatchState.ACCEPTED)
    }
    cells = [
        (
            one.id,
            one.working_group,
            one.subject,
            one.question,
            f"{one.due_at:%Y-%m-%d}{' late' if one.id in late else ''}",
            one.state.value,
            one.opened_by,
        )
        for one in rows
    ]
    titles = ("NUMBER", "GROUP", "SUBJECT", "QUESTION", "DUE", "STATE", "BY")
    context.show(
        [{**asdict(one), "late": one.id in late} for one in rows],
        lambda: context.table(titles, cells, empty="no dispatch waits for an answer"),
        as_json,
    )


@command.command()
@click.argument("number", type=int)
@json_option
@pass_command_context
def show(context: CommandContext, number: int, as_json: bool) -> None:
    """Show dispatch NUMBER with its answers."""
    from desdm.errors import NotFoundError
    from desdm.quality.qa import store

    with context.facility.database.read() as conn:
        one = store.dispatch_by_number(conn, number)
        answers = store.answers_of(conn, number)
    if one is None:
        raise NotFoundError(f"no dispatch {number}; see: desdm dispatch list --all")

    def human() -> None:
        click.echo(
            f"dispatch {one.id} to {one.working_group}: {one.subject}, {one.state.value}: {one.state.text}"
        )
        click.echo(f"question: {one.question}")
        click.echo(f"criteria: {one.criteria}")
        click.echo(f"by {one.opened_by}, answer due {one.due_at:%Y-%m-%d %H:%M} UTC")
        for answer in answers:
            file = f", see {answer.file}" if answer.file else ""
            click.echo(
                f"  {answer.answered_at:%Y-%m-%d %H:%M} {answer.who}: {answer.verdict.value}: {answer.text}{file}"
            )

    context.show({**asdict(one), "answers": [asdict(answer) for answer in answers]}, human, as_json)


@command.command()
@click.argument("number", type=int)
@json_option
@pass_command_context
def accept(context: CommandContext, number: int, as_json: bool) -> None:
    """Say that the group looks at the data of dispatch NUMBER."""
    from desdm.operations.qa.dispatch import accept_dispatch

    facility = context.facility
    with facility.database.write() as conn:
        one = accept_dispatch(conn, number, who=facility.config.operator)
    _show(context, one, as_json)


@command.command()
@click.argument("number", type=int)
@click.argument("verdict", type=click.Choice(_VERDICTS))
@click.option("--reason", default="", help="Why.")
@click.option("--file", default="", help="File of the archive with the findings.")
@json_option
@pass_command_context
def answer(context: CommandContext, number: int, verdict: str, reason: str, file: str, as_json: bool) -> None:
    """Answer dispatch NUMBER: whether the data are valid for its question."""
    from desdm.archive.store import now
    from desdm.operations.qa.dispatch import answer_dispatch
    from desdm.schema.operationstates import AnswerVerdict

    facility = context.facility
    with facility.database.write() as conn:
        one = answer_dispatch(
            conn, number, AnswerVerdict(verdict), reason, file=file, who=facility.config.operator, now=now()
        )
    _show(context, one, as_json)


@command.command()
@click.argument("number", type=int)
@click.option("--reason", default="", help="Why.")
@json_option
@pass_command_context
def withdraw(context: CommandContext, number: int, reason: str, as_json: bool) -> None:
    """Ask no longer what dispatch NUMBER asks."""
    from desdm.operations.qa.dispatch import withdraw_dispatch

    facility = context.facility
    with facility.database.write() as conn:
        one = withdraw_dispatch(conn, number, reason, who=facility.config.operator)
    _show(context, one, as_json)


@command.command()
@json_option
@pass_command_context
def expire(context: CommandContext, as_json: bool) -> None:
    """Expire the dispatches whose due date has passed without an answer."""
    from desdm.archive.store import now
    from desdm.operations.qa.dispatch import expire_dispatches

    facility = context.facility
    with facility.database.write() as conn:
        ended = expire_dispatches(conn, who=facility.config.operator, now=now())
    names = ", ".join(f"{one.id} ({one.working_group})" for one in ended)
    text = f"expired: {names}" if ended else "no dispatch is overdue"
    context.show([asdict(one) for one in ended], lambda: click.echo(text), as_json)


def _show(context: CommandContext, one: Dispatch, as_json: bool) -> None:
    """Show a dispatch after a change."""
    text = f"dispatch {one.id} to {one.working_group} is {one.state.value}: {one.subject}"
    context.show(asdict(one), lambda: click.echo(text), as_json)
