"""desdm demo: the main job on a simulated patch of sky, or on a folder of exposures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desdm.cli.door import Door, json_option

if TYPE_CHECKING:
    from desdm.operations.mainjob import Summary


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Installation."
)
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of exposures."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulated sky.")
@click.option("--again", is_flag=True, help="Run anew even if the same work is done.")
@json_option
@click.pass_context
def command(ctx: click.Context, out: Path, data: Path | None, seed: int, again: bool, as_json: bool) -> None:
    """Ingest exposures, coadd them, catalogue them, and write a report, all into one folder.

    A second call with the same files and programs finds the work done and takes it over.
    """
    from desdm.cli.runs import drive_here, exit_status
    from desdm.facility import initialise
    from desdm.framework.submit import submit
    from desdm.operations import mainjob
    from desdm.operations.report import write_report
    from desdm.pipelines import get
    from desdm.schema.states import AttemptState

    if not (out / "desdm.toml").exists():
        initialise(out)
    door = ctx.with_resource(Door(str(out)))
    facility = door.facility
    config, database, archive = facility.config, facility.database, facility.archive
    say = (lambda text: None) if as_json else click.echo
    say("simulating a patch of sky …" if data is None else f"reading {data}")
    folder = mainjob.simulate(config.home / "incoming", seed) if data is None else data
    arrived = mainjob.ingest_folder(database, archive, folder, config.operator)
    say(
        f"ingested: {len(arrived.registered)} new, {len(arrived.present)} present, {len(arrived.refused)} refused"
    )
    tile = mainjob.tile_of(database, arrived)
    submission = submit(
        config, database, archive, get("coadd"), tile, who=config.operator, again=again, resume=True
    )
    state = submission.state
    if state in (AttemptState.DONE, AttemptState.FLAGGED):
        say(f"{submission.run} has done this work already and is taken over")
    else:
        say(f"running {submission.run}: {submission.jobs} jobs, {submission.wrappers} wrappers")
        state = drive_here(door, submission.run)
    page = write_report(
        database, archive, config, submission.run, config.home / "reports" / f"{submission.run}.html"
    )
    summary = mainjob.summarise(
        config, database, archive, submission.run, page, folder if data is None else None
    )
    summary.write(config.home / "summary.json")
    door.show(summary.document(), lambda: _tell(door, summary), as_json)
    ctx.exit(exit_status(state))


def _tell(door: Door, summary: Summary) -> None:
    door.table(
        ("EXPOSURE", "BAND", "FWHM arcsec", "OBJECTS", "MATCHED", "dRA mas", "dDEC mas", "RMS dRA mas"),
        [
            (
                e["keys"],
                e["band"],
                e.get("fwhm"),
                round(e.get("nobjects", 0)),
                int(e.get("nmatch", 0)),
                e.get("dra_median"),
                e.get("ddec_median"),
                e.get("dra_rms"),
            )
            for e in summary.exposures
        ],
        "single exposures",
    )
    click.echo()
    door.table(
        ("BAND", "OBJECTS IN THE COADD", "IN SINGLE EXPOSURES", "DEPTH mag, S/N 10"),
        [
            (b, n, ", ".join(map(str, summary.single_exposure_detections.get(b, []))), summary.depth.get(b))
            for b, n in summary.detections.items()
        ],
        f"{summary.run} {summary.state}: {summary.registered_files} files registered",
    )
    if summary.truth:
        click.echo()
        door.table(
            (
                "BAND",
                "STARS",
                "dRA mas",
                "dDEC mas",
                "SCATTER / PHOTON LIMIT",
                "FLUX mmag",
                "FOUND AT S/N 10",
            ),
            [(band, *row.values()) for band, row in summary.truth.items()],
            "against the truth: isolated stars, S/N above 50",
        )
    home = os.path.relpath(summary.installation)
    click.echo(f"\nreport: {os.path.relpath(summary.report)}\n\nnext:")
    click.echo(f"  .venv/bin/desdm --home {home} show {summary.run}")
    click.echo(f"  .venv/bin/desdm --home {home} files --attempt {summary.run}")
    click.echo(f"  .venv/bin/desdm --home {home} lineage {summary.run}_objects.parquet --up")
