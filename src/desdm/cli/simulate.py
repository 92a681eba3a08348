"""desdm simulate: nights of known truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from desdm.simulate.night import ShotEntry


@click.group(cls=CommandGroup)
def command() -> None:
    """Simulate nights of a camera, with the truth beside the raw files."""


def _split_list(text: str) -> tuple[str, ...]:
    """Split a comma-separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


@command.command()
@click.option("--camera", type=click.Choice(["mini", "decam"]), default="mini", show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to fill."
)
@click.option(
    "--program", type=click.Choice(["night", "demo", "supercal"]), default="night", show_default=True
)
@click.option("--nite", default="20121120", show_default=True, metavar="YYYYMMDD", help="First night.")
@click.option(
    "--bands", default="g,r,i", show_default=True, metavar="LIST", help="Bands, with commas between."
)
@click.option("--exposures", type=click.IntRange(0), help="Exposures a band; 2, in a supercal 20.")
@click.option("--biases", type=click.IntRange(0), default=8, show_default=True, help="Bias frames.")
@click.option("--flats", type=click.IntRange(0), default=6, show_default=True, help="Dome flats a band.")
@click.option(
    "--expnum", type=click.IntRange(1), default=150001, show_default=True, help="First exposure number."
)
@click.option("--ccds", default="", metavar="LIST", help="These CCDs alone (crosstalk from others ceases).")
@click.option("--corner-cases", is_flag=True, help="Add bad flats, junk, faults of files and deliveries.")
@click.option(
    "--truth",
    type=click.Choice(["tables", "full"]),
    default="tables",
    show_default=True,
    help="Full: planes too.",
)
@click.option(
    "--sky", type=click.Path(path_type=Path, exists=True), help="A real sky: reference shard, or its folder."
)
@click.option(
    "--instrument",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Real constants of DECam: folder.",
)
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="Exposures at the same time."
)
@json_option
@pass_command_context
def night(
    context: CommandContext,
    camera: str,
    seed: int,
    out: Path,
    program: str,
    nite: str,
    bands: str,
    exposures: int | None,
    biases: int,
    flats: int,
    expnum: int,
    ccds: str,
    corner_cases: bool,
    truth: str,
    sky: Path | None,
    instrument: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Write raw files of one night (supercal: of several), instrument files, a reference catalogue, and the truth."""
    from desdm.simulate.cameras import camera_of
    from desdm.simulate.night import make_night
    from desdm.simulate.plan import plan_night
    from desdm.simulate.shard import read_shard

    band_list = _split_list(bands)
    camera_model = camera_of(camera, instrument)
    if ccds:
        camera_model = camera_model.only(tuple(_number(c) for c in _split_list(ccds)))
    field = read_shard(sky, tuple(dict.fromkeys((*band_list, "r"))), seed) if sky else None
    middle = field.middle if field else (None, None)
    plan = plan_night(
        seed,
        program=program,
        nite=nite,
        bands=band_list,
        exposures=exposures,
        biases=biases,
        flats=flats,
        corner_cases=corner_cases,
        truth=truth,
        expnum=expnum,
        ra=middle[0],
        dec=middle[1],
    )
    with context.progress() as progress:
        bar = progress.add_task("simulate", total=len(plan.shots))
        written = make_night(
            out,
            plan,
            camera_model,
            sky=field,
            threads=threads,
            progress=lambda done, _: progress.update(bar, completed=done),
        )
    document = {
        "out": str(out),
        "camera": camera,
        "seed": seed,
        "raw": len(written.raw),
        "instrument": len(written.instrument),
        "refcat": written.refcat.name,
        "exposures": written.document["exposures"],
    }
    context.show(document, lambda: _print_exposures(context, written.document["exposures"], out), as_json)


@command.command()
@click.option("--nights", type=click.IntRange(1, 400), default=6, show_default=True, help="Nights in a row.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--troubles", type=click.IntRange(0), default=15, show_default=True, help="Their 15 kinds take turns."
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to fill."
)
@click.option("--nite", default="20121120", show_default=True, metavar="YYYYMMDD", help="First night.")
@click.option("--bands", default="g,r", show_default=True, metavar="LIST", help="Bands, with commas between.")
@click.option(
    "--exposures", type=click.IntRange(1), default=3, show_default=True, help="Exposures a band and night."
)
@click.option("--biases", type=click.IntRange(0), default=6, show_default=True, help="Bias frames a night.")
@click.option(
    "--flats", type=click.IntRange(0), default=6, show_default=True, help="Dome flats a band and night."
)
@click.option("--ccds", default="", metavar="LIST", help="These CCDs alone (crosstalk from others ceases).")
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="Exposures at the same time."
)
@json_option
@pass_command_context
def month(
    context: CommandContext,
    nights: int,
    seed: int,
    troubles: int,
    out: Path,
    nite: str,
    bands: str,
    exposures: int,
    biases: int,
    flats: int,
    ccds: str,
    threads: int,
    as_json: bool,
) -> None:
    """Write the deliveries of some nights in order of arrival, with troubles, and what a correct system does with each.

    OUT gets deliveries, manifest.csv (arrival, file, md5, nite, expnum), the observatory's lists in expected, constants and
    reference catalogue, setup.json (commands before the first night), and the truth, with troubles.json.
    """
    from desdm.errors import ConflictError
    from desdm.simulate.cameras import camera_of
    from desdm.simulate.month import make_month, plan_month

    if (out / "deliveries").exists():
        raise ConflictError(f"{out} has deliveries already; give another folder")
    camera = camera_of("mini")
    if ccds:
        camera = camera.only(tuple(_number(c) for c in _split_list(ccds)))
    plan = plan_month(
        seed,
        nights,
        troubles,
        camera,
        nite=nite,
        bands=_split_list(bands),
        exposures=exposures,
        biases=biases,
        flats=flats,
    )
    with context.progress() as progress:
        bar = progress.add_task("simulate", total=len(plan.plan.shots))
        written = make_month(
            out,
            plan,
            camera,
            threads=threads,
            progress=lambda done, _: progress.update(bar, completed=done),
        )
    document = {
        "out": str(out),
        "nights": written.nites,
        "deliveries": len(written.deliveries),
        "troubles": [trouble.document() for trouble in written.troubles],
    }
    rows = [
        (t.number, t.kind.value, t.nite, t.band, t.filename, t.reason_code or t.end_state or "", t.correct)
        for t in written.troubles
    ]

    def human() -> None:
        titles = ("NUMBER", "TROUBLE", "NITE", "BAND", "FILE", "END", "A CORRECT SYSTEM")
        context.table(titles, rows)
        click.echo(f"\n{len(written.deliveries)} deliveries of {len(written.nites)} nights in {out}")

    context.show(document, human, as_json)


def _number(text: str) -> int:
    """Parse a CCD number."""
    try:
        return int(text)
    except ValueError as err:
        raise click.BadParameter(f"{text!r} is not a CCD number", param_hint="--ccds") from err


def _print_exposures(context: CommandContext, exposures: Sequence[ShotEntry], out: Path) -> None:
    """Print the exposures with their truth."""
    titles = (
        "EXPNUM",
        "OBSTYPE",
        "BAND",
        "OBJECT",
        "FWHM arcsec",
        "SKY e/s",
        "CLOUD mag",
        "T_EFF",
        "VERDICT",
        "CORNER",
    )
    rows = [
        (
            e["expnum"],
            e["obstype"],
            e["band"],
            e["object"],
            e["fwhm_asec"],
            e["sky_e_s"],
            e["cloud_mag"],
            e["t_eff"],
            e["verdict"],
            e["corner"],
        )
        for e in exposures
    ]
    context.table(titles, rows)
    click.echo(f"\n{len(exposures)} exposures in {out}/raw; the truth lies in {out}/truth")
