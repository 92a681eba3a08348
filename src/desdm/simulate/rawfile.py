"""Writes a raw exposure as the camera delivers it: an empty primary HDU, one Rice-compressed int32 HDU a CCD."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from desdm.simulate.conditions import FILTERS
from desdm.simulate.instrument import CCD, Camera
from desdm.simulate.newfits import new_fits
from desdm.simulate.readout import JUNK, OVERSCAN, PRESCAN
from desdm.simulate.shots import Shot
from desdm.simulate.tpv import TPV

__all__ = ["Card", "extension_cards", "primary_cards", "write_raw"]

CardValue = str | int | float | bool


class Card(TypedDict):
    """A header card in the form of fitsio."""

    name: str
    value: CardValue
    comment: str


def card(name: str, value: CardValue, comment: str = "") -> Card:
    """Return a header card.

    Parameters
    ----------
    name, value, comment
        Keyword, value and comment.

    Returns
    -------
    Card
        The card.
    """
    return {"name": name, "value": value, "comment": comment}


def primary_cards(camera: Camera, shot: Shot) -> list[Card]:
    """Keywords of the exposure."""
    when = datetime(1858, 11, 17, tzinfo=UTC) + timedelta(days=shot.mjd)
    filter_name = FILTERS.get(shot.band, "block")
    hour = 15.0 * 0.1 * (shot.expnum % 20 - 10) / 10.0
    return [
        card("INSTRUME", camera.instrume, "camera"),
        card("TELESCOP", "CTIO 4.0-m telescope", "simulated by desdm"),
        card("OBSERVAT", "CTIO", "observatory"),
        card("PROPID", shot.propid, "proposal"),
        card("PROGRAM", "survey" if shot.kind == "object" else "calibration", "program of the night"),
        card("EXPNUM", shot.expnum, "exposure number"),
        card("OBSTYPE", shot.obstype, "type of observation"),
        card("OBJECT", shot.title, "title of the exposure"),
        card("FILTER", filter_name, "filter"),
        card("BAND", shot.band, "band"),
        card("EXPTIME", shot.exptime, "[s] exposure time"),
        card("DATE-OBS", when.strftime("%Y-%m-%dT%H:%M:%S.%f"), "UTC at the start of the exposure"),
        card("TIMESYS", "UTC", "time system"),
        card("MJD-OBS", shot.mjd, "[d] MJD at the start of the exposure"),
        card("NITE", shot.nite, "night of observation"),
        card("DTCALDAT", f"{shot.nite[:4]}-{shot.nite[4:6]}-{shot.nite[6:]}", "calendar date of the night"),
        card(
            "DTINSTRU",
            "decam" if camera.instrume == "DECam" else "minicam",
            "instrument in the transport system",
        ),
        card("AIRMASS", shot.airmass, "airmass"),
        card("HA", round(hour, 4), "[deg] hour angle"),
        card(
            "ZD",
            round(float(np.degrees(np.arccos(1.0 / max(shot.airmass, 1.0)))), 4),
            "[deg] zenith distance",
        ),
        card("TELRA", shot.ra, "[deg] RA of the telescope"),
        card("TELDEC", shot.dec, "[deg] Dec of the telescope"),
        card("NEXTEND", len(camera.ccds), "CCDs of the camera"),
        card("PROCTYPE", "RAW", "how it was made"),
        card("PRODTYPE", "image", "kind of product"),
    ]


def _section(x0: int, x1: int, y0: int, y1: int) -> str:
    """Format a section, FITS pixels."""
    return f"[{x0}:{x1},{y0}:{y1}]"


def extension_cards(camera: Camera, shot: Shot, ccd: CCD, wcs: TPV) -> list[Card]:
    """Return the keywords of one CCD: sections, amplifiers, first solution.

    Parameters
    ----------
    camera, shot, ccd
        The camera, the exposure and the CCD.
    wcs
        First solution.

    Returns
    -------
    list of Card
        The cards.
    """
    nx, ny = camera.nx, camera.ny
    edge, half, top = JUNK + OVERSCAN, nx // 2, PRESCAN
    data = (edge + 1, edge + half), (edge + half + 1, edge + nx)
    bias = (JUNK + 1, edge), (edge + nx + 1, edge + nx + OVERSCAN)
    cards = [
        card("CCDNUM", ccd.ccdnum, "CCD number"),
        card("DETPOS", ccd.detpos, "place in the focal plane"),
        card("EXPNUM", shot.expnum, "exposure number"),
        card("BAND", shot.band, "band"),
        card("OBSTYPE", shot.obstype, "type of observation"),
        card("BUNIT", "adu", "unit of the image"),
        card("CCDSUM", "1 1", "binning"),
        card("DATASEC", _section(edge + 1, edge + nx, top + 1, top + ny), "data of both amplifiers"),
        card("TRIMSEC", _section(edge + 1, edge + nx, top + 1, top + ny), "what is kept"),
        card(
            "DETSEC",
            _section(ccd.detsec[0] + 1, ccd.detsec[0] + nx, ccd.detsec[1] + 1, ccd.detsec[1] + ny),
            "place in the mosaic",
        ),
        card("DETSIZE", _section(1, _extent(camera, 0), 1, _extent(camera, 1)), "size of the mosaic"),
    ]
    for a, amp in enumerate(ccd.amps):
        (x0, x1), (b0, b1), name = data[a], bias[a], amp.name
        cards += [
            card(f"DATASEC{name}", _section(x0, x1, top + 1, top + ny), f"data of amplifier {name}"),
            card(f"BIASSEC{name}", _section(b0, b1, top + 1, top + ny), f"overscan of amplifier {name}"),
            card(f"PRESEC{name}", _section(x0, x1, 1, top), f"prescan rows of amplifier {name}"),
            card(
                f"AMPSEC{name}", _section(a * half + 1, (a + 1) * half, 1, ny), "section in the trimmed image"
            ),
            card(f"TRIMSEC{name}", _section(x0, x1, top + 1, top + ny), f"what is kept of amplifier {name}"),
            card(f"GAIN{name}", round(amp.gain, 5), f"[electron/adu] gain of amplifier {name}"),
            card(f"RDNOISE{name}", round(amp.rdnoise, 4), f"[electron] read noise of amplifier {name}"),
            card(f"SATURAT{name}", round(amp.saturate, 1), "[adu] saturation above the overscan"),
        ]
    return cards + [card(key, value) for key, value in wcs.cards().items()]


def _extent(camera: Camera, axis: int) -> int:
    """Return the size of the mosaic along an axis."""
    return max(c.detsec[axis] for c in camera.ccds) + (camera.nx, camera.ny)[axis]


def write_raw(
    path: Path,
    camera: Camera,
    shot: Shot,
    frames: dict[int, tuple[npt.NDArray[np.generic], TPV]],
    more: int = 0,
) -> None:
    """Write the file.

    Parameters
    ----------
    path
        Ends in ``.fits.fz``; a file of that name is replaced.
    camera, shot
        What the headers say.
    frames
        CCD number → raw frame and first solution, in the order of the CCDs.
    more
        HDUs without a CCD at the end (a corner case).
    """
    # No checksums: cfitsio dates them, and the same seed shall be the same bytes.
    with new_fits(path) as out:
        out.write(None, header=primary_cards(camera, shot))
        for ccdnum, (frame, wcs) in frames.items():
            ccd = camera[ccdnum]
            floating = frame.dtype.kind == "f"
            out.write(
                frame,
                extname=ccd.detpos,
                header=extension_cards(camera, shot, ccd, wcs),
                compress=None if floating else "RICE",
                tile_dims=None if floating else (1, frame.shape[1]),
            )
        for n in range(more):
            out.write(np.zeros((8, 8), np.int32), extname=f"EXTRA{n + 1}", compress="RICE")
