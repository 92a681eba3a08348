"""Makes a month of deliveries with troubles: files in order of arrival, lists of the observatory, and the truth."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from desdm.schema.operationstates import DeliveryReason, DeliveryState
from desdm.simulate import faults
from desdm.simulate.field import Density
from desdm.simulate.instrument import Camera
from desdm.simulate.night import Progress, make_night
from desdm.simulate.shots import Clock, Plan, Shot, flat, nite_after, science, zero
from desdm.simulate.sky import generator
from desdm.simulate.troubles import Trouble, TroubleKind, place_troubles, troubled_shot

__all__ = ["DeliveredFile", "Month", "MonthPlan", "make_month", "plan_month"]

_MJD_0 = datetime(1858, 11, 17)
#: Exposure numbers from night to night; a night has fewer exposures.
_NUMBERS = 1000
#: Seconds from the end of an exposure to the arrival of its file, least and most; and to the time at which it is expected.
_TRANSFER = (120.0, 420.0)
_EXPECTED = 600.0
#: Nights after which a late file arrives.
LATE = 3


@dataclass(frozen=True, slots=True)
class MonthPlan:
    """Exposures of a month, and its troubles."""

    plan: Plan
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """A file as it is delivered: place in the month's directory, announced md5, and the end that its delivery must have."""

    arrival: datetime
    file: str
    md5: str
    nite: str
    expnum: int
    end_state: DeliveryState
    reason_code: DeliveryReason | None


@dataclass(frozen=True, slots=True)
class Month:
    """A simulated month: nights, deliveries in order of arrival, and troubles."""

    nites: tuple[str, ...]
    deliveries: tuple[DeliveredFile, ...]
    troubles: tuple[Trouble, ...]


def plan_month(
    seed: int,
    nights: int,
    troubles: int,
    camera: Camera,
    *,
    nite: str = "20121120",
    bands: Sequence[str] = ("g", "r"),
    exposures: int = 3,
    biases: int = 6,
    flats: int = 6,
    expnum: int = 200001,
    density: Density | None = None,
) -> MonthPlan:
    """Plan a month: each night biases, dome flats and exposures of one field.

    Parameters
    ----------
    seed
        Of all that is drawn.
    nights
        Nights in a row.
    troubles
        Troubles; their 15 kinds take turns.
    camera
        The camera.
    nite
        First night, YYYYMMDD.
    bands
        Bands.
    exposures, flats
        Exposures and dome flats a band and night; `precal` needs five good flats.
    biases
        Bias frames a night; `precal` needs five good ones.
    expnum
        First exposure number.
    density
        Density of the objects; None: that of a night.

    Raises
    ------
    UsageError
        An impossible date, or too few exposures for the troubles.
    """
    shots: list[Shot] = []
    for number in range(nights):
        clock = Clock.of(seed, nite_after(nite, number), expnum + number * _NUMBERS)
        shots += [zero(clock) for _ in range(biases)]
        shots += [flat(clock, b) for b in bands for _ in range(flats)]
        # Bands take turns, as the survey's own plan has them.
        shots += [science(clock, b) for _ in range(exposures) for b in bands]
    placed = place_troubles(tuple(shots), troubles, seed, tuple(c.ccdnum for c in camera.ccds))
    marked = tuple(troubled_shot(shot, placed) for shot in shots)
    return MonthPlan(Plan(seed, marked, tuple(bands), density or Density()), placed)


def make_month(
    out: Path, month: MonthPlan, camera: Camera, *, threads: int = 1, progress: Progress | None = None
) -> Month:
    """Render a month.

    Parameters
    ----------
    out
        Directory; gets ``deliveries/NITE/`` (a second delivery of a file in ``deliveries/NITE/again/``; beside each file
        its ``.md5``), ``manifest.csv``, ``expected/NITE.csv``, ``instrument/``, ``refcat/``, ``setup.json`` and ``truth/``.
    month
        What to render.
    camera
        The camera.
    threads
        Exposures rendered at the same time.
    progress
        Called with (exposures done, exposures in all).

    Returns
    -------
    Month
        The deliveries and the troubles, each with its file.
    """
    make_night(out, month.plan, camera, threads=threads, progress=progress)
    seed, shots = month.plan.seed, month.plan.shots
    of_exposure = {t.expnum: t for t in month.troubles if t.expnum is not None}
    deliveries: list[DeliveredFile] = []
    troubles = list(month.troubles)
    for shot in shots:
        trouble = of_exposure.get(shot.expnum)
        files = _deliver(out, shot, trouble, seed)
        deliveries += files
        if trouble is not None and files:
            # Of two deliveries the second is the trouble.
            troubles[trouble.number - 1] = replace(trouble, file=files[-1].file)
    shutil.rmtree(out / "raw")
    deliveries.sort(key=lambda d: (d.arrival, d.file))
    nites = tuple(sorted({s.nite for s in shots}))
    _write_manifest(out / "manifest.csv", deliveries)
    for nite in nites:
        _write_expected(out / "expected" / f"{nite}.csv", [s for s in shots if s.nite == nite])
    _write_setup(out / "setup.json", camera)
    _write_truth(out / "truth", deliveries, troubles)
    return Month(nites, tuple(deliveries), tuple(troubles))


