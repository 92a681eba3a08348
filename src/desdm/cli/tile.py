"""desdm tile: the tiles of the sky that submit WCLs name."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context


@click.group(cls=CommandGroup)
def command() -> None:
    """Tiles by name, for get_tile_info in submit WCLs."""


@command.command(context_settings={"ignore_unknown_options": True})  # a declination may begin with -
@click.argument("name")
@click.argument("ra", type=float)
@click.argument("dec", type=float)
@click.option("--naxis", type=click.IntRange(1), default=10000, show_default=True, help="Pixels a side.")
@click.option("--pixelscale", type=float, default=0.263, show_default=True, help="Arcsec a pixel.")
@json_option
@pass_command_context
def add(
    context: CommandContext, name: str, ra: float, dec: float, naxis: int, pixelscale: float, as_json: bool
) -> None:
    """Add tile NAME with its centre RA, DEC (ICRS, degrees)."""
    from desdm.errors import UsageError
    from desdm.framework.store.tiles import save_tile
    from desdm.survey.tiles import Tile

    if not (0.0 <= ra < 360.0 and -90.0 <= dec <= 90.0 and pixelscale > 0.0 and 0 < len(name) <= 24):
        raise UsageError(
            f"no tile {name} at {ra}, {dec}: RA 0 to 360, DEC -90 to 90, a name of at most 24 letters"
        )
    with context.facility.database.write() as conn:
        save_tile(conn, Tile(name, ra, dec, naxis, pixelscale))
    document = {"tile": name, "ra": ra, "dec": dec, "naxis": naxis, "pixelscale": pixelscale}
    text = f"tile {name} at {ra:g} {dec:+g}: {naxis} pixels a side of {pixelscale:g} arcsec"
    context.show(document, lambda: click.echo(text), as_json)


@command.command("list")
@json_option
@pass_command_context
def list_(context: CommandContext, as_json: bool) -> None:
    """Every tile."""
    from desdm.framework.store.tiles import tile_rows

    with context.facility.database.read() as conn:
        rows = tile_rows(conn)
    head = ("TILE", "RA", "DEC", "NAXIS1", "NAXIS2", "ARCSEC/PIXEL")
    context.show(rows, lambda: context.table(head, [tuple(r.values()) for r in rows]), as_json)
