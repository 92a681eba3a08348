"""desdm mark: bless data or mark them defective, one subject or a list; shows what is seen of a subject first."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click
from typing_extensions import override

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.findings import print_holders
from desdm.cli.names import RUN
from desdm.errors import UsageError
from desdm.schema.operationstates import Mark, SubjectKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from desdm.cli.context import JsonValue
    from desdm.operations.qa.marks import MarkOrder, MarkResult, Standing
    from desdm.release.holders import Holder

#: Words for the data state of a run, which are also words for a mark.
_STATES = ("active", "junk")
_VERDICTS = ("blessed", "defective", "withdrawn")
_SEVERITIES = ("stop", "block", "degrade", "nuisance", "watch")
#: Lines of QA numbers that are shown.
_MOST = 40


class _Mark(click.Command):
    """Takes ``mark junk RUN`` for ``mark RUN junk``."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first, second = (*args, "", "")[:2]
        words = (*_STATES, *_VERDICTS)
        if first.lower() in words and second and not second.startswith("-") and second.lower() not in words:
            args = [second, first, *args[2:]]
        return super().parse_args(ctx, args)


@click.command(cls=_Mark)
@click.argument("subject", type=RUN, required=False)
@click.argument("state", type=click.Choice((*_VERDICTS, *_STATES), case_sensitive=False), required=False)
@click.option(
    "--list", "listed", type=click.File("r"), help="Mark every subject of a file (-: standard input)."
)
@click.option("--go", is_flag=True, help="Mark the list; without it the command says what it would do.")
@click.option("--reason", default="", help="Why; required, and recorded with the mark.")
@click.option("--code", default="", help="Kind of a defect in one word, for instance ghost or trail.")
@click.option(
    "--severity",
    type=click.Choice(_SEVERITIES),
    help="Severity of a defect: block (default) or stop; for others open a problem: desdm problem open.",
)
@click.option("--seen", default="", help="Text of desdm mark SUBJECT: refuse the mark if that has changed.")
@click.option("--own", is_flag=True, help="Bless what you processed yourself; it is recorded and counted.")
@click.option("--cut", type=click.Choice(["firstcut", "finalcut"]), default="firstcut", show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    subject: str | None,
    state: str | None,
    listed: IO[str] | None,
    go: bool,
    reason: str,
    code: str,
    severity: str | None,
    seen: str,
    own: bool,
    cut: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Mark SUBJECT blessed or defective, or withdraw its mark; without a mark show what there is to see of it.

    SUBJECT is an exposure (D00229686 or its number), a CCD (D00229686_c10), a tile, a run or a file. The data of a blessed
    run are ACTIVE: a flagged run can then be released; those of a defective one are JUNK. A defective CCD is excluded. The
    words active and junk mark a run as blessed and defective do.
    """
    if listed is not None:
        if state is None and subject is not None and subject.lower() in _VERDICTS:
            subject, state = "", subject.lower()
        if subject or state not in _VERDICTS:
            raise UsageError("desdm mark --list FILE blessed|defective|withdrawn --reason TEXT [--go]")
        if seen:
            raise UsageError("--seen is of one subject; leave it out with --list")
        _mark_list(
            context,
            listed,
            _order(state, reason, code, severity, seen, own, cut),
            go and not dry_run,
            as_json,
        )
        return
    if subject is None:
        raise UsageError("say what: desdm mark SUBJECT [blessed|defective|withdrawn --reason TEXT]")
    if state is None:
        if reason or code or severity or seen:
            raise UsageError(f"say how: desdm mark {subject} blessed|defective|withdrawn --reason TEXT")
        _show(context, subject, cut, as_json)
        return
    order = _order(state, reason, code, severity, seen, own, cut)
    if state in _STATES:
        from desdm.archive.catalog import attempt_number
        from desdm.schema.store import require_reason

        require_reason(reason)
        with context.facility.database.read() as conn:
            attempt_number(conn, subject)
    (result,), affected = _mark(context, [(subject, order)], write=not dry_run)
    document = _document(result, affected, dry_run=dry_run)

    def human() -> None:
        from desdm.cli.tag import print_retagged

        if dry_run:
            click.echo("nothing is written; this would be done:")
        click.echo(_text(result))
        print_retagged(result.tags)
        print_holders(affected)

    context.show(document, human, as_json)


def _order(
    state: str | None, reason: str, code: str, severity: str | None, seen: str, own: bool, cut: str
) -> MarkOrder:
    """Return the mark that the options ask for."""
    from desdm.operations.qa.marks import MarkOrder
    from desdm.schema.operationstates import Mark, Severity

    assert state is not None
    word = {"active": "blessed", "junk": "defective"}.get(state.lower(), state.lower())
    return MarkOrder(
        Mark(word),
        reason,
        code=code,
        severity=Severity(severity) if severity else None,
        seen=seen,
        own=own,
        any_end=state.lower() in _STATES,
        cut=cut,
    )


def _mark(
    context: CommandContext, orders: Sequence[tuple[str, MarkOrder]], *, write: bool
) -> tuple[list[MarkResult], list[Holder]]:
    """Mark subjects in one transaction, which is rolled back unless ``write``; return the releases that are affected."""
    from desdm.archive.store import now
    from desdm.operations.qa.marks import affected_releases, mark_subject

    facility = context.facility
    who, scope = facility.config.operator, facility.production
    # Connections for reading roll back what they wrote; that of a dry run is one, so that it shows all effects.
    database = facility.database
    with database.write() if write else database.read() as conn:
        results = [mark_subject(conn, name, order, who=who, scope=scope, now=now()) for name, order in orders]
    with facility.database.read() as conn:
        holders = [h for r in results for h in affected_releases(conn, facility.config.releases, r)]
    return results, list({h.release: h for h in holders}.values())


def _mark_list(context: CommandContext, listed: IO[str], order: MarkOrder, go: bool, as_json: bool) -> None:
    """Mark the subjects of a list, all or none."""
    from dataclasses import replace

    from desdm.operations.qa.marks import read_list

    entries = read_list(listed.read(), order.reason)
    results, affected = _mark(
        context, [(name, replace(order, reason=reason)) for name, reason in entries], write=go
    )
    documents = [_document(result, (), dry_run=not go) for result in results]

    def human() -> None:
        context.table(
            ("SUBJECT", "KIND", "RUN", "MARK", "DATA BEFORE", "DATA AFTER", "NOTE"),
            [
                (
                    r.subject.name,
                    r.subject.kind.value,
                    r.subject.run,
                    r.verdict.value,
                    r.before.value if r.before else "",
                    r.after.value if r.after else "",
                    r.tags.note if r.number is not None else "marked so already",
                )
                for r in results
            ],
        )
        new = sum(r.number is not None for r in results)
        click.echo(f"{new} marked" if go else f"{new} would be marked; to do it add --go")
        print_holders(affected)

    context.show(documents, human, as_json)


def _document(result: MarkResult, affected: Sequence[Holder], *, dry_run: bool) -> dict[str, JsonValue]:
    """Return the JSON document of a mark."""
    from desdm.cli.tag import notes_of

    return {
        "run": result.subject.run,
        "data_state": result.after,
        "before": result.before,
        "changed": result.changed,
        "recorded": result.number is not None,
        "releases": [h.release for h in affected],
        "notes": notes_of(result.tags, affected),
        "subject_kind": result.subject.kind,
        "subject": result.subject.name,
        "verdict": result.verdict,
        "mark": result.number,
        "own_work": result.own_work,
        "files": result.files,
        "seen_digest": result.view.digest,
        "dry_run": dry_run,
    }


def _show(context: CommandContext, subject: str, cut: str, as_json: bool) -> None:
    """Show what there is to see of a subject, and its marks."""
    from desdm.operations.qa.subjectfacts import number_lines, read_subject

    facility = context.facility
    with facility.database.read() as conn:
        facts = read_subject(conn, subject, facility.production, cut)
    found, numbers = facts.standing, number_lines(facts)
    newest = found.marks[-1] if found.marks else None
    document = {
        "subject_kind": found.subject.kind,
        "subject": found.subject.name,
        "run": found.subject.run,
        "verdict": newest.verdict if newest else None,
        "marks": [
            {
                "mark": m.id,
                "verdict": m.verdict,
                "severity": m.severity,
                "code": m.defect_code,
                "reason": m.reason,
                "author": m.author,
                "office": m.office,
                "own_work": m.own_work,
                "marked_at": m.marked_at,
                "seen_digest": m.seen_digest,
            }
            for m in found.marks
        ],
        "parts": dict(found.view.parts),
        "numbers": numbers,
        "blockers": found.blockers,
        "own_marks": found.own_marks,
        "seen": found.view.token,
    }
    context.show(document, lambda: _print_standing(found, numbers), as_json)


def _print_standing(found: Standing, numbers: Sequence[str]) -> None:
    """Print what there is to see of a subject, with its numbers in the order of its page."""
    subject = found.subject
    click.echo(f"{subject.kind.value} {subject.name}" + (f", run {subject.run}" if subject.run else ""))
    for name, lines in found.view.parts.items():
        if name == "marks":
            continue
        if name == "QA numbers":
            lines = tuple(numbers)
        click.echo(f"{name}:" if lines else f"{name}: none")
        for line in lines[:_MOST]:
            click.echo(f"  {line}")
        if len(lines) > _MOST:
            click.echo(f"  and {len(lines) - _MOST} more: desdm show {subject.run} --metrics")
    click.echo("marks:" if found.marks else "marks: none")
    for m in found.marks:
        code = f" ({m.defect_code})" if m.defect_code else ""
        click.echo(f"  {m.marked_at:%Y-%m-%d %H:%M} UTC {m.verdict.value}{code} by {m.author}: {m.reason}")
    for blocker in found.blockers:
        click.echo(f"not to be blessed: {blocker}")
    click.echo(f"seen: {found.view.token}")


def _text(result: MarkResult) -> str:
    """Describe the result of a mark."""
    subject, name = result.subject, result.subject.name
    if (
        subject.kind is SubjectKind.ATTEMPT
        and result.after is not None
        and result.verdict is not Mark.WITHDRAWN
    ):
        state = result.after
        if result.number is None:
            return f"{name} is {state.value} already, by you and for this reason; nothing was changed"
        if not result.changed:
            return f"{name} is {state.value} already; your mark and its reason are recorded beside the earlier one"
        return f"{name} is {state.value}, was {result.before}: {state.text}"
    if result.number is None:
        return f"{name} is marked {result.verdict.value} already, by you and for this reason; nothing was changed"
    text = f"{name}: {result.verdict.value}, mark {result.number}"
    if result.before is not None and result.after is not None:
        change = f"is {result.after.value}" + (
            f", was {result.before.value}" if result.changed else " already"
        )
        text += f"; {subject.run} {change}"
    if result.files:
        count = len(result.files)
        text += f"; {count} {'file of it is' if count == 1 else 'files of it are'} marked too"
    return text + ("; you processed it yourself, which is recorded" if result.own_work else "")
