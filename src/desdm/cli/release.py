"""desdm release: make, fill, check, publish and announce releases."""

from __future__ import annotations

from pathlib import Path

import click

from desdm.cli.door import Door, json_option, pass_door


@click.group("release")
def command() -> None:
    """Releases: frozen selections of blessed data; a published one never changes."""


def _root(door: Door, name: str) -> Path:
    return door.facility.config.releases / name


@command.command()
@click.argument("name")
@click.option(
    "--select",
    "words",
    metavar="KEY=VALUE",
    multiple=True,
    is_flag=False,
    flag_value="",
    help="Which data: tag=T, tilename=…, band=…; without it every good run of pipeline coadd.",
)
@click.option("--empty", is_flag=True, help="Without data; tables are added by hand.")
@click.option("--title", default="", help="Title, one line.")
@click.option("--text", default="", help="What it is.")
@click.option("--proprietary", is_flag=True, help="Only those with a data right may see it once published.")
@click.option("--erratum-of", metavar="R", help="The published release that this one corrects.")
@json_option
@pass_door
def create(
    door: Door,
    name: str,
    words: tuple[str, ...],
    empty: bool,
    title: str,
    text: str,
    proprietary: bool,
    erratum_of: str | None,
    as_json: bool,
) -> None:
    """Make release NAME, a draft, from blessed data."""
    from desdm.errors import UsageError
    from desdm.release import create as verb
    from desdm.release.select import parse

    if empty and words:
        raise UsageError("--empty takes no data; leave out --select or --empty")
    config, facility = door.facility.config, door.facility
    root, picked, left = _root(door, name), 0, 0
    if empty:
        made = verb.create_empty(
            facility.database, root, name, title=title, text=text, proprietary=proprietary, erratum_of=erratum_of,
            who=config.operator,
        )  # fmt: skip
    else:
        made, selection = verb.create(
            facility.database, facility.archive, root, name, parse(words), title=title, text=text,
            proprietary=proprietary, erratum_of=erratum_of, who=config.operator, workers=_workers(config.workers),
            progress=lambda line: click.echo(f"  {line}", err=True),
        )  # fmt: skip
        picked, left = len(selection.picked), len(selection.left)
    after = (
        f"desdm release add-table {made.name} TABLE FILE.parquet"
        if empty
        else f"desdm release publish {made.name}"
    )
    door.show(
        {"release": made.name, "state": made.state, "files": picked, "left_out": left},
        lambda: click.echo(f"{made.name} is a draft of {picked} files, {left} left out; next: {after}"),
        as_json,
    )


def _workers(told: int) -> int:
    from desdm.survey.imageio import threads_here

    return told or threads_here()


@command.command("add-table")
@click.argument("release")
@click.argument("table")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--ra", metavar="COL", help="Column of right ascension, ICRS degrees.")
@click.option("--dec", metavar="COL", help="Column of declination, ICRS degrees.")
@click.option("--id", "id_column", metavar="COL", help="Column that names a row.")
@click.option(
    "--schema", type=click.Path(path_type=Path), help="Texts, units and UCDs of the columns, JSON or YAML."
)
@click.option(
    "--infer", is_flag=True, help="Guess what nobody says of a column; shown as guessed everywhere."
)
@click.option("--text", default="", help="What a row is.")
@click.option("--replace", "replace_it", is_flag=True, help="Put it in the place of a table of that name.")
@json_option
@pass_door
def add_table(
    door: Door,
    release: str,
    table: str,
    file: Path,
    ra: str | None,
    dec: str | None,
    id_column: str | None,
    schema: Path | None,
    infer: bool,
    text: str,
    replace_it: bool,
    as_json: bool,
) -> None:
    """Add the rows of a Parquet FILE to a draft RELEASE as TABLE; in queries it is RELEASE.TABLE."""
    from desdm.release import addtable
    from desdm.release.steps import digest

    facility = door.facility
    if ra is None and dec is None:
        click.echo(
            "note: no --ra and --dec: the table has no positions, cones will not find its rows", err=True
        )
    source = {"file": file.name, "sha256": digest(file)} if file.is_file() else {}
    made = addtable.add_table(
        facility.database, _root(door, release), release, table, file, ra=ra, dec=dec, schema=schema, infer=infer,
        text=text, who=facility.config.operator, provenance=source, id_column=id_column, replace_it=replace_it,
    )  # fmt: skip
    guessed = sum(c.inferred for c in made.columns)
    door.show(
        {
            "table": f"{release}.{table}",
            "rows": made.row_count,
            "columns": len(made.columns),
            "inferred": guessed,
        },
        lambda: click.echo(
            f"{release}.{table}: {made.row_count} rows, {len(made.columns)} columns"
            + (f", {guessed} of them guessed" if guessed else "")
        ),
        as_json,
    )


@command.command()
@click.argument("release")
@json_option
@pass_door
def publish(door: Door, release: str, as_json: bool) -> None:
    """Publish RELEASE: validate, freeze, document, then one switch."""
    from desdm.release import publish as verb

    facility = door.facility
    name = verb.find(facility.database, release).name
    made = verb.publish(facility.database, _root(door, name), name, who=facility.config.operator)
    door.show(
        {"release": made.name, "state": made.state, "manifest_sha256": made.manifest_sha256},
        lambda: click.echo(f"{made.name} is published; serve it: desdm serve --port 8080"),
        as_json,
    )


@command.command("list")
@json_option
@pass_door
def list_(door: Door, as_json: bool) -> None:
    """List all releases."""
    from desdm.release import store

    with door.facility.database.read() as conn:
        found = store.releases(conn)
    rows = [(r.name, r.state.value, r.title, r.erratum_of, str(r.published_at or "")[:19]) for r in found]
    columns = ("RELEASE", "STATE", "TITLE", "ERRATUM OF", "PUBLISHED")
    document = [
        dict(zip(("release", "state", "title", "erratum_of", "published_at"), row, strict=True))
        for row in rows
    ]
    door.show(document, lambda: door.table(columns, rows), as_json)
