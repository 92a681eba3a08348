"""DECam with real constants: geometry, distortion, crosstalk, defects and linearity from a folder of instrument files.

Files: ``decam.ahead`` (SCAMP's first-order focal plane, 62 linear solutions), ``y6a1.guts.astro`` (DES Y6 astrometric
model, Bernstein et al. 2017: a polynomial of fourth order a CCD), ``DECam_xtalk_*.txt``, ``defects/<ccd>/*.ecsv``,
``linearizer-*.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desdm.errors import FileTypeError, NotFoundError
from desdm.simulate.instrument import CCD, GRID, Amplifier, Box, Camera, Crosstalk, decam
from desdm.simulate.tpv import TPV
from desdm.survey.headers import DECAM_CCDNUM

__all__ = ["linear_solutions", "real_decam"]

Array = npt.NDArray[np.float64]


def real_decam(folder: Path, band: str = "i") -> Camera:
    """DECam as its instrument files describe it.

    Parameters
    ----------
    folder
        The files named above; defects and linearity tables are taken where there are any, the rest of the
        constants (gains, read noise, flats) are the stand-in's.
    band
        Band of the distortion model; the bands differ by some hundredths of a pixel.

    Raises
    ------
    NotFoundError
        ``decam.ahead``, the astrometric model or the crosstalk matrix is not there.
    FileTypeError
        One of them is not what it should be.
    """
    stand_in = decam()
    solutions = linear_solutions(_needed(folder, "decam.ahead"))
    model = _needed(folder, "*.guts.astro").read_text(encoding="utf-8")
    tables = dict(_linearity(folder))
    ccds = []
    for ccd in stand_in.ccds:
        crpix, cd = solutions[ccd.ccdnum - 1]
        wcs = TPV((0.0, 0.0), crpix, cd, _distortion(model, ccd.detpos, band, crpix, cd))
        amps = ccd.amps
        if ccd.detpos in tables:
            amps = _with_table(amps, tables[ccd.detpos])
        ccds.append(replace(ccd, wcs=wcs, amps=amps, defects=_defects(folder, ccd)))
    crosstalk = tuple(_crosstalk(_needed(folder, "DECam_xtalk*.txt")))
    return replace(stand_in, ccds=tuple(ccds), crosstalk=crosstalk)


def _needed(folder: Path, pattern: str) -> Path:
    """Return the file of a pattern; `NotFoundError` if there is none."""
    files = sorted(folder.glob(pattern))
    if not files:
        raise NotFoundError(f"{folder}: no {pattern} in it; the instrument folder is not complete")
    return files[0]


def linear_solutions(
    path: Path,
) -> list[tuple[tuple[float, float], tuple[tuple[float, float], tuple[float, float]]]]:
    """CRPIX and CD of each CCD, in the order of SCAMP's ``.ahead`` file (CCD 1 to 62)."""
    out = []
    for part in re.split(r"^END\s*$", path.read_text(encoding="latin-1"), flags=re.MULTILINE):
        values = {
            m[1]: float(m[2]) for m in re.finditer(r"^(CRPIX\d|CD\d_\d)\s*=\s*(\S+)", part, re.MULTILINE)
        }
        if values:
            try:
                cd = ((values["CD1_1"], values["CD1_2"]), (values["CD2_1"], values["CD2_2"]))
                out.append(((values["CRPIX1"], values["CRPIX2"]), cd))
            except KeyError as err:
                raise FileTypeError(f"{path.name}: solution {len(out) + 1} has no {err}") from err
    if len(out) != len(DECAM_CCDNUM):
        raise FileTypeError(f"{path.name}: {len(out)} solutions; DECam has {len(DECAM_CCDNUM)} CCDs")
    return out


def _polynomial(model: str, detpos: str, band: str) -> tuple[list[float], list[float], int] | None:
    """Coefficients in x and y of a CCD's map to degrees, and its order; None for a CCD that the model has not."""
    at = model.find(f"\n{band}/Y6/{detpos}/poly:")
    if at < 0:
        return None
    text = model[at : at + 4000]
    blocks = re.findall(r"Coefficients: \[([^\]]*)\]\s+OrderX: (\d+)", text)[:2]
    x, y = ([float(v) for v in f[0].replace("\n", " ").split(",")] for f in blocks)
    return x, y, int(blocks[0][1])


def _evaluate(coefficients: list[float], order: int, x: Array, y: Array) -> Array:
    """Evaluate a polynomial in x and y, terms by rising total order."""
    # Terms by rising total order: 1, x, y, x², xy, y², …
    out, k = np.zeros_like(x), 0
    for total in range(order + 1):
        for j in range(total + 1):
            out += coefficients[k] * x ** (total - j) * y**j
            k += 1
    return out


