"""Wrappers of calibrations: frames sifted, combined, normalised; linearity, crosstalk and defects measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.calibrate.bpm import Limits, from_bias, from_flats, variance_of
from desdm.codes.calibrate.compare import (
    BiasLimits,
    FlatLimits,
    Verdict,
    compare_biases,
    compare_flats,
)
from desdm.codes.calibrate.crosstalk import Cells, fit_crosstalk, gather, write_crosstalk
from desdm.codes.calibrate.frames import Frame, FrameReader, block_side, corner, disagreement
from desdm.codes.calibrate.gauge import Gauge, readouts, saturations
from desdm.codes.calibrate.linearity import Ramp, fit_ramps, read_ramps, usable, write_ramps, write_table
from desdm.codes.calibrate.minis import (
    Frames,
    Mini,
    read_frames,
    read_mini,
    together,
    write_frames,
    write_mini,
)
from desdm.codes.calibrate.normalise import find_flat_normalization, focal_plane, mini_of
from desdm.codes.calibrate.products import about, planes_of, read_mask, write_mask
from desdm.codes.calibrate.stack import Stack
from desdm.codes.provenance import stamp
from desdm.errors import FileTypeError
from desdm.framework.wrapper import Task
from desdm.pixels.maskbits import MaskBit
from desdm.survey.detectors import outages_of
from desdm.survey.imageio import Planes, read_planes, write_planes
from desdm.survey.raw import CCDEntry, RawExposure, open_raw

__all__ = [
    "find_norm",
    "minibias",
    "miniflat",
    "mkbiascor",
    "mkbpm",
    "mkcrosstalk",
    "mkflatcor",
    "mklintable",
    "normcombine",
    "ramp",
    "scale_flat",
    "sift_biases",
    "sift_flats",
]

T = TypeVar("T")


# -- minis


def minibias(task: Task) -> None:
    """Mini focal plane of one bias, ADU after overscan; output ``mini`` (file type miniflat)."""
    _mini(task, bias=True)


def miniflat(task: Task) -> None:
    """Mini focal plane of one dome flat, linear electrons; output ``mini`` (file type miniflat)."""
    _mini(task, bias=False)


def _mini(task: Task, *, bias: bool) -> None:
    """Write the mini focal plane of one raw exposure, a bias or a dome flat."""
    path = task.input("raw")
    exposure = open_raw(path)
    for finding in exposure.findings:
        task.finding(2, finding)
    ccds, blocks, corners, side = [], [], [], 0
    for entry in _working(task, exposure):
        frame = _frame(task, path, _frame_reader(task, entry.ccdnum, electrons=not bias, whole=False))
        if frame is None:
            continue
        side = int(task.number("block", 0.0)) or block_side(frame.image.shape[1])
        ccds.append(entry.ccdnum)
        blocks.append(mini_of(frame.image, side))
        corners.append(corner(frame.header))
    if not ccds:
        raise FileTypeError(f"{path.name}: not one CCD of it can be read")
    head = about(exposure.header, frame=True)
    head["RAWFILE"] = (path.name, "raw file")
    stamp(head, task.keys, task.execs, task.output("mini").name)
    task.write_output(
        "mini", Mini(tuple(ccds), np.array(blocks), np.array(corners, float), side, head), write_mini
    )


def _working(task: Task, exposure: RawExposure) -> list[CCDEntry]:
    """The CCDs of an exposure that were not dead on its night and that nobody has excluded."""
    lost = {one.ccdnum for one in outages_of(exposure.header) if not one.amplifier}
    lost |= task.excluded.get(exposure.path.name, frozenset())
    return [entry for entry in exposure.ccds if entry.ccdnum not in lost]


# -- comparison


def sift_biases(task: Task) -> None:
    """Compare the biases' ``minis``; output ``frames`` (file type cal_frames) with a verdict on each."""
    minis = task.read_inputs("minis", read_mini)
    limits = _settings(task, BiasLimits)
    verdicts: Sequence[Verdict] = ()
    if minis:
        verdicts = compare_biases(together(minis)[1], limits)
    _sifted(task, minis, verdicts, "none", "bias frames")


def sift_flats(task: Task) -> None:
    """mini_compare: compare the ``minis`` of a band's dome flats; output ``frames`` (file type cal_frames)."""
    band = task.keys["band"]
    minis = task.read_inputs("minis", read_mini)
    verdicts: Sequence[Verdict] = ()
    if minis:
        frame, cube = together(minis)
        wrong = [disagreement(m.header) for m in minis]
        fair = np.array([not w for w in wrong])
        compared = iter(compare_flats(cube[fair], *frame.places, _settings(task, FlatLimits)))
        verdicts = [Verdict(0.0, 0.0, 0.0, w) if w else next(compared) for w in wrong]
    _sifted(task, minis, verdicts, band, f"dome flats of band {band}")


