"""desdm qa: thresholds of QA numbers, and QA numbers across runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.cli.names import EXPOSURE, NIGHT, RUN

#: Runs that a trend goes back.
_LAST = 200


@click.group("qa", cls=CommandGroup)
def command() -> None:
    """QA numbers across runs, and the thresholds beyond which people look at them."""


@command.group("threshold", cls=CommandGroup)
def threshold() -> None:
    """Thresholds of QA numbers, each with validity, author and reason."""


@threshold.command("set")
@click.argument("metric")
@click.option("--low-warn", type=float, help="Below it a person looks at the run.")
@click.option("--high-warn", type=float, help="Above it a person looks at the run.")
@click.option("--low-bad", type=float, help="Below it the number is bad.")
@click.option("--high-bad", type=float, help="Above it the number is bad.")
@click.option("--band", default="*", show_default=True, help="Only of this band.")
@click.option("--ccd", "ccdnum", type=click.IntRange(min=0), default=0, help="Only of this CCD; 0: all.")
@click.option(
    "--relative-to", type=click.Choice(["history"]), help="Bounds are robust deviations from the runs before."
)
@click.option("--from", "first", type=EXPOSURE, default=0, help="First exposure.")
@click.option("--to", "last", type=EXPOSURE, help="Last exposure.")
@click.option("--reason", default="", help="Why.")
@json_option
@pass_command_context
def set_(
    context: CommandContext,
    metric: str,
    low_warn: float | None,
    high_warn: float | None,
    low_bad: float | None,
    high_bad: float | None,
    band: str,
    ccdnum: int,
    relative_to: str | None,
    first: int,
    last: int | None,
    reason: str,
    as_json: bool,
) -> None:
    """Set the bounds of METRIC; those in force for the same band, CCD and exposures end."""
    from desdm.archive.store import now
    from desdm.quality.qa.model import Threshold
    from desdm.quality.qa.thresholds import LAST_EXPOSURE, set_threshold

    facility = context.facility
    row = Threshold(
        0,
        metric,
        band,
        ccdnum,
        low_warn,
        high_warn,
        low_bad,
        high_bad,
        relative_to or "",
        first,
        LAST_EXPOSURE if last is None else last,
        facility.config.operator,
        now(),
        None,
        reason,
    )
    with facility.database.write() as conn:
        number = set_threshold(conn, row)
    context.show({"threshold": number}, lambda: click.echo(f"threshold {number} is set"), as_json)


@threshold.command("list")
@click.option("--metric", default="", help="Only of this metric.")
@click.option("--all", "everything", is_flag=True, help="Also those that are ended.")
@json_option
@pass_command_context
def list_(context: CommandContext, metric: str, everything: bool, as_json: bool) -> None:
    """List thresholds."""
    from desdm.quality.qa import store
    from desdm.quality.qa.thresholds import LAST_EXPOSURE

    with context.facility.database.read() as conn:
        rows = store.thresholds(conn, metric=metric, everything=everything)
    cells = [
        (
            t.id,
            t.metric,
            t.band,
            t.ccdnum or "all",
            t.low_bad,
            t.low_warn,
            t.high_warn,
            t.high_bad,
            t.relative_to or "values",
            f"{t.expnum_from}-{'' if t.expnum_to == LAST_EXPOSURE else t.expnum_to}",
            t.who,
            t.reason,
            t.until,
        )
        for t in rows
    ]
    titles = (
        "NUMBER",
        "METRIC",
        "BAND",
        "CCD",
        "LOW BAD",
        "LOW WARN",
        "HIGH WARN",
        "HIGH BAD",
        "OF",
        "EXPOSURES",
        "BY",
        "WHY",
        "UNTIL",
    )
    context.show(
        [asdict(t) for t in rows],
        lambda: context.table(titles, cells, expendable=("EXPOSURES", "UNTIL"), empty="no threshold is set"),
        as_json,
    )


@threshold.command("end")
@click.argument("number", type=int)
@click.option("--reason", default="", help="Why.")
@json_option
@pass_command_context
def end(context: CommandContext, number: int, reason: str, as_json: bool) -> None:
    """End threshold NUMBER."""
    from desdm.archive.store import now
    from desdm.quality.qa.thresholds import end_threshold

    facility = context.facility
    with facility.database.write() as conn:
        end_threshold(conn, number, reason=reason, who=facility.config.operator, now=now())
    context.show(
        {"threshold": number, "ended": True}, lambda: click.echo(f"threshold {number} is ended"), as_json
    )


@command.command()
@click.argument("metric")
@click.option("--band", default="", help="Only of this band.")
@click.option("--ccd", "ccdnum", type=click.IntRange(min=1), help="Only of this CCD.")
@click.option("--nite", "nites", type=NIGHT, multiple=True, help="Only of this night; may be repeated.")
@click.option("--pipeline", default="", help="Only runs of this pipeline.")
@click.option(
    "--last", type=click.IntRange(min=1), default=_LAST, show_default=True, help="At most so many runs."
)
@json_option
@pass_command_context
def trend(
    context: CommandContext,
    metric: str,
    band: str,
    ccdnum: int | None,
    nites: tuple[str, ...],
    pipeline: str,
    last: int,
    as_json: bool,
) -> None:
    """Show METRIC over the last runs, oldest first."""
    from desdm.quality.qa import store

    facility = context.facility
    with facility.database.read() as conn:
        attempts = store.attempts_with_numbers(
            conn, facility.production, pipeline=pipeline, nites=nites, limit=last
        )
        numbers = [
            n
            for n in store.numbers_of(conn, attempts, [metric])
            if band in ("", n.band) and ccdnum in (None, n.ccdnum)
        ]
    cells = [(n.run, n.nite, n.band, n.ccdnum or "", n.module, f"{n.value:.6g}", n.unit) for n in numbers]
    titles = ("RUN", "NITE", "BAND", "CCD", "MODULE", "VALUE", "UNIT")
    empty = f"no run has a number {metric}; those of a run: desdm show RUN --metrics"
    context.show([n._asdict() for n in numbers], lambda: context.table(titles, cells, empty=empty), as_json)


@command.command()
@click.option("--run", type=RUN, default="", help="Only of this run.")
@click.option("--nite", "nites", type=NIGHT, multiple=True, help="Only of this night; may be repeated.")
@click.option(
    "--last", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many runs."
)
@json_option
@pass_command_context
def outliers(context: CommandContext, run: str, nites: tuple[str, ...], last: int, as_json: bool) -> None:
    """Show numbers beyond a threshold, or far from those of the same CCD and band in the runs before."""
    from desdm.archive.catalog import attempt_number
    from desdm.quality.qa import store
    from desdm.quality.qa.outliers import outliers_of

    facility = context.facility
    scope = facility.production
    with facility.database.read() as conn:
        rows = store.thresholds(conn)
        attempts = (
            [attempt_number(conn, run)]
            if run
            else store.attempts_with_numbers(conn, scope, nites=nites, limit=last)
        )
        found = [one for number in attempts for one in outliers_of(conn, number, scope, rows)]
    document = [
        {
            **o.number._asdict(),
            "deviation": o.deviation,
            "bad": o.bad,
            "threshold": o.threshold,
            "text": o.text,
        }
        for o in found
    ]
    cells = [(o.number.run, o.number.band, "bad" if o.bad else "look", o.text) for o in found]
    empty = f"no number of {len(attempts)} {'run' if len(attempts) == 1 else 'runs'} is outside a bound"
    context.show(
        document, lambda: context.table(("RUN", "BAND", "HOW", "NUMBER"), cells, empty=empty), as_json
    )


@command.command()
@click.argument("metric")
@click.argument("run", type=RUN)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture to this file.")
@json_option
@pass_command_context
def focalplane(context: CommandContext, metric: str, run: str, svg: Path | None, as_json: bool) -> None:
    """Show METRIC of RUN by CCD, and draw it."""
    from desdm.operations.qa.focalplane import focal_plane, focal_plane_svg

    with context.facility.database.read() as conn:
        numbers = focal_plane(conn, metric, run)
    if svg is not None:
        svg.write_text(focal_plane_svg(numbers), "utf-8")
    cells = [(n.ccdnum, n.module, f"{n.value:.6g}", n.unit) for n in numbers]

    def human() -> None:
        context.table(("CCD", "MODULE", "VALUE", "UNIT"), cells)
        if svg is not None:
            click.echo(f"written to {svg}")

    context.show([n._asdict() for n in numbers], human, as_json)
