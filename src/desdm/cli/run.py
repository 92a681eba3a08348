"""desdm run night: what has arrived of a night is processed."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.cli.names import NIGHT


@click.group(cls=CommandGroup)
def command() -> None:
    """Process what has arrived."""


@command.command()
@click.argument("nite", type=NIGHT)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting for every run of the night."
)
@click.option(
    "--run-class",
    type=click.Choice(["dev", "qualify", "study", "survey"]),
    help="What the runs are for; only survey runs are production.  [default: survey]",
)
@click.option("--again", is_flag=True, help="New attempts even where the same work is done.")
@json_option
@pass_command_context
def night(
    context: CommandContext,
    nite: str,
    settings: tuple[str, ...],
    run_class: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Calibrations of NITE (YYYYMMDD), First Cut of its exposures, and a verdict on each; what is done is taken over."""
    from desdm.cli.runs import night_here
    from desdm.cli.submit import parse_settings
    from desdm.quality.qa.exclusions import summary

    say = (lambda text: None) if as_json else click.echo
    values = parse_settings(settings) | ({"run_class": run_class} if run_class else {})
    done = night_here(context, nite, values, again=again, say=say)
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
        context.table(("RUN", "STATE"), list(done.runs.items()))
        click.echo()
        context.table(
            [*(c.upper() for c in columns), "EXCLUDED"],
            [[*(v.get(c) for c in columns), summary(v["exclusions"])] for v in done.verdicts],
            expendable=("PROCESSED", "SKYBRIGHTNESS", "CLOUD"),
        )

    context.show({"nite": nite, "runs": dict(done.runs), "exposures": list(done.verdicts)}, human, as_json)