def _sifted(task: Task, minis: Sequence[Mini], verdicts: Sequence[Verdict], band: str, what: str) -> None:
    """Write the verdicts of a comparison, with findings on rejected frames and on too few good ones."""
    names = tuple(str(m.header.get("RAWFILE", m.header.get("EXPNUM", ""))) for m in minis)
    for name, verdict in zip(names, verdicts, strict=True):
        if not verdict.good:
            task.finding(2, f"{name} is left out of the {what}: {verdict.reason}")
    good = sum(v.good for v in verdicts)
    least = int(task.number("min_frames"))
    left = task.keywords("left_out").get("zero" if band == "none" else band)
    if left:
        task.finding(3, f"{left} {what} more than a combination takes are left out")
    if good < least:
        task.finding(
            1,
            f"{what}: {good} good of {len(minis)} taken, {least} are needed: there is no calibration from them",
        )
    kind = "bias" if band == "none" else "flat"
    task.metric(f"{kind}_frames_good", good, text=f"{what} that are combined")
    task.metric(f"{kind}_frames_odd", len(minis) - good, text=f"{what} that are left out")
    head = _about(task, minis[0].header if minis else fits.Header(), "frames")
    write_frames(task.output("frames"), Frames(band, names, tuple(verdicts), good >= least), head)


# -- combination


def mkbiascor(task: Task) -> None:
    """Combine the good biases of one CCD; output ``biascor`` (file type cal_biascor), none if they are too few."""
    ccdnum = int(task.keys["ccdnum"])
    good = read_frames(task.input("frames")).good()
    reader = _frame_reader(task, ccdnum, whole=False)
    used: list[Frame] = []
    stack: Stack | None = None
    for path in _chosen(task, "raw", good):
        frame = _frame(task, path, reader)
        if frame is None:
            continue
        stack = stack or _stack(
            task, frame, frame.by_column("rdnoise") / frame.by_column("gain"), photons=False
        )
        stack.add(frame.image)
        used.append(frame.without_image())
    if stack is None:
        task.write_log(f"CCD {ccdnum}: no bias is combined")
        return
    combined = stack.result()
    planes = planes_of(combined, _about(task, used[0].header, "biascor"), used)
    planes.header["BUNIT"] = "adu"
    task.metric("bias_level", float(np.nanmedian(combined.mean)), "adu", text="median of the combined bias")
    task.metric("bias_noise", float(np.sqrt(np.median(combined.variance))), "adu", text="its expected noise")
    task.metric("bias_clipped", combined.clipped, text="share of pixels that was clipped")
    task.set_parents("biascor", [*(f.path for f in used), task.input("frames")])
    task.write_output("biascor", planes, write_planes)


def mkflatcor(task: Task) -> None:
    """Combine the good dome flats of one CCD and band; output ``flatcor``, not normalised, none if they are too few."""
    ccdnum, band = int(task.keys["ccdnum"]), task.keys["band"]
    good = read_frames(task.input("frames")).good()
    paths = _chosen(task, "raw", good)
    if not paths:
        task.write_log(f"CCD {ccdnum}, band {band}: no dome flat is combined")
        return
    source = _bias_input(task, ccdnum)
    bias = task.read_input(source, read_planes) if source else None
    reader = _frame_reader(task, ccdnum, bias=bias, electrons=True, whole=False)
    used: list[Frame] = []
    stack: Stack | None = None
    for path in paths:
        frame = _frame(task, path, reader)
        if frame is None:
            continue
        stack = stack or _stack(task, frame, frame.by_column("rdnoise"), photons=True)
        stack.add(frame.image, good[path.name])
        used.append(frame.without_image())
    if stack is None:
        return
    combined = stack.result()
    head = _about(task, used[0].header, "flatcor")
    head["BAND"] = (band, "band")
    if "bf" in reader.steps:
        head["DESBFC"] = (reader.cal.names["bf"][:60], "brighter-fatter corrected")
    else:
        task.write_log(
            f"CCD {ccdnum}, band {band}: no brighter-fatter kernels; the flat's contrast stays reduced"
        )
    head["FLATELEC"] = (sum(good[f.path.name] for f in used), "[electron] levels of the flats summed")
    task.metric("flat_clipped", combined.clipped, text="share of pixels that was clipped")
    # Frames that were sifted out, and a bias of the archive beside the run's own, are not in the flat.
    constants = [p for name in (source, "lintable", "crosstalk", "bf") for p in task.inputs.get(name, ())]
    task.set_parents("flatcor", [*(f.path for f in used), task.input("frames"), *constants])
    task.write_output("flatcor", planes_of(combined, head, used), write_planes)


