"""Select the calibration frames of a precal or supercal: of one night or several, with a limit for each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from desdm.archive.catalogfile import CatalogFile
from desdm.errors import PlanError
from desdm.framework.model import FindFiles
from desdm.framework.sections import Settings, Tree, numbers_setting, whole_setting
from desdm.pipelines.exposure import working_ccds
from desdm.survey.bands import BANDS, band_order
from desdm.wcl import split_range

__all__ = ["NONE", "NOT_REJECTED", "SETTINGS", "night", "nights"]

#: What an operator may set of the frames; ``nite`` is of one night, ``nitemin`` and ``nitemax`` of several.
SETTINGS: Mapping[str, str] = {
    "nite": "night, YYYYMMDD",
    "nitemin": "first night, YYYYMMDD",
    "nitemax": "last night, YYYYMMDD",
    "exclude": "exposure numbers or ranges that are left out",
    "band": "bands, comma separated",
    "ccdnum": "CCDs, numbers or ranges",
    "max_frames": "frames of a kind that are combined at most",
}
#: Part of a query: frames need no verdict, but neither rejected nor excluded exposures (or CCDs) are combined.
NOT_REJECTED = {"assessment": "unassessed"}
#: An exposure number that no exposure has: the query of a kind of frame that was not taken.
NONE = "-1"
#: Frames of a type and band that are combined at most (DESDM's number).
MAX_FRAMES = 150


def night(find: FindFiles, settings: Settings) -> Tree:
    """Return the frames of one night: the ``inclfunc`` of ``precal``.

    Parameters
    ----------
    find
        Looks up files in the archive: query → files.
    settings
        ``nite``; ``exclude`` (exposure numbers), ``max_frames`` and ``band`` (g,r,i) are optional.

    Returns
    -------
    dict
        ``ccdnum``, ``band`` (all of them: g,r,i) and ``zero_expnums``, ``dflat_expnums``; section ``left_out`` counts
        the frames beyond ``max_frames`` by 'zero' and band.

    Raises
    ------
    PlanError
        No calibration frame of that night is in the archive.
    """
    nite = str(settings.get("nite", "")).strip()
    if not nite:
        raise PlanError("say which night: --set nite=YYYYMMDD")
    frames = _raw_exposures(find, nite, settings)
    values = _frame_settings(frames, settings, f"night {nite}")
    return {**values, "unitname": str(settings.get("unitname") or nite)}


def nights(find: FindFiles, settings: Settings) -> Tree:
    """Frames of a range of nights: the submission's ``inclfunc`` of ``supercal``.

    Parameters
    ----------
    find
        Looks up files in the archive: query → files.
    settings
        ``nitemin`` and ``nitemax``, or ``unitname`` as ``20160101t0110``; the others as for `night`.

    Returns
    -------
    dict
        As `night`, with ``ramp_expnums``, ``crosstalk_expnums``, ``starflat_expnums``, ``sky_expnums``, nitemin,
        nitemax, and ``nite``, the last of them.
    """
    first, last = _night_range(settings)
    frames = _raw_exposures(find, f"{first}:{last}" if first != last else first, settings)
    values = _frame_settings(frames, settings, f"nights {first} to {last}")
    objects = [f for f in frames if _obstype(f) == "object"]
    fields = [f for f in objects if _title(f).startswith("crosstalk field")]
    stars = [f for f in objects if _title(f).startswith("star flat")]
    junk = ("junk", "focus", "pointing", "donut", "test")
    sky = [f for f in objects if not _title(f).startswith(("crosstalk field", "star flat"))]
    sky = [f for f in sky if not any(w in _title(f).split() for w in junk)]
    values["ramp_expnums"] = _exposure_numbers([f for f in frames if _is_ramp(f)])
    values["crosstalk_expnums"] = _exposure_numbers(fields)
    values["starflat_expnums"] = _exposure_numbers(stars)
    values["sky_expnums"] = _exposure_numbers(
        [f for band in _bands_of(sky) for f in _select_evenly(_of_band(sky, band), _max_frames(settings))]
    )
    unit = str(settings.get("unitname") or f"{first}t{last[4:]}")
    return {**values, "nite": last, "nitemin": first, "nitemax": last, "unitname": unit}


def _night_range(settings: Settings) -> tuple[str, str]:
    """Return the first and last night of the settings, or of a unit name such as 20160101t0110."""
    first, last = str(settings.get("nitemin", "")).strip(), str(settings.get("nitemax", "")).strip()
    unit = str(settings.get("unitname", ""))
    if not first and unit[8:9] == "t" and unit[:8].isdigit() and unit[9:].isdigit():
        # 20160101t0110: to the tenth of January of the same year, or of the next if that would lie before.
        year = int(unit[:4]) + (unit[9:] < unit[4:8])
        first, last = unit[:8], f"{year:04d}{unit[9:]}"
    if not (len(first) == len(last) == 8 and (first + last).isdigit() and first <= last):
        raise PlanError("say which nights: --set nitemin=YYYYMMDD --set nitemax=YYYYMMDD")
    return first, last


def _raw_exposures(find: FindFiles, nite: str, settings: Settings) -> list[CatalogFile]:
    """Raw exposures by number; those that are excluded, or stand twice in the archive, are left out."""
    excluded = str(settings.get("exclude", "")).strip()
    banned = set(numbers_setting(excluded, "exclude"))
    by_exposure: dict[int, list[CatalogFile]] = {}
    for file in find({"filetype": "raw", "nite": nite, **NOT_REJECTED}):
        if file.expnum is not None:
            by_exposure.setdefault(file.expnum, []).append(file)
    return [files[0] for n, files in sorted(by_exposure.items()) if len(files) == 1 and n not in banned]


def _frame_settings(frames: Sequence[CatalogFile], settings: Settings, when: str) -> Tree:
    """Return the settings for biases and dome flats; `PlanError` if there are neither or no working CCD."""
    limit = _max_frames(settings)
    zeros = [f for f in frames if _obstype(f) in ("zero", "bias")]
    flats = [f for f in frames if _obstype(f) in ("dome flat", "dflat") and not _is_ramp(f)]
    if not zeros and not flats:
        raise PlanError(f"{when}: no bias (obstype zero) and no dome flat is in the archive; ingest them")
    band_setting = str(settings.get("band", "")).strip()
    bands = [band.strip() for band in band_setting.split(",")] if band_setting else _bands_of(flats)
    if unknown := [band for band in bands if band not in BANDS]:
        raise PlanError(f"band={band_setting}: there is no band {unknown[0]!r}; bands are {', '.join(BANDS)}")
    omitted = {"zero": len(zeros) - limit} | {b: len(_of_band(flats, b)) - limit for b in bands}
    flats_used = [f for b in bands for f in _select_evenly(_of_band(flats, b), limit)]
    ccds = str(settings.get("ccdnum", "")).strip() or _ccds_of([*zeros, *flats])
    ccd_settings = working_ccds(ccds, [*zeros, *flats])
    if not ccd_settings["ccdnum"]:
        raise PlanError(f"{when}: {ccd_settings['dead_ccds']}; no other CCD is asked for")
    return {
        **ccd_settings,
        # A night without a flat is told band by band, as one with too few is.
        "band": ",".join(bands) or "g,r,i,z,Y",
        "zero_expnums": _exposure_numbers(_select_evenly(zeros, limit)),
        "dflat_expnums": _exposure_numbers(flats_used),
        "left_out": {k: str(n) for k, n in omitted.items() if n > 0},
    }


def _max_frames(settings: Settings) -> int:
    """Return the largest number of frames of a kind."""
    return whole_setting(settings, "max_frames", MAX_FRAMES)


def _select_evenly(frames: Sequence[CatalogFile], most: int) -> list[CatalogFile]:
    """At most so many, evenly from all, so that every night of the range keeps its share."""
    if len(frames) <= most:
        return list(frames)
    return [frames[i * len(frames) // most] for i in range(most)]


def _is_ramp(frame: CatalogFile) -> bool:
    """Return whether an exposure is part of a linearity ramp."""
    return _title(frame).startswith("linearity ramp")


def _obstype(frame: CatalogFile) -> str:
    """Return the type of an exposure in lower case."""
    return (frame.metadata.obstype or "").strip().lower()


def _title(frame: CatalogFile) -> str:
    """Return the title of an exposure in lower case."""
    return (frame.metadata.object or "").strip().lower()


def _bands_of(frames: Sequence[CatalogFile]) -> list[str]:
    """Return the bands of exposures, blue to red."""
    return sorted({frame.band for frame in frames if frame.band}, key=band_order)


def _of_band(frames: Sequence[CatalogFile], band: str) -> list[CatalogFile]:
    """Return the exposures of a band."""
    return [frame for frame in frames if frame.band == band]


def _exposure_numbers(frames: Sequence[CatalogFile]) -> str:
    """Return the exposure numbers as a comma list; `NONE` if there are none."""
    return ",".join(str(frame.expnum) for frame in frames) or NONE


def _ccds_of(frames: Sequence[CatalogFile]) -> str:
    """Return the CCDs of raw files as a comma list; `PlanError` if no file tells them."""
    numbers = {int(n) for frame in frames if frame.metadata.ccds for n in split_range(frame.metadata.ccds)}
    if not numbers:
        raise PlanError("no raw frame says of which CCDs it is; set ccdnum=…")
    return ",".join(map(str, sorted(numbers)))
