"""desdm release validate, verify, show, list: the commands that look at releases and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desdm.cli.context import JsonValue

__all__ = ["LOOKS"]


@click.command()
@click.argument("release")
@json_option
@pass_command_context
def validate(context: CommandContext, release: str, as_json: bool) -> int:
    """Check RELEASE as publish would; exit status 1 if something holds it back."""
    from desdm.release import publish as verb
    from desdm.release import validate as check

    facility = context.facility
    record = verb.find(facility.database, release)
    checks = check.validate(
        facility.database,
        facility.config.releases / record.name,
        record,
        facility.production,
        blessed_only=facility.config.blessed_only,
    )
    context.show(
        [c._asdict() for c in checks],
        lambda: context.table(("CHECK", "OF", "OUTCOME", "FOUND"), checks),
        as_json,
    )
    return 1 if check.errors(checks) else 0


@click.command()
@click.argument("release")
@json_option
@pass_command_context
def verify(context: CommandContext, release: str, as_json: bool) -> int:
    """Read every file of RELEASE again and hold it against the manifest; exit status 1 on any fault."""
    from desdm.release import manifest, store
    from desdm.release import publish as verb

    facility = context.facility
    record = verb.find(facility.database, release)
    name = record.name
    with facility.database.read() as conn:
        files = store.files(conn, name)
    # The documents of a draft are entered when it is frozen.
    draft = record.manifest_sha256 is None
    faults = [
        fault
        for fault in manifest.verify(context.facility.config.releases / name, files)
        if not (draft and fault.unlisted and fault.path.startswith("docs/"))
    ]

    def human() -> None:
        for fault in faults:
            click.echo(f"{fault.path} {fault.text}")
        click.echo(f"{name}: {len(files)} files, {len(faults)} faults")

    context.show(
        {"release": name, "files": len(files), "faults": [f._asdict() for f in faults]}, human, as_json
    )
    return 1 if faults else 0


@click.command()
@click.argument("release")
@json_option
@pass_command_context
def show(context: CommandContext, release: str, as_json: bool) -> None:
    """Show RELEASE: its tables and files."""
    from collections import Counter

    from desdm.release import publish as verb
    from desdm.release import store

    facility = context.facility
    record = verb.find(facility.database, release)
    with facility.database.read() as conn:
        tables, files = store.tables(conn, record.name), store.files(conn, record.name)
    kinds = Counter(f.filetype for f in files)
    document = {
        "release": record.name,
        "state": record.state.value,
        "title": record.title,
        "selection": record.selection,
        "erratum_of": record.erratum_of,
        "proprietary": record.proprietary,
        "published_at": record.published_at,
        "manifest_sha256": record.manifest_sha256,
        "files": dict(kinds),
        "tables": [
            {"name": t.name, "rows": t.row_count, "columns": len(t.columns), "kind": t.kind} for t in tables
        ],
    }

    def human() -> None:
        click.echo(f"{record.name} ({record.state.value}): {record.title}")
        click.echo(f"selection: {record.selection or 'by hand'}")
        context.table(
            ("TABLE", "KIND", "ROWS", "COLUMNS"),
            [(t.name, t.kind, t.row_count, len(t.columns)) for t in tables],
        )
        context.table(("FILES", "NUMBER"), sorted(kinds.items()))

    context.show(document, human, as_json)


@click.command("list")
@json_option
@pass_command_context
def list_(context: CommandContext, as_json: bool) -> None:
    """List all releases."""
    from desdm.release import store
    from desdm.release.validate import incomplete

    root = context.facility.config.releases
    with context.facility.database.read() as conn:
        releases = store.releases(conn)
        incomplete_names = {r.name for r in releases if incomplete(conn, root / r.name, r)}
    rows = [
        (
            r.name,
            f"{r.state.value}, incomplete" if r.name in incomplete_names else r.state.value,
            r.title,
            r.erratum_of,
            r.published_at,
        )
        for r in releases
    ]
    keys = ("release", "state", "title", "erratum_of", "published_at")
    columns = ("RELEASE", "STATE", "TITLE", "ERRATUM OF", "PUBLISHED")
    document: list[Mapping[str, JsonValue]] = [
        dict(zip(keys, (*row[:4], str(row[4] or "")[:19]), strict=True))
        | {"state": r.state.value}
        | ({"incomplete": True} if r.name in incomplete_names else {})
        for r, row in zip(releases, rows, strict=True)
    ]
    empty = "no release yet; next: desdm release create NAME"
    context.show(document, lambda: context.table(columns, rows, empty=empty), as_json)


LOOKS: tuple[click.Command, ...] = (validate, verify, show, list_)
