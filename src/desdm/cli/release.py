"""desdm release: make, fill, check, publish and announce releases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from desdm.cli.door import Door, json_option, pass_door
from desdm.cli.releaselook import LOOKS

if TYPE_CHECKING:
    from desdm.release.findings import Check
    from desdm.release.model import Release

_reason = click.option("--reason", default="", help="Why; kept with the event.")


@click.group("release")
def command() -> None:
    """Releases: frozen selections of blessed data; a published one never changes."""


for look in LOOKS:
    command.add_command(look)


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
@_reason
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
    reason: str,
    as_json: bool,
) -> None:
    """Make release NAME, a draft, from blessed data; an erratum takes what its release took unless told otherwise."""
    from desdm.errors import UsageError
    from desdm.release import create as verb
    from desdm.release.publish import find
    from desdm.release.select import again, parse

    if empty and words:
        raise UsageError("--empty takes no data; leave out --select or --empty")
    config, facility = door.facility.config, door.facility
    root, picked, left = _root(door, name), 0, 0
    asked: dict[str, str] | None = None if empty else parse(words)
    if erratum_of is not None and not words and not empty:
        asked = again(find(facility.database, erratum_of).selection)
    if asked is None:
        made = verb.create_empty(
            facility.database, root, name, title=title, text=text, proprietary=proprietary, erratum_of=erratum_of,
            who=config.operator, reason=reason,
        )  # fmt: skip
    else:
        made, selection = verb.create(
            facility.database, facility.archive, root, name, asked, title=title, text=text,
            proprietary=proprietary, erratum_of=erratum_of, who=config.operator, reason=reason,
            workers=_workers(config.workers), progress=lambda line: click.echo(f"  {line}", err=True),
            scope=facility.production,
        )  # fmt: skip
        picked, left = len(selection.picked), len(selection.left)
    faults = [] if asked is None else _lineage_faults(door, made)
    after = (
        f"desdm release add-table {made.name} TABLE FILE.parquet"
        if asked is None
        else f"desdm release {'validate' if faults else 'publish'} {made.name}"
    )

    def human() -> None:
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            first = f"{faults[0].subject}: {faults[0].text}{more}"
            click.echo(f"note: {made.name} cannot be published as it is: {first}", err=True)
        click.echo(f"{made.name} is a draft of {picked} files, {left} left out; next: {after}")

    document = {
        "release": made.name,
        "state": made.state,
        "files": picked,
        "left_out": left,
        "faults": len(faults),
    }
    door.show(document, human, as_json)


def _lineage_faults(door: Door, release: Release) -> list[Check]:
    """Return what forbids that a fresh draft is published: products of what is rejected, excluded or withdrawn."""
    from desdm.release import store
    from desdm.release.findings import errors
    from desdm.release.validate import check_lineage

    facility, root = door.facility, _root(door, release.name)
    with facility.database.read() as conn:
        files = store.files(conn, release.name)
        return errors(check_lineage(conn, root, release, files, facility.production))


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
@_reason
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
    reason: str,
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
        reason=reason,
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


@command.command("add-product")
@click.argument("release")
@click.argument("table")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--ra", metavar="COL", help="Column of right ascension, ICRS degrees.")
@click.option("--dec", metavar="COL", help="Column of declination, ICRS degrees.")
@click.option("--id", "id_column", metavar="COL", help="Column that names a row.")
@click.option(
    "--schema", type=click.Path(path_type=Path), required=True, help="Texts, units and UCDs, JSON or YAML."
)
@click.option(
    "--doc", "documentation", type=click.Path(path_type=Path), required=True, help="How it was made."
)
@click.option("--from", "came_from", required=True, help="Release, data and programs that it was made from.")
@click.option("--reviewed-by", required=True, help="Who held it against the criteria.")
@click.option("--review", required=True, help="What that person found.")
@json_option
@pass_door
def add_product(
    door: Door,
    release: str,
    table: str,
    file: Path,
    ra: str | None,
    dec: str | None,
    id_column: str | None,
    schema: Path,
    documentation: Path,
    came_from: str,
    reviewed_by: str,
    review: str,
    as_json: bool,
) -> None:
    """Add a value-added product, a Parquet FILE, to a draft RELEASE as TABLE."""
    from desdm.release.valueadded import add_value_added

    facility = door.facility
    made = add_value_added(
        facility.database, _root(door, release), release, table, file, schema=schema, documentation=documentation,
        came_from=came_from, reviewed_by=reviewed_by, review=review, ra=ra, dec=dec, id_column=id_column,
        who=facility.config.operator,
    )  # fmt: skip
    door.show(
        {"table": f"{release}.{table}", "rows": made.row_count, "reviewed_by": reviewed_by},
        lambda: click.echo(f"{release}.{table}: {made.row_count} rows, reviewed by {reviewed_by}"),
        as_json,
    )


@command.command()
@click.argument("release")
@_reason
@json_option
@pass_door
def publish(door: Door, release: str, reason: str, as_json: bool) -> None:
    """Publish RELEASE: validate, document, freeze, then one switch."""
    from desdm.cli.served import engine_of
    from desdm.release import publish as verb

    facility = door.facility
    name = verb.find(facility.database, release).name
    root = _root(door, name)
    with engine_of(facility, name) as served:
        made = verb.publish(
            facility.database,
            root,
            name,
            who=facility.config.operator,
            reason=reason,
            prepare=served.prepare,
            ask=served.ask,
            production=facility.production,
        )
    door.show(
        {"release": made.name, "state": made.state, "manifest_sha256": made.manifest_sha256},
        lambda: click.echo(f"{made.name} is published; serve it: desdm serve --port 8080"),
        as_json,
    )


@command.command()
@click.argument("release")
@_reason
@json_option
@pass_door
def thaw(door: Door, release: str, reason: str, as_json: bool) -> None:
    """Open a frozen RELEASE again, which was not published."""
    from desdm.release import publish as verb

    made = verb.thaw(door.facility.database, release, who=door.facility.config.operator, reason=reason)
    door.show(
        {"release": made.name, "state": made.state},
        lambda: click.echo(f"{made.name} is a draft again"),
        as_json,
    )


@command.command()
@click.argument("release")
@_reason
@json_option
@pass_door
def discard(door: Door, release: str, reason: str, as_json: bool) -> None:
    """Take away RELEASE, which is not published."""
    from desdm.release import create as making
    from desdm.release import publish as verb

    facility = door.facility
    name = verb.find(facility.database, release).name
    making.discard(facility.database, _root(door, name), name, who=facility.config.operator, reason=reason)
    door.show({"release": name, "discarded": True}, lambda: click.echo(f"{name} is gone"), as_json)


@command.command()
@click.argument("release")
@click.option("--text", default="", help="Said before the facts.")
@_reason
@json_option
@pass_door
def announce(door: Door, release: str, text: str, reason: str, as_json: bool) -> None:
    """Announce a published RELEASE by mail and in the web feed."""
    from desdm.release.announce import announce as verb

    facility = door.facility
    subject, to = verb(
        facility.database, facility.config, release, who=facility.config.operator, text=text, reason=reason
    )
    where = (
        f"mailed to {', '.join(to)}, and" if to else "no mail (services.mail_server and mail_to are not set);"
    )
    door.show(
        {"subject": subject, "mailed_to": to}, lambda: click.echo(f"{subject}: {where} in the feed"), as_json
    )
