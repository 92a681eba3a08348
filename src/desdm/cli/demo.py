"""desdm demo: the main job on a simulated night, or on a folder of calibrated exposures."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option

#: Account of the demo that holds the offices operator and qa, and exposures that are put up for review.
_LOGIN, _SAMPLE = "desk", 20

if TYPE_CHECKING:
    from desdm.operations.mainjob import Summary
    from desdm.operations.nightly import Night


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Installation."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of calibrated exposures: coadd these instead of a simulated night.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulated night.")
@click.option("--again", is_flag=True, help="Run anew even if the same work is done.")
@json_option
@click.pass_context
def command(ctx: click.Context, out: Path, data: Path | None, seed: int, again: bool, as_json: bool) -> None:
    """A small simulated night from raw frames to verdicts, coadds, catalogue and report, all into one folder.

    A second call with the same files and programs finds the work done and takes it over.
    """
    from desdm.cli.runs import drive_here, exit_status, night_here
    from desdm.errors import UsageError
    from desdm.facility import initialise
    from desdm.framework.submit import submit
    from desdm.operations import mainjob
    from desdm.operations.doctor.software import require_programs
    from desdm.operations.nightly import accepted_tag
    from desdm.operations.report.page import write_report
    from desdm.pipelines import get
    from desdm.schema.states import AttemptState

    require_programs()
    # A demo of an earlier version is brought up to date.
    initialise(out, upgrade=(out / "desdm.toml").exists())
    context = ctx.with_resource(CommandContext(str(out)))
    facility = context.facility
    config, database, archive = facility.config, facility.database, facility.archive
    say = (lambda text: None) if as_json else click.echo
    folder = _simulate_night(context, config.home / "incoming", seed, say) if data is None else data
    say(f"reading {os.path.relpath(folder)}")
    arrived = mainjob.ingest_folder(database, archive, folder, config.operator, without=("truth",))
    say(
        f"ingested: {len(arrived.registered)} new, {len(arrived.present)} present, {len(arrived.refused)} refused"
    )
    if not arrived.registered and not arrived.present:
        reasons = "".join(f"\n  {refusal.path}: {refusal.reason}" for refusal in arrived.refused[:5])
        raise UsageError(f"no file of {folder} can be taken; give a folder of calibrated exposures:{reasons}")
    night = None
    if data is None:
        facts = mainjob.night_truth(folder)
        mainjob.hand_over(database, facts["camera"], config.operator)
        night = night_here(context, facts["nite"], {}, again=again, say=say)
        _print_verdicts(context, night, say)
        if not night.accepted:
            raise click.ClickException("no exposure of the night was accepted, so there is nothing to coadd")
        tile = mainjob.tile_of_tag(config, database, accepted_tag(facts["nite"]))
    else:
        tile = mainjob.tile_of(database, arrived)
    submission = submit(
        config, database, archive, get("coadd"), tile, who=config.operator, again=again, resume=True
    )
    state = submission.state
    if state in (AttemptState.DONE, AttemptState.FLAGGED):
        say(f"{submission.run} has done this work already and is taken over")
    else:
        say(f"running {submission.run}: {submission.jobs} jobs, {submission.wrappers} wrappers")
        state = drive_here(context, submission.run)
    reports = config.home / "reports"
    for run in (submission.run, *(night.runs if night else ())):
        say(f"writing the report of {run}")
        write_report(database, archive, config, run, reports / f"{run}.html")
    summary = mainjob.summarise(
        config,
        database,
        archive,
        submission.run,
        reports / f"{submission.run}.html",
        night=night,
        folder=folder if data is None else None,
    )
    summary.write(config.home / "summary.json")
    context.show(summary.document(), lambda: _print_summary(context, summary), as_json)
    if data is None and exit_status(state) < 2:
        _serve_example(context, submission.run, next(iter(summary.detections)), say, as_json)
        put_on_desk(context, facts["nite"], say, as_json=as_json)
    ctx.exit(exit_status(state))


def program_name() -> str:
    """Return how the user calls this program: as it was called now, or by its name if the shell finds that."""
    called = Path(sys.argv[0])
    if called.name != "desdm" or not called.exists():
        return "desdm"
    found = shutil.which("desdm")
    return "desdm" if found is not None and Path(found).samefile(called) else os.path.relpath(called)


def _simulate_night(context: CommandContext, incoming: Path, seed: int, say: Callable[[str], object]) -> Path:
    """Simulate a small night and return its folder."""
    from desdm.operations import mainjob

    say("simulating a small night …")
    with context.progress() as bars:
        bar = bars.add_task("simulating", total=None)
        return mainjob.simulate(
            incoming, seed, lambda done, total: bars.update(bar, completed=done, total=total)
        )


def _serve_example(
    context: CommandContext, run: str, band: str, say: Callable[[str], object], as_json: bool
) -> None:
    """Publish a release of the run, and query it through a server."""
    from desdm.cli.trial import PORT, release_of, trial

    say("\nmaking a release of it, and asking a server …")
    name = release_of(context, run, say)
    home = os.path.relpath(context.facility.config.home)
    say("starting a server and asking it")
    example = trial(context.facility.config.home, name, band)
    if not as_json:
        context.table(
            example.header, example.rows, f"release {name} is published; its server answers\n{example.query}"
        )
    address = f"http://127.0.0.1:{PORT}/"
    say(f"\nserve it:  {program_name()} --home {home} serve --port {PORT}\nthen:      {address}")
    say(f"           curl '{address}{example.path()}'")


def put_on_desk(context: CommandContext, nite: str, say: Callable[[str], object], *, as_json: bool) -> None:
    """Put a night up for review, and tell how to judge it in a browser.

    Parameters
    ----------
    context
        The installation.
    nite
        The night.
    say
        Prints a line.
    as_json
        Nothing is printed: the account gets no password.
    """
    from desdm.accounts import offices, people
    from desdm.accounts.clock import now
    from desdm.cli.trial import PORT
    from desdm.errors import NotFoundError
    from desdm.quality.qa import store
    from desdm.quality.qa.review import sample_reviews
    from desdm.schema.operationstates import Office
    from desdm.schema.states import Role

    facility = context.facility
    who, scope = facility.config.operator, facility.production
    why = "the demo"
    with facility.database.write() as conn:
        sample_reviews(
            conn, _SAMPLE, 1, pipeline="firstcut", nite=nite, who=who, reason=why, scope=scope, now=now()
        )
        waiting = sum(store.undecided_counts(conn).values())
        try:
            person = people.find(conn, _LOGIN)
        except NotFoundError:
            person = people.add(conn, _LOGIN, Role.COLLABORATOR, who=who, name="The demo's scientist")
            for office in (Office.OPERATOR, Office.QA):
                offices.give(conn, _LOGIN, office, who=who, reason=why)
        secret = ""
        # A password that nobody is shown would be of no use.
        if not person.has_password and not as_json:
            secret = secrets.token_urlsafe(9)
            people.set_password(conn, _LOGIN, secret, who=who)
    address = f"http://127.0.0.1:{PORT}"
    entries = f"{waiting} {'entry waits' if waiting == 1 else 'entries wait'} for review"
    say(f"\nthe night on the desk, {entries}:\n  {address}/ops\n  {address}/qa/review")
    if secret:
        say(f"log in as {_LOGIN} with the password {secret} (shown this once)")
    command = f"{program_name()} --home {os.path.relpath(facility.config.home)} account password {_LOGIN}"
    say(f"{'to choose another' if secret else f'log in as {_LOGIN}; to set a new password'}:  {command}")


def _print_verdicts(context: CommandContext, night: Night, say: Callable[[str], object]) -> None:
    """Print the verdicts of the night."""
    rows = [f"  {v['expnum']} {v['band']:<2} {v['accepted']:<8} {v['reason']}" for v in night.verdicts]
    say("verdicts:\n" + "\n".join(rows))


def _print_summary(context: CommandContext, summary: Summary) -> None:
    """Print the tables of the summary and the next commands."""
    context.table(
        ("EXPOSURE", "BAND", "FWHM arcsec", "OBJECTS", "MATCHED", "dRA mas", "dDEC mas", "RMS dRA mas"),
        [
            (
                e.keys,
                e.band,
                e.numbers.get("fwhm"),
                round(e.numbers.get("nobjects", 0)),
                int(e.numbers.get("nmatch", 0)),
                e.numbers.get("dra_median"),
                e.numbers.get("ddec_median"),
                e.numbers.get("dra_rms"),
            )
            for e in summary.images
        ],
        "single exposures (FWHM by adaptive moments at the centre)",
    )
    if summary.before:
        click.echo()
        context.table(
            (
                "EXPNUM",
                "BAND",
                "PROCESSED",
                "VERDICT",
                "REASON",
                "T_EFF",
                "TRUE T_EFF",
                "FWHM arcsec",
                "CLOUD mag",
                "ZERO POINT mag",
            ),
            [
                (
                    e["expnum"],
                    e["band"],
                    e["processed"],
                    e["verdict"],
                    e["reason"],
                    e["t_eff"],
                    e["truth"].get("t_eff"),
                    e["fwhm_asec"],
                    e["cloud"],
                    e["magzero"],
                )
                for e in summary.exposures
            ],
            "verdicts (FWHM as DES's verdict takes it)",
        )
    click.echo()
    context.table(
        ("BAND", "OBJECTS IN THE COADD", "IN SINGLE EXPOSURES", "DEPTH mag, S/N 10"),
        [
            (b, n, ", ".join(map(str, summary.single_exposure_detections.get(b, []))), summary.depth.get(b))
            for b, n in summary.detections.items()
        ],
        f"{summary.run} {summary.state}: {summary.run_files} files; "
        f"the archive holds {summary.registered_files}",
    )
    if summary.truth:
        click.echo()
        context.table(
            ("BAND", "STARS", "dRA mas", "dDEC mas", "FLUX mmag", "FOUND AT S/N 10"),
            [(band, *row.values()) for band, row in summary.truth.items()],
            "against the truth: isolated stars, S/N above 50",
        )
    home = os.path.relpath(summary.installation)
    click.echo(f"\nreport: {os.path.relpath(summary.report)}\n\nnext:")
    click.echo(f"  {program_name()} --home {home} show {summary.run}")
    click.echo(f"  {program_name()} --home {home} files --attempt {summary.run}")
    click.echo(f"  {program_name()} --home {home} lineage {summary.run}_objects.parquet --up")
