"""desdm release: make, fill, check, publish and announce releases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.cli.releaselook import LOOKS

if TYPE_CHECKING:
    from desdm.release.findings import Check
    from desdm.release.model import Release

_reason = click.option("--reason", default="", help="Why; recorded with the event.")


@click.group("release", cls=CommandGroup)
def command() -> None:
    """Releases: frozen selections of blessed data; a published one never changes."""


for look in LOOKS:
    command.add_command(look)


def _root(context: CommandContext, name: str) -> Path:
    """Return the directory of a release."""
    return context.facility.config.releases / name


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
@click.option(
    "--blessed", is_flag=True, help="Only runs that a person has blessed (desdm mark TILE blessed)."
)
@click.option("--empty", is_flag=True, help="Without data; tables are added by hand.")
@click.option("--title", default="", help="Title, one line.")
@click.option("--text", default="", help="What it is.")
@click.option("--proprietary", is_flag=True, help="Only those with a data right may see it once published.")
@click.option(
    "--public", is_flag=True, help="Everybody may see it once published, also data of a proprietary release."
)
@click.option("--erratum-of", metavar="R", help="The published release that this one corrects.")
@_reason
@json_option
@pass_command_context
def create(
    context: CommandContext,
    name: str,
    words: tuple[str, ...],
    blessed: bool,
    empty: bool,
    title: str,
    text: str,
    proprietary: bool,
    public: bool,
    erratum_of: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Create release NAME, a draft, from runs that ended well; an erratum uses the selection of its release by default.

    Data that are JUNK, marked defective or excluded are left out, and those of flagged runs until a person blesses them;
    with --blessed, or release.blessed_only in desdm.toml, only what a person has blessed is taken.

    What derives from a proprietary release, as an erratum or by the same files, is proprietary too, with its data rights,
    unless --public is given.
    """
    from desdm.errors import UsageError
    from desdm.release import create as verb
    from desdm.release.publish import find
    from desdm.release.select import again, parse

    if empty and (words or blessed):
        raise UsageError("--empty takes no data; leave out --select and --blessed, or --empty")
    config, facility = context.facility.config, context.facility
    root, file_count, omission_count = _root(context, name), 0, 0
    unreviewed: tuple[str, ...] = ()
    conditions: dict[str, str] | None = None if empty else parse(words)
    if erratum_of is not None and not words and not empty:
        conditions = again(find(facility.database, erratum_of).selection)
    if (blessed or config.blessed_only) and conditions is not None:
        conditions = {**conditions, "data_state": "ACTIVE"}
    if conditions is None:
        release = verb.create_empty(
            facility.database,
            root,
            name,
            title=title,
            text=text,
            proprietary=proprietary,
            erratum_of=erratum_of,
            public=public,
            who=config.operator,
            reason=reason,
        )
    else:
        release, selection = verb.create(
            facility.database,
            facility.archive,
            root,
            name,
            conditions,
            title=title,
            text=text,
            proprietary=proprietary,
            erratum_of=erratum_of,
            public=public,
            who=config.operator,
            reason=reason,
            workers=_workers(config.workers),
            progress=lambda line: click.echo(f"  {line}", err=True),
            scope=facility.production,
        )
        file_count, omission_count = len(selection.files), len(selection.omissions)
        unreviewed = selection.unreviewed
    rights_note = _rights_note(context, release, proprietary)
    faults = [] if conditions is None else _lineage_faults(context, release)
    after = (
        f"desdm release add-table {release.name} TABLE FILE.parquet"
        if conditions is None
        else f"desdm release {'validate' if faults else 'publish'} {release.name}"
    )

    def human() -> None:
        if rights_note:
            click.echo(f"note: {rights_note}", err=True)
        if unreviewed:
            click.echo(
                f"note: nobody has blessed {len(unreviewed)} of its runs (first {unreviewed[0]}), as its notes will say; "
                "review them: desdm mark TILE blessed; leave them out: --blessed",
                err=True,
            )
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            first = f"{faults[0].subject}: {faults[0].text}{more}"
            click.echo(f"note: {release.name} cannot be published as it is: {first}", err=True)
        click.echo(
            f"{release.name} is a draft of {file_count} files, {omission_count} left out; next: {after}"
        )

    document = {
        "release": release.name,
        "state": release.state,
        "files": file_count,
        "left_out": omission_count,
        "unreviewed": list(unreviewed),
        "faults": len(faults),
        "proprietary": release.proprietary,
        "rights": rights_note,
    }
    context.show(document, human, as_json)


