"""desdm release validate, verify, show, list: the commands that look at releases and change nothing."""

from __future__ import annotations

import click

from desdm.cli.door import Door, json_option, pass_door

__all__ = ["LOOKS"]


@click.command()
@click.argument("release")
@json_option
@pass_door
def validate(door: Door, release: str, as_json: bool) -> int:
    """Check RELEASE as publish would; exit status 1 if something holds it back."""
    from desdm.release import publish as verb
    from desdm.release import validate as check

    facility = door.facility
    found = verb.find(facility.database, release)
    checks = check.validate(
        facility.database, facility.config.releases / found.name, found, facility.production
    )
    door.show(
        [c._asdict() for c in checks],
        lambda: door.table(("CHECK", "OF", "OUTCOME", "FOUND"), checks),
        as_json,
    )
    return 1 if check.errors(checks) else 0


@click.command()
@click.argument("release")
@json_option
@pass_door
def verify(door: Door, release: str, as_json: bool) -> int:
    """Read every file of RELEASE again and hold it against the manifest; exit status 1 on any fault."""
    from desdm.release import manifest, store
    from desdm.release import publish as verb

    facility = door.facility
    found = verb.find(facility.database, release)
    name = found.name
    with facility.database.read() as conn:
        files = store.files(conn, name)
    # The documents of a draft are entered when it is frozen.
    draft = found.manifest_sha256 is None
    faults = [
        fault
        for fault in manifest.verify(door.facility.config.releases / name, files)
        if not (draft and fault.unlisted and fault.path.startswith("docs/"))
    ]

    def human() -> None:
        for fault in faults:
            click.echo(f"{fault.path} {fault.text}")
        click.echo(f"{name}: {len(files)} files, {len(faults)} faults")

    door.show({"release": name, "files": len(files), "faults": [f._asdict() for f in faults]}, human, as_json)
    return 1 if faults else 0


@click.command()
@click.argument("release")
@json_option
@pass_door
def show(door: Door, release: str, as_json: bool) -> None:
    """Show RELEASE: its tables and files."""
    from collections import Counter

    from desdm.release import publish as verb
    from desdm.release import store

    facility = door.facility
    found = verb.find(facility.database, release)
    with facility.database.read() as conn:
        tables, files = store.tables(conn, found.name), store.files(conn, found.name)
    kinds = Counter(f.filetype for f in files)
    document = {
        "release": found.name, "state": found.state.value, "title": found.title, "selection": found.selection,
        "erratum_of": found.erratum_of, "proprietary": found.proprietary, "published_at": found.published_at,
        "manifest_sha256": found.manifest_sha256, "files": dict(kinds),
        "tables": [{"name": t.name, "rows": t.row_count, "columns": len(t.columns), "kind": t.kind} for t in tables],
    }  # fmt: skip

    def human() -> None:
        click.echo(f"{found.name} ({found.state.value}): {found.title}")
        click.echo(f"selection: {found.selection or 'by hand'}")
        door.table(
            ("TABLE", "KIND", "ROWS", "COLUMNS"),
            [(t.name, t.kind, t.row_count, len(t.columns)) for t in tables],
        )
        door.table(("FILES", "NUMBER"), sorted(kinds.items()))

    door.show(document, human, as_json)


@click.command("list")
@json_option
@pass_door
def list_(door: Door, as_json: bool) -> None:
    """List all releases."""
    from desdm.release import store
    from desdm.release.validate import incomplete

    root = door.facility.config.releases
    with door.facility.database.read() as conn:
        found = store.releases(conn)
        half = {r.name for r in found if incomplete(conn, root / r.name, r)}
    rows = [
        (
            r.name, f"{r.state.value}, incomplete" if r.name in half else r.state.value, r.title, r.erratum_of,
            r.published_at,
        )
        for r in found
    ]  # fmt: skip
    keys = ("release", "state", "title", "erratum_of", "published_at")
    columns = ("RELEASE", "STATE", "TITLE", "ERRATUM OF", "PUBLISHED")
    document: list[dict[str, object]] = [
        dict(zip(keys, (*row[:4], str(row[4] or "")[:19]), strict=True))
        | {"state": r.state.value}
        | ({"incomplete": True} if r.name in half else {})
        for r, row in zip(found, rows, strict=True)
    ]
    empty = "no release yet; next: desdm release create NAME"
    door.show(document, lambda: door.table(columns, rows, empty=empty), as_json)


LOOKS: tuple[click.Command, ...] = (validate, verify, show, list_)
