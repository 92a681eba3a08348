"""desdm night: what became of a night."""

from __future__ import annotations

from pathlib import Path

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.cli.names import NIGHT


@click.group(cls=CommandGroup)
def command() -> None:
    """What became of a night."""


@command.command()
@click.argument("nite", type=NIGHT)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="HTML file (default: reports/night_NITE.html of the installation).",
)
@json_option
@pass_command_context
def report(context: CommandContext, nite: str, out: Path | None, as_json: bool) -> None:
    """Report on NITE: arrived, processed, accepted, survey plan, times, calibrations, problems; with a page of plots."""
    from dataclasses import asdict

    from desdm.operations.nightreport import gather_night, write_night_report

    facility = context.facility
    with facility.database.read() as conn:
        gathered = gather_night(conn, nite, facility.production)
    path = write_night_report(gathered, out or facility.config.home / "reports" / f"night_{nite}.html")
    document = {**asdict(gathered), "report": str(path)}

    def human() -> None:
        arrived, times = gathered.arrived, gathered.times
        listed = f", {arrived.missing} of {arrived.expected} expected are missing" if arrived.expected else ""
        click.echo(
            f"arrived: {arrived.exposures} science exposures, {arrived.calibrations} calibration frames, "
            f"{arrived.others} others{listed}"
        )
        processed = gathered.processed
        for pipeline in processed.pipelines:
            parts = (
                ("queue", processed.queue),
                ("runs", processed.runs),
                ("trials and other campaigns, not counted", processed.others),
            )
            texts = [
                f"{name}: " + ", ".join(f"{n} {state}" for state, n in counts[pipeline].items())
                for name, counts in parts
                if counts.get(pipeline)
            ]
            click.echo(f"{pipeline}: " + "; ".join(texts))
        counts = gathered.verdicts
        click.echo(f"accepted {counts['True']}, rejected {counts['False']}, unknown {counts['Unknown']}")
        click.echo(
            f"shutter open {times.open_h:.2f} h, accepted {times.accepted_h:.2f} h, effective {times.effective_h:.2f} h"
        )
        for loss in times.losses:
            click.echo(f"time lost: {loss.hours:.2f} h, {loss.cause} (logbook)")
        if gathered.cadence:
            context.table(
                (
                    "SEASON",
                    "BAND",
                    "EXPOSURES",
                    "GAIN",
                    "FINISHED",
                    "DONE",
                    "OWED",
                    "T_EFF OWED",
                    "EVEN RATE",
                ),
                [
                    (
                        c.season,
                        c.band,
                        c.exposures,
                        f"{c.gain:.3f}",
                        c.finished,
                        f"{c.done} of {c.fields}",
                        c.owed,
                        f"{c.t_eff_owed:.3f}",
                        "" if c.pace is None else f"{c.pace.text}; night {c.pace.night} of {c.pace.nights}",
                    )
                    for c in gathered.cadence
                ],
            )
        if gathered.calibrations:
            # EXPOSURES: each by the attempt that counts.
            context.table(
                ("CALIBRATION", "NIGHT", "AGE", "RUN", "EXPOSURES", "RULE"),
                [(c.filetype, c.nite, c.age_text, c.run, c.exposures, c.rule) for c in gathered.calibrations],
                expendable=("RULE",),
            )
        columns = ("expnum", "band", "accepted", "t_eff", "fwhm_asec", "skybrightness", "magzero", "reason")
        rows = [[asdict(one)[name] for name in columns] for one in gathered.exposures]
        context.table([name.upper() for name in columns], rows, expendable=("SKYBRIGHTNESS", "MAGZERO"))
        problems = [(p.id, f"{p.subject_kind} {p.subject}", p.severity, p.title) for p in gathered.problems]
        if problems:
            context.table(("PROBLEM", "OF", "SEVERITY", "WHAT"), problems)
        click.echo(path)

    context.show(document, human, as_json)