def _rights_note(context: CommandContext, release: Release, requested: bool) -> str:
    """Return who may see a new draft that derives from proprietary releases, and of what; empty if it derives from none."""
    from desdm.accounts import store as accounts
    from desdm.release import store
    from desdm.release.rights import inheritance

    with context.facility.database.read() as conn:
        corrected = next((r for r in store.releases(conn) if r.name == release.erratum_of), None)
        files = store.files(conn, release.name)
        sources = inheritance(
            conn, corrected, [f.desfile_id for f in files if f.desfile_id is not None], besides=release.name
        ).sources
        grants = sum(right.release == release.name for right in accounts.rights(conn))
    if not sources or (requested and not grants):
        return ""
    names = f"{', '.join(sources)} {'is' if len(sources) == 1 else 'are'} proprietary"
    if not release.proprietary:
        images = sum(f.filetype == "coadd" for f in files)
        return (
            f"{names}, and {release.name} is public: once published, everybody sees its {images} images, all rows of its "
            "tables, its maps and documents"
        )
    return (
        f"{names}, therefore {release.name} is too; data rights taken over: {grants} (desdm account rights); "
        "to make it public discard it and create it with --public"
    )


def _lineage_faults(context: CommandContext, release: Release) -> list[Check]:
    """Return what forbids to publish a new draft: products of rejected, excluded or withdrawn data."""
    from desdm.release import store
    from desdm.release.findings import errors
    from desdm.release.validate import check_lineage

    facility, root = context.facility, _root(context, release.name)
    with facility.database.read() as conn:
        files = store.files(conn, release.name)
        return errors(check_lineage(conn, root, release, files, facility.production))


