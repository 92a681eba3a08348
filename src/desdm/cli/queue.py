"""desdm queue: the nightly queue: list it, run it, change its order, and say why a unit stands where it stands."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from desdm.cli.clockoption import Clock, clock_option
from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.cli.names import NIGHT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from desdm.cli.context import JsonValue
    from desdm.operations.queue.acts import Act, Selection
    from desdm.operations.queue.model import Policy, QueueChange, QueueRow

_STATES = ("waiting", "held", "submitted", "done", "gave_up", "dismissed")
_PIPELINES = ("precal", "firstcut", "finalcut")


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Also rows that have ended.")
@json_option
@click.pass_context
def command(ctx: click.Context, everything: bool, as_json: bool) -> None:
    """The nightly queue: what is to be processed, in which order, and why it stands where it stands."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, nite=None, states=(), everything=everything, limit=None, as_json=as_json)


@command.command("list")
@click.option("--nite", type=NIGHT, help="Only of this night.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only rows in this state.")
@click.option("--all", "everything", is_flag=True, help="Also rows that have ended (--json always has them).")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many.")
@json_option
@pass_command_context
def list_(
    context: CommandContext,
    nite: str | None,
    states: Sequence[str],
    everything: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List rows in the order of the queue."""
    from desdm.operations.lease import current_lease
    from desdm.operations.queue import store
    from desdm.operations.queue.model import LEASE
    from desdm.schema.operationstates import QueueState

    wanted = [QueueState(state) for state in states]
    if not wanted and not everything and not as_json:
        wanted = [QueueState.SUBMITTED, QueueState.WAITING, QueueState.HELD, QueueState.GAVE_UP]
    with context.facility.database.read() as conn:
        rows = store.find_rows(conn, states=wanted, nite=nite or "", limit=limit)
        counts = store.count_states(conn)
        lease = current_lease(conn, LEASE)
    production = context.facility.config.campaign
    document = {
        "runner": None if lease is None else lease.holder,
        "counts": {state.value: count for state, count in counts.items()},
        "rows": [_document(row) for row in rows],
    }

    def human() -> None:
        context.table(
            ("UNIT", "PIPELINE", "STATE", "RANK", "DUE", "TRIES", "RUN", "WHY"),
            [
                (
                    row.unitname,
                    row.pipeline if row.campaign == production else f"{row.pipeline} of {row.campaign}",
                    row.state.value,
                    row.rank,
                    row.due_at,
                    f"{row.tries}/{row.max_tries}",
                    row.run,
                    row.why,
                )
                for row in rows
            ],
            expendable=("TRIES", "DUE"),
            empty="no row fits"
            if states or everything
            else "no row waits, is held, runs or gave up; rows that are done: desdm queue --all",
        )
        click.echo(", ".join(f"{count} {state.value}" for state, count in counts.items()))
        click.echo(f"run by {lease.holder}" if lease else "nobody runs the queue; start: desdm queue run")

    context.show(document, human, as_json)


@command.command()
@click.option("--until-idle", is_flag=True, help="End when nothing more can be done.")
@clock_option
@click.option(
    "--pause",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Before a second try; each further one waits twice as long.",
)
@click.option(
    "--quiet",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long a night's calibrations wait for more of them.  [default: 300; 0 with --until-idle]",
)
@json_option
@pass_command_context
def run(
    context: CommandContext,
    until_idle: bool,
    clock: Clock,
    pause: float,
    quiet: float | None,
    as_json: bool,
) -> None:
    """Process what arrives: precal of each night, First Cut of its exposures, by policies; one process at a time.

    It may be ended at any moment, also by SIGKILL: the next one goes on. With --until-idle the --quiet of this command
    overrules a longer one of an earlier command; what waits at the end, and until when, is said.
    """
    import signal
    from datetime import timedelta
    from threading import Event

    from desdm.framework.engines.local import LocalEngine
    from desdm.operations.queue.run import QueueWork, run_queue

    facility = context.facility
    config = facility.config
    config.runs.mkdir(parents=True, exist_ok=True)
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    seconds = quiet if quiet is not None else 0.0 if until_idle else 300.0
    work = QueueWork(
        config,
        facility.database,
        facility.archive,
        lambda: LocalEngine(config.workers, config.runs),
        clock,
        timedelta(seconds=pause),
        timedelta(seconds=seconds),
        (lambda text: None) if as_json else click.echo,
    )
    summary = run_queue(work, until_idle=until_idle, stopping=stopping)
    ended = {state.value: count for state, count in summary.ended.items()}
    text = ", ".join(f"{count} {state}" for state, count in ended.items()) or "nothing to do"
    if summary.waiting:
        until = "" if summary.until is None else f", the first until {summary.until:%Y-%m-%d %H:%M:%S} UTC"
        text += f"; {summary.waiting} {'row waits' if summary.waiting == 1 else 'rows wait'}{until}"
    context.show(
        {
            "queued": summary.queued,
            "ended": ended,
            "waiting": summary.waiting,
            "until": _iso(summary.until),
        },
        lambda: click.echo(f"{summary.queued} queued; {text}"),
        as_json,
    )


@command.command()
@click.argument("unit")
@clock_option
@json_option
@pass_command_context
def why(context: CommandContext, unit: str, clock: Clock, as_json: bool) -> None:
    """Say why UNIT (an exposure or a night) stands where it stands."""
    from desdm.operations.queue.acts import Selection, select_rows
    from desdm.operations.queue.why import explain

    with context.facility.database.read() as conn:
        rows = select_rows(conn, Selection(_unit(unit)))
        explained = explain(conn, rows, now=clock())

    def human() -> None:
        for one in explained:
            click.echo(f"{one.row.name}: {one.row.state.value} ({one.row.state.text})")
            for reason in one.reasons:
                click.echo(f"  {reason}")

    context.show([{**_document(e.row), "reasons": list(e.reasons)} for e in explained], human, as_json)


def _act_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add what every act has: unit, pipeline, campaign, whole night, reason, dry run, JSON."""
    decorators = (
        click.argument("unit"),
        click.option("--pipeline", default="", help="Only the row of this pipeline."),
        click.option("--campaign", default="", help="Rows of this campaign.  [default: that of production]"),
        click.option("--night", "whole_night", is_flag=True, help="UNIT is a night: all rows of it."),
        click.option("--reason", default="", help="Why; recorded with the act."),
        click.option("--dry-run", is_flag=True, help="Say what would change, and write nothing."),
        json_option,
        pass_command_context,
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@command.command()
@_act_options
def hold(context: CommandContext, as_json: bool, **options: str | bool) -> None:
    """Hold UNIT: it is not submitted until it is released."""
    from desdm.operations.queue import acts

    _act(context, options, as_json, acts.hold)


@command.command()
@_act_options
def release(context: CommandContext, as_json: bool, **options: str | bool) -> None:
    """Queue UNIT that is held, gave up or was dismissed; its tries are counted anew."""
    from desdm.operations.queue import acts

    _act(context, options, as_json, acts.release)


@command.command()
@_act_options
def dismiss(context: CommandContext, as_json: bool, **options: str | bool) -> None:
    """Dismiss UNIT: it is not processed."""
    from desdm.operations.queue import acts

    _act(context, options, as_json, acts.dismiss)


@command.command()
@click.option("--rank", type=int, required=True, help="New rank; the least goes first.")
@_act_options
def priority(context: CommandContext, as_json: bool, rank: int, **options: str | bool) -> None:
    """Set the rank of UNIT: the least goes first."""
    from desdm.operations.queue import acts

    _act(context, options, as_json, lambda conn, chosen, act: acts.set_priority(conn, chosen, rank, act))


def _act(
    context: CommandContext,
    options: dict[str, str | bool],
    as_json: bool,
    verb: Callable[[Connection, Selection, Act], list[QueueChange]],
) -> None:
    """Do an act on the rows that the options select, and print what changed."""
    from desdm.operations.clock import machine_time
    from desdm.operations.queue.acts import Act, Selection

    facility = context.facility
    dry_run = bool(options["dry_run"])
    act = Act(facility.config.operator, str(options["reason"]), machine_time(), dry_run)
    unit, whole = str(options["unit"]), bool(options["whole_night"])
    campaign = str(options["campaign"])
    selection = Selection(_unit(unit), str(options["pipeline"]), campaign, whole, facility.config.campaign)
    if dry_run:
        with facility.database.read() as conn:
            changes = verb(conn, selection, act)
    else:
        with facility.database.write() as conn:
            changes = verb(conn, selection, act)
    document = [
        {
            "unit": change.row.unitname,
            "pipeline": change.row.pipeline,
            "campaign": change.row.campaign,
            "before": {"state": change.row.state.value, "rank": change.row.rank},
            "after": {"state": change.state.value, "rank": change.rank},
            "dry_run": dry_run,
        }
        for change in changes
    ]

    def human() -> None:
        rows = [
            (
                c.row.unitname,
                c.row.pipeline,
                c.row.campaign,
                f"{c.row.state.value} → {c.state.value}",
                f"{c.row.rank} → {c.rank}",
            )
            for c in changes
        ]
        context.table(("UNIT", "PIPELINE", "CAMPAIGN", "STATE", "RANK"), rows)
        if dry_run:
            click.echo("nothing is written: leave --dry-run away")

    context.show(document, human, as_json)


@command.command()
@click.argument("name")
@click.option("--pipeline", required=True, help="Pipeline that processes each unit.")
@click.option(
    "--exposures", default="", help="Exposures: numbers, or ranges 150001-150010; @FILE reads them."
)
@click.option("--tiles", default="", help="Names of tiles; @FILE reads them.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of every attempt.")
@click.option("--rank", type=int, default=100, show_default=True, help="Order: the least goes first.")
@click.option("--tries", type=click.IntRange(min=1), default=3, show_default=True, help="Attempts at most.")
@click.option("--reason", default="", help="Why; recorded with the act.")
@click.option("--dry-run", is_flag=True, help="Check and list, and write nothing.")
@json_option
@pass_command_context
def campaign(
    context: CommandContext,
    name: str,
    pipeline: str,
    exposures: str,
    tiles: str,
    settings: tuple[str, ...],
    rank: int,
    tries: int,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Queue campaign NAME: a frozen set of exposures or tiles with a pipeline and settings, under its own name."""
    from desdm.cli.submit import parse_settings
    from desdm.numbers import counted
    from desdm.operations.clock import machine_time
    from desdm.operations.queue.campaign import Campaign, queue_campaign

    facility = context.facility
    wanted = Campaign(
        name, pipeline, _numbers(exposures), tuple(_words(tiles)), parse_settings(settings), rank, tries
    )
    who, now = facility.config.operator, machine_time()
    with facility.database.read() if dry_run else facility.database.write() as conn:
        rows = queue_campaign(conn, facility.config, wanted, reason=reason, who=who, now=now, dry_run=dry_run)
    document = {"campaign": name, "dry_run": dry_run, "rows": [_document(row) for row in rows]}
    verb = "would be" if dry_run else "is" if len(rows) == 1 else "are"
    text = f"{counted(len(rows), 'row')} {verb} queued"
    context.show(document, lambda: click.echo(text), as_json)


@command.group(cls=CommandGroup)
def policy() -> None:
    """Policies: which exposures and nights are queued for which pipeline, with the statement that set them."""


@policy.command("list")
@click.option("--all", "everything", is_flag=True, help="Also policies that were ended.")
@json_option
@pass_command_context
def policy_list(context: CommandContext, everything: bool, as_json: bool) -> None:
    """List the policies in force, by rank."""
    from desdm.operations.queue import store
    from desdm.operations.queue.policies import policies_in_force

    with context.facility.database.read() as conn:
        policies = policies_in_force(conn)
        if everything:
            policies = store.policies(conn, ended=True) or policies
    titles = (
        "NUMBER",
        "PROGRAMME",
        "PIPELINE",
        "BAND",
        "NIGHTS",
        "RANK",
        "DEADLINE h",
        "TRIES",
        "STATEMENT",
        "BY",
        "UNTIL",
    )
    rows = [
        (
            p.id if p.id is not None else "default",
            p.programme,
            p.pipeline,
            p.band,
            f"{p.nite_from} to {p.nite_to}",
            p.rank,
            p.deadline_h,
            p.max_tries,
            p.statement,
            p.who,
            p.until,
        )
        for p in policies
    ]
    empty = "no policy is in force: nothing is queued"
    context.show(
        [_policy_document(p) for p in policies], lambda: context.table(titles, rows, empty=empty), as_json
    )


@policy.command("add")
@click.argument("pipeline", type=click.Choice(_PIPELINES))
@click.option("--statement", default="", help="Who agreed what.")
@click.option("--programme", default="*", show_default=True, help="Programme of the proposals.")
@click.option("--band", default="*", show_default=True, help="Band.")
@click.option("--from", "nite_from", type=NIGHT, default="00010101", help="First night.")
@click.option("--to", "nite_to", type=NIGHT, default="99991231", help="Last night.")
@click.option("--rank", type=int, default=100, show_default=True, help="Order: the least goes first.")
@click.option(
    "--deadline", "deadline_h", type=float, default=24.0, show_default=True, help="Hours from arrival."
)
@click.option("--tries", "max_tries", type=int, default=3, show_default=True, help="Attempts at most.")
@json_option
@pass_command_context
def policy_add(
    context: CommandContext,
    pipeline: str,
    statement: str,
    programme: str,
    band: str,
    nite_from: str,
    nite_to: str,
    rank: int,
    deadline_h: float,
    max_tries: int,
    as_json: bool,
) -> None:
    """Enter a policy for PIPELINE; the first policy replaces the default ones."""
    from desdm.operations.clock import machine_time
    from desdm.operations.queue.model import Policy
    from desdm.operations.queue.policies import add_policy

    facility = context.facility
    wanted = Policy(
        None, programme, pipeline, band, nite_from, nite_to, rank, deadline_h, max_tries, statement
    )
    with facility.database.write() as conn:
        entered = add_policy(conn, wanted, who=facility.config.operator, now=machine_time())
    context.show(_policy_document(entered), lambda: click.echo(f"policy {entered.id} is in force"), as_json)


@policy.command("end")
@click.argument("number", type=int)
@click.option("--reason", default="", help="Why; recorded with the act.")
@json_option
@pass_command_context
def policy_end(context: CommandContext, number: int, reason: str, as_json: bool) -> None:
    """End policy NUMBER; rows that it queued stay."""
    from desdm.operations.clock import machine_time
    from desdm.operations.queue.policies import end_policy

    facility = context.facility
    with facility.database.write() as conn:
        end_policy(conn, number, reason=reason, who=facility.config.operator, now=machine_time())
    context.show({"policy": number, "ended": True}, lambda: click.echo(f"policy {number} is ended"), as_json)


def _words(text: str) -> list[str]:
    """Return the words of a list, which commas or blanks separate; ``@FILE`` reads it from a file."""
    from pathlib import Path

    from desdm.errors import storage_error

    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text("utf-8")
        except OSError as err:
            raise storage_error(err) from err
    return text.replace(",", " ").split()


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a list of exposures and ranges of them."""
    import re

    numbers: list[int] = []
    for word in _words(text):
        match = re.fullmatch(r"[Dd]?0*(\d{1,9})(?:-[Dd]?0*(\d{1,9}))?", word)
        if match is None:
            raise click.BadParameter(
                f"{word!r} is not an exposure or a range of them: 150029 or 150001-150010"
            )
        numbers += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tuple(dict.fromkeys(numbers))


def _unit(text: str) -> str:
    """Return the name of a unit: an exposure also of its number, a night also with hyphens."""
    import re

    from desdm.schema.store import exposure_name

    night = text.strip().replace("-", "")
    if re.fullmatch(r"(19|20)\d{6}", night):
        return night
    number = re.fullmatch(r"[Dd]?0*([1-9]\d{0,7})", text.strip())
    return exposure_name(int(number[1])) if number else text.strip()


def _document(row: QueueRow) -> dict[str, JsonValue]:
    """Return the JSON document of a row."""
    return {
        "unit": row.unitname,
        "pipeline": row.pipeline,
        "campaign": row.campaign,
        "nite": row.nite or None,
        "expnum": row.expnum,
        "band": row.band or None,
        "programme": row.programme or None,
        "state": row.state.value,
        "rank": row.rank,
        "why": row.why,
        "due_at": _iso(row.due_at),
        "tries": row.tries,
        "max_tries": row.max_tries,
        "attempt": row.run or None,
        "held_by": row.held_by or None,
        "policy": row.policy_id,
        "settings": dict(row.settings),
        "not_before": _iso(row.not_before),
        "arrived_at": _iso(row.arrived_at),
        "updated_at": _iso(row.updated_at),
    }


def _policy_document(policy: Policy) -> dict[str, JsonValue]:
    """Return the JSON document of a policy."""
    return {
        "policy": policy.id,
        "programme": policy.programme,
        "pipeline": policy.pipeline,
        "band": policy.band,
        "nite_from": policy.nite_from,
        "nite_to": policy.nite_to,
        "rank": policy.rank,
        "deadline_h": policy.deadline_h,
        "max_tries": policy.max_tries,
        "statement": policy.statement,
        "who": policy.who or None,
        "since": _iso(policy.since),
        "until": _iso(policy.until),
    }


def _iso(moment: datetime | None) -> str | None:
    """Return a time in ISO 8601."""
    return None if moment is None else moment.isoformat()
