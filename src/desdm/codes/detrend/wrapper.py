"""Wrappers ``detrend`` (raw CCD to image in electrons) and ``skysubtract`` (sky off, star flat, final weight)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.detrend import bf, chain, crosstalk, linearity, overscan, skysub, steps
from desdm.codes.detrend.calibration import Calibrations, Subject, check_pair, read_plane
from desdm.codes.detrend.checks import Bulb
from desdm.codes.detrend.recipe import Recipe
from desdm.codes.nullweight.standard import bits_of
from desdm.codes.provenance import stamp
from desdm.codes.sky.model import read_skyfit, sky_of
from desdm.errors import FileTypeError, ProgramFailed, UsageError
from desdm.framework.wrapper import Task
from desdm.pixels.fitsbytes import pool
from desdm.survey.bands import unit_complaint
from desdm.survey.detectors import outages_of
from desdm.survey.images import Planes, read_planes, write_planes
from desdm.survey.raw import RawCCD, doubts_of, open_raw, read_ccd

__all__ = ["detrend", "skysubtract"]


def detrend(task: Task) -> None:
    """Detrend the CCD of the key ``ccdnum``.

    Inputs: raw; crosstalk, lintable, biascor, bpm, bf, dflatcor as the setting ``steps`` needs them. Output: image.
    """
    path, ccdnum = task.input("raw"), _ccdnum(task)
    exposure = open_raw(path)
    if exposure.ccds and exposure.ccds[0].ccdnum == ccdnum:
        # A fault of the whole file is reported once.
        for text in (*exposure.findings, *doubts_of(path)):
            task.finding(2, text)
    chosen = _steps(task, f"{path.name} CCD {ccdnum}")
    raw = read_ccd(path, ccdnum)
    odd = unit_complaint(raw.header)
    if odd:
        task.finding(2, f"{path.name} CCD {ccdnum}: {odd}; they are taken as they stand")
    missing = [f.key for amp in raw.amps for f in amp.findings if f.key.startswith("SATURAT") and not f.value]
    if missing and "saturate" in chosen:
        keys = ", ".join(missing)
        task.finding(2, f"{path.name} CCD {ccdnum}: no {keys} in the header: saturated pixels are not marked")
    subject = Subject(path.name, ccdnum, str(raw.header.get("BAND", "")).strip(), raw.shape)
    recipe = _recipe(task, chosen, _bad_amplifiers(task, raw, ccdnum, path))
    cal = _calibrations(task, chosen, raw, subject)
    with pool(int(task.number("threads", 1))) as run:
        result = chain.detrend(raw, path.name, cal, recipe, run, partial(read_ccd, path))
    for level, text in result.findings:
        task.finding(level, text)
    for name, (value, unit, text) in result.metrics.items():
        task.metric(name, value, unit, text=text)
    # A calibration whose step is not chosen was not read.
    needed = [s.calibration for s in steps.STEPS if s.calibration and s.name in chosen]
    read = [p for name in dict.fromkeys(("raw", *needed)) for p in task.inputs.get(name, ())]
    task.set_parents("image", read)
    _give(task, result.planes)


def skysubtract(task: Task) -> None:
    """Subtract the fitted sky, divide by the star flat, and make the final weight.

    Inputs: image, skyfit; skytempl, starflat optional. Output: image.
    """
    path = task.input("image")
    planes = task.read_input("image", read_planes)
    ccdnum = int(planes.header.get("CCDNUM", _ccdnum(task)))
    subject = Subject(path.name, ccdnum, str(planes.header.get("BAND", "")).strip(), planes.shape)
    fit = task.read_input("skyfit", read_skyfit)
    templates = _templates(task, subject, fit.components)
    try:
        model = sky_of(fit, ccdnum, planes.shape, templates)
    except FileTypeError as err:
        raise FileTypeError(f"{path.name} with {task.input('skyfit').name}: {err}") from err
    starflat, name = None, ""
    if task.inputs.get("starflat"):
        name = task.input("starflat").name
        starflat, header = task.read_input("starflat", partial(read_plane, extname="SCI"))
        check_pair(header, starflat.shape, name, subject, band=True)
        starflat = starflat.astype(np.float32, copy=False)
    else:
        task.finding(2, f"{path.name} CCD {ccdnum}: no star flat; stars keep the dome flat's unevenness")
    names = skysub.Names(task.input("skyfit").name, name)
    with pool(int(task.number("threads", 1))) as run:
        for step in skysub.subtract(planes, model, starflat, names, run):
            task.finding(3, f"{path.name} CCD {ccdnum}: the step {step!r} is done already and is skipped")
    task.metric("sky", float(planes.header["SKYBRITE"]), "electrons", text="median of the sky subtracted")
    _give(task, planes)


def _give(task: Task, planes: Planes) -> None:
    """Write the image as the output of the task, with its provenance."""
    stamp(planes.header, task.keys, task.execs, task.output("image").name)
    task.write_output("image", planes, write_planes)


def _ccdnum(task: Task) -> int:
    """Return the CCD number of the task's keys."""
    try:
        return int(task.keys["ccdnum"])
    except (KeyError, ValueError) as err:
        raise ProgramFailed(
            f"{task.name}: the key ccdnum should be a number; loop over expnum, ccdnum"
        ) from err


