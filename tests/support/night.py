"""A simulated night, processed once a session: raw frames, precal, First Cut, verdicts; shared by the tests' workers."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.archive import catalog
from desdm.facility import Facility, initialise
from desdm.framework.engines.local import LocalEngine
from desdm.operations.mainjob import hand_over, ingest_folder
from desdm.operations.nightly import Work, run_night
from desdm.quality.qa.verdict import verdicts
from desdm.simulate.cameras import camera_of
from desdm.simulate.night import make_night
from desdm.simulate.plan import Plan

__all__ = ["Processed", "flat_electrons", "ingested_once", "plane", "process", "processed_once"]


@dataclass
class Processed:
    """An installation that has processed a night, and the truth beside it."""

    home: Path
    folder: Path

    @cached_property
    def truth(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "truth" / "night.json").read_text())
        return document

    @property
    def shots(self) -> list[dict[str, Any]]:
        """Truth of the exposures that are to be processed."""
        return [e for e in self.truth["exposures"] if e["processed"]]

    @cached_property
    def verdicts(self) -> dict[int, dict[str, Any]]:
        opened = Facility.open(self.home)
        with opened.database.read() as conn:
            rows = verdicts(conn, "firstcut")
        opened.close()
        return {v["expnum"]: v for v in rows}

    def files(self, filetype: str, expnum: int | None = None) -> list[Path]:
        """Products by exposure, in the order of their CCDs."""
        opened = Facility.open(self.home)
        query = {"filetype": filetype} | ({} if expnum is None else {"expnum": str(expnum)})
        with opened.database.read() as conn:
            rows = catalog.find(conn, query)
        root = opened.archive.root
        opened.close()
        return [root / r.fullname for r in sorted(rows, key=lambda r: (r.ccdnum or 0, r.filename))]

    def true(self, expnum: int, ccdnum: int) -> fits.HDUList:
        """The truth of one CCD image."""
        return fits.open(self.folder / "truth" / f"truth_D{expnum:08d}_c{ccdnum:02d}.fits", memmap=False)


def process(home: Path, folder: Path, nites: Sequence[str], **settings: str) -> Processed:
    """Ingest a simulated night's files and process it."""
    initialise(home)
    opened = Facility.open(home)
    ingest_folder(opened.database, opened.archive, folder, "test", without=("truth",))
    hand_over(opened.database, "mini", "test")
    work = Work(
        opened.config, opened.database, opened.archive, lambda: LocalEngine(2, opened.config.runs)
    )  # fmt: skip
    for nite in nites:
        run_night(work, nite, settings=settings)
    opened.close()
    return Processed(home, folder)


def processed_once(base: Path, name: str, plan: Plan) -> Processed:
    """The processed night of that name below ``base``; made by whichever worker comes first."""
    base.mkdir(parents=True, exist_ok=True)
    home, folder, ready = base / name / "home", base / name / "night", base / name / "ready"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            folder.mkdir(parents=True)
            made = make_night(folder, plan, camera_of("mini"), threads=2)
            process(home, folder, [made.document["nite"]])
            ready.touch()
    return Processed(home, folder)


def ingested_once(base: Path, name: str, plan: Plan) -> Processed:
    """An installation with the raw files of a night of that name, of which nothing is processed; to be copied."""
    base.mkdir(parents=True, exist_ok=True)
    home, folder, ready = base / name / "home", base / name / "night", base / name / "ready"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            folder.mkdir(parents=True)
            make_night(folder, plan, camera_of("mini"), threads=2)
            process(home, folder, [])
            ready.touch()
    return Processed(home, folder)


def plane(hdus: fits.HDUList, name: str) -> npt.NDArray[Any]:
    """A plane in native byte order."""
    data = hdus[name].data
    return np.asarray(data, data.dtype.newbyteorder("="))


def flat_electrons(exposures: Sequence[dict[str, Any]], band: str) -> float:
    """True electrons a pixel of all dome flats of a band; a pixel of their mean has relative variance 1/(flat x this)."""
    flats = [e for e in exposures if e["kind"] == "dome flat" and e["band"] == band]
    return float(sum(e["level_e"] for e in flats))
