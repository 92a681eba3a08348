"""The main job: exposures in, coadds and a catalogue out, on a folder of files or a simulated patch of sky."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit, DepositReport
from desdm.config import Config
from desdm.errors import NotFoundError
from desdm.framework import store as runs
from desdm.framework.watch import store as watch
from desdm.pipelines.tile import IMAGES, cover
from desdm.schema.database import Database

__all__ = ["Summary", "ingest_folder", "simulate", "summarise", "tile_of"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a main job came to; `document` is ``summary.json``."""

    installation: Path
    run: str
    pipeline: str
    state: str
    registered_files: int
    detections: dict[str, int]
    single_exposure_detections: dict[str, list[int]]
    exposures: list[dict[str, Any]]
    depth: dict[str, float]
    report: Path
    #: against the truth of a simulated patch, by band; empty for real data
    truth: dict[str, dict[str, float]]

    def document(self) -> dict[str, Any]:
        """The summary as it is written for scripts."""
        return {
            "installation": str(self.installation),
            "attempts": [{"attempt": self.run, "pipeline": self.pipeline, "state": self.state}],
            "registered_files": self.registered_files,
            "detections": self.detections,
            "single_exposure_detections": self.single_exposure_detections,
            "exposures": self.exposures,
            "depth": self.depth,
            "report": str(self.report),
            "truth": self.truth,
        }

    def write(self, path: Path) -> None:
        """Write ``summary.json``, whole or not at all."""
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.document(), indent=2) + "\n", "utf-8")
        temporary.replace(path)


def simulate(folder: Path, seed: int) -> Path:
    """Make the simulated patch of that seed into ``folder``; returns the folder of its files."""
    from desdm.simulate.patch import make

    target = folder / f"patch-{seed}"
    if not (target / "truth_sim.json").is_file():
        make(target, seed)
    return target


def ingest_folder(database: Database, archive: Archive, folder: Path, who: str) -> DepositReport:
    """Deposit every file below ``folder``; what is of no known type is refused by name."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    if not paths:
        raise NotFoundError(f"{folder} holds no file")
    return deposit(database, archive, [Deposit(path) for path in paths], who=who)


def tile_of(database: Database, arrived: DepositReport) -> dict[str, str]:
    """The tile that covers the images which have just arrived, whatever else the archive holds."""
    names = {record.name for record in (*arrived.registered, *arrived.present)}
    with database.read() as conn:
        rows = [row for row in catalog.find(conn, IMAGES) if row["filename"] in names]
    return cover(lambda query: rows, {})


def summarise(
    config: Config, database: Database, archive: Archive, run: str, report: Path, truth: Path | None
) -> Summary:
    """Read the figures of a run of pipeline ``coadd``; ``truth`` is the folder of a simulated patch."""
    with database.read() as conn:
        attempt = runs.attempt_by_name(conn, run)
        metrics = watch.metrics(conn, attempt.id)
        count = len(catalog.files(conn))
        tables = catalog.files(conn, attempt=run, filetype="coadd_objects")
    single: dict[str, list[int]] = {}
    exposures: dict[str, dict[str, Any]] = {}
    for m in metrics:
        if m["modname"] in _EXPOSURE_MODULES:
            row = exposures.setdefault(m["wrapkeys"], {"keys": m["wrapkeys"], "band": m["band"]})
            row[m["name"]] = m["value"]
        if m["modname"] == "catalog" and m["name"] == "nobjects":
            single.setdefault(m["band"], []).append(int(m["value"]))
    return Summary(
        installation=config.home,
        run=run,
        pipeline=attempt.pipeline,
        state=attempt.state.value,
        registered_files=count,
        detections={m["band"]: int(m["value"]) for m in metrics if m["name"] == "ndetected"},
        single_exposure_detections=single,
        exposures=list(exposures.values()),
        depth={m["band"]: round(m["value"], 3) for m in metrics if m["name"] == "depth_snr10"},
        report=report,
        truth=_against(truth, archive.path(tables[0])) if truth is not None and tables else {},
    )


def _against(folder: Path, objects: Path) -> dict[str, dict[str, float]]:
    from desdm.simulate.compare import compare

    return {band: c.rounded() for band, c in compare(folder / "truth_sim.fits", objects).items()}


_EXPOSURE_MODULES = ("nwgint", "psfex", "catalog", "check")
