"""desdm survey: the survey table, its import and export."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from desdm.cli.context import JsonValue
    from desdm.operations.surveytable.model import Coverage, FieldStatus


@click.group("survey", cls=CommandGroup, invoke_without_command=True)
@click.option("--band", default="", help="Only this band.")
@click.option("--season", default="", help="Only this season.")
@click.option("--owed", is_flag=True, help="Only fields that are not done.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the table into a file: .csv, .fits, or .moc (coverage).",
)
@json_option
@click.pass_context
def command(ctx: click.Context, band: str, season: str, owed: bool, out: Path | None, as_json: bool) -> None:
    """Show the survey table: for each field and band the exposures that are accepted, their t_eff, and what is owed.

    It follows verdicts, exclusions and data states at once: nothing in it is stored.
    """
    if ctx.invoked_subcommand is not None:
        return
    context = ctx.find_object(CommandContext)
    assert context is not None
    table = _table(context)
    fields = [
        s
        for s in table.fields
        if band in ("", s.field.band) and season in ("", s.field.season) and not (owed and s.done)
    ]
    if out is not None and out.suffix.lower() == ".moc":
        from desdm.operations.surveytable.sky import SkyCoverage, counting_exposures, write_moc

        chosen = {n for s in fields for n in s.accepted}
        if not (season or owed):
            chosen |= counting_exposures(table, band)
        with context.facility.database.read() as conn:
            write_moc(out, SkyCoverage().of(conn, chosen))
    elif out is not None:
        from desdm.operations.surveytable.export import write_table

        write_table(out, fields)

    def human() -> None:
        if out is not None:
            click.echo(f"{out}: {len(fields)} fields")
        else:
            _print(context, table, fields)

    context.show(_document(table, fields), human, as_json)


@command.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", default="", help="Why the plan changes; required.")
@json_option
@pass_command_context
def import_(context: CommandContext, path: Path, reason: str, as_json: bool) -> None:
    """Put the plan in PATH (CSV: hex, tiling, band, ra, dec, exptime, t_eff_goal) in the place of the one that holds."""
    from desdm.operations.surveytable.plan import import_fields

    facility = context.facility
    with facility.database.write() as conn:
        number = import_fields(conn, path, who=facility.config.operator, reason=reason)
    context.show({"fields": number}, lambda: click.echo(f"the survey plan has {number} fields"), as_json)


@command.command()
@json_option
@pass_command_context
def tiles(context: CommandContext, as_json: bool) -> None:
    """Show the depth of tiles, by band: exposures, t_eff and exposure time of what counts in the coadd that stands.

    Exposures in it that were rejected or excluded since are counted as withdrawn: the tile is to be coadded again.
    """
    rows = _table(context).tiles
    columns = ("TILE", "BAND", "EXPOSURES", "T_EFF", "EXPTIME", "WITHDRAWN", "RUN")
    document = [
        {
            "tilename": t.tilename,
            "band": t.band,
            "run": t.run,
            "exposures": t.exposures,
            "t_eff": round(t.t_eff, 6),
            "exptime": t.exptime,
            "withdrawn": t.withdrawn,
        }
        for t in rows
    ]
    lines = [(t.tilename, t.band, t.exposures, f"{t.t_eff:.3f}", t.exptime, t.withdrawn, t.run) for t in rows]
    context.show(document, lambda: context.table(columns, lines, empty="no tile has a coadd yet"), as_json)


def _table(context: CommandContext) -> Coverage:
    """Return the survey table of now."""
    from desdm.operations.surveytable.coverage import coverage

    facility = context.facility
    with facility.database.read() as conn:
        return coverage(conn, facility.production)


def _print(context: CommandContext, table: Coverage, fields: Sequence[FieldStatus]) -> None:
    """Print the table, and a summary by band."""
    columns = (
        "HEX",
        "TILING",
        "BAND",
        "ACCEPTED",
        "REJECTED",
        "UNDECIDED",
        "T_EFF",
        "GOAL",
        "OWED",
        "LAST NIGHT",
    )
    rows = [
        (
            s.field.hex,
            s.field.tiling,
            s.field.band,
            len(s.accepted),
            s.rejected,
            s.undecided,
            f"{s.t_eff:.3f}",
            s.field.t_eff_goal,
            "done" if s.done else f"{s.owed:.3f}",
            s.last_nite,
        )
        for s in fields
    ]
    empty = (
        "no field fits"
        if table.fields
        else "no survey plan yet; next: desdm survey import PLAN.csv --reason TEXT"
    )
    context.table(columns, rows, empty=empty, expendable=("LAST NIGHT", "UNDECIDED", "REJECTED"))
    for summary in _bands(fields):
        click.echo(
            f"{summary['band']}: {summary['done']} of {summary['fields']} fields done, "
            f"t_eff {summary['t_eff']} of {summary['t_eff_goal']}"
        )
    if table.elsewhere:
        accepted = sum(1 for exposure in table.elsewhere if exposure.counts)
        click.echo(
            f"{len(table.elsewhere)} exposures are of no field of the plan, {accepted} of them accepted"
        )


def _bands(fields: Sequence[FieldStatus]) -> list[dict[str, JsonValue]]:
    """Return the sums of each band."""
    from desdm.survey.bands import band_order

    by_band: dict[str, list[FieldStatus]] = defaultdict(list)
    for status in fields:
        by_band[status.field.band].append(status)
    return [
        {
            "band": band,
            "fields": len(by_band[band]),
            "done": sum(s.done for s in by_band[band]),
            "exposures": sum(len(s.accepted) for s in by_band[band]),
            "t_eff": round(sum(min(s.t_eff, s.field.t_eff_goal) for s in by_band[band]), 6),
            "t_eff_goal": round(sum(s.field.t_eff_goal for s in by_band[band]), 6),
        }
        for band in sorted(by_band, key=band_order)
    ]


def _document(table: Coverage, fields: Sequence[FieldStatus]) -> Mapping[str, JsonValue]:
    """Return the JSON document of the survey table."""
    return {
        "as_of": datetime.now(UTC).replace(microsecond=0, tzinfo=None).isoformat(),
        "fields": [
            {
                "hex": s.field.hex,
                "tiling": s.field.tiling,
                "band": s.field.band,
                "ra": s.field.ra,
                "dec": s.field.dec,
                "exptime": s.field.exptime,
                "priority": s.field.priority,
                "season": s.field.season,
                "t_eff_goal": s.field.t_eff_goal,
                "exposures": list(s.accepted),
                "rejected": s.rejected,
                "undecided": s.undecided,
                "t_eff": round(s.t_eff, 6),
                "owed": round(s.owed, 6),
                "done": s.done,
                "last_nite": s.last_nite,
            }
            for s in fields
        ],
        "bands": _bands(fields),
        "elsewhere": [
            {"expnum": e.expnum, "nite": e.nite, "band": e.band, "accepted": e.verdict, "t_eff": e.t_eff}
            for e in table.elsewhere
        ],
        "tiles": len(table.tiles),
    }