def find_norm(task: Task) -> None:
    """find_flat_normalization: one number for the band's flats; output ``flatnorm``, none if there are too few."""
    good = read_frames(task.input("frames")).good()
    paths, minis = [], []
    for path, mini in zip(task.inputs.get("minis", ()), task.read_inputs("minis", read_mini), strict=True):
        if str(mini.header.get("RAWFILE")) in good:
            paths.append(path)
            minis.append(mini)
    if not minis:
        task.write_log(f"band {task.keys['band']}: no flat to normalise")
        return
    frame, cube = together(minis)
    plane = focal_plane(cube, [good[str(m.header["RAWFILE"])] for m in minis])
    norm = find_flat_normalization(plane)
    by_ccd = plane.reshape(frame.blocks.shape)
    document = {
        "band": task.keys["band"],
        "norm": norm,
        "nexp": len(minis),
        "electrons": sum(good.values()),
        "ccds": {
            str(c): float(np.nanmedian(by_ccd[i])) if np.isfinite(by_ccd[i]).any() else None
            for i, c in enumerate(frame.ccdnums)
        },
    }
    task.output("flatnorm").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    task.set_parents("flatnorm", [*paths, task.input("frames")])
    task.metric("flat_electrons", sum(good.values()), "electron", text="levels of the band's flats added up")


def scale_flat(task: Task) -> None:
    """Divide a CCD's combined flat by the band's number, and mark its bad pixels; output ``dflatcor``."""
    if not task.inputs.get("flatcor") or not task.inputs.get("flatnorm"):
        task.write_log(f"CCD {task.keys['ccdnum']}, band {task.keys['band']}: no flat to scale")
        return
    planes = task.read_input("flatcor", read_planes)
    norm = float(json.loads(task.input("flatnorm").read_text("utf-8"))["norm"])
    planes.sci /= np.float32(norm)
    planes.wgt *= np.float32(norm**2)
    bpm = task.optional("bpm")
    if bpm is not None:
        planes.msk |= read_mask(bpm, planes.shape)
    head = planes.header
    head["SCALFLAT"] = (norm, "normalisation of the band")
    stamp(head, task.keys, task.execs, task.output("dflatcor").name)
    lit = planes.wgt > 0
    if lit.any():
        task.metric("flat_level", float(np.median(planes.sci[lit])), text="median of the normalised flat")
        task.metric(
            "flat_noise", float(np.median(planes.wgt[lit]) ** -0.5), text="its expected noise, relative"
        )
    task.write_output("dflatcor", planes, write_planes)


def normcombine(task: Task) -> None:
    """sky_compress and sky_combine of the band's normalised flats: their mini focal plane; output ``mini``."""
    ccds, blocks, corners, side = [], [], [], 0
    head = fits.Header()
    for planes in _each(task, "dflatcors"):
        side = int(task.number("block", 0.0)) or block_side(planes.shape[1])
        ccds.append(int(planes.header["CCDNUM"]))
        blocks.append(mini_of(np.where(planes.msk == 0, planes.sci, np.nan), side))
        corners.append(corner(planes.header))
        head = planes.header
    if not ccds:
        task.write_log(f"band {task.keys['band']}: no normalised flat")
        return
    order = np.argsort(ccds)
    cube = np.array(blocks)[order]
    out = _about(task, head, "mini")
    out.remove("CCDNUM", ignore_missing=True)
    write_mini(
        task.output("mini"),
        Mini(tuple(ccds[i] for i in order), cube, np.array(corners, float)[order], side, out),
    )
    mean = float(np.nanmedian(cube))
    task.metric("flat_median", mean, text="median of the normalised flats over the focal plane")
    task.metric("flat_range", float(np.nanpercentile(cube, 99) - np.nanpercentile(cube, 1)), text="1 to 99 %")
    if abs(mean - 1.0) > 0.005:
        task.finding(2, f"band {task.keys['band']}: the normalised flats' median is {mean:.4f}, not 1")


# -- what a campaign measures: linearity, crosstalk, defects


