"""desdm notice: rules of who is told what, the outbox, and its channels."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.schema.operationstates import NoticeMode, NoticeState, Severity
from desdm.schema.states import EventKind

if TYPE_CHECKING:
    from desdm.operations.notices.model import Rule

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@click.group("notice", cls=CommandGroup)
def command() -> None:
    """Notices: who is told what by mail, webhook or chat, and what was told."""


@command.group("rule", cls=CommandGroup)
def rule_group() -> None:
    """Rules: which events and problems are told to whom."""


def _quiet(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[time, time] | None:
    """Parse quiet hours, HH:MM-HH:MM."""
    if not value:
        return None
    match = _HOURS.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not an interval of hours; give 22:00-06:00, UTC")
    return time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))


@rule_group.command("add")
@click.argument("name")
@click.argument("target")
@click.option(
    "--kind",
    type=click.Choice(["*", *(k.value for k in EventKind)]),
    default=EventKind.PROBLEM.value,
    show_default=True,
    help="Kind of event that is told.",
)
@click.option("--subject", default="*", show_default=True, help="Pattern of the subject with * and ?.")
@click.option(
    "--severity",
    type=click.Choice([s.value for s in Severity]),
    default=Severity.WATCH.value,
    show_default=True,
    help="Least severity of problems that are told.",
)
@click.option(
    "--mode",
    type=click.Choice([m.value for m in NoticeMode]),
    default=NoticeMode.FIRST.value,
    show_default=True,
    help="The first of a subject, every one, or all of an hour together.",
)
@click.option("--quiet", callback=_quiet, default="", metavar="HH:MM-HH:MM", help="Quiet hours, UTC.")
@click.option("--reason", default="", help="Why; required.")
@json_option
@pass_command_context
def add(
    context: CommandContext,
    name: str,
    target: str,
    kind: str,
    subject: str,
    severity: str,
    mode: str,
    quiet: tuple[time, time] | None,
    reason: str,
    as_json: bool,
) -> None:
    """Tell TARGET (mailto:ADDRESS, or the URL of a webhook or channel) what fits, from now on, by a rule called NAME."""
    from desdm.operations.notices import outbox
    from desdm.operations.notices.channels import missing_setting
    from desdm.operations.notices.model import Rule

    facility = context.facility
    who = facility.config.operator
    begin, end = quiet or (None, None)
    rule = Rule(0, name, kind, subject, Severity(severity), target, NoticeMode(mode), begin, end, who, _now())
    with facility.database.write() as conn:
        number = outbox.add_rule(conn, rule, who=who, reason=reason)
    missing = missing_setting(facility.config, target)
    document = {"rule": number, "name": name, "warning": missing or None}
    context.show(document, lambda: click.echo(f"rule {name} holds"), as_json)
    if missing:
        click.echo(f"warning: {missing}", err=True)


@rule_group.command("list")
@click.option("--all", "everything", is_flag=True, help="Rules that have ended, too.")
@json_option
@pass_command_context
def list_rules(context: CommandContext, everything: bool, as_json: bool) -> None:
    """List the rules."""
    from desdm.operations.notices import store

    with context.facility.database.read() as conn:
        rules = store.rules(conn, ended=everything)
    columns = ("NAME", "KIND", "SUBJECT", "SEVERITY", "TARGET", "MODE", "QUIET", "OWNER", "SINCE")
    rows = [
        (r.name, r.kind, r.subject, r.severity.value, r.target, r.mode.value, _hours(r), r.owner, r.since)
        for r in rules
    ]
    document = [
        {
            "name": r.name,
            "kind": r.kind,
            "subject": r.subject,
            "severity": r.severity.value,
            "target": r.target,
            "mode": r.mode.value,
            "quiet": _hours(r),
            "owner": r.owner,
            "since": r.since.isoformat(),
            "until": r.until.isoformat() if r.until is not None else None,
        }
        for r in rules
    ]
    empty = "nobody is told anything; next: desdm notice rule add NAME mailto:ADDRESS --reason TEXT"
    context.show(document, lambda: context.table(columns, rows, empty=empty), as_json)


@rule_group.command("end")
@click.argument("name")
@click.option("--reason", default="", help="Why; required.")
@json_option
@pass_command_context
def end(context: CommandContext, name: str, reason: str, as_json: bool) -> None:
    """End the rule called NAME; what waits by it is sent all the same."""
    from desdm.operations.notices import outbox

    facility = context.facility
    with facility.database.write() as conn:
        outbox.end_rule(conn, name, who=facility.config.operator, reason=reason, now=_now())
    context.show({"name": name, "ended": True}, lambda: click.echo(f"rule {name} has ended"), as_json)


@command.command("list")
@click.option("--state", type=click.Choice([s.value for s in NoticeState]), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
@json_option
@pass_command_context
def list_(context: CommandContext, state: str | None, limit: int, as_json: bool) -> None:
    """List notices, newest first: what waits, what was sent, what a channel refused."""
    from desdm.operations.notices import store

    with context.facility.database.read() as conn:
        listed = store.notices(conn, state=None if state is None else NoticeState(state), limit=limit)
    columns = ("NUMBER", "STATE", "TARGET", "SUBJECT", "WHAT", "SENT", "TRIES", "ERROR")
    rows = [
        (n.id, n.state.value, n.target, n.subject, n.body[:80], n.sent_at, n.tries, n.last_error)
        for n in listed
    ]
    document = [
        {
            "id": n.id,
            "state": n.state.value,
            "target": n.target,
            "subject": n.subject,
            "severity": n.severity.value,
            "text": n.body,
            "made_at": n.made_at.isoformat(),
            "sent_at": n.sent_at.isoformat() if n.sent_at is not None else None,
            "tries": n.tries,
            "error": n.last_error,
            "message": n.batch,
            "acked_by": n.acked_by,
            "resolves": n.resolves_id,
        }
        for n in listed
    ]
    context.show(
        document,
        lambda: context.table(columns, rows, empty="no notice fits", expendable=("TRIES", "SENT", "ERROR")),
        as_json,
    )


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@json_option
@pass_command_context
def ack(context: CommandContext, number: int, as_json: bool) -> None:
    """Acknowledge notice NUMBER: its subject is not told again by its rule until it is resolved."""
    from desdm.operations.notices import outbox

    facility = context.facility
    with facility.database.write() as conn:
        outbox.acknowledge(conn, number, who=facility.config.operator)
    context.show(
        {"notice": number, "acked": True}, lambda: click.echo(f"notice {number} is acknowledged"), as_json
    )


@command.command()
@json_option
@pass_command_context
@click.pass_context
def send(ctx: click.Context, context: CommandContext, as_json: bool) -> None:
    """Make the notices of what happened, and send what is due; the nightly queue does so by itself.

    Exit status 1: a channel did not take a message.
    """
    from desdm.operations.notices import outbox
    from desdm.operations.notices.channels import channel

    facility = context.facility
    with facility.database.write() as conn:
        outbox.collect(conn, _now())
    results = outbox.deliver(facility.database, channel(facility.config), _now())
    document = [
        {
            "target": message.target,
            "subject": message.subject,
            "notices": len(message.notices),
            "error": error,
        }
        for message, error in results
    ]

    def human() -> None:
        for message, error in results:
            click.echo(f"{message.target}: {message.subject}: {error or 'sent'}")
        if not results:
            click.echo("nothing is due")

    context.show(document, human, as_json)
    ctx.exit(1 if any(error for _, error in results) else 0)


def _hours(rule: Rule) -> str:
    """Return the quiet hours of a rule."""
    if rule.quiet_from is None or rule.quiet_to is None:
        return ""
    return f"{rule.quiet_from:%H:%M}-{rule.quiet_to:%H:%M}"


def _now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC).replace(tzinfo=None)