def _end_of(shot: Shot) -> datetime:
    """Return when an exposure ended, UTC."""
    return _MJD_0 + timedelta(days=shot.mjd, seconds=shot.exptime)


def _deliver(out: Path, shot: Shot, trouble: Trouble | None, seed: int) -> list[DeliveredFile]:
    """Bring the file of an exposure among the deliveries, with its trouble; return what is delivered, in order."""
    kind = None if trouble is None else trouble.kind
    raw = out / "raw" / shot.filename
    if kind is TroubleKind.NEVER_SENT:
        return []
    rng = generator(seed, 501, shot.expnum)
    arrival = _end_of(shot) + timedelta(seconds=round(float(rng.uniform(*_TRANSFER))))
    folder = out / "deliveries" / shot.nite
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(shutil.move(raw, folder / shot.filename))
    md5 = _md5(path)
    if kind is TroubleKind.WRONG_MD5:
        faults.flip_byte(path)
    elif kind is TroubleKind.TRUNCATED:
        faults.cut_off(path, float(rng.uniform(0.4, 0.9)))
    elif kind is TroubleKind.WRONG_HDUS:
        faults.drop_last_image(path)
        md5 = _md5(path)
    elif kind is TroubleKind.KEYWORD_MISSING and trouble is not None:
        faults.blank_keyword(path, trouble.keyword)
        md5 = _md5(path)
    elif kind is TroubleKind.NIGHTS_LATE:
        arrival += timedelta(days=LATE)
    if kind in (TroubleKind.DUPLICATE_SAME, TroubleKind.DUPLICATE_OTHER) and trouble is not None:
        first = _entry(out, path, shot, arrival, md5, None)
        (folder / "again").mkdir(exist_ok=True)
        again = Path(shutil.copy(path, folder / "again"))
        if kind is TroubleKind.DUPLICATE_OTHER:
            faults.retitle(again, f"{shot.title} again")
        later = arrival + timedelta(seconds=round(float(rng.uniform(1800.0, 20000.0))))
        return [first, _entry(out, again, shot, later, _md5(again), trouble)]
    return [_entry(out, path, shot, arrival, md5, trouble)]


def _entry(
    out: Path, path: Path, shot: Shot, arrival: datetime, md5: str, trouble: Trouble | None
) -> DeliveredFile:
    """Write the announcement of a file, and return its delivery."""
    path.with_name(path.name + ".md5").write_text(f"{md5}  {path.name}\n", "ascii")
    state, code = DeliveryState.INGESTED, None
    if trouble is not None and trouble.end_state is not None:
        state, code = trouble.end_state, trouble.reason_code
    return DeliveredFile(arrival, path.relative_to(out).as_posix(), md5, shot.nite, shot.expnum, state, code)


def _md5(path: Path) -> str:
    """Return the md5 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _write_manifest(path: Path, deliveries: Sequence[DeliveredFile]) -> None:
    """Write the deliveries in order of arrival."""
    rows = [(f"{d.arrival:%Y-%m-%dT%H:%M:%S}", d.file, d.md5, d.nite, d.expnum) for d in deliveries]
    _write_csv(path, ("arrival", "file", "md5", "nite", "expnum"), rows)


def _write_expected(path: Path, shots: Sequence[Shot]) -> None:
    """Write the observatory's list of a night: all that it has taken, and marks as sent."""
    rows = [
        (
            s.filename,
            s.nite,
            s.expnum,
            f"{_end_of(s) + timedelta(seconds=_EXPECTED):%Y-%m-%dT%H:%M:%S}",
            "true",
        )
        for s in shots
    ]
    _write_csv(path, ("filename", "nite", "expnum", "expected_at", "delivered"), rows)


def _write_setup(path: Path, camera: Camera) -> None:
    """Write the desdm commands that an installation needs before the first night; DIR stands for the directory."""
    constants = {
        "cal_crosstalk": f"{camera.name}_xtalk.txt",
        "cal_lintable": f"{camera.name}_lintable.fits",
        "cal_bf": f"{camera.name}_bf.fits",
        "cal_bpm": f"{camera.name}_bpm_c%.fits",
        "cal_starflat": f"{camera.name}_starflat_%.fits",
    }
    why = "the simulated camera, constants of its makers"
    commands = [
        ["ingest", "DIR/instrument", "DIR/refcat"],
        ["epoch", "add", "SIMULATED", "--min", "1", "--max", "999999999", "--text", why],
        *(["epoch", "use", "SIMULATED", kind, "--files", names] for kind, names in constants.items()),
        ["dts", "propid", "2012B-0001", "--programme", "survey", "--reason", "the simulated survey"],
    ]
    path.write_text(json.dumps({"commands": commands}, indent=1) + "\n", "utf-8")


def _write_truth(folder: Path, deliveries: Sequence[DeliveredFile], troubles: Sequence[Trouble]) -> None:
    """Write the troubles, and the end that each delivery must have."""
    document = [trouble.document() for trouble in troubles]
    (folder / "troubles.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    rows = [
        (d.file, d.end_state.value, "" if d.reason_code is None else d.reason_code.value) for d in deliveries
    ]
    _write_csv(folder / "deliveries.csv", ("file", "end_state", "reason_code"), rows)


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
