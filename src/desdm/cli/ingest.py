"""desdm ingest: register files and folders of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.findings import finding_document

if TYPE_CHECKING:
    from desdm.archive.model import DepositReport

_MOST = 20
_ORDER = ("error", "warning", "note")


@click.command()
@click.argument("paths", metavar="PATH…", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--filetype", metavar="TYPE", default="", help="Type of all files (else recognised; misc: any bytes)."
)
@click.option(
    "--rename", is_flag=True, help="Store a file whose name is in use for other bytes under its digest."
)
@json_option
@pass_command_context
def command(
    context: CommandContext, paths: tuple[Path, ...], filetype: str, rename: bool, as_json: bool
) -> int:
    """Register files, and the files of folders, in the archive.

    Files that are there already are no error. Hidden files are skipped. What a file's header leaves in doubt is a finding,
    which is recorded with the file (desdm files --findings). Exit status 1: something was refused, or there are findings.
    """
    from desdm.archive.deposit import deposit
    from desdm.archive.model import Deposit

    facility = context.facility
    items = [Deposit(path, filetype) for path in _files_below(paths)]
    with context.progress() as progress:
        bar = progress.add_task("ingest", total=len(items))
        report = deposit(
            facility.database,
            facility.archive,
            items,
            who=facility.config.operator,
            on_conflict="rename" if rename else "refuse",
            progress=lambda n: progress.advance(bar, n),
        )
    document = {
        "registered": len(report.registered),
        "present": len(report.present),
        "refused": [{"path": r.path, "reason": r.reason} for r in report.refused],
        "findings": [{"filename": name, **finding_document(finding)} for name, finding in report.findings],
    }
    context.show(document, lambda: _print_report(report), as_json)
    return 1 if report.refused or report.findings else 0


def _files_below(paths: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the files of paths and of the folders below them; hidden ones are left out."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _print_report(report: DepositReport) -> None:
    """Print counts, refusals and findings of a delivery."""
    click.echo(
        f"{len(report.registered)} registered, {len(report.present)} present, {len(report.refused)} refused"
    )
    types: dict[str, int] = {}
    for record in report.registered:
        types[record.filetype] = types.get(record.filetype, 0) + 1
    for filetype, count in sorted(types.items()):
        click.echo(f"  {count:6d} {filetype}")
    for refusal in report.refused[:_MOST]:
        # Some reasons begin with the path themselves, since they are also raised alone.
        counts = (
            refusal.reason
            if refusal.reason.startswith(str(refusal.path))
            else f"{refusal.path}: {refusal.reason}"
        )
        click.echo(click.style("refused: ", fg="red") + counts)
    if len(report.refused) > _MOST:
        click.echo(f"… and {len(report.refused) - _MOST} more refused; see --json")
    # What keeps a file from being used comes first.
    findings = sorted(report.findings, key=lambda each: _ORDER.index(each[1].severity.value))
    for name, finding in findings[:_MOST]:
        click.echo(click.style(f"{finding.severity.value}: ", fg="yellow") + f"{name}: {finding}")
    if len(findings) > _MOST:
        click.echo(f"… and {len(findings) - _MOST} more findings; see --json, or desdm files --findings")
