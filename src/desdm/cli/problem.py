"""desdm problem: the problem list; an open problem of severity stop or block holds back what has its subject."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.errors import UsageError
from desdm.schema.operationstates import ProblemState

if TYPE_CHECKING:
    from desdm.release.model import Problem
    from desdm.release.problems import ProblemFile

_KINDS = (
    "release",
    "tag",
    "tile",
    "exposure",
    "ccd",
    "attempt",
    "unit",
    "file",
    "nite",
    "delivery",
    "notice",
)
_SEVERITIES = ("stop", "block", "degrade", "nuisance", "watch")
_STATES = ("new", "confirmed", "in_work", "fixed", "closed", "rejected")
_EVIDENCE = ("run", "test", "file", "message", "number", "page", "bundle", "answer")
_CODES = ("fixed", "worked_round", "data_marked", "not_a_fault", "duplicate", "wont_fix")

_reason_option = click.option("--reason", default="", help="Why; it stays in the history of the problem.")


@click.group("problem", cls=CommandGroup)
def command() -> None:
    """The problem list: what is wrong with data or production, how much it matters, and what became of it."""


@command.command("open")
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("subject")
@click.argument("text")
@click.option(
    "--note", "only_note", is_flag=True, help="Worth knowing, but it blocks nothing: severity degrade."
)
@click.option("--severity", type=click.Choice(_SEVERITIES), help="Severity, by its effect; default block.")
@click.option("--title", default="", help="What is wrong, in one line; default: the first line of TEXT.")
@click.option("--impression", default="", help="What is affected, and how much it matters.")
@json_option
@pass_command_context
def open_(
    context: CommandContext,
    kind: str,
    subject: str,
    text: str,
    only_note: bool,
    severity: str | None,
    title: str,
    impression: str,
    as_json: bool,
) -> None:
    """Enter that TEXT is wrong with SUBJECT (a tile's, run's, file's name …) of some KIND.

    Severities: stop holds the queue of its pipeline; block forbids to bless or release; degrade is told in the notes of a
    release; nuisance costs operators time; watch was seen once.
    """
    from desdm.release import problems
    from desdm.schema.operationstates import Severity

    if only_note and severity in ("stop", "block"):
        raise UsageError(f"a problem of severity {severity} blocks; leave out --note, or --severity")
    facility = context.facility
    with facility.database.write() as conn:
        number = problems.open_problem(
            conn,
            kind,
            subject,
            text,
            blocks=not only_note,
            who=facility.config.operator,
            severity=Severity(severity) if severity else None,
            title=title,
            impression=impression,
        )
    context.show({"problem": number}, lambda: click.echo(f"problem {number} is open"), as_json)


@command.command()
@click.argument("number", type=int)
@click.argument("resolution")
@click.option(
    "--evidence", default="", metavar="KIND:NAME", help="run:NAME or test:NAME that shows that it is gone."
)
@click.option(
    "--code", type=click.Choice(_CODES), help="How it was resolved; default: fixed, if there is evidence."
)
@json_option
@pass_command_context
def close(
    context: CommandContext, number: int, resolution: str, evidence: str, code: str | None, as_json: bool
) -> None:
    """Close problem NUMBER with how it was resolved.

    A problem that a program proposed, one in state fixed, and one that is closed as fixed needs a run or test as evidence.
    Another --code closes it without.
    """
    from desdm.release.problems import close_problem
    from desdm.schema.operationstates import Resolution

    kind, sign, name = evidence.partition(":")
    if evidence and not (sign and name):
        raise UsageError("--evidence is run:NAME or test:NAME")
    facility = context.facility
    with facility.database.write() as conn:
        shown = close_problem(
            conn,
            number,
            resolution,
            who=facility.config.operator,
            code=Resolution(code) if code else None,
            proof=(kind, name) if evidence else None,
        )
    text = f"problem {number} is closed" + (
        "" if shown else ", on your word: no run or test shows that it is gone"
    )
    context.show({"problem": number, "closed": True, "shown": shown}, lambda: click.echo(text), as_json)


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--severity", type=click.Choice(_SEVERITIES), help="Only those of this severity.")
@click.option("--owner", default="", help="Only those that this person works on.")
@click.option("--subject", default="", help="Only those of this subject.")
@json_option
@pass_command_context
def list_(
    context: CommandContext,
    everything: bool,
    state: str | None,
    severity: str | None,
    owner: str,
    subject: str,
    as_json: bool,
) -> None:
    """List open problems."""
    from desdm.release import problems

    everything = everything or state in (ProblemState.CLOSED, ProblemState.REJECTED)
    with context.facility.database.read() as conn:
        listed = [
            p
            for p in problems.problems(conn)
            if (everything or p.closed_at is None)
            and state in (None, p.state.value)
            and severity in (None, p.severity.value)
            and owner in ("", p.owner)
            and subject.lower() in ("", p.subject.lower())
        ]
    rows = [
        (
            p.id,
            f"{p.subject_kind} {p.subject}",
            p.title or p.text,
            p.severity.value,
            p.state.value,
            p.occurrences,
            p.owner or "",
            p.opened_by,
            p.resolution,
        )
        for p in listed
    ]
    titles = ("NUMBER", "OF", "WHAT", "SEVERITY", "STATE", "TIMES", "OWNER", "OPENED BY", "RESOLUTION")
    empty = "no problem was ever opened" if everything else "no open problem; closed ones too: --all"
    context.show(
        [asdict(p) for p in listed],
        lambda: context.table(titles, rows, expendable=("OWNER", "TIMES", "OPENED BY"), empty=empty),
        as_json,
    )


@command.command()
@click.argument("number", type=int)
@json_option
@pass_command_context
def show(context: CommandContext, number: int, as_json: bool) -> None:
    """Show problem NUMBER with its history and evidence."""
    from desdm.release import problems

    with context.facility.database.read() as conn:
        file = problems.problem_file(conn, number)
    document = {
        **asdict(file.problem),
        "notes": [asdict(note) for note in file.notes],
        "evidence": [asdict(one) for one in file.evidence],
    }
    context.show(document, lambda: _print(file), as_json)


@command.command()
@click.argument("number", type=int)
@_reason_option
@json_option
@pass_command_context
def confirm(context: CommandContext, number: int, reason: str, as_json: bool) -> None:
    """Confirm that problem NUMBER is so; it then holds back releases by its severity."""
    _change(context, "confirm_problem", number, reason, as_json)


@command.command()
@click.argument("number", type=int)
@_reason_option
@json_option
@pass_command_context
def take(context: CommandContext, number: int, reason: str, as_json: bool) -> None:
    """Begin to work on problem NUMBER: you own it from now on."""
    _change(context, "take_problem", number, reason, as_json)


@command.command()
@click.argument("number", type=int)
@_reason_option
@json_option
@pass_command_context
def fix(context: CommandContext, number: int, reason: str, as_json: bool) -> None:
    """Say that problem NUMBER is gone; it is closed when a run or test has shown it."""
    _change(context, "fix_problem", number, reason, as_json)


@command.command()
@click.argument("number", type=int)
@_reason_option
@click.option(
    "--code",
    type=click.Choice(["not_a_fault", "duplicate", "wont_fix"]),
    default="not_a_fault",
    show_default=True,
    help="Why it is not a problem.",
)
@json_option
@pass_command_context
def reject(context: CommandContext, number: int, reason: str, code: str, as_json: bool) -> None:
    """Say that NUMBER is not a problem."""
    from desdm.archive.store import now
    from desdm.release import problems
    from desdm.schema.operationstates import Resolution

    facility = context.facility
    with facility.database.write() as conn:
        problem = problems.reject_problem(
            conn, number, reason, code=Resolution(code), who=facility.config.operator, now=now()
        )
    _show_change(context, problem, as_json)


@command.command()
@click.argument("number", type=int)
@_reason_option
@json_option
@pass_command_context
def reopen(context: CommandContext, number: int, reason: str, as_json: bool) -> None:
    """Open problem NUMBER again; one that is closed is entered anew, and names the earlier one."""
    _change(context, "reopen_problem", number, reason, as_json)


@command.command()
@click.argument("number", type=int)
@click.argument("level", metavar="SEVERITY", type=click.Choice(_SEVERITIES))
@_reason_option
@json_option
@pass_command_context
def severity(context: CommandContext, number: int, level: str, reason: str, as_json: bool) -> None:
    """Set the SEVERITY of problem NUMBER; what it holds back follows."""
    from desdm.archive.store import now
    from desdm.release import problems
    from desdm.schema.operationstates import Severity

    facility = context.facility
    with facility.database.write() as conn:
        problem = problems.set_severity(
            conn, number, Severity(level), reason, who=facility.config.operator, now=now()
        )
    _show_change(context, problem, as_json)


@command.command()
@click.argument("number", type=int)
@click.argument("text")
@click.option("--impression", is_flag=True, help="TEXT is also what is affected, and how much it matters.")
@json_option
@pass_command_context
def note(context: CommandContext, number: int, text: str, impression: bool, as_json: bool) -> None:
    """Add TEXT to the history of problem NUMBER."""
    from desdm.archive.store import now
    from desdm.release import problems

    facility = context.facility
    with facility.database.write() as conn:
        problems.add_note(conn, number, text, impression=impression, who=facility.config.operator, now=now())
    context.show({"problem": number}, lambda: click.echo(f"problem {number}: noted"), as_json)


@command.command()
@click.argument("number", type=int)
@click.argument("kind", type=click.Choice(_EVIDENCE))
@click.argument("ref", metavar="NAME")
@json_option
@pass_command_context
def evidence(context: CommandContext, number: int, kind: str, ref: str, as_json: bool) -> None:
    """Add evidence to problem NUMBER: NAME of a run, test or file, text of a message, address of a page."""
    from desdm.archive.store import now
    from desdm.release import problems

    facility = context.facility
    with facility.database.write() as conn:
        problems.add_evidence(conn, number, kind, ref, who=facility.config.operator, now=now())
    context.show(
        {"problem": number, "kind": kind, "ref": ref},
        lambda: click.echo(f"problem {number}: evidence added"),
        as_json,
    )


@command.command()
@click.argument("number", type=int)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=".", help="Folder for the file."
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=500, show_default=True, help="MB of inputs at most."
)
@json_option
@pass_command_context
def bundle(context: CommandContext, number: int, out: Path, limit: int, as_json: bool) -> None:
    """Write all that is needed to see problem NUMBER again elsewhere into one file, without secrets."""
    from desdm.archive.store import now
    from desdm.operations.qa.bundle import make_bundle
    from desdm.release import problems

    facility = context.facility
    with facility.database.read() as conn:
        made = make_bundle(
            conn, facility.config, facility.archive, number, out, now=now(), limit=limit * 1_000_000
        )
    with facility.database.write() as conn:
        problems.add_evidence(
            conn,
            number,
            "bundle",
            made.path.name,
            sha256=made.sha256,
            who=facility.config.operator,
            now=now(),
        )

    def human() -> None:
        click.echo(f"{made.path}, {made.size} bytes, sha-256 {made.sha256}")
        if made.jobnum:
            click.echo(f"it can replay job {made.jobnum} of {made.run}, with {len(made.inputs)} inputs")
        elif made.run:
            click.echo(f"{made.run} has no job: nothing can be replayed")
        else:
            click.echo("no run is known in which the problem was seen: nothing can be replayed")
        if made.missing:
            click.echo(f"too large, named with their digests only: {', '.join(made.missing)}")

    context.show(asdict(made), human, as_json)


def _change(context: CommandContext, verb: str, number: int, reason: str, as_json: bool) -> None:
    """Call a verb that takes a number and a reason, and show the problem after it."""
    from desdm.archive.store import now
    from desdm.release import problems

    verbs = {
        "confirm_problem": problems.confirm_problem,
        "take_problem": problems.take_problem,
        "fix_problem": problems.fix_problem,
        "reopen_problem": problems.reopen_problem,
    }
    facility = context.facility
    with facility.database.write() as conn:
        problem = verbs[verb](conn, number, reason, who=facility.config.operator, now=now())
    _show_change(context, problem, as_json)


def _show_change(context: CommandContext, problem: Problem, as_json: bool) -> None:
    """Show a problem after a change."""
    text = f"problem {problem.id} is {problem.state.value}, severity {problem.severity.value}"
    text += f", owner {problem.owner}" if problem.owner else ""
    context.show(asdict(problem), lambda: click.echo(text), as_json)


def _print(file: ProblemFile) -> None:
    """Print a problem with its history and evidence."""
    p = file.problem
    click.echo(f"problem {p.id}: {p.title}")
    click.echo(
        f"{p.subject_kind} {p.subject}, {p.state.value}, severity {p.severity.value}: {p.severity.text}"
    )
    seen = (
        f"; seen {p.occurrences} times, last {p.last_seen:%Y-%m-%d %H:%M}"
        if p.last_seen and p.occurrences > 1
        else ""
    )
    click.echo(
        f"opened by {p.opened_by}, {p.opened_at:%Y-%m-%d %H:%M} UTC{seen}"
        + (f"; owner {p.owner}" if p.owner else "")
    )
    if p.text != p.title:
        click.echo(p.text)
    if p.impression:
        click.echo(f"impression: {p.impression}")
    for entry in file.notes:
        change = ""
        if entry.to_state:
            change = (
                f"{entry.from_state.value} to {entry.to_state.value}, "
                if entry.from_state
                else f"{entry.to_state.value}, "
            )
        change += f"severity {entry.severity.value}, " if entry.severity else ""
        click.echo(f"  {entry.noted_at:%Y-%m-%d %H:%M} {entry.who}: {change}{entry.text}")
    for one in file.evidence:
        click.echo(f"  evidence: {one.kind} {one.ref}" + (f", sha-256 {one.sha256}" if one.sha256 else ""))
    if p.resolution:
        click.echo(
            f"resolution: {p.resolution}" + (f" ({p.resolution_code.value})" if p.resolution_code else "")
        )
