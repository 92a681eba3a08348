"""Wrappers ``rowinterp_nullweight`` and ``nwgint``, which null the weight of bad pixels and interpolate them."""

from __future__ import annotations

import numpy as np

from desdm.codes.nullweight.rowinterp import interpolate_rows
from desdm.codes.nullweight.standard import Recipe, bits_of, make_standard_image
from desdm.codes.nullweight.zeropoint import ZeroPoint, find_zeropoint
from desdm.codes.provenance import stamp
from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task
from desdm.pixels.maskbits import MaskBit
from desdm.survey.bands import gain_of
from desdm.survey.detectors import outage_regions
from desdm.survey.headers import identity
from desdm.survey.images import Planes, has_planes, read_community, read_planes, write_planes

__all__ = ["nwgint", "rowinterp_nullweight"]


def rowinterp_nullweight(task: Task) -> None:
    """Set the weight to 0 under the bits of ``null_mask``, interpolate those pixels along rows, and set INTERP.

    Input and output: image.
    """
    planes = task.read_input("image", read_planes)
    name = task.input("image").name
    null = (planes.msk & bits_of(task.text("null_mask"))) != 0
    # Interpolation would spread a NaN or infinite pixel along its row.
    if not all(np.isfinite(plane.sum()) for plane in (planes.sci, planes.wgt)):
        broken = ~np.isfinite(planes.sci) | ~np.isfinite(planes.wgt)
        # The sum can also overflow when all pixels are finite.
        if broken.any():
            planes.msk[broken] |= int(MaskBit.BPM)
            task.finding(
                2, f"{name}: {int(broken.sum())} pixels are NaN or infinite; they were masked as BPM"
            )
            null |= broken
    filled = interpolate_rows(planes.sci, null, int(task.number("max_interp", 20)))
    planes.msk[filled] |= int(MaskBit.INTERP)
    planes.wgt[null] = 0.0
    has_weight = planes.wgt > 0
    weighted_fraction = np.count_nonzero(has_weight) / max(has_weight.size, 1)
    # A bad amplifier is reported when the CCD is detrended; here the rest is checked.
    working = (planes.msk & int(MaskBit.BADAMP)) == 0
    working_fraction = float(np.count_nonzero(has_weight & working)) / max(int(np.count_nonzero(working)), 1)
    least = task.number("least_good", 0.5)
    if working_fraction < least:
        task.finding(
            2,
            f"{name}: only {100 * working_fraction:.0f} % of the pixels of working amplifiers have weight "
            f"(limit {100 * least:.0f} %, least_good)",
        )
    planes.header["DESRWINT"] = (True, "rows interpolated, weights nulled")
    stamp(planes.header, task.keys, task.execs, task.output("image").name)
    task.write_output("image", planes, write_planes)
    task.metric("goodfrac", weighted_fraction, "", text="fraction of pixels with weight")
    task.metric(
        "interp_frac",
        np.count_nonzero(filled) / max(filled.size, 1),
        "",
        text="fraction of pixels interpolated",
    )


def nwgint(task: Task) -> None:
    """Convert a DESDM or Community Pipeline image into the standard image, with nulled weights and interpolated defects.

    Inputs: image; mask, weight, zeropoints optional. Output: nwgint (file type coadd_nwgint).
    """
    path = task.input("image")
    if has_planes(path):
        planes = read_planes(path)
    else:
        mask, weight = task.optional("mask"), task.optional("weight")
        if mask is None:
            task.finding(2, f"{path.name}: no mask image was found; all pixels are treated as good")
        if weight is None:
            task.finding(2, f"{path.name}: no weight image was found; all pixels get the same weight")
        planes = read_community(path, mask, weight)
    _mask_outages(task, planes, path.name)
    zeropoint = _require_zeropoint(task, planes, path.name)
    read = [path, *task.inputs.get("mask", ()), *task.inputs.get("weight", ())]
    task.set_parents(
        "nwgint", [*read, *(task.inputs.get("zeropoints", ()) if zeropoint.source == "table" else ())]
    )
    gain = gain_of(planes.header)
    if gain is None:
        gain = task.number("gain_default", 4.0)
        task.finding(2, f"{path.name}: no GAIN in the header; {gain:g} electrons per count is assumed")
    saturate = planes.header.get("SATURATE")
    if not isinstance(saturate, (int, float)):
        saturate = task.number("saturate_default", 45000.0)
        task.finding(2, f"{path.name}: no SATURATE in the header; {saturate:g} counts is assumed")
    fwhm = planes.header.get("FWHM", 0.0)
    recipe = Recipe(bits_of(task.text("null_mask")), int(task.number("max_interp", 20)))
    out = make_standard_image(
        planes,
        zeropoint,
        recipe,
        gain=gain,
        saturate=float(saturate),
        fwhm=float(fwhm) if isinstance(fwhm, (int, float)) else 0.0,
    )
    stamp(out.header, task.keys, task.execs, task.output("nwgint").name)
    write_planes(task.output("nwgint"), out)
    task.metric("sky", float(out.header["SKYBRITE"]), "count", text="median of the good pixels")
    task.metric("goodfrac", float(out.header["GOODFRAC"]), "", text="fraction of pixels with weight")


def _mask_outages(task: Task, planes: Planes, name: str) -> None:
    """Mask amplifiers and CCDs that were out of order on the night; images of other pipelines may lack these bits."""
    ccdnum = identity(planes.header).get("CCDNUM")
    if not isinstance(ccdnum, int):
        return
    for outage, region in outage_regions(planes.header, ccdnum, planes.shape):
        if region is None:
            task.finding(
                2,
                f"{name}: {outage.text}; its region is unknown because the header has no AMPSEC{outage.amplifier} that "
                f"fits and the image has {planes.shape[1]} columns; it was not masked. Add AMPSEC{outage.amplifier} to the "
                "header",
            )
        else:
            planes.msk[region] |= int(MaskBit.BPM | MaskBit.BADAMP)
            task.finding(3, f"{name}: {outage.text}; its pixels were masked BPM and BADAMP")


def _require_zeropoint(task: Task, planes: Planes, name: str) -> ZeroPoint:
    """Return the best zero point of the image; raise `ProgramFailed` if there is none."""
    identity_keys = identity(planes.header)
    zeropoint = find_zeropoint(planes.header, identity_keys, task.inputs.get("zeropoints", ()))
    if zeropoint is None:
        raise ProgramFailed(
            f"{name}: no MAGZERO, no row in a zero-point table, and band {identity_keys.get('BAND')!r} has no nominal one; "
            "write MAGZERO into the header, or provide a zero-point table with a row for this image"
        )
    if zeropoint.source == "nominal":
        task.finding(
            2,
            f"{name}: no MAGZERO and no table row; the nominal zero point {zeropoint.value:.3f} of its band is used",
        )
    return zeropoint
