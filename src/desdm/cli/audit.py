"""desdm audit: re-read the archive and report every file that is not as registered."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context

_CLASSES = {
    "corrupt": "same size, other bytes",
    "truncated": "shorter than registered",
    "grown": "longer than registered",
    "missing": "registered, but not there",
    "misplaced": "a directory or special file has its name",
    "orphan": "there, but not registered",
    "suspect": "made from a damaged file; see: desdm files --suspect",
}

#: Classes that the document has only if they are not empty.
_IF_ANY = ("misplaced", "suspect")


@click.command()
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads that hash."
)
@click.option("--lift", metavar="FILE", help="Audit nothing; FILE and its products are not suspect.")
@click.option("--reason", default="", help="Why; required with --lift, and recorded with the event.")
@json_option
@pass_command_context
def command(context: CommandContext, workers: int, lift: str | None, reason: str, as_json: bool) -> int:
    """Re-read every byte of the archive and report what is not as registered.

    A damaged file, and all that was made from it, is marked suspect: such a release cannot be published. The marks go when
    an audit finds the good copy back, or by --lift. Exit status 1: something is not as registered.
    """
    from desdm.archive.audit import audit

    facility = context.facility
    if lift is not None:
        return _lift(context, lift, reason, as_json)
    with context.progress() as progress:
        bar = progress.add_task("audit", total=None)
        report = audit(
            facility.database,
            facility.archive,
            who=facility.config.operator,
            workers=workers,
            progress=lambda n: progress.advance(bar, n),
        )
    findings = {name: getattr(report, name) for name in _CLASSES}
    document = {"checked": report.checked, **{n: v for n, v in findings.items() if v or n not in _IF_ANY}}

    if report.causes:
        document["suspect_from"] = report.causes

    def human() -> None:
        click.echo(f"{report.checked} files checked, {report.bytes} bytes read")
        for name, text in _CLASSES.items():
            for path in getattr(report, name):
                of = (
                    f"made from {', '.join(report.causes[path])}; see: desdm files --suspect"
                    if name == "suspect"
                    else text
                )
                click.echo(click.style(f"{name}: ", fg="red") + f"{path} ({of})")
        if report.clean:
            click.echo("every file is as registered, and every file is registered")

    context.show(document, human, as_json)
    return 0 if report.clean else 1


def _lift(context: CommandContext, name: str, reason: str, as_json: bool) -> int:
    """Lift the suspect mark of a file, on the word of a person."""
    from desdm.archive.suspects import lift

    facility = context.facility
    with facility.database.write() as conn:
        marks = lift(conn, name, who=facility.config.operator, reason=reason)
    names = sorted({mark.filename for mark in marks})
    context.show({"lifted": names}, lambda: click.echo(f"suspect no longer: {', '.join(names)}"), as_json)
    return 0
