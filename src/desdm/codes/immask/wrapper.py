"""Wrappers of the masks of one exposure: ``bleedmask``, ``immask``, ``connect_streaks``, ``streakmask``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.immask.bleed import BleedLimits, mask_bleeds
from desdm.codes.immask.connect import connect
from desdm.codes.immask.cosmics import Limits, find_cosmics
from desdm.codes.immask.groups import groups
from desdm.codes.immask.seeing import measure_seeing
from desdm.codes.immask.streaks import Streak, StreakLimits, find_streaks, mask_streak, measure_streak
from desdm.codes.immask.table import (
    FOUND,
    CcdStreaks,
    Row,
    ccd_streaks,
    read_streaks,
    write_connected,
    write_streaks,
)
from desdm.codes.nullweight.standard import bits_of
from desdm.codes.provenance import stamp
from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task
from desdm.pixels.compiled import compiled
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import Planes, read_planes, write_planes

__all__ = ["bleedmask", "connect_streaks", "immask", "streakmask"]


def bleedmask(task: Task) -> None:
    """Set TRAIL, EDGEBLEED (and STAR) around saturated stars. Input ``image``, output ``image``."""
    planes = task.read_input("image", read_planes)
    name = task.input("image").name
    _, sky, noise = _sky_noise(planes, name)
    limits = BleedLimits(
        core=int(task.number("core", 1)),
        excess=task.number("excess", 5.0),
        gap=int(task.number("gap", 2)),
        elongation=task.number("elongation", 1.5),
        edge_rows=int(task.number("edge_rows", 60)),
        edge_excess=task.number("edge_excess", 8.0),
        edge_width=int(task.number("edge_width", 128)),
        star=task.number("star_radius", 0.0),
    )
    bleed = mask_bleeds(planes.sci, planes.msk, sky, noise, limits)
    size = planes.sci.size
    full = int(np.count_nonzero(planes.msk & int(MaskBit.SATURATE)))
    task.metric("saturated_stars", bleed.stars, text="saturated stars on the CCD")
    task.metric("saturated_frac", full / size, text="fraction of pixels that were full")
    task.metric("trail_frac", bleed.trail / size, text="fraction of pixels under bleed trails")
    task.metric("edgebleed_frac", bleed.edge / size, text="fraction of pixels under edge bleeds")
    if bleed.edge:
        task.finding(3, f"{name}: a bleed trail reaches the readout edge; {bleed.edge} pixels are EDGEBLEED")
    planes.header["DESBLEED"] = (True, "bleed trails are masked")
    _hand_on(task, planes, name)


def immask(task: Task) -> None:
    """Set CRAY and STREAK of one CCD. Input ``image``, outputs ``image`` and ``streaks`` (table of its streaks)."""
    planes = task.read_input("image", read_planes)
    name = task.input("image").name
    bad, sky, noise = _sky_noise(planes, name, bits_of(task.text("bad_mask")))
    image = planes.sci - np.float32(sky)
    rays = _cosmics(task, planes, image, bad, name)
    planes.msk |= rays * np.int32(MaskBit.CRAY)
    limits = _streak_limits(task)
    streaks = find_streaks(image, bad | rays, noise, limits)
    for streak in streaks:
        planes.msk[mask_streak(planes.shape, streak)] |= int(MaskBit.STREAK)
    if len(streaks) == limits.max_streaks:
        task.finding(2, f"{name}: {len(streaks)} streaks, as many as are looked for; is this sky or a fault?")
    area = float(np.count_nonzero(planes.msk & int(MaskBit.STREAK)) / planes.msk.size)
    task.metric("streaks", len(streaks), text="satellite streaks found on the CCD")
    task.metric("streak_frac", area, text="fraction of pixels under streaks")
    planes.header["DESCRAY"] = (True, "cosmic rays are masked")
    planes.header["DESSTREK"] = (len(streaks), "streaks masked")
    if "streaks" in task.outputs:
        table = ccd_streaks(planes.header, planes.shape, streaks)
        stamp(table.header, task.keys, task.execs, task.output("streaks").name)
        task.write_output("streaks", table, write_streaks)
    _hand_on(task, planes, name)


def connect_streaks(task: Task) -> None:
    """Join the streaks of an exposure's CCDs. Input ``streaks`` (all CCDs' tables), output ``connected`` (one table)."""
    ccds = task.read_inputs("streaks", read_streaks)
    if not ccds:
        raise ProgramFailed(f"{task.name}: there is no table of streaks; did immask fail on every CCD?")
    rows = connect(ccds, near_asec=task.number("near_asec", 3.0), shortest=task.number("shortest", 24.0))
    head = fits.Header()
    for key in ("EXPNUM", "BAND", "NITE", "INSTRUME"):
        if key in ccds[0].header:
            head[key] = ccds[0].header[key]
    path = task.output("connected")
    stamp(head, task.keys, task.execs, path.name)
    joined = CcdStreaks(head, tuple(rows))
    task.write_output("connected", joined, _write_joined)
    task.metric("streaks", len({r.number for r in rows}), text="satellite streaks of the exposure")
    task.metric("streak_pieces", sum(r.status == FOUND for r in rows), text="pieces found in single CCDs")


def streakmask(task: Task) -> None:
    """Apply the exposure's streaks to one CCD.

    Input ``image``, ``connected``; output ``image``. A predicted streak is masked where the CCD shows faint
    remains of it.
    """
    planes = task.read_input("image", read_planes)
    name = task.input("image").name
    ccdnum = int(planes.header.get("CCDNUM", 0))
    rows = [r for r in task.read_input("connected", read_streaks).rows if r.ccdnum == ccdnum]
    limits, extended = _streak_limits(task), 0
    if rows:
        bad, sky, noise = _sky_noise(planes, name, bits_of(task.text("bad_mask")))
        image = planes.sci - np.float32(sky)
        for row in rows:
            streak = _here(task, image, bad, noise, row, limits)
            if streak is not None:
                planes.msk[mask_streak(planes.shape, streak)] |= int(MaskBit.STREAK)
                extended += row.status != FOUND
    planes.header["DESSTREK"] = (sum(r.status == FOUND for r in rows) + extended, "streaks masked")
    task.metric("streaks_extended", extended, text="faint streaks masked since other CCDs have them")
    _hand_on(task, planes, name)


def _here(
    task: Task,
    image: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    noise: float,
    row: Row,
    limits: StreakLimits,
) -> Streak | None:
    """Return the streak of a row: as detected, or looked for along its prediction; None if it is not on the image."""
    if row.status == FOUND:
        return row.streak
    s = row.streak
    return measure_streak(
        image,
        bad,
        noise,
        (s.x1, s.y1, s.x2, s.y2),
        limits,
        reach=task.number("reach", 12.0),
        min_snr=task.number("confirm_predicted", 4.0),
    )


def _write_joined(path: Path, joined: CcdStreaks) -> None:
    """Write the connected streaks of the exposure."""
    write_connected(path, joined.header, joined.rows)


def _cosmics(
    task: Task, planes: Planes, image: npt.NDArray[np.float32], bad: npt.NDArray[np.bool_], name: str
) -> npt.NDArray[np.bool_]:
    """Cosmic rays, at the seeing of the setting, the image itself, its header, or the default, in that order."""
    gain = float(planes.header.get("GAIN", 1.0))
    weight = planes.wgt / np.float32(gain) ** 2
    electrons = image * np.float32(gain)
    fwhm, stars = task.number("fwhm", 0.0), 0
    if fwhm <= 0:
        seeing = measure_seeing(electrons, weight, bad)
        stars = seeing.stars if seeing is not None else 0
        head = planes.header.get("FWHM", 0.0)
        if seeing is not None and stars >= task.number("least_stars", 8):
            fwhm = seeing.fwhm
        elif isinstance(head, (int, float)) and head > 1.0:
            fwhm = float(head)
        else:
            fwhm = task.number("fwhm_default", 3.5)
            task.finding(
                3, f"{name}: no stars and no FWHM in the header; {fwhm:g} pixels is assumed for cosmic rays"
            )
    limits = Limits(
        task.number("detect", 4.5),
        task.number("grow", 1.8),
        task.number("least", 5.0),
        task.number("least_grow", 2.0),
        task.number("shrink", 0.8),
    )
    rays = find_cosmics(electrons, weight, bad, fwhm, limits)
    area = float(np.count_nonzero(rays) / rays.size)
    task.metric("cray_frac", area, text="fraction of pixels under cosmic rays")
    task.metric("cray_hits", len(groups(rays)), text="cosmic-ray hits")
    task.metric("core_fwhm", fwhm, "pixel", text="seeing that the search for cosmic rays went by")
    task.metric("core_stars", stars, text="stars that this seeing was measured on")
    if area > task.number("most_cosmics", 0.01):
        task.finding(
            2, f"{name}: {100 * area:.2f} % of the pixels look like cosmic rays at {fwhm:.2f} pixels FWHM"
        )
    return rays


def _streak_limits(task: Task) -> StreakLimits:
    """Return the limits of the streak detection from the settings."""
    return StreakLimits(
        binning=int(task.number("binning", 4)),
        detect_snr=task.number("streak_detect", 8.0),
        confirm_snr=task.number("streak_confirm", 7.5),
        mask_level=task.number("faintest", 0.5),
        uniform_fraction=task.number("streak_even", 0.6),
        max_sigma=task.number("widest", 4.0),
        max_streaks=int(task.number("most_streaks", 8)),
        min_length=task.number("shortest", 150.0),
    )


@compiled()
def _unusable(
    sci: npt.NDArray[np.float32],
    msk: npt.NDArray[np.int32],
    wgt: npt.NDArray[np.float32],
    bits: int,
    weighted: bool,
    out: npt.NDArray[np.bool_],
) -> None:
    """Under one of the bits, not a number, or (where weights are known) without weight."""
    wanted, zero = np.int32(bits), np.float32(0.0)
    for y in range(sci.shape[0]):
        image, mask, weight, to = sci[y], msk[y], wgt[y], out[y]
        for x in range(image.size):
            # Nothing minus itself is a number only where the pixel is one.
            to[x] = ((mask[x] & wanted) != 0) | (image[x] - image[x] != zero)
        if weighted:
            for x in range(image.size):
                to[x] |= not (weight[x] > zero)


def _sky_noise(planes: Planes, name: str, bits: int = -1) -> tuple[npt.NDArray[np.bool_], float, float]:
    """Bad pixels, median and σ of the sky, from every 7th good pixel; `ProgramFailed` if none is good."""
    weighted = bool((planes.wgt[::7, ::7] > 0).any())
    bad = np.empty(planes.shape, bool)
    _unusable(planes.sci, planes.msk, planes.wgt, bits, weighted, bad)
    thin = (slice(None, None, 7), slice(None, None, 7))
    good = ~bad[thin]
    if not good.any():
        raise ProgramFailed(
            f"{name}: no pixel has weight and a clean mask; is the CCD dead or its flat wrong?"
        )
    sky = float(np.median(planes.sci[thin][good]))
    if weighted:
        noise = float(1.0 / np.sqrt(np.median(planes.wgt[thin][good])))
    else:
        # Before there is a weight, the scatter is measured from the pixels below the sky.
        noise = sky - float(np.percentile(planes.sci[thin][good], 15.87))
    return bad, sky, noise


def _hand_on(task: Task, planes: Planes, name: str) -> None:
    """Report how much is masked, and give the image on."""
    masked = float(np.count_nonzero(planes.msk) / planes.msk.size)
    task.metric("masked_frac", masked, text="fraction of pixels with any mask bit")
    if masked > task.number("most_masked", 0.5):
        task.finding(2, f"{name}: {100 * masked:.0f} % of the pixels are masked")
    stamp(planes.header, task.keys, task.execs, task.output("image").name)
    task.write_output("image", planes, write_planes)
