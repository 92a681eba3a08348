"""desdm epoch: epochs of the camera, and which calibrations serve in them."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context


@click.group(cls=CommandGroup)
def command() -> None:
    """Epochs of the camera, and which calibrations serve in them."""


@command.command("list")
@json_option
@pass_command_context
def listing(context: CommandContext, as_json: bool) -> None:
    """Show epochs and their table."""
    from desdm.archive import store

    with context.facility.database.read() as conn:
        epochs = store.epochs(conn)
        inputs = store.epoch_inputs(conn, None, None, "", "")
    document = {
        "epochs": [dict(zip(("name", "minexpnum", "maxexpnum", "text"), e, strict=True)) for e in epochs],
        "inputs": [i._asdict() for i in inputs],
    }

    def human() -> None:
        context.table(("EPOCH", "FIRST", "LAST", "WHY"), epochs)
        click.echo()
        rows = [(i.epoch, i.filetype, i.band, i.campaign, i.attempt or i.filepat, i.who) for i in inputs]
        context.table(("EPOCH", "FILETYPE", "BAND", "CAMPAIGN", "CALIBRATIONS", "BY"), rows)

    context.show(document, human, as_json)


@command.command()
@click.argument("name")
@click.option("--min", "low", type=int, required=True, help="First exposure.")
@click.option("--max", "high", type=int, required=True, help="Last exposure.")
@click.option("--text", required=True, help="Why an epoch begins here.")
@pass_command_context
def add(context: CommandContext, name: str, low: int, high: int, text: str) -> None:
    """Define an epoch: exposures between two changes of the camera."""
    from desdm.archive.calibrations import define_epoch

    facility = context.facility
    with facility.database.write() as conn:
        define_epoch(conn, name, low, high, text, who=facility.config.operator)
    click.echo(f"epoch {name}: exposures {low} to {high}")


@command.command()
@click.argument("name")
@click.argument("filetype")
@click.option("--attempt", help="Calibrations of this attempt serve.")
@click.option(
    "--files", "filepat", help="Delivered files of these names serve (SQL pattern, % for any text)."
)
@click.option("--band", default="", help="Only for this band.")
@click.option("--campaign", default="", help="Only for this campaign.")
@click.option("--reason", default="", help="Why; recorded with the event.")
@pass_command_context
def use(
    context: CommandContext,
    name: str,
    filetype: str,
    attempt: str | None,
    filepat: str | None,
    band: str,
    campaign: str,
    reason: str,
) -> None:
    """Say which calibrations of FILETYPE serve in epoch NAME; the newest row counts, earlier ones stay on record.

    FILETYPE all, with --attempt: every calibration of a supercal, each in its own band.
    """
    from desdm.archive.calibrations import assign, assign_all
    from desdm.errors import UsageError

    facility = context.facility
    if filetype == "all":
        if attempt is None:
            raise UsageError("all is of one run: --attempt RUN")
        with facility.database.write() as conn:
            counts = assign_all(
                conn, name, attempt, campaign=campaign, who=facility.config.operator, reason=reason
            )
        click.echo(f"epoch {name}: " + ", ".join(f"{n} {k}" for k, n in counts.items()) + f" of {attempt}")
        return
    with facility.database.write() as conn:
        count = assign(
            conn,
            name,
            filetype,
            band=band,
            campaign=campaign,
            attempt=attempt,
            filepat=filepat,
            who=facility.config.operator,
            reason=reason,
        )
    click.echo(f"epoch {name}: {count} {filetype} {'of ' + attempt if attempt else 'named ' + str(filepat)}")
