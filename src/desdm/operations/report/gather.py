"""Reads what there is to say about a run: its record, its jobs and wrappers, its files, messages and QA numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.archive.filetypes import BY_NAME
from desdm.archive.model import FileRecord, Scope
from desdm.archive.verify import verified
from desdm.config import Config
from desdm.framework import store as runs
from desdm.framework.model import Attempt
from desdm.framework.process import current_state
from desdm.framework.watch import store as watch
from desdm.operations.current import CurrentStanding, current_standing
from desdm.operations.report import store
from desdm.schema.database import Database
from desdm.schema.states import JobState, WrapperState
from desdm.survey.bands import band_order

__all__ = ["Exposure", "JobFacts", "MessageGroup", "Metric", "RunFacts", "WrapperFacts", "gather", "keys_of"]

_LEVELS = {1: "error", 2: "warning", 3: "info"}
# What differs between messages that say the same: names of files, and numbers.
_PARTICULAR = re.compile(r"\S*\w\.(?:fits?|fz|psf|txt|cat|log)\b|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
#: Metrics that an image is listed with.
_IMAGE_METRICS = ("fwhm", "nobjects", "nmatch", "dra_rms", "ddec_rms")
_BAD = (JobState.FAILED, JobState.LOST)


def keys_of(wrapkeys: str) -> dict[str, str]:
    """Loop values ``expnum=229686,ccdnum=3`` as a dictionary."""
    return dict(part.split("=", 1) for part in wrapkeys.split(",") if "=" in part)


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job with its block and times."""

    number: int
    block: str
    keys: str
    state: JobState
    tries: int
    start: datetime | None
    end: datetime | None
    comment: str | None
    junktar: str | None

    @property
    def bad(self) -> bool:
        """Whether it failed or was lost."""
        return self.state in _BAD


@dataclass(frozen=True, slots=True)
class WrapperFacts:
    """A wrapper with its job and times."""

    number: int
    job: int
    module: str
    keys: str
    state: WrapperState
    log: str | None
    start: datetime | None
    end: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it ran, if it ended."""
        if self.start is None or self.end is None:
            return None
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class Metric:
    """A QA number and what it is of."""

    module: str
    keys: Mapping[str, str]
    band: str
    name: str
    value: float
    unit: str
    text: str

    @property
    def label(self) -> str:
        """What a reader needs to know which image or tile it is of."""
        return ", ".join(f"{k} {v}" for k, v in self.keys.items()) or self.module


@dataclass(frozen=True, slots=True)
class MessageGroup:
    """Messages that say the same of different files."""

    level: int
    module: str
    action: str
    text: str
    messages: tuple[watch.MessageRow, ...]

    @property
    def name(self) -> str:
        """error, warning or info."""
        return _LEVELS.get(self.level, "info")


@dataclass(frozen=True, slots=True)
class Exposure:
    """One CCD image of a run, with what the archive and the run's own metrics say of it."""

    expnum: int
    ccdnum: int | None
    band: str
    nite: str | None
    exptime: float | None
    airmass: float | None
    fwhm: float | None
    sky: float | None
    zero: float | None
    objects: float | None
    matched: float | None
    dra: float | None
    ddec: float | None
    record: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Everything that a report tells of a run."""

    attempt: Attempt
    row: watch.RunRow
    blocks: tuple[watch.BlockRow, ...]
    jobs: tuple[JobFacts, ...]
    wrappers: tuple[WrapperFacts, ...]
    messages: tuple[watch.MessageRow, ...]
    metrics: tuple[Metric, ...]
    software: tuple[watch.SoftwareRow, ...]
    settings: Mapping[str, str]
    filetypes: tuple[watch.FileTypeRow, ...]
    files: tuple[FileRecord, ...]
    exposures: tuple[Exposure, ...]
    current: CurrentStanding
    outputs: tuple[store.OutputFiles, ...]
    flows: tuple[store.Flow, ...]
    programs: Mapping[str, list[tuple[str, str]]]
    commands: tuple[store.CommandLine, ...]
    archive: Archive
    config: Config

    @property
    def end(self) -> datetime | None:
        """When it ended, or gave its last sign of life."""
        return self.row.endtime or self.row.heartbeat

    @property
    def seconds(self) -> float | None:
        """From submission to end."""
        return None if self.end is None else (self.end - self.row.submittime).total_seconds()

    @property
    def bad_jobs(self) -> list[JobFacts]:
        """Jobs that failed or were lost."""
        return [job for job in self.jobs if job.bad]

    @property
    def bands(self) -> list[str]:
        """Bands that occur in it, blue to red."""
        return sorted(
            {m.band for m in self.metrics if m.band} | {f.band for f in self.files if f.band}, key=band_order
        )

    def of_type(self, filetype: str) -> list[FileRecord]:
        """Return the run's files of a type, by band and name."""
        files = [f for f in self.files if f.filetype == filetype]
        return sorted(files, key=lambda f: (band_order(f.band or ""), f.name))

    def path(self, record: FileRecord) -> Path:
        """Where a file lies; `CorruptFile` if it is not as registered."""
        return verified(self.archive, record)

    def groups(self) -> list[MessageGroup]:
        """Messages by what they say, the gravest and most frequent first."""
        recorded = {(m.log, m.module, m.text) for m in self.messages}
        gathered: dict[tuple[int, str, str, str], list[watch.MessageRow]] = {}
        for m in self.messages:
            # What a code says itself stands in the log too, where a pattern may find it once more.
            word, _, rest = m.text.partition(": ")
            if word in ("ERROR", "WARNING", "INFO") and (m.log, m.module, rest) in recorded:
                continue
            key = m.level, m.module, m.action, _PARTICULAR.sub("#", m.text)
            gathered.setdefault(key, []).append(m)
        groups = [
            MessageGroup(level, module, action, rows[0].text, tuple(rows))
            for (level, module, action, _), rows in gathered.items()
        ]
        return sorted(groups, key=lambda g: (g.level, -len(g.messages)))


