"""Wrappers of ``swarp``, ``detection``, ``color`` and ``depth``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from astropy.io import fits

from desdm.codes.coadd import colour
from desdm.codes.coadd.background import residual_sky
from desdm.codes.coadd.depth import catalogue_depth, measure
from desdm.codes.coadd.masks import MaskStack
from desdm.codes.coadd.scales import Scale, Source, common_scales
from desdm.codes.coadd.swarp import (
    add_exposures,
    arguments,
    by_exposure,
    coadd_header,
    read_output,
    weighted_mean,
)
from desdm.codes.detection.sextractor import objects
from desdm.codes.provenance import stamp
from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task
from desdm.survey.headers import wcs_of
from desdm.survey.images import Planes, read_planes, write_planes
from desdm.survey.tiles import Tile

__all__ = ["color", "depth", "detection", "swarp"]


def swarp(task: Task) -> None:
    """Add the images ``nwgints`` of one band on the tile's grid; output ``coadd`` (file type coadd).

    ``catalogs`` (cat_finalcut, optional) tie exposures with a nominal zero point to the others; those that no stars tie
    are left out, unless the setting ``untied_images`` says keep.
    """
    tile = Tile.of(task.keywords())
    paths = task.inputs.get("nwgints", ())
    if not paths:
        raise ProgramFailed(f"{task.name}: no image to combine")
    heads = [fits.getheader(p, 0) for p in paths]
    band = str(heads[0]["BAND"])
    scales = _scales(task, heads)
    used = [
        k
        for k, s in enumerate(scales)
        if s.source is not Source.UNTIED or task.text("untied_images", "omit") == "keep"
    ]
    paths, heads, scales = tuple(paths[k] for k in used), [heads[k] for k in used], [scales[k] for k in used]
    images, weights = task.workdir / f"{task.name}_{band}.list", task.workdir / f"{task.name}_{band}_wgt.list"
    images.write_text("".join(f"{p}[0]\n" for p in paths))
    weights.write_text("".join(f"{p}[2]\n" for p in paths))
    raw = task.workdir / f"{task.name}_{band}_raw.fits", task.workdir / f"{task.name}_{band}_rawwgt.fits"
    settings = task.keywords("swarp_keys")
    # Clipping needs exposures that overlap, not the CCDs of one.
    if len(by_exposure(heads)) < task.number("clip_least", 4) and settings.get("combine_type") == "CLIPPED":
        settings["combine_type"] = "WEIGHTED"
    tied = any(scale.source is Source.TIED for scale in scales)
    task.set_parents("coadd", [*paths, *(task.inputs.get("catalogs", ()) if tied else ())])
    args = arguments(images, weights, [s.factor for s in scales], tile, *raw, task.workdir, settings)
    task.run("swarp", args)
    sci, wgt, swarp_keywords = read_output(*raw)
    stack = MaskStack(wcs_of(tile.header()), (tile.naxis, tile.naxis))
    for path in paths:
        one = read_planes(path)
        stack.add(wcs_of(one.header), one.msk, one.wgt)
    # The resampling kernel reaches a few pixels beyond the last good one: noise there looks like objects.
    wgt[stack.count == 0] = 0.0
    sci[stack.count == 0] = 0.0
    sky, free = residual_sky(sci, wgt, int(task.number("sky_mesh", 256)))
    sci -= np.where(wgt > 0, sky, np.float32(0))
    head = coadd_header(tile, band, heads, swarp_keywords)
    for i, scale in enumerate(scales, 1):
        head[f"ZP{i:05d}"] = (str(scale.source), "its zero point: measured, tied, nominal, untied")
    stamp(head, task.keys, task.execs, task.output("coadd").name)
    write_planes(task.output("coadd"), Planes(sci, stack.result(wgt), wgt, head))
    for scrap in (images, weights, *raw):
        scrap.unlink(missing_ok=True)
    task.metric("ncombine", float(head["NCOMBINE"]), text="exposures combined")
    task.metric("images", len(paths), text="images of CCDs combined")
    nominal = sum(scale.source in (Source.NOMINAL, Source.UNTIED) for scale in scales)
    task.metric("nominal_zeros", nominal, text="images whose zero point is nominal")
    task.metric("sky_residual", float(np.mean(sky)), "count", text="sky that SWarp had left")
    task.metric("sky_free", free, text="fraction of pixels that the residual sky stands on")
    task.metric("coverage", float((wgt > 0).mean()), text="fraction of the tile with weight")


def _scales(task: Task, heads: list[fits.Header]) -> list[Scale]:
    """Scales of the images; a finding for each that is not measured."""
    catalogs = {}
    if any(h.get("ZPSOURC") == "nominal" for h in heads):
        for path in task.inputs.get("catalogs", ()):
            card = fits.getheader(path, 0)
            catalogs[int(card.get("EXPNUM", 0)), int(card.get("CCDNUM", 0))] = objects(path)
    scales = common_scales(heads, catalogs)
    keep = task.text("untied_images", "omit") == "keep"
    for scale in scales:
        if scale.source is Source.UNTIED:
            task.finding(
                2, f"{scale.text}; {'it is added with it' if keep else 'it is left out of the coadd'}"
            )
        elif scale.source is Source.TIED:
            task.finding(3, scale.text)
    if all(scale.source is Source.NOMINAL for scale in scales):
        task.finding(
            2,
            f"band {heads[0]['BAND']}: no image has a measured zero point; the coadd has the nominal one",
        )
    return scales


def detection(task: Task) -> None:
    """One image of all bands to find objects on: inputs ``coadds``; output ``detection`` (coadd_det)."""
    have: dict[str, Planes] = {}
    for path in task.inputs.get("coadds", ()):
        planes = read_planes(path)
        have[str(planes.header["BAND"])] = planes
    if not have:
        raise ProgramFailed(f"{task.name}: no coadd to detect on")
    wanted = [b.strip() for b in task.text("detection_bands", "r,i,z").split(",")]
    bands = [b for b in wanted if b in have] or list(have)
    out = weighted_mean([have[b] for b in bands], task.text("detection_combine", "WEIGHTED"))
    out.header["BAND"] = ("det", "detection image")
    out.header["DETBANDS"] = (",".join(bands), "bands it was made of")
    out.header["GAIN"] = (
        sum(float(have[b].header["GAIN"]) for b in bands),
        "[electron/count] effective gain",
    )
    add_exposures(out.header, [have[b].header for b in bands])
    stamp(out.header, task.keys, task.execs, task.output("detection").name)
    write_planes(task.output("detection"), out)


def color(task: Task) -> None:
    """A colour picture of the coadds; output ``color`` (PNG, file type coadd_color)."""
    from PIL import Image

    have: dict[str, Planes] = {}
    for path in task.inputs.get("coadds", ()):
        planes = read_planes(path)
        have[str(planes.header["BAND"])] = planes
    bands = colour.choose_bands(have, task.text("color_bands", "g,r,z"))
    factors = task.keywords("color_scale")
    scales = tuple(float(factors.get(b, "1")) for b in bands)
    blue, green, red = colour.without_gaps(
        [have[b].sci for b in bands], [have[b].wgt > 0 for b in bands], scales
    )
    mean = np.mean([s * have[b].sci for s, b in zip(scales, bands, strict=True)], axis=0)
    covered = np.all([have[b].wgt > 0 for b in bands], axis=0)
    noise = (
        1.4826 * float(np.median(np.abs(mean[covered] - np.median(mean[covered])))) if covered.any() else 1.0
    )
    rgb = colour.picture(
        blue,
        green,
        red,
        scales=(scales[0], scales[1], scales[2]),
        softening=task.number("color_q", 8.0),
        stretch=task.number("color_stretch", 12.0),
        noise=noise,
    )
    Image.fromarray(rgb, "RGB").save(task.output("color"), optimize=True)


def depth(task: Task) -> None:
    """How deep ``image`` is: output ``depth`` (JSON, file type coadd_depth); ``catalog`` tells where objects are."""
    planes, rows = read_planes(task.input("image")), objects(task.input("catalog"))
    head = planes.header
    band, zero, scale = str(head["BAND"]), float(head["MAGZERO"]), float(head["PIXSCALE"])
    limits = measure(planes, zero, scale, (rows["X_IMAGE"], rows["Y_IMAGE"]))
    sigma = catalogue_depth(rows["MAG_PSF"], rows["MAGERR_PSF"])
    facts: dict[str, str | int | float | None] = {
        "tilename": head.get("TILENAME", ""),
        "band": band,
        "magzero": zero,
        "ncombine": head.get("NCOMBINE", 0),
        "exptime": head.get("EXPTIME", 0.0),
        "aperture_arcsec": 2.0,
        **limits.facts(),
        "mag_at_sigma_0.1": sigma if np.isfinite(sigma) else None,
    }
    _json(task.output("depth"), facts)
    task.metric(
        "depth_snr10", limits.snr10, "mag", text="S/N 10 in a 2 arcsec aperture, median over the tile"
    )
    task.metric("depth_sigma01", sigma, "mag", text="PSF magnitude at which the error is 0.1 mag")
    task.metric("area", limits.area, "arcmin2", text="unmasked area")


def _json(path: Path, facts: dict[str, str | int | float | None]) -> None:
    """Write a record as a JSON file."""
    path.write_text(json.dumps(facts, indent=1, sort_keys=True, allow_nan=False) + "\n")