def ramp(task: Task) -> None:
    """Levels of one CCD along a linearity ramp, and its non-linear pixels; output ``ramp`` (file type cal_ramp)."""
    ccdnum = int(task.keys["ccdnum"])
    if not task.inputs.get("raw"):
        task.write_log(f"CCD {ccdnum}: no linearity ramp was taken")
        return
    gauge = Gauge(ccdnum, task.number("faint"), task.number("bright"))
    source = _bias_input(task, ccdnum)
    reader = _frame_reader(task, ccdnum, bias=task.read_input(source, read_planes) if source else None)
    for path in task.inputs["raw"]:
        frame = _frame(task, path, reader)
        if frame is not None:
            gauge.add(frame)
    if gauge.header is None:
        raise FileTypeError(f"CCD {ccdnum}: not one frame of the linearity ramp can be read")
    mask = gauge.bent(_settings(task, Limits))
    task.metric("bent_pixels", int((mask != 0).sum()), text="non-linear pixels")
    write_ramps(task.output("ramp"), gauge.ramps(), gauge.saturate, mask, _about(task, gauge.header, "ramp"))


def mklintable(task: Task) -> None:
    """Linearity table of the camera from the CCDs' ``ramps``; output ``lintable`` (file type cal_lintable)."""
    paths = task.inputs.get("ramps", ())
    if not paths:
        task.finding(1, "no linearity ramp: there is no linearity table")
        return
    ramps: list[Ramp] = []
    full: dict[str, float] = {}
    least = int(task.number("min_points"))
    head = fits.Header()
    for path in paths:
        head = fits.getheader(path, 0)
        amps, saturate = read_ramps(path)
        short = [r for r in (usable(a, saturate[a.name]) for a in amps) if len(r.observed) < least]
        if short:
            task.finding(
                1,
                f"{path.name}: {short[0].name} has {len(short[0].observed)} levels below saturation, {least} are "
                "needed; its CCD has no linearity",
            )
            continue
        ramps += amps
        full |= saturate
    if not ramps:
        return
    curves = fit_ramps(ramps, degree=int(task.number("degree")), floor=task.number("floor"), saturate=full)
    for curve in curves:
        if curve.worst > task.number("max_residual"):
            task.finding(2, f"{curve.name}: a level is {100 * curve.worst:.2f} % off the linearity curve")
    task.metric("lin_rms", max(c.rms for c in curves), text="largest rms residual of an amplifier, relative")
    task.metric("lin_shutter", curves[0].shutter, "s", text="shutter open longer than EXPTIME")
    task.metric("lin_degree", len(curves[0].coefficients), text="terms of the curves")
    head = about(head, camera=True)
    stamp(head, task.keys, task.execs, task.output("lintable").name)
    write_table(
        task.output("lintable"),
        {int(a.name[3:5]): (a, b) for a, b in zip(curves[::2], curves[1::2], strict=True)},
        head,
    )


def mkcrosstalk(task: Task) -> None:
    """Crosstalk of the camera from frames of bright stars; output ``crosstalk`` (file type cal_crosstalk)."""
    paths = task.inputs.get("raw", ())
    if not paths:
        task.finding(1, "no crosstalk field was observed: no crosstalk coefficients are measured")
        return
    biases = {int(fits.getheader(p, 0)["CCDNUM"]): p for p in task.inputs.get("biascors", ())}
    cells: list[Cells] = []
    for path in paths:
        exposure = open_raw(path)
        step = int(task.number("rows")) or 1 << 30
        first, more = 0, True
        while more:
            amps: dict[str, npt.NDArray[np.float32]] = {}
            full: dict[str, float] = {}
            for entry in _working(task, exposure):
                bias = read_planes(biases[entry.ccdnum]) if entry.ccdnum in biases else None
                frame = _frame(task, path, _frame_reader(task, entry.ccdnum, bias=bias))
                if frame is not None:
                    more = first + step < frame.image.shape[0]
                    amps |= readouts(frame, slice(first, first + step))
                    full |= saturations(frame)
            if not amps:
                break
            cells.append(gather(amps, bright=task.number("bright"), own=task.number("own"), saturate=full))
            first += step
    coefficients = fit_crosstalk(cells, significant=task.number("significant"))
    keys = task.keys
    write_crosstalk(
        task.output("crosstalk"),
        coefficients,
        [
            f"crosstalk from {len(paths)} frames; {keys.get('unitname', '')} request {keys.get('reqnum', '')} "
            f"attempt {keys.get('attnum', '')}, {task.output('crosstalk').name}"
        ],
    )
    task.metric("xtalk_pairs", len(coefficients), text="pairs of amplifiers with crosstalk")
    worst = max((c.error for c in coefficients), default=0.0)
    task.metric("xtalk_error", worst, text="largest error of a coefficient")
    if worst > task.number("max_error"):
        task.finding(2, f"crosstalk is known to {worst:.1e} only; take more frames of bright stars")


