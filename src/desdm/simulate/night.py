"""Makes a whole night: raw files, what the instrument team hands over, a reference catalogue, and the truth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from desdm.simulate.conditions import FWHM_OFFSET, assess, magzero, offset
from desdm.simulate.extras import add_extras
from desdm.simulate.field import Density, Field, draw_field
from desdm.simulate.handover import write_instrument, write_refcat
from desdm.simulate.instrument import Camera
from desdm.simulate.profile import measured_fwhm
from desdm.simulate.rawfile import write_raw
from desdm.simulate.readout import read_out, without_signal
from desdm.simulate.render import Charge, Renderer
from desdm.simulate.response import Response
from desdm.simulate.shots import Plan, Shot
from desdm.simulate.supercal import DENSE_FIELD
from desdm.simulate.tpv import TPV
from desdm.simulate.truth import sky_plane, write_camera, write_truth

__all__ = ["Night", "make_night", "renderer_of"]

Progress = Callable[[int, int], None]


class ShotEntry(TypedDict):
    """A shot in ``night.json``; the figures of the assessment are None for calibrations."""

    expnum: int
    filename: str
    obstype: str
    object: str
    band: str
    exptime: float
    mjd: float
    nite: str
    airmass: float
    ra: float
    dec: float
    kind: str
    fwhm_asec: float | None
    sky_e_s: float | None
    zeropoint: float | None
    cloud_mag: float | None
    f_eff: float | None
    b_eff: float | None
    c_eff: float | None
    t_eff: float | None
    verdict: str
    reason: str
    processed: bool
    corner: str
    missing: list[int]
    level_e: float
    slope: list[float]
    ghost: float
    fringe: float
    streaks: int
    lit_band: str


class NightDocument(TypedDict):
    """Content of ``night.json``: the camera, the plan, and its shots."""

    camera: str
    seed: int
    nite: str
    ccds: list[int]
    bands: list[str]
    truth: str
    fwhm_rule: str
    exposures: list[ShotEntry]


@dataclass(frozen=True, slots=True)
class Night:
    """Files of a simulated night: raw files, instrument files, reference catalogue, and the truth as in ``night.json``."""

    raw: tuple[Path, ...]
    instrument: tuple[Path, ...]
    refcat: Path
    truth: Path
    document: NightDocument


def make_night(
    out: Path,
    plan: Plan,
    camera: Camera,
    *,
    sky: Field | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Night:
    """Render a plan.

    Parameters
    ----------
    out
        Folder; gets ``raw/``, ``instrument/``, ``refcat/`` and ``truth/``. Files of the same names are replaced.
    plan, camera
        What to render, with what.
    sky
        The field; None: drawn from the plan's seed.
    threads
        Shots rendered at the same time. The bytes do not depend on it.
    progress
        Called with (shots done, shots in all).

    Returns
    -------
    Night
        The files.
    """
    folders = {name: out / name for name in ("raw", "instrument", "refcat", "truth")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    renderer, drawn = renderer_of(plan, camera, sky)
    instrument = write_instrument(folders["instrument"], camera, renderer.response, plan.bands)
    refcat = folders["refcat"] / f"sim_refcat_{plan.seed}.fits"
    write_refcat(refcat, drawn, plan.seed)
    write_camera(folders["truth"], camera, renderer.response, plan.bands)
    done = 0

    def render(shot: Shot) -> tuple[list[Path], ShotEntry]:
        """Render one shot, and describe it."""
        return _shot(folders["raw"], folders["truth"], renderer, shot), _entry(renderer, shot)

    paths, entries = [], []
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for files, entry in pool.map(render, plan.shots):
            paths += files
            entries.append(entry)
            done += 1
            if progress is not None:
                progress(done, len(plan.shots))
    document: NightDocument = {
        "camera": camera.name,
        "seed": plan.seed,
        "nite": plan.shots[0].nite if plan.shots else "",
        "ccds": [c.ccdnum for c in camera.ccds],
        "bands": list(plan.bands),
        "truth": plan.truth,
        "fwhm_rule": "FWHM of the PSF with the pixel (width at half maximum, circle of equal area), mean of 4x4 places "
        f"over the focal plane; f_eff takes it + {FWHM_OFFSET} arcsec, as DESDM's assessment does",
        "exposures": entries,
    }
    (folders["truth"] / "night.json").write_text(json.dumps(document, indent=1) + "\n")
    return Night(tuple(paths), tuple(instrument), refcat, folders["truth"], document)


def renderer_of(plan: Plan, camera: Camera, sky: Field | None = None) -> tuple[Renderer, Field]:
    """Build the renderer of a plan, and the field of its reference catalogues.

    Parameters
    ----------
    plan, camera
        What to render, with what.
    sky
        The field; None: drawn from the seed of the plan.

    Returns
    -------
    tuple of Renderer, Field
        The renderer, and the field of reference catalogues (without extras and far fields).
    """
    response = Response(camera, keep=len(camera.ccds) * camera.nx * camera.ny < 2e7)
    shots = [s for s in plan.shots if s.kind in ("object", "star flat", "crosstalk")]
    home = [s for s in shots if s.reference and s.kind != "star flat"]
    if not shots:
        empty = draw_field(plan.seed, 30.0, -5.0, 0.01, plan.bands, plan.density) if sky is None else sky
        return Renderer(camera, plan, response), empty
    radius = _reach(camera)
    bands = tuple(dict.fromkeys((*plan.bands, "r", *(s.light_band for s in shots))))
    near = home or shots
    ra, dec = near[0].ra, float(np.mean([s.dec for s in near]))
    # The short way round: 359.99 and 0.01 lie 0.02 degrees apart.
    apart = np.array([(s.ra - ra + 180.0) % 360.0 - 180.0 for s in near]) * np.cos(np.radians(dec))
    spread = float(np.hypot(apart, np.array([s.dec for s in near]) - dec).max())
    field = sky or draw_field(plan.seed, ra, dec, radius + spread, bands, plan.density)
    size = (1.2 * radius, 1.2 * radius)
    if any(s.kind == "star flat" for s in shots) and sky is None:
        dense = Density(2.0 * plan.density.stars, 0.5 * plan.density.galaxies)
        field = _joined(field, draw_field(plan.seed, *DENSE_FIELD, radius + 0.08, bands, dense))
    whole = field
    for s in shots:
        if not s.reference and sky is None:
            whole = _joined(whole, draw_field(plan.seed, s.ra, s.dec, radius, bands, plan.density))
    whole, kinds = add_extras(whole, plan, ra, dec, size)
    return Renderer(camera, plan, response, whole, kinds), field


def _reach(camera: Camera) -> float:
    """Radius in degrees of a circle that holds the focal plane and a margin."""
    far = 0.0
    for ccd in camera.ccds:
        x, y = np.array([1.0, camera.nx]), np.array([1.0, camera.ny])
        lon, lat = ccd.wcs.world(*(v.ravel() for v in np.meshgrid(x, y)))
        far = max(far, float(np.hypot((lon + 180.0) % 360.0 - 180.0, lat).max()))
    return far + 0.02


def _joined(one: Field, other: Field) -> Field:
    """Join two fields."""
    mags = {b: np.concatenate([m, other.mags[b]]) for b, m in one.mags.items()}
    names = ("ident", "ra", "dec", "pmra", "pmdec", "star", "radius", "e1", "e2", "isolation")
    parts = {n: np.concatenate([getattr(one, n), getattr(other, n)]) for n in names}
    return Field(mags=mags, epoch=one.epoch, **parts)


def _shot(raw: Path, truth: Path, renderer: Renderer, shot: Shot) -> list[Path]:
    """Render and write one shot; charges are released when no other CCD needs them for crosstalk."""
    camera = renderer.camera
    lit: dict[int, Charge] = {}
    frames: dict[int, tuple[npt.NDArray[np.generic], TPV]] = {}
    needs = {c.ccdnum: {c.ccdnum, *camera.sources(c.ccdnum)} for c in camera.ccds}
    order = [c.ccdnum for c in camera.ccds]
    for i, number in enumerate(order):
        for source in needs[number]:
            if source not in lit:
                lit[source] = renderer.charge(shot, source)
                if shot.kind in ("object", "star flat", "crosstalk"):
                    name = f"truth_D{shot.expnum:08d}_c{source:02d}.fits"
                    write_truth(truth / name, renderer, shot, source, lit[source])
        if number not in shot.missing:
            frames[number] = read_out(renderer, shot, number, lit), renderer.guess(shot, camera[number])
        later = set().union(*(needs[n] for n in order[i + 1 :])) if i + 1 < len(order) else set()
        lit = {n: c for n, c in lit.items() if n in later}
    path = raw / shot.filename
    if shot.corner == "nan":
        first = next(iter(frames))
        floating = frames[first][0].astype(np.float32)
        floating[200:240, 150:250] = np.nan
        frames[first] = floating, frames[first][1]
    number, amplifier = shot.dead
    if number in frames:
        frames[number] = without_signal(frames[number][0], camera.nx, amplifier), frames[number][1]
    write_raw(path, camera, shot, frames, more=1 if shot.corner == "wrong hdus" else 0)
    return [path, *_deliveries(raw, path, shot)]


def _deliveries(raw: Path, path: Path, shot: Shot) -> list[Path]:
    """Faults of the delivery."""
    if shot.corner == "truncated":
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * 0.6)])
    if shot.corner not in ("delivered again", "other bytes"):
        return []
    folder = raw.parent / "delivered-again"
    folder.mkdir(exist_ok=True)
    again = folder / path.name
    shutil.copyfile(path, again)
    if shot.corner == "other bytes":
        import fitsio

        with fitsio.FITS(str(again), "rw") as out:
            out[0].write_key("OBJECT", f"{shot.title} again")
    return [again]


def _entry(renderer: Renderer, shot: Shot) -> ShotEntry:
    """Return the shot as in ``night.json``."""
    entry: ShotEntry = {
        "expnum": shot.expnum,
        "filename": shot.filename,
        "obstype": shot.obstype,
        "object": shot.title,
        "band": shot.band,
        "exptime": shot.exptime,
        "mjd": shot.mjd,
        "nite": shot.nite,
        "airmass": shot.airmass,
        "ra": shot.ra,
        "dec": shot.dec,
        "kind": shot.kind,
        "fwhm_asec": None,
        "sky_e_s": None,
        "zeropoint": None,
        "cloud_mag": None,
        "f_eff": None,
        "b_eff": None,
        "c_eff": None,
        "t_eff": None,
        "verdict": "",
        "reason": "",
        "processed": shot.processed,
        "corner": shot.corner,
        "missing": list(shot.missing),
        "level_e": shot.level,
        "slope": list(shot.slope),
        "ghost": shot.ghost,
        "fringe": shot.fringe,
        "streaks": shot.streaks,
        "lit_band": shot.light_band,
    }
    if shot.kind not in ("object", "star flat"):
        return entry
    fwhm, sky = _mean_fwhm(renderer, shot), _mean_sky(renderer, shot)
    cloud = offset(shot.band, shot.airmass, shot.cloud)
    verdict = assess(shot.band, fwhm, sky, cloud, shot.reference)
    entry |= {
        "fwhm_asec": fwhm,
        "sky_e_s": sky,
        "zeropoint": magzero(shot.band, shot.exptime, shot.airmass, shot.cloud),
        "cloud_mag": cloud,
        "f_eff": verdict.f_eff,
        "b_eff": verdict.b_eff,
        "c_eff": verdict.c_eff,
        "t_eff": verdict.t_eff,
    }
    if shot.processed:
        entry |= {"verdict": verdict.verdict, "reason": verdict.reason}
    return entry


def _mean_fwhm(renderer: Renderer, shot: Shot) -> float:
    """Return the mean FWHM over the focal plane, arcsec."""
    psf, camera = renderer.psf(shot), renderer.camera
    means = []
    for ccd in camera.ccds[:: max(1, len(camera.ccds) // 4)]:
        x, y = np.array([0.25, 0.75]) * camera.nx, np.array([0.25, 0.75]) * camera.ny
        u, v = renderer.response.place(ccd, x, y)
        means.append(np.mean([measured_fwhm(psf, float(a), float(b)) for a in u for b in v]))
    return float(np.median(means)) * 0.263


def _mean_sky(renderer: Renderer, shot: Shot) -> float:
    """Mean over the focal plane of the sky in the calibrated image, electrons/s/pixel, from every CCD's map."""
    if len(renderer.camera.ccds) > 8:
        return shot.sky * (1.0 + 0.35 * shot.ghost)
    means = [float(sky_plane(renderer, shot, c)[::8, ::8].mean()) for c in renderer.camera.ccds]
    return float(np.mean(means)) / shot.exptime