def _distortion(
    model: str,
    detpos: str,
    band: str,
    crpix: tuple[float, float],
    cd: tuple[tuple[float, float], tuple[float, float]],
) -> Mapping[str, tuple[float, ...]]:
    """TPV terms that turn the linear solution's plane into the model's, fitted over the CCD.

    SCAMP's linear solution and the model differ by a turn of the camera, a shift and a scale: these are fitted too
    (over the same CCD) and taken out, so that the linear solution keeps its meaning.
    """
    gx, gy = np.meshgrid(np.linspace(1, 2048, 13), np.linspace(1, 4096, 25))
    dx, dy = gx.ravel() - crpix[0], gy.ravel() - crpix[1]
    a, b = cd[0][0] * dx + cd[0][1] * dy, cd[1][0] * dx + cd[1][1] * dy
    terms = _polynomial(model, detpos, band)
    identity = (0.0, 1.0, *([0.0] * 9))
    if terms is None:
        return {"PV1": identity, "PV2": identity}
    # The model's pixels run from 0 to 2048 and 4096, in units of half of that about the middle.
    u, v = gx.ravel() / 1024.0 - 1.0, gy.ravel() / 2048.0 - 1.0
    xi, eta = (_evaluate(c, terms[2], u, v) for c in terms[:2])
    design = np.stack([np.ones_like(a), a, b], axis=1)
    # The model's axes in the plane of the linear solution: nearest signed permutation of axes.
    turn = np.linalg.lstsq(design, np.stack([xi, eta], axis=1), rcond=None)[0][1:].T
    flip = np.round(turn / np.abs(turn).max())
    plane = np.linalg.solve(flip, np.stack([xi, eta]))
    return {"PV1": _fit(plane[0], a, b), "PV2": _fit(plane[1], b, a)}


def _fit(value: Array, a: Array, b: Array) -> tuple[float, ...]:
    """TPV terms 0 to 10 of one axis (term 3, the radius, stays out), its own coordinate first."""
    columns = (np.ones_like(a), a, b, a**2, a * b, b**2, a**3, a**2 * b, a * b**2, b**3)
    # About a point a degree away the monomials are nearly alike: scaled columns keep the solution accurate.
    scale = np.array([np.abs(c).max() for c in columns])
    solution = np.linalg.lstsq(np.stack(columns, axis=1) / scale, value, rcond=None)[0] / scale
    return (*(float(v) for v in solution[:3]), 0.0, *(float(v) for v in solution[3:]))


def _crosstalk(path: Path) -> Iterator[Crosstalk]:
    """Linear coefficients; DECam's polynomial of bright sources is left out, as our pipelines leave it out."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            victim, source, size = words[0], words[1], float(words[2])
            if 1 <= int(victim[3:5]) <= 62 and 1 <= int(source[3:5]) <= 62:
                yield Crosstalk(victim, source, size)
        except (IndexError, ValueError) as err:
            raise FileTypeError(
                f"{path.name}:{number}: no line 'victim source coefficient': {line!r}"
            ) from err


def _defects(folder: Path, ccd: CCD) -> tuple[Box, ...]:
    """Return the latest defects before 2014 of a CCD; a column counts as hot, a patch as blind."""
    files = sorted((folder / "defects" / ccd.detpos.lower()).glob("201[0-3]*.ecsv"))
    if not files:
        return ccd.defects
    out = []
    for line in files[-1].read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line[:1].isdigit():
            continue
        x, y, width, height = (int(v) for v in line.split()[:4])
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + width, 2048), min(y + height, 4096)
        if x1 > x0 and y1 > y0:
            kind = ("hot", 150.0) if width <= 2 and height > 20 else ("dead", 0.4)
            out.append(Box(x0, y0, x1 - x0, y1 - y0, *kind))
    return tuple(out)


def _linearity(folder: Path) -> Iterator[tuple[str, tuple[Array, Array]]]:
    """Tables (true minus observed ADU at each observed ADU) by detector position."""
    for path in sorted(folder.glob("linearizer-*.yaml")):
        text = path.read_text(encoding="utf-8")
        name = re.search(r"^detectorName: (\S+)$", text, re.MULTILINE)
        at = text.find("\ntableData:")
        if name is None or at < 0:
            raise FileTypeError(f"{path.name}: no detectorName or tableData; is it a linearity table?")
        rows: list[list[float]] = []
        for line in text[at + 12 :].splitlines():
            if line.startswith("- - "):
                rows.append([])
            if not line.startswith(("- - ", "  - ")):
                break
            rows[-1].append(float(line[4:]))
        if len(rows) != 2:
            raise FileTypeError(f"{path.name}: {len(rows)} tables; a CCD has two amplifiers")
        yield name[1], (np.array(rows[0]), np.array(rows[1]))


def _with_table(
    amps: tuple[Amplifier, Amplifier], tables: tuple[Array, Array]
) -> tuple[Amplifier, Amplifier]:
    """Give two amplifiers their linearity tables."""
    a, b = (replace(amp, linear=_extended(table)) for amp, table in zip(amps, tables, strict=True))
    return a, b


def _extended(table: Array) -> Array:
    """True ADU at `GRID`; beyond the table's last entry its correction stays as it is."""
    last = int(np.flatnonzero(table)[-1])
    adu = np.arange(table.size, dtype=float)
    # Response must rise: a table's own noise may not turn it round.
    return np.asarray(np.maximum.accumulate(GRID + np.interp(GRID, adu[: last + 1], table[: last + 1])))