def mkbpm(task: Task) -> None:
    """Bad pixels of one CCD from its bias, flats and ramp; output ``bpm`` (file type cal_bpm)."""
    ccdnum = int(task.keys["ccdnum"])
    if not task.inputs.get("biascor") or not task.inputs.get("flatcors"):
        task.finding(1, f"CCD {ccdnum}: without a bias and flats there is no bad pixel mask")
        return
    limits = _settings(task, Limits)
    bias = task.read_input("biascor", read_planes)
    bits = from_bias(bias.sci, variance_of(bias), limits)
    dead = bias.msk & int(MaskBit.BADAMP)
    votes = []
    for planes in _each(task, "flatcors"):
        votes.append(from_flats(planes.sci, variance_of(planes), limits))
    # What only one band of several says is dust on its filter.
    for bit in (int(MaskBit.BPM), int(MaskBit.SUSPECT)):
        count = np.sum([(v & bit) > 0 for v in votes], axis=0)
        bits[2 * count >= len(votes)] |= bit
    if task.inputs.get("ramp"):
        bits |= read_mask(task.input("ramp"), bias.shape)
    bits[dead > 0] |= int(MaskBit.BPM | MaskBit.BADAMP)
    bad = (bits & int(MaskBit.BPM)) > 0
    bits[bad] &= ~int(MaskBit.SUSPECT)
    share = float(bad.mean())
    task.metric("bpm_fraction", share, text="share of bad pixels")
    # A bad amplifier is known; the rest of the CCD is judged.
    if float(bad[dead == 0].mean() if (dead == 0).any() else 0.0) > task.number("max_fraction"):
        task.finding(2, f"CCD {ccdnum}: {100 * share:.1f} % of the pixels are bad")
    head = _about(task, bias.header, "bpm")
    for key in ("NITEMIN", "NITEMAX", "NEXP"):
        if key in bias.header:
            head[key] = bias.header[key]
    write_mask(task.output("bpm"), bits, head)


# -- what they share


def _each(task: Task, name: str) -> Iterator[Planes]:
    """Planes of an input of several files, one after another, so that one at a time is in memory."""
    for path in task.inputs.get(name, ()):
        in_memory = task.objects.has(path.name)
        yield task.objects.get(path.name, last=False) if in_memory else read_planes(path)


def _settings(task: Task, kind: type[T]) -> T:
    """A record of thresholds, from the settings of the same names; whole numbers stay whole."""
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        value = task.number(field.name)
        values[field.name] = int(value) if field.type == "int" else value
    return kind(**values)


def _chosen(task: Task, name: str, good: Mapping[str, float]) -> list[Path]:
    """Return the files of an input that are among the good frames."""
    return [p for p in task.inputs.get(name, ()) if p.name in good]


def _frame_reader(
    task: Task, ccdnum: int, *, bias: Planes | None = None, electrons: bool = False, whole: bool = True
) -> FrameReader:
    """How a CCD's frames are detrended; not ``whole``: without the amplifiers that do not work."""
    return FrameReader.read(
        ccdnum,
        task.keywords("overscan"),
        bias=bias,
        lintable=task.optional("lintable"),
        crosstalk=task.optional("crosstalk"),
        bf=task.optional("bf"),
        electrons=electrons,
        whole=whole,
    )


def _frame(task: Task, path: Path, reader: FrameReader) -> Frame | None:
    """Read and detrend one frame; None, with a finding, if its CCD is damaged."""
    try:
        return reader.frame(path)
    except FileTypeError as err:
        task.finding(2, f"{err}; CCD {reader.ccdnum} of this frame is left out")
        return None


def _stack(task: Task, frame: Frame, noise: npt.NDArray[np.floating], *, photons: bool) -> Stack:
    """Return an empty stack for frames of this shape, with the settings of the clip."""
    pilot, nsigma = int(task.number("pilot", 9)), task.number("nsigma", 4.0)
    return Stack(
        (frame.image.shape[0], frame.image.shape[1]), noise, photons=photons, pilot=pilot, nsigma=nsigma
    )


def _bias_input(task: Task, ccdnum: int) -> str:
    """The input that holds the bias: the run's own, else the archive's; empty: its structure stays in the flat."""
    for name in ("biascor", "old_biascor"):
        if task.inputs.get(name):
            if name == "old_biascor":
                task.finding(3, f"CCD {ccdnum}: no bias of its own; {task.input(name).name} is used")
            return name
    task.finding(2, f"CCD {ccdnum}: no bias for the flats; what structure the bias has stays in them")
    return ""


def _about(task: Task, source: fits.Header, output: str) -> fits.Header:
    """Header of a product combined from frames: subject and provenance."""
    head = about(source)
    stamp(head, task.keys, task.execs, task.output(output).name)
    return head