def gather(database: Database, archive: Archive, config: Config, run: str) -> RunFacts:
    """Gather everything that the report on a run shows.

    Parameters
    ----------
    database, archive, config
        The installation.
    run
        Name of the run.

    Raises
    ------
    NotFoundError
        There is no such run.
    """
    with database.read() as conn:
        attempt = runs.attempt_by_name(conn, run)
        number = attempt.id
        where = {"reqnum": str(attempt.reqnum), "unitname": attempt.unitname}
        row = next(r for r in watch.runs(conn, where, None) if r.id == number)
        metrics = tuple(
            Metric(
                m["modname"], keys_of(m["wrapkeys"]), m["band"], m["name"], m["value"], m["unit"], m["text"]
            )
            for m in watch.metrics(conn, number)
        )
        return RunFacts(
            attempt=replace(attempt, state=current_state(attempt)),
            row=row,
            blocks=tuple(watch.blocks(conn, number)),
            jobs=tuple(_jobs(conn, number)),
            wrappers=tuple(_wrappers(conn, number)),
            messages=tuple(watch.messages(conn, number)),
            metrics=metrics,
            software=tuple(watch.software(conn, number)),
            settings=watch.values(conn, number),
            filetypes=tuple(watch.files_by_type(conn, number)),
            files=tuple(catalog.files(conn, attempt=number)),
            exposures=tuple(_exposures(conn, run, metrics)),
            current=current_standing(conn, attempt, Scope(config.project, config.campaign)),
            outputs=tuple(store.files_made(conn, number)),
            flows=tuple(store.files_used(conn, number)),
            programs=store.programs_of_modules(conn, number),
            commands=tuple(store.command_lines(conn, number)),
            archive=archive,
            config=config,
        )


def _jobs(conn: Connection, number: int) -> list[JobFacts]:
    """Return the jobs of a run with their blocks."""
    blocks = {job.jobnum: job.block for job in runs.jobs_of(conn, number)}
    return [
        JobFacts(
            j["jobnum"],
            blocks[j["jobnum"]],
            j["jobkeys"],
            JobState(j["state"]),
            j["tries"],
            j["start_time"],
            j["end_time"],
            j["comment"],
            j["junktar"],
        )
        for j in watch.jobs(conn, number)
    ]


def _wrappers(conn: Connection, number: int) -> list[WrapperFacts]:
    """Return the wrappers of a run with their jobs."""
    jobs = {job.task_id: job.jobnum for job in runs.jobs_of(conn, number)}
    of = {w.wrapnum: jobs[w.job_task_id] for w in runs.wrappers_of(conn, number)}
    return [
        WrapperFacts(
            w["wrapnum"],
            of[w["wrapnum"]],
            w["modname"],
            w["wrapkeys"],
            WrapperState(w["state"]),
            w["log"],
            w["start_time"],
            w["end_time"],
        )
        for w in watch.wrappers(conn, number)
    ]


def _exposures(conn: Connection, run: str, metrics: tuple[Metric, ...]) -> list[Exposure]:
    """Return the CCD images of a run, one for each exposure and CCD: of the type that comes last in the work."""
    kinds = [kind.name for kind in BY_NAME.values() if kind.table == "image"]
    measured: dict[tuple[str | None, str | None, str], float] = {
        (m.keys.get("expnum"), m.keys.get("ccdnum"), m.name): m.value for m in metrics
    }
    exposures: dict[tuple[int, int | None], Exposure] = {}
    for file in catalog.find(conn, {"attempt": run, "filetype": ",".join(kinds)}):
        if file.expnum is None or not file.band:
            continue
        ccd = None if file.ccdnum is None else str(file.ccdnum)
        numbers = {name: measured.get((str(file.expnum), ccd, name)) for name in _IMAGE_METRICS}
        metadata = file.metadata
        pixels, scale = metadata.fwhm, metadata.pixscale
        fwhm = numbers["fwhm"]
        if fwhm is None and pixels and scale:
            fwhm = pixels * scale
        exposures[file.expnum, file.ccdnum] = Exposure(
            file.expnum,
            file.ccdnum,
            file.band,
            file.nite,
            metadata.exptime,
            metadata.airmass,
            fwhm,
            metadata.skybrite,
            metadata.mag_zero,
            numbers["nobjects"],
            numbers["nmatch"],
            numbers["dra_rms"],
            numbers["ddec_rms"],
            file.filename,
        )
    return sorted(exposures.values(), key=lambda e: (band_order(e.band), e.expnum, e.ccdnum or 0))
