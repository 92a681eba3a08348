"""Raw exposures: which CCDs a file holds, each one's amplifiers and sections, and its pixels on request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.pixels.cards import HDU, Value, read_hdus
from desdm.pixels.fitsbytes import hdu_header, pool
from desdm.survey.agreement import LIMITED_KEYS, can_hold, contradictions
from desdm.survey.amplifiers import Amp, amps_of
from desdm.survey.bands import band_of_filter
from desdm.survey.ccds import ccd_of
from desdm.survey.detectors import absent, night_of
from desdm.survey.headers import settle_wcs
from desdm.survey.imageio import Pixels, mapped, pixels
from desdm.survey.obstime import mjd_of, observation
from desdm.survey.readout import refusals

__all__ = ["Amp", "CCDEntry", "RawCCD", "RawExposure", "amps_of", "doubts_of", "open_raw", "read_ccd"]


#: Keywords of the exposure on whose values its verdict depends.
_OF_VERDICT = ("EXPTIME", "AIRMASS", "FILTER", "BAND", "DATE-OBS", "MJD-OBS")


@dataclass(frozen=True, slots=True)
class CCDEntry:
    """A CCD of a raw file: its number (its HDU's if the header tells none), name, and HDU."""

    ccdnum: int
    detpos: str
    hdu: int


@dataclass(frozen=True, slots=True)
class RawExposure:
    """What a raw file holds.

    ``header`` is the primary one; ``findings`` says what is wrong with the file but leaves its other CCDs usable: it
    is cut off, or has fewer CCDs than its NEXTEND says.
    """

    path: Path
    header: fits.Header
    ccds: tuple[CCDEntry, ...]
    findings: tuple[str, ...] = ()

    def entry(self, ccdnum: int) -> CCDEntry:
        """The entry of a CCD; `FileTypeError` naming file and CCD if it is not there, or more than once."""
        there = [ccd for ccd in self.ccds if ccd.ccdnum == ccdnum]
        if len(there) > 1:
            which = ", ".join(str(ccd.hdu) for ccd in there)
            raise FileTypeError(
                f"{self.path.name}: CCD {ccdnum} occurs more than once in the file (CCDNUM of HDU {which}); correct "
                "the file or exclude the CCD"
            )
        if there:
            return there[0]
        why = f" ({'; '.join(self.findings)})" if self.findings else ""
        known = ", ".join(str(c.ccdnum) for c in self.ccds) or "none"
        raise FileTypeError(f"{self.path.name}: CCD {ccdnum} is not in the file{why}; it has {known}")


@dataclass(frozen=True, slots=True)
class RawCCD:
    """One CCD as the camera delivered it.

    Attributes
    ----------
    header
        Primary keywords overlaid by the HDU's, without those that lay out bytes.
    data
        (rows, columns) ADU, int32; float32 if the file holds real numbers.
    amps
        Its amplifiers, left to right.
    shape
        (ny, nx) of the trimmed image.
    missing
        True where the file has no value (NaN or BLANK); ``data`` is 0 there. None if every pixel has one. Detrending
        marks these pixels BPM.
    """

    header: fits.Header
    data: npt.NDArray[Any]
    amps: tuple[Amp, ...]
    shape: tuple[int, int]
    missing: npt.NDArray[np.bool_] | None = None


def open_raw(path: Path) -> RawExposure:
    """What CCDs a raw file holds; no pixel is read.

    Parameters
    ----------
    path
        A FITS file, plain or tile-compressed or gzipped: one image HDU a CCD, or a single image as primary HDU.

    Raises
    ------
    FileTypeError
        It is not a FITS file, or not even one HDU of it is whole.
    """
    with mapped(path) as buffer:
        return _listed(path, buffer)[0]


def doubts_of(path: Path) -> tuple[str, ...]:
    """Return what leaves the verdict on a raw exposure in doubt: HDUs that contradict each other, FILTER and BAND."""
    with mapped(path) as buffer:
        exposure, hdus = _listed(path, buffer)
    if not exposure.ccds:
        return ()
    order = dict.fromkeys((exposure.ccds[0].hdu, 0, *(ccd.hdu for ccd in exposure.ccds)))
    doubts = [
        f"{path.name}: {one.key} is {one.values}: that of HDU {one.assumed[0]} is taken for all"
        for one in contradictions([(i, hdus[i].header.get) for i in order], _OF_VERDICT)
    ]
    name, stated = (
        next((v for i in order if (v := hdus[i].header.get(key)) is not None), None)
        for key in ("FILTER", "BAND")
    )
    band = band_of_filter(stated)
    if name is not None and band is not None and band_of_filter(name) != band:
        doubts.append(f"{path.name}: FILTER is {name!r}, which is not {band}: the band is that of BAND")
    return tuple(doubts)


def read_ccd(path: Path, ccdnum: int, threads: int = 1) -> RawCCD:
    """Read one CCD of a raw file.

    Parameters
    ----------
    path
        The raw file.
    ccdnum
        Which.
    threads
        Threads that decompress.

    Raises
    ------
    FileTypeError
        The CCD is missing, its pixels are damaged, are binned or in another unit than counts, or its sections do not
        fit; file and CCD are named.
    """
    with mapped(path) as buffer, pool(threads) as run:
        exposure, hdus = _listed(path, buffer)
        entry = exposure.entry(ccdnum)
        hdu, where = hdus[entry.hdu], f"{path.name} CCD {ccdnum}"
        assumed = _assumed(hdus, exposure, entry.hdu, where)
        for odd in refusals(lambda key: assumed.get(key, hdu.header.get(key)), hdus[0].header.get):
            raise FileTypeError(
                f"{where}: {odd.key} is {odd.value}: {odd.text}; correct the header or exclude the CCD"
            )
        amps, shape = amps_of(hdu.header, hdu.shape, where)
        raw = pixels(path, buffer, hdus, entry.hdu, run)
        header = exposure.header.copy()
        if entry.hdu:
            # What the extension says holds for the CCD.
            header.update(hdu_header(bytes(buffer[hdu.start : hdu.data_start])))
    header.update(assumed)
    for key in LIMITED_KEYS:
        if key in header and not can_hold(key, header[key]):
            del header[key]
    header["CCDNUM"] = ccdnum
    _settle_time(header)
    settle_wcs(header)
    data, missing = _whole(raw)
    return RawCCD(header, data, amps, shape, missing)


def _assumed(hdus: tuple[HDU, ...], exposure: RawExposure, number: int, where: str) -> dict[str, Value]:
    """Keywords of the whole exposure in which a CCD's HDU says another thing than what holds, or what cannot be.

    Raises
    ------
    FileTypeError
        The HDUs of the file are of different exposures by their EXPNUM.
    """
    first = exposure.ccds[0].hdu
    order = dict.fromkeys((first, 0, *(ccd.hdu for ccd in exposure.ccds)))
    for one in contradictions([(i, hdus[i].header.get) for i in order], ("EXPNUM",)):
        raise FileTypeError(
            f"{where}: EXPNUM is {one.values}; correct the file, its HDUs are of one exposure"
        )
    own, primary = hdus[number].header, hdus[0].header

    def merged(key: str) -> Value:
        value = own.get(key)
        blank = value is None or value == "" or not can_hold(key, value)
        return primary.get(key) if blank else value

    odd = contradictions([(first, hdus[first].header.get), (0, primary.get), (number, merged)])
    others = {one.key: one.assumed[1] for one in odd if one.assumed[1] != merged(one.key)}
    impossible = [k for k in LIMITED_KEYS if (v := own.get(k)) is not None and not can_hold(k, v)]
    return {key: v for key in impossible if (v := merged(key)) is not None} | others


def _settle_time(header: fits.Header) -> None:
    """Write NITE and MJD-OBS as they are understood, so that every product says the night under which it is archived."""
    when = observation(header.get)
    if when.nite is not None and str(header.get("NITE")) != when.nite:
        header["NITE"] = (when.nite, "night of the observation")
    if when.begin is None:
        return
    stated, mjd = header.get("MJD-OBS"), mjd_of(when.begin)
    known = isinstance(stated, int | float) and not isinstance(stated, bool)
    if not known or any(f.key == "MJD-OBS" for f in when.findings):
        header["MJD-OBS"] = (mjd, "[d] begin of the exposure")


def _whole(raw: Pixels) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    """Values as float32 or int32, 0 where there is none, and where that is."""
    # A number that 31 bits do not hold is stored as a float rather than turned over.
    real = raw.values.dtype.kind == "f" or (
        not np.can_cast(raw.values.dtype, np.int32)
        and bool((np.abs(raw.values.astype(float)) >= 2.0**31).any())
    )
    data = raw.values.astype(np.float32 if real else np.int32, copy=False)
    missing = raw.missing
    if real:
        # An infinite count is no count either.
        lost = ~np.isfinite(data)
        missing = lost if missing is None else lost | missing
    if missing is None or not missing.any():
        return data, None
    data[missing] = 0
    return data, missing


def _listed(path: Path, buffer: bytes) -> tuple[RawExposure, tuple[HDU, ...]]:
    """Return the exposure and all HDUs of a raw file."""
    hdus, findings = _hdus(path, buffer)
    images = [i for i, h in enumerate(hdus) if h.kind == "image" and len(h.shape) == 2]
    camera = (
        hdus[0].header.text("INSTRUME") or (hdus[images[0]].header.text("INSTRUME") if images else "") or ""
    )
    ccds = []
    for i in images:
        name = hdus[i].header.text("DETPOS") or hdus[i].name
        ccd = ccd_of(hdus[i].header.get, camera)
        if ccd.number is None and len(images) > 1 and camera.lower() == "decam":
            # DECam's HDUs are not in the order of its CCDs.
            why = "; ".join(f"{odd.key}: {odd.text}" for odd in ccd.findings)
            findings.append(f"{path.name}: HDU {i} is not read: {why}")
            continue
        ccds.append(CCDEntry(i if ccd.number is None else ccd.number, name, i))
    head = hdus[0]
    expected = head.header.integer("NEXTEND")
    header = hdu_header(bytes(buffer[head.start : head.data_start]))
    instrument, nite = str(header.get("INSTRUME", "")), night_of(header)
    if expected is not None and absent([c.ccdnum for c in ccds], expected, instrument, nite):
        findings.append(f"{path.name}: NEXTEND says {expected} CCDs, the file has {len(ccds)}")
    numbers = [c.ccdnum for c in ccds]
    for twice in sorted({n for n in numbers if numbers.count(n) > 1}):
        findings.append(f"{path.name}: CCD {twice} occurs more than once in the file; it is not read")
    return RawExposure(path, header, tuple(ccds), tuple(findings)), hdus


def _hdus(path: Path, buffer: bytes) -> tuple[tuple[HDU, ...], list[str]]:
    """HDUs that are whole; of a file that is cut off, those before the cut."""
    findings: list[str] = []
    end = len(buffer)
    while True:
        try:
            return read_hdus(buffer, end), findings
        except FileTypeError as err:
            if not findings:
                findings.append(f"{path.name}: {err}")
            # Step back to where the last extension begins; a header stands at a whole block.
            at = buffer.rfind(b"XTENSION", 0, end)
            while at > 0 and at % 2880:
                at = buffer.rfind(b"XTENSION", 0, at)
            if at <= 0:
                raise FileTypeError(findings[0]) from err
            end = at
