"""Wrappers ``nwgint`` (one standard 3-plane image of either kind of input) and ``rowinterp_nullweight``."""

from __future__ import annotations

import numpy as np

from desdm.codes.nullweight.rowinterp import interpolate_rows
from desdm.codes.nullweight.standard import Recipe, bits_of, standard
from desdm.codes.nullweight.zeropoint import ZeroPoint, find_zeropoint
from desdm.codes.provenance import stamp
from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task
from desdm.pixels.maskbits import MaskBit
from desdm.survey.bands import gain_of
from desdm.survey.detectors import bad_places
from desdm.survey.headers import identity
from desdm.survey.images import Planes, has_planes, read_community, read_planes, write_planes

__all__ = ["nwgint", "rowinterp_nullweight"]


def rowinterp_nullweight(task: Task) -> None:
    """Null the weight under ``null_mask``, interpolate those pixels along rows, set INTERP. Input and output ``image``."""
    planes = task.read_input("image", read_planes)
    name = task.input("image").name
    null = (planes.msk & bits_of(task.text("null_mask"))) != 0
    # A pixel that is no number would spread over its row.
    if not all(np.isfinite(plane.sum()) for plane in (planes.sci, planes.wgt)):
        broken = ~np.isfinite(planes.sci) | ~np.isfinite(planes.wgt)
        # The sum of what are numbers may exceed the largest one.
        if broken.any():
            planes.msk[broken] |= int(MaskBit.BPM)
            task.finding(2, f"{name}: {int(broken.sum())} pixels are not numbers; they are masked as BPM")
            null |= broken
    filled = interpolate_rows(planes.sci, null, int(task.number("max_interp", 20)))
    planes.msk[filled] |= int(MaskBit.INTERP)
    planes.wgt[null] = 0.0
    weighted = planes.wgt > 0
    good = np.count_nonzero(weighted) / max(weighted.size, 1)
    # A bad amplifier is reported when the CCD is detrended; here the rest is checked.
    working = (planes.msk & int(MaskBit.BADAMP)) == 0
    share = float(np.count_nonzero(weighted & working)) / max(int(np.count_nonzero(working)), 1)
    if share < task.number("least_good", 0.5):
        task.finding(2, f"{name}: only {100 * share:.0f} % of the working pixels have weight")
    planes.header["DESRWINT"] = (True, "rows interpolated, weights nulled")
    stamp(planes.header, task.keys, task.execs, task.output("image").name)
    task.write_output("image", planes, write_planes)
    task.metric("goodfrac", good, "", text="fraction of pixels with weight")
    task.metric(
        "interp_frac",
        np.count_nonzero(filled) / max(filled.size, 1),
        "",
        text="fraction of pixels interpolated",
    )


def nwgint(task: Task) -> None:
    """Read ``image`` (with ``mask`` and ``weight`` if it is the Community Pipeline's) and write ``nwgint``.

    Inputs: image; mask, weight, zeropoints optional. Output: nwgint (file type coadd_nwgint).
    """
    path = task.input("image")
    if has_planes(path):
        planes = read_planes(path)
    else:
        mask, weight = task.optional("mask"), task.optional("weight")
        if mask is None:
            task.finding(2, f"{path.name}: no mask was found; no pixel is known to be bad")
        if weight is None:
            task.finding(2, f"{path.name}: no weight was found; one weight is used for all pixels")
        planes = read_community(path, mask, weight)
    _mask_outages(task, planes, path.name)
    zero = _zero(task, planes, path.name)
    read = [path, *task.inputs.get("mask", ()), *task.inputs.get("weight", ())]
    task.set_parents(
        "nwgint", [*read, *(task.inputs.get("zeropoints", ()) if zero.source == "table" else ())]
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
    out = standard(
        planes,
        zero,
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
    """Mask what did not work of the camera: an image from another pipeline may lack these bits."""
    ccdnum = identity(planes.header).get("CCDNUM")
    if not isinstance(ccdnum, int):
        return
    for one, place in bad_places(planes.header, ccdnum, planes.shape):
        if place is None:
            task.finding(
                2,
                f"{name}: {one.text}; without AMPSEC{one.amplifier} and with {planes.shape[1]} columns its place is not "
                "known, and it is not masked",
            )
        else:
            planes.msk[place] |= int(MaskBit.BPM | MaskBit.BADAMP)
            task.finding(3, f"{name}: {one.text}; its pixels are masked BPM and BADAMP")


def _zero(task: Task, planes: Planes, name: str) -> ZeroPoint:
    """Return the best zero point of the image; without one the task fails."""
    who = identity(planes.header)
    zero = find_zeropoint(planes.header, who, task.inputs.get("zeropoints", ()))
    if zero is None:
        raise ProgramFailed(
            f"{name}: no MAGZERO, no row in a zero-point table, and band {who.get('BAND')!r} has no nominal one; "
            "write MAGZERO into the header, or deliver a table with its row"
        )
    if zero.source == "nominal":
        task.finding(
            2,
            f"{name}: no MAGZERO and no table row; the nominal zero point {zero.value:.3f} of its band is used",
        )
    return zero