def _steps(task: Task, where: str) -> tuple[str, ...]:
    """Chosen steps that can run: a step without its calibration is left out with a finding, unless it is required."""
    chosen = steps.chosen(task.text("steps"))
    needed = steps.chosen(task.text("required", ""))
    runnable = []
    for step in steps.STEPS:
        if step.name not in chosen:
            continue
        if step.calibration and not task.inputs.get(step.calibration):
            if step.name in needed:
                raise ProgramFailed(
                    f"{where}: no {step.calibration} was found, and the step "
                    f"{step.name!r} is required; see 'explain' for why"
                )
            task.finding(2, f"{where}: no {step.calibration} was found; the step {step.name!r} is left out")
            continue
        runnable.append(step.name)
    return tuple(runnable)


def _bad_amplifiers(task: Task, raw: RawCCD, ccdnum: int, path: Path) -> tuple[str, ...]:
    """Bad amplifiers of the CCD on the exposure's night, each with a finding; a dead CCD is an error."""
    lost = [one for one in outages_of(raw.header) if one.ccdnum == ccdnum]
    for one in lost:
        if not one.amplifier:
            raise ProgramFailed(f"{path.name}: {one.text}; leave it out")
        task.finding(3, f"{path.name}: {one.text}; its pixels are masked BPM and BADAMP")
    return tuple(one.amplifier for one in lost)


def _recipe(task: Task, chosen: tuple[str, ...], bad_amps: tuple[str, ...]) -> Recipe:
    """Return the recipe of the chain from the settings."""
    form = overscan.Recipe(
        task.text("overscan", "smooth"),
        int(task.number("overscan_window", 31)),
        int(task.number("overscan_order", 3)),
        int(task.number("overscan_trim", 5)),
    )
    return Recipe(
        chosen,
        form,
        task.number("crosstalk_min", 1e-5),
        bits_of(task.text("null_mask")),
        task.number("flat_min", 0.05),
        _bulbs(task),
        task.number("cti_limit", 0.1),
        task.number("balance_limit", 0.5),
        bad_amps,
    )


def _bulbs(task: Task) -> Mapping[int, tuple[Bulb, ...]]:
    """Return the light bulbs of the settings by CCD number."""
    by_ccd: dict[int, tuple[Bulb, ...]] = {}
    for name in task.section("lightbulbs"):
        values = task.keywords("lightbulbs", name)
        try:
            ccdnum = int(str(values["ccdnum"]))
            bulb = Bulb(*(float(values[key]) for key in ("x", "y", "radius", "limit")))
        except (KeyError, TypeError, ValueError) as err:
            raise UsageError(
                f"detrend: light bulb {name} needs numbers ccdnum, x, y, radius, limit ({err})"
            ) from err
        by_ccd[ccdnum] = (*by_ccd.get(ccdnum, ()), bulb)
    return by_ccd


def _calibrations(task: Task, chosen: tuple[str, ...], raw: RawCCD, subject: Subject) -> Calibrations:
    """Read the calibrations that the chosen steps need."""
    wanted = {step.calibration for step in steps.STEPS if step.name in chosen and step.calibration}
    names = {name: task.input(name).name for name in wanted}
    amps = tuple(amp.name for amp in raw.amps)
    bpm: npt.NDArray[np.int32] | None = None
    if "bpm" in wanted:
        plane, header = task.read_input("bpm", _read_bpm)
        check_pair(header, plane.shape, names["bpm"], subject, band=False)
        bpm = plane
    return Calibrations(
        crosstalk=task.read_input("crosstalk", crosstalk.read_matrix) if "crosstalk" in wanted else None,
        lintable=linearity.read_table(task.input_on_disk("lintable"), subject.ccdnum, amps)
        if "lintable" in wanted
        else None,
        biascor=task.read_input("biascor", read_planes) if "biascor" in wanted else None,
        bpm=bpm,
        bf=task.read_input("bf", bf.read_kernels) if "bf" in wanted else None,
        dflatcor=task.read_input("dflatcor", read_planes) if "dflatcor" in wanted else None,
        names=names,
    )


def _read_bpm(path: Path) -> tuple[npt.NDArray[np.int32], fits.Header]:
    """Read the mask plane of a bad-pixel mask, and its header."""
    plane, header = read_plane(path, "MSK")
    return plane.astype(np.int32, copy=False), header


def _templates(task: Task, subject: Subject, components: str) -> npt.NDArray[np.float32] | None:
    """The sky's templates of this CCD and band, if there are any and they belong to the components that were fitted."""
    if not task.inputs.get("skytempl"):
        return None
    cube, header = task.read_input("skytempl", partial(read_plane, extname="TEMPLATES"))
    name = task.input("skytempl").name
    check_pair(header, cube.shape[1:], name, subject, band=True)
    own = str(header.get("SKYPC", "")).strip()
    # A supercal may have made components and, of few pointings, no templates: those of another one do not fit them.
    if own and components and own.removesuffix(".fz") != components.removesuffix(".fz"):
        task.finding(
            2,
            f"{subject.name} CCD {subject.ccdnum}: {name} belongs to {own}, the sky was fitted with {components}; the "
            "fitted blocks are used instead of templates",
        )
        return None
    return cube.astype(np.float32, copy=False)
