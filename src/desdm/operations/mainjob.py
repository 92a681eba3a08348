"""The main job: a simulated night from raw frames to coadds and verdicts, or a folder of calibrated exposures to coadds."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypedDict

from desdm.archive import calibrations, catalog, store
from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit, DepositReport
from desdm.archive.verify import verified
from desdm.config import Config
from desdm.errors import NotFoundError
from desdm.framework import store as runs
from desdm.framework.scope import InputFinder, scopes_of
from desdm.framework.watch import store as watch
from desdm.operations.nightly import Night
from desdm.pipelines.tile import IMAGES, cover
from desdm.schema.database import Database

__all__ = [
    "Summary",
    "hand_over",
    "ingest_folder",
    "night_truth",
    "simulate",
    "summarise",
    "tile_of",
    "tile_of_tag",
]

#: Epoch for which the instrument team's constants of a simulated camera serve.
SIMULATED = "SIMULATED"
_INSTRUMENT = {
    "cal_crosstalk": "{camera}_xtalk.txt",
    "cal_lintable": "{camera}_lintable.fits",
    "cal_bf": "{camera}_bf.fits",
    "cal_bpm": "{camera}_bpm_c%.fits",
    "cal_starflat": "{camera}_starflat_%.fits",
}


#: What a simulated night says of an exposure, by key of ``night.json``.
ExposureTruth: TypeAlias = Mapping[str, str | float | bool]


class AssessedRow(TypedDict):
    """Assessment of an exposure in ``summary.json``, beside the truth of a simulated night."""

    expnum: int
    band: str
    obstype: str
    processed: bool
    verdict: str
    reason: str
    t_eff: float | None
    f_eff: float | None
    b_eff: float | None
    c_eff: float | None
    fwhm_asec: float | None
    skybrightness: float | None
    cloud: float | None
    magzero: float | None
    depth: float | None
    truth: dict[str, str | float | bool]


class NightTruth(TypedDict):
    """Content of ``night.json`` of a simulated night, as far as it is read here."""

    camera: str
    nite: str
    exposures: list[ExposureTruth]


class ImageNumbers(NamedTuple):
    """QA numbers of a CCD image, by name."""

    keys: str
    band: str
    numbers: dict[str, float]


@dataclass(frozen=True, slots=True)
class Summary:
    """Results of a main job; `document` is ``summary.json``."""

    installation: Path
    run: str
    pipeline: str
    state: str
    run_files: int
    registered_files: int
    detections: dict[str, int]
    single_exposure_detections: dict[str, list[int]]
    #: assessments of the night's exposures beside their truth; empty for delivered images
    exposures: list[AssessedRow]
    depth: dict[str, float]
    report: Path
    #: against the truth of a simulated night, by band; empty for real data
    truth: dict[str, dict[str, float]]
    #: (run, pipeline, state) of every run of the night before the coadd
    before: tuple[tuple[str, str, str], ...] = ()
    #: QA numbers of each CCD image in the coadd
    images: tuple[ImageNumbers, ...] = ()

    def document(self) -> dict[str, object]:
        """Return the summary as it is written for scripts."""
        images = [{"keys": image.keys, "band": image.band, **image.numbers} for image in self.images]
        return {
            "installation": str(self.installation),
            "attempts": [
                {"attempt": run, "pipeline": pipeline, "state": state}
                for run, pipeline, state in ((self.run, self.pipeline, self.state), *self.before)
            ],
            "run_files": self.run_files,
            "registered_files": self.registered_files,
            "detections": self.detections,
            "single_exposure_detections": self.single_exposure_detections,
            "exposures": self.exposures if self.before else images,
            "images": images,
            "depth": self.depth,
            "report": str(self.report),
            "truth": self.truth,
        }

    def write(self, path: Path) -> None:
        """Write ``summary.json``, whole or not at all."""
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.document(), indent=2) + "\n", "utf-8")
        temporary.replace(path)


def simulate(folder: Path, seed: int, progress: Callable[[int, int], None] | None = None) -> Path:
    """Simulate a night.

    Parameters
    ----------
    folder
        Where the files and their truth go.
    seed
        Seed of the random numbers.
    progress
        Called with the work that is done and the whole of it.

    Returns
    -------
    Path
        Folder of the files.
    """
    from desdm.simulate.cameras import camera_of
    from desdm.simulate.night import make_night
    from desdm.simulate.plan import plan_night

    target = folder / f"night-{seed}"
    if not (target / "truth" / "night.json").is_file():
        make_night(target, plan_night(seed, program="demo"), camera_of("mini"), threads=2, progress=progress)
    return target


def night_truth(folder: Path) -> NightTruth:
    """Return ``night.json`` of a simulated night."""
    document: NightTruth = json.loads((folder / "truth" / "night.json").read_text("utf-8"))
    return document


def hand_over(database: Database, camera: str, who: str) -> None:
    """Enter the constants of the instrument team into the epoch table, once.

    Parameters
    ----------
    database
        The database.
    camera
        Name of the simulated camera.
    who
        Author of the events.
    """
    with database.write() as conn:
        if SIMULATED in {name for name, *_ in store.epochs(conn)}:
            return
        calibrations.define_epoch(
            conn, SIMULATED, 1, 999_999_999, "the simulated camera, constants of its makers", who=who
        )
        for filetype, pattern in _INSTRUMENT.items():
            calibrations.assign(conn, SIMULATED, filetype, filepat=pattern.format(camera=camera), who=who)


def ingest_folder(
    database: Database, archive: Archive, folder: Path, who: str, without: Collection[str] = ()
) -> DepositReport:
    """Deposit every file below a folder; files of no known type are refused.

    Parameters
    ----------
    database, archive
        Where they go.
    folder
        The folder.
    who
        Author of the deposit.
    without
        Names of subfolders that are skipped.

    Raises
    ------
    NotFoundError
        The folder has no files.
    """
    paths = sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and not p.name.startswith(".") and p.relative_to(folder).parts[0] not in without
    )
    if not paths:
        raise NotFoundError(f"{folder} holds no file")
    return deposit(database, archive, [Deposit(path) for path in paths], who=who)


def tile_of(database: Database, arrived: DepositReport) -> dict[str, str]:
    """The tile that covers the calibrated images which have just arrived, whatever else the archive holds."""
    names = {record.name for record in (*arrived.registered, *arrived.present)}
    with database.read() as conn:
        images = [file for file in catalog.find(conn, IMAGES) if file.filename in names]
    return _settings(cover(lambda query: images, {}))


def tile_of_tag(config: Config, database: Database, tag: str) -> dict[str, str]:
    """Return the settings of a tile that covers the images with a tag, and restricts the coadd to them.

    Parameters
    ----------
    config, database
        The installation.
    tag
        Name of the tag.
    """
    with database.read() as conn:
        finder = InputFinder(conn, scopes_of(config, {}).inputs)
        return {**_settings(cover(finder.find, {"image_tag": tag})), "image_tag": tag}


def _settings(tile: dict[str, str]) -> dict[str, str]:
    """Return what can be set of a tile: its bands follow from its images."""
    return {key: value for key, value in tile.items() if key != "bands"}


def summarise(
    config: Config,
    database: Database,
    archive: Archive,
    run: str,
    report: Path,
    *,
    night: Night | None = None,
    folder: Path | None = None,
) -> Summary:
    """Read the figures of a run of pipeline ``coadd``.

    Parameters
    ----------
    night
        The night whose accepted exposures it coadds; None: delivered images.
    folder
        Folder of a simulated night, with its truth.
    """
    with database.read() as conn:
        attempt = runs.attempt_by_name(conn, run)
        metrics = watch.metrics(conn, attempt.id)
        count = len(catalog.files(conn))
        of_run = len(catalog.files(conn, attempt=run))
        tables = catalog.files(conn, attempt=run, filetype="coadd_objects")
        before = [] if night is None else [runs.attempt_by_name(conn, name) for name in night.runs]
    single: dict[str, list[int]] = {}
    images: dict[str, ImageNumbers] = {}
    for m in metrics:
        if m["modname"] in _EXPOSURE_MODULES:
            image = images.setdefault(m["wrapkeys"], ImageNumbers(m["wrapkeys"], m["band"], {}))
            image.numbers[m["name"]] = m["value"]
        if m["modname"] == "catalog" and m["name"] == "nobjects":
            single.setdefault(m["band"], []).append(int(m["value"]))
    truth = night_truth(folder)["exposures"] if folder is not None else []
    return Summary(
        installation=config.home,
        run=run,
        pipeline=attempt.pipeline,
        state=attempt.state.value,
        run_files=of_run,
        registered_files=count,
        detections={m["band"]: int(m["value"]) for m in metrics if m["name"] == "ndetected"},
        single_exposure_detections=single,
        exposures=[] if night is None else _verdicts_with_truth(night, truth),
        depth={m["band"]: round(m["value"], 3) for m in metrics if m["name"] == "depth_snr10"},
        report=report,
        truth=_compare_with_truth(folder, verified(archive, tables[0]), night)
        if folder and night and tables
        else {},
        before=tuple((a.run, a.pipeline, a.state.value) for a in before),
        images=tuple(images.values()),
    )


def _verdicts_with_truth(night: Night, truth: Sequence[ExposureTruth]) -> list[AssessedRow]:
    """Return a row for each exposure of the night: its assessment beside the truth, if that is known."""
    truth_by_exposure = {t["expnum"]: t for t in truth}
    rows: list[AssessedRow] = []
    for v in night.verdicts:
        true: ExposureTruth = truth_by_exposure.get(v["expnum"], {})
        rows.append(
            AssessedRow(
                expnum=v["expnum"],
                band=v["band"] or "",
                obstype=str(true.get("obstype", "object")),
                processed=v["processed"] == "True",
                verdict=v["accepted"],
                reason=v["reason"],
                t_eff=v["t_eff"],
                f_eff=v["f_eff"],
                b_eff=v["b_eff"],
                c_eff=v["c_eff"],
                fwhm_asec=v["fwhm_asec"],
                skybrightness=v["skybrightness"],
                cloud=v["cloud"],
                magzero=v["magzero"],
                depth=v["depth"],
                truth={key: true[key] for key in _TRUE if key in true},
            )
        )
    return rows


def _compare_with_truth(folder: Path, objects: Path, night: Night) -> dict[str, dict[str, float]]:
    """Return the comparison of an object table with the truth of a simulated night, by band."""
    from desdm.simulate.nightly import compare_night

    accepted = {int(v["expnum"]) for v in night.accepted}
    return {b: c.rounded() for b, c in compare_night(folder / "truth", objects, accepted).items()}


_TRUE = (
    "verdict",
    "reason",
    "processed",
    "t_eff",
    "f_eff",
    "b_eff",
    "c_eff",
    "fwhm_asec",
    "sky_e_s",
    "cloud_mag",
    "zeropoint",
)
_EXPOSURE_MODULES = ("nwgint", "psfex", "catalog", "check")
