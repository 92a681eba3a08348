"""desdm files: list files."""

from __future__ import annotations

import re
from typing import Any

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.findings import finding_document, suspect_document
from desdm.cli.names import RUN


@click.command()
@click.option("--attempt", metavar="RUN", type=RUN, help="Made by <unit>_r<request>p<attempt>.")
@click.option("--filetype", metavar="TYPE", help="Of this type.")
@click.option("--band", metavar="BAND", help="In this band.")
@click.option("--tag", metavar="TAG", help="Tagged so, or of an attempt tagged so.")
@click.option(
    "--query",
    metavar="KEY=VALUE",
    multiple=True,
    help="As pipelines ask: expnum=229686, region=150.1,2.2,0.5.",
)
@click.option(
    "--all",
    "junk",
    is_flag=True,
    help="Also files that are marked defective, or of attempts whose data are JUNK.",
)
@click.option(
    "--findings", "only", is_flag=True, help="Only files with findings of their ingest, each with them."
)
@click.option(
    "--suspect", "doubtful", is_flag=True, help="Only files that are damaged or products of damaged ones."
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    attempt: str | None,
    filetype: str | None,
    band: str | None,
    tag: str | None,
    query: tuple[str, ...],
    junk: bool,
    only: bool,
    doubtful: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List files by attempt, type, band or tag.

    Files that are marked defective, and those of attempts marked JUNK, are left out, unless --attempt names the attempt or
    with --all.
    With --query superseded files are left out too: of several attempts the last good one stands. Verdicts and exclusions
    are not looked at; which images a run would use, submit --dry-run says. FINDINGS counts what was odd about a file
    when it was ingested.
    """
    from desdm.archive import catalog, store
    from desdm.errors import UsageError
    from desdm.texttable import size_text

    facility = context.facility
    root = facility.archive.root
    most = None if only or doubtful else limit
    with facility.database.read() as conn:
        if query and junk:
            raise UsageError("--query lists only files that may be used; leave out --all or --query")
        if query:
            conditions = {"attempt": attempt, "filetype": filetype, "band": band, "tag": tag}
            conditions = {k: v for k, v in conditions.items() if v is not None}
            for part in query:
                key, equals, value = part.partition("=")
                if not equals:
                    raise UsageError(f"--query {part!r}: give KEY=VALUE")
                if another := re.search(r",\s*(\w+)\s*=", value):
                    raise UsageError(f"--query {part!r}: give --query once more for {another[1]}")
                conditions[key.strip()] = value.strip()
            matches = catalog.find(conn, {k: v for k, v in conditions.items() if v is not None})
            defective = store.defective_files(conn, [f.id for f in matches])
            matches = [f for f in matches if f.id not in defective][:most]
            document = [
                {
                    "filename": f.filename,
                    "filetype": f.filetype,
                    "band": f.band,
                    "path": str(root / f.fullname),
                    "sha256": f.sha256,
                    "filesize": f.filesize,
                }
                for f in matches
            ]
        else:
            records = catalog.files(
                conn, attempt=attempt, filetype=filetype, band=band, tag=tag, limit=most, junk=junk
            )
            document = [
                {
                    "filename": f.name,
                    "filetype": f.filetype,
                    "band": f.band,
                    "path": str(root / f.relpath),
                    "sha256": f.sha256,
                    "filesize": f.filesize,
                }
                for f in records
            ]
            hidden = 0
            if not records and not junk:
                # Counted only where nothing is listed: a list of what there is needs no second look.
                hidden = len(
                    catalog.files(conn, attempt=attempt, filetype=filetype, band=band, tag=tag, junk=True)
                )
        no_tag = catalog.missing_tag(conn, tag) if tag and not document else ""
        numbers = [f.id for f in matches] if query else [f.id for f in records]
        findings = store.findings_of(conn, numbers)
        suspects = store.suspects_of(conn, numbers)
    entries: list[dict[str, Any]] = []
    ids = {row["filename"]: number for number, row in zip(numbers, document, strict=True)}
    for number, row in zip(numbers, document, strict=True):
        file_findings = [finding_document(f) for f in findings.get(number, ())]
        marks = [suspect_document(m) for m in suspects if m.desfile_id == number]
        if (file_findings or not only) and (marks or not doubtful):
            entries.append(row | {"findings": file_findings} | ({"suspect": marks} if marks else {}))
    if only or doubtful:
        entries = entries[:limit]

    filtered = bool(attempt or filetype or band or tag or only or doubtful)
    empty_text = (
        "no such file; desdm files lists all" if filtered else "no file yet; next: desdm ingest FOLDER"
    )
    if no_tag:
        empty_text = f"there is no tag {no_tag}; see: desdm tag"
    elif query:
        empty_text = (
            "no file of that kind may be used; with those that are JUNK or defective: desdm files --all"
        )
    elif hidden:
        empty_text = f"no such file; {hidden} that are JUNK or defective are hidden: --all"

    def human() -> None:
        columns = ("filename", "filetype", "band", "filesize")
        cells = (
            [*(row[c] for c in columns[:3]), size_text(row["filesize"]), len(row["findings"]) or None]
            for row in entries
        )
        titles = [*columns[:3], "size", "findings"]
        context.table(titles, cells, expendable=titles[::-1], empty=empty_text)
        for row in entries:
            for mark in row.get("suspect", ()):
                click.echo(click.style("suspect: ", fg="red") + f"{row['filename']}: {mark['reason']}")
        for row in entries if only else ():
            for number, _ in enumerate(row["findings"]):
                records = findings[ids[row["filename"]]][number]
                click.echo(f"{row['filename']}: {records.severity.value}: {records}")

    context.show(entries, human, as_json)