def _workers(configured: int) -> int:
    """Return the number of threads: as configured, else one a core."""
    from desdm.survey.imageio import threads_here

    return configured or threads_here()


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
    "--infer", is_flag=True, help="Guess missing descriptions of columns; they are marked as guessed."
)
@click.option("--text", default="", help="What a row is.")
@click.option("--replace", "replace_it", is_flag=True, help="Put it in the place of a table of that name.")
@click.option("--public", is_flag=True, help="Take data of a proprietary release for a public one.")
@_reason
@json_option
@pass_command_context
def add_table(
    context: CommandContext,
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
    public: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Add the rows of a Parquet FILE to a draft RELEASE as TABLE; in queries it is RELEASE.TABLE."""
    from desdm.archive.publish import digest
    from desdm.release import addtable
    from desdm.release.source import TableSource

    facility = context.facility
    if ra is None and dec is None:
        click.echo(
            "note: no --ra and --dec: the table has no positions, cones will not find its rows", err=True
        )
    source = TableSource({"file": file.name, "sha256": digest(file)[0]}) if file.is_file() else None
    record = addtable.add_table(
        facility.database,
        _root(context, release),
        release,
        table,
        file,
        ra=ra,
        dec=dec,
        schema=schema,
        infer=infer,
        text=text,
        who=facility.config.operator,
        provenance=source,
        id_column=id_column,
        replace_it=replace_it,
        public=public,
        reason=reason,
    )
    guess_count = sum(c.inferred for c in record.columns)
    context.show(
        {
            "table": f"{release}.{table}",
            "rows": record.row_count,
            "columns": len(record.columns),
            "inferred": guess_count,
        },
        lambda: click.echo(
            f"{release}.{table}: {record.row_count} rows, {len(record.columns)} columns"
            + (f", {guess_count} of them guessed" if guess_count else "")
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
    "--doc", "documentation", type=click.Path(path_type=Path), required=True, help="How it was computed."
)
@click.option(
    "--from", "came_from", required=True, help="Release, data and programs from which it was computed."
)
@click.option("--reviewed-by", required=True, help="Who compared it with the criteria.")
@click.option("--review", required=True, help="Result of the review.")
@click.option("--public", is_flag=True, help="Take a product of a proprietary release for a public one.")
@json_option
@pass_command_context
def add_product(
    context: CommandContext,
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
    public: bool,
    as_json: bool,
) -> None:
    """Add a value-added product, a Parquet FILE, to a draft RELEASE as TABLE."""
    from desdm.release.valueadded import add_value_added

    facility = context.facility
    record = add_value_added(
        facility.database,
        _root(context, release),
        release,
        table,
        file,
        schema=schema,
        documentation=documentation,
        came_from=came_from,
        reviewed_by=reviewed_by,
        review=review,
        ra=ra,
        dec=dec,
        id_column=id_column,
        public=public,
        who=facility.config.operator,
    )
    context.show(
        {"table": f"{release}.{table}", "rows": record.row_count, "reviewed_by": reviewed_by},
        lambda: click.echo(f"{release}.{table}: {record.row_count} rows, reviewed by {reviewed_by}"),
        as_json,
    )


@command.command()
@click.argument("release")
@_reason
@json_option
@pass_command_context
def publish(context: CommandContext, release: str, reason: str, as_json: bool) -> None:
    """Publish RELEASE: validate, document, freeze, then one switch."""
    from desdm.cli.served import engine_of
    from desdm.release import publish as verb

    facility = context.facility
    name = verb.find(facility.database, release).name
    root = _root(context, name)
    with engine_of(facility, name) as served:
        release_record = verb.publish(
            facility.database,
            root,
            name,
            who=facility.config.operator,
            reason=reason,
            prepare=served.prepare,
            ask=served.ask,
            production=facility.production,
            blessed_only=facility.config.blessed_only,
        )
    context.show(
        {
            "release": release_record.name,
            "state": release_record.state,
            "manifest_sha256": release_record.manifest_sha256,
        },
        lambda: click.echo(f"{release_record.name} is published; serve it: desdm serve --port 8080"),
        as_json,
    )


@command.command()
@click.argument("release")
@_reason
@json_option
@pass_command_context
def thaw(context: CommandContext, release: str, reason: str, as_json: bool) -> None:
    """Open a frozen RELEASE again, which was not published."""
    from desdm.release import publish as verb

    release_record = verb.thaw(
        context.facility.database, release, who=context.facility.config.operator, reason=reason
    )
    context.show(
        {"release": release_record.name, "state": release_record.state},
        lambda: click.echo(f"{release_record.name} is a draft again"),
        as_json,
    )


@command.command()
@click.argument("release")
@_reason
@json_option
@pass_command_context
def discard(context: CommandContext, release: str, reason: str, as_json: bool) -> None:
    """Take away RELEASE, which is not published."""
    from desdm.release import create as making
    from desdm.release import publish as verb

    facility = context.facility
    name = verb.find(facility.database, release).name
    making.discard(facility.database, _root(context, name), name, who=facility.config.operator, reason=reason)
    context.show({"release": name, "discarded": True}, lambda: click.echo(f"{name} is gone"), as_json)


@command.command()
@click.argument("release")
@click.option("--text", default="", help="Said before the facts.")
@_reason
@json_option
@pass_command_context
def announce(context: CommandContext, release: str, text: str, reason: str, as_json: bool) -> None:
    """Announce a published RELEASE by mail and in the web feed."""
    from desdm.release.announce import announce as verb

    facility = context.facility
    subject, to = verb(
        facility.database, facility.config, release, who=facility.config.operator, text=text, reason=reason
    )
    where = (
        f"mailed to {', '.join(to)}, and" if to else "no mail (services.mail_server and mail_to are not set);"
    )
    context.show(
        {"subject": subject, "mailed_to": to}, lambda: click.echo(f"{subject}: {where} in the feed"), as_json
    )
