"""desdm run night: what has arrived of a night is processed."""

from __future__ import annotations

import click

from desdm.cli.door import Door, json_option, pass_door


@click.group()
def command() -> None:
    """Process what has arrived."""


@command.command()
@click.argument("nite")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting for every run of the night."
)
@click.option("--again", is_flag=True, help="New attempts even where the same work is done.")
@json_option
@pass_door
def night(door: Door, nite: str, settings: tuple[str, ...], again: bool, as_json: bool) -> None:
    """Calibrations of NITE (YYYYMMDD), First Cut of its exposures, and a verdict on each; what is done is taken over."""
    from desdm.cli.runs import night_here
    from desdm.cli.submit import settings_of

    said = (lambda text: None) if as_json else click.echo
    done = night_here(door, nite, settings_of(settings), again=again, say=said)
    columns = (
        "expnum",
        "band",
        "processed",
        "accepted",
        "reason",
        "t_eff",
        "fwhm_asec",
        "skybrightness",
        "cloud",
    )

    def human() -> None:
        door.table(("RUN", "STATE"), list(done.runs.items()))
        click.echo()
        door.table([c.upper() for c in columns], [[v[c] for c in columns] for v in done.verdicts])

    door.show({"nite": nite, "runs": dict(done.runs), "exposures": list(done.verdicts)}, human, as_json)
