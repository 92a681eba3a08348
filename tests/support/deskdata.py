"""The record of a survey for benches of the desk: attempts, messages, problems, exposures and their CCD files.

A night has 250 exposures whatever the size, so that what grows is the history. Nothing lies in the archive but log files of
one run: the pages read the record.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import Table

from desdm.facility import Facility, initialise
from desdm.schema import tables
from desdm.schema.columns import metadata

__all__ = ["PER_NIGHT", "DeskData", "make_desk"]

PER_NIGHT = 250
_CCDS = [c for c in range(1, 63) if c not in (2, 61)]
_CCDS = [*_CCDS, 2, 61]
_BANDS = ("g", "r", "i", "z", "Y")
_FIRST = datetime(2013, 8, 15)
_MJD = datetime(1858, 11, 17)
#: Messages of an attempt; jobs and wrappers of one, and of the newest, whose graph is larger than a page shows.
_MESSAGES, _JOBS, _WRAPPERS, _LARGE = 20, 3, 6, 140
_MODULES = ("crosstalk", "detrend", "skycompress", "skycombine", "starflat", "sextractor")
_TEXTS = (
    "overscan level 1912.4 of amplifier A",
    "astrometry: 812 stars matched, rms 28 mas",
    "3 saturated columns masked",
    "cosmic rays: 212 hits",
)


@dataclass(frozen=True, slots=True)
class DeskData:
    """What was made: numbers of rows, the newest night, a run that failed and the one with the largest graph."""

    attempts: int
    exposures: int
    ccd_files: int
    messages: int
    problems: int
    nite: str
    failed: str
    large: str


def make_desk(home: Path, attempts: int, *, ccd_files: bool = True) -> DeskData:
    """Make an installation with the record of a survey.

    Parameters
    ----------
    home
        Its directory, which does not exist.
    attempts
        Number of attempts: of four, three are on an exposure of their own.
    ccd_files
        Whether each exposure has the 62 files of its CCDs.
    """
    initialise(home)
    facility = Facility.open(home)
    path = str(facility.database.url.database)
    name, campaign, project = (
        facility.config.archive_name,
        facility.config.campaign,
        facility.config.project,
    )
    facility.close()
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA synchronous=OFF")
    conn.execute("PRAGMA cache_size=-400000")
    conn.execute("PRAGMA foreign_keys=OFF")
    made = _Maker(conn, attempts, name, campaign, project).make(ccd_files)
    conn.commit()
    conn.execute("PRAGMA optimize")
    conn.close()
    return made


class _Maker:
    """Writes the rows of one installation."""

    def __init__(
        self, conn: sqlite3.Connection, attempts: int, archive: str, campaign: str, project: str
    ) -> None:
        self.conn, self.attempts, self.archive = conn, attempts, archive
        self.campaign, self.project = campaign, project
        # Whole nights: the newest is as large as any other.
        self.exposures = attempts * 76 // 100 // PER_NIGHT * PER_NIGHT
        self.nights = -(-self.exposures // PER_NIGHT)
        self.rng = np.random.default_rng(11)

    def make(self, ccd_files: bool) -> DeskData:
        """Write everything."""
        self._requests()
        self._raw()
        runs = list(self._runs())
        self._attempts(runs)
        self._verdicts(runs)
        self._queue(runs)
        self._deliveries()
        messages = self._messages(runs)
        problems = self._problems(runs)
        self._log(runs)
        files = self._ccds(runs) if ccd_files else 0
        failed = next(run.name for run in reversed(runs) if run.state == "failed")
        return DeskData(
            len(runs),
            self.exposures,
            files,
            messages,
            problems,
            self._nite(self.nights - 1),
            failed,
            runs[-1].name,
        )

    # -- rows

    def _put(self, table: Table | str, columns: str, rows: Iterable[Sequence[object]]) -> None:
        """Insert rows."""
        names = columns.split()
        name = table if isinstance(table, str) else table.name
        assert set(names) <= {c.name for c in metadata.tables[name].c}, name
        marks = ", ".join("?" * len(names))
        self.conn.executemany(f"INSERT INTO {name} ({', '.join(names)}) VALUES ({marks})", rows)

    def _nite(self, night: int) -> str:
        return f"{_FIRST + timedelta(days=night):%Y%m%d}"

    def _begin(self, exposure: int) -> datetime:
        """When an exposure began: from 23 h UTC on, one each 130 s."""
        night, place = divmod(exposure, PER_NIGHT)
        return _FIRST + timedelta(days=night, hours=23, minutes=20, seconds=130 * place)

    def _expnum(self, exposure: int) -> int:
        return 226_000 + exposure

    def _band(self, exposure: int) -> str:
        return _BANDS[(exposure // 7) % 5]

    def _requests(self) -> None:
        self._put(
            "pfw_request",
            "reqnum project campaign pipeline",
            [(1, self.project, self.campaign, "precal"), (2, self.project, self.campaign, "firstcut")],
        )
        self._put(
            "ops_propid",
            "propid programme project accept who since",
            [("2012B-0001", "survey", self.project, True, "boss", _text(_FIRST))],
        )

    def _raw(self) -> None:
        """The raw frames."""
        numbers = range(self.exposures)
        names = [f"D{self._expnum(i):08d}.fits" for i in numbers]
        self._put(
            "desfile",
            "id filename compression filetype filesize sha256 md5sum",
            (
                (1 + i, names[i], ".fz", "raw", 520_000_000, _digest(names[i]), _digest(names[i])[:32])
                for i in numbers
            ),
        )
        self._put(
            "file_archive_info",
            "desfile_id archive_name path state",
            ((1 + i, self.archive, f"raw/{self._nite(i // PER_NIGHT)}", "ok") for i in numbers),
        )
        self._put(
            "image",
            "desfile_id expnum band nite ra_cent dec_cent obstype object propid instrument "
            "exptime mjd_obs airmass data_digest",
            (
                (
                    1 + i,
                    self._expnum(i),
                    self._band(i),
                    self._nite(i // PER_NIGHT),
                    (i * 7.3) % 360,
                    -60 + (i * 1.7) % 65,
                    "object",
                    f"DES survey hex {i % 5000} tiling {i % 10}",
                    "2012B-0001",
                    "decam",
                    90.0,
                    (self._begin(i) - _MJD) / timedelta(days=1),
                    1.2,
                    _digest("pixels " + names[i]),
                )
                for i in numbers
            ),
        )

    def _runs(self) -> Iterator[_Run]:
        """The attempts in the order of their numbers: precal of a night, its exposures, and repeated ones."""
        number = 0
        left = self.attempts - self.exposures - self.nights
        for night in range(self.nights):
            nite = self._nite(night)
            end = _FIRST + timedelta(days=night, hours=22)
            number += 1
            yield _Run(number, 1, nite, 1, "precal", None, "done", end, end - timedelta(minutes=9))
            for exposure in range(night * PER_NIGHT, min(self.exposures, (night + 1) * PER_NIGHT)):
                unit = f"D{self._expnum(exposure):08d}"
                end = self._begin(exposure) + timedelta(minutes=14)
                newest = exposure >= self.exposures - 6
                again = exposure * left // self.exposures != (exposure + 1) * left // self.exposures
                if again:
                    number += 1
                    begin = end - timedelta(minutes=9)
                    yield _Run(number, 2, unit, 1, "firstcut", exposure, "failed", end, begin)
                number += 1
                state = "flagged" if exposure % 23 == 5 else "failed" if exposure % 61 == 7 else "done"
                yield _Run(
                    number,
                    2,
                    unit,
                    2 if again else 1,
                    "firstcut",
                    exposure,
                    "running" if newest else state,
                    None if newest else end + timedelta(minutes=9),
                    end,
                )

    def _attempts(self, runs: Sequence[_Run]) -> None:
        """Attempts with their tasks, blocks, jobs and wrappers."""
        self._put("pfw_unit", "reqnum unitname", sorted({(run.reqnum, run.unit) for run in runs}))
        tasks: list[tuple[object, ...]] = []
        attempts, blocks, jobs, wrappers = [], [], [], []
        newest = runs[-1].id
        for run in runs:
            root = len(tasks) + 1
            begin = run.begin
            end = None if run.end is None else _text(run.end)
            tasks.append((root, run.name, "pfw_attempt", None, root, None, _text(begin), end, None))
            count = _LARGE if run.id == newest else _JOBS
            attempts.append(
                (
                    run.id, run.reqnum, run.unit, run.attnum, root, run.state, "NEW", "survey", "pipeline", run.pipeline,
                    "1.0", _text(begin), end, 1, count, count * 2, f"OPS/firstcut/{run.name}", _digest(run.name),
                    None if run.end else "node7", None if run.end else 4711, None if run.end else 1,
                    None if run.end else _text(begin), False,
                    "job 3 failed" if run.state == "failed" else None,
                )
            )  # fmt: skip
            block = len(tasks) + 1
            tasks.append((block, "ccds", "pfw_block", root, root, None, _text(begin), end, None))
            blocks.append((block, run.id, 1, "ccds", ",".join(_MODULES), count))
            for number in range(1, count + 1):
                bad = run.state == "failed" and number == count
                job = len(tasks) + 1
                tasks.append((job, f"job {number}", "pfw_job", block, root, None, _text(begin), end, None))
                state = "failed" if bad else "done" if run.end or number < count / 2 else "running"
                jobs.append((job, run.id, block, number, f"ccdnum={number}", 2, state, 1, None))
                for place in range(2):
                    wrapper = len(tasks) + 1
                    module = _MODULES[(2 * number + place) % len(_MODULES)]
                    tasks.append((wrapper, module, "pfw_wrapper", job, root, None, _text(begin), end, None))
                    done = "failed" if bad and place else "done" if state == "done" or bad else "running"
                    log = f"{run.name}_{module}_J{number:04d}_{2 * number + place - 1}.log"
                    wrappers.append(
                        (wrapper, run.id, job, 2 * number + place - 1, module, f"desdm.codes.{module}",
                         f"ccdnum={number}", done, log, 1000)
                    )  # fmt: skip
            run.last_task = len(tasks)
        self._put(
            "task",
            "id name info_table parent_task_id root_task_id label start_time end_time status",
            tasks,
        )
        self._put(
            "pfw_attempt",
            "id reqnum unitname attnum task_id state data_state run_class operator pipeprod pipever submittime endtime "
            "numexpblk numexpjobs numexpwrap archive_path fingerprint submitter_host submitter_pid submitter_start "
            "heartbeat cancel_requested comment",
            attempts,
        )
        self._put("pfw_block", "task_id pfw_attempt_id blknum name modulelist numexpjobs", blocks)
        self._put(
            "pfw_job",
            "task_id pfw_attempt_id pfw_block_task_id jobnum jobkeys expect_num_wrap state tries comment",
            jobs,
        )
        self._put(
            "pfw_wrapper",
            "task_id pfw_attempt_id pfw_job_task_id wrapnum modname name wrapkeys state log diskusage",
            wrappers,
        )
        self._put(
            "qa_metric",
            "task_id name band pfw_attempt_id wrapkeys value unit text",
            (
                (run.last_task, name, "", run.id, "ccdnum=1", value + 0.1 * (run.id % 7), unit, name)
                for run in runs
                if run.exposure is not None and run.state in ("done", "flagged")
                for name, value, unit in (
                    ("fwhm", 0.9, "arcsec"),
                    ("sky", 120.0, "adu"),
                    ("nobjects", 900.0, ""),
                )
            ),
        )

    def _verdicts(self, runs: Sequence[_Run]) -> None:
        rows = []
        for run in runs:
            if run.exposure is None or run.state not in ("done", "flagged"):
                continue
            i = run.exposure
            wave = np.sin(i / 31.0) * 0.15
            seeing, t_eff = 0.95 + wave + 0.05 * self.rng.random(), 0.75 - wave + 0.05 * self.rng.random()
            accepted = "False" if i % 17 == 3 else "True"
            rows.append(
                (
                    run.unit, self._expnum(i), self._nite(i // PER_NIGHT), self._band(i), run.id, "D", "True", accepted,
                    "badT" if accepted == "False" else "", "assess", "pipeline", _text(run.end or run.begin),
                    0.2 if accepted == "False" else float(t_eff), float(seeing),
                    float(2.5 + wave + 0.2 * self.rng.random()), 0.05, float(30.1 - wave / 5),
                )
            )  # fmt: skip
        self._put(
            "firstcut_eval",
            "exposurename expnum nite band pfw_attempt_id camsym processed accepted reason program analyst "
            "lastchanged_time t_eff fwhm_asec skybrightness cloud magzero",
            rows,
        )

    def _queue(self, runs: Sequence[_Run]) -> None:
        newest = {run.unit: run for run in runs}
        rows = []
        for run in newest.values():
            state = {"running": "submitted", "failed": "gave_up"}.get(run.state, "done")
            i = run.exposure
            night = (run.id if i is None else i) // PER_NIGHT
            rows.append(
                (
                    run.unit, run.pipeline, self.campaign, run.unit if i is None else self._nite(night),
                    None if i is None else self._expnum(i), None if i is None else self._band(i), "survey", state, 20,
                    "its attempt is done" if state == "done" else "module detrend: no bias serves" if state == "gave_up"
                    else "its attempt runs", _text(run.begin + timedelta(hours=24)), run.attnum, 3, "{}", run.id,
                    None, _text(run.begin - timedelta(minutes=2)), _text(run.end or run.begin),
                )
            )  # fmt: skip
        # What waits: exposures that arrived last have no attempt yet.
        last = self.nights - 1
        for k in range(150):
            name = f"D{self._expnum(self.exposures + k):08d}"
            held = k % 11 == 4
            rows.append(
                (
                    name, "firstcut", self.campaign, self._nite(last), self._expnum(self.exposures + k), "r", "survey",
                    "held" if held else "waiting", 20, "held by kim: the dome was closed" if held
                    else "policy 1 (First Cut of each science exposure)", _text(self._begin(self.exposures + k)), 0, 3,
                    "{}", None, "kim" if held else None, _text(self._begin(self.exposures + k)),
                    _text(self._begin(self.exposures + k)),
                )
            )  # fmt: skip
        self._put(
            "ops_auto_queue",
            "unitname pipeline campaign nite expnum band programme state rank why due_at tries max_tries settings "
            "pfw_attempt_id held_by arrived_at updated_at",
            rows,
        )

    def _deliveries(self) -> None:
        rows, listed = [], []
        for i in range(self.exposures):
            begin = self._begin(i)
            name = f"D{self._expnum(i):08d}.fits.fz"
            nite = self._nite(i // PER_NIGHT)
            rows.append(
                ("ctio", name, f"/dts/{name}", 520_000_000, _digest(name)[:32], self._expnum(i), nite, "2012B-0001",
                 "survey", "ingested", None, None, "", 1 + i, 0, _text(begin + timedelta(minutes=3)),
                 _text(begin + timedelta(minutes=3)), _text(begin + timedelta(minutes=4)))
            )  # fmt: skip
            listed.append(
                ("ctio", name, nite, self._expnum(i), _text(begin + timedelta(minutes=2)), "list", True)
            )
            if i % 83 == 11:
                bad = f"DECam_{self._expnum(i):08d}_x.fits.fz"
                rows.append(
                    ("ctio", bad, f"/dts/quarantine/{bad}", 410_000_000, None, None, nite, None, None, "quarantined",
                     "checksum", "its md5 is 1f0c…, the sender announced 77ab…", "", None, 0,
                     _text(begin + timedelta(minutes=3)), _text(begin + timedelta(minutes=3)), None)
                )  # fmt: skip
        for k in range(12):
            begin = self._begin(self.exposures + k)
            name = f"D{self._expnum(self.exposures + k):08d}.fits.fz"
            listed.append(
                (
                    "ctio",
                    name,
                    self._nite(self.nights - 1),
                    self._expnum(self.exposures + k),
                    _text(begin),
                    "list",
                    True,
                )
            )
        self._put(
            "delivery",
            "source filename path filesize md5_found expnum nite propid programme state reason_code reason waived "
            "desfile_id tries noticed_at checked_at ingested_at",
            rows,
        )
        self._put("delivery_expected", "source filename nite expnum expected_at listed_in delivered", listed)

    def _messages(self, runs: Sequence[_Run]) -> int:
        def rows() -> Iterator[tuple[object, ...]]:
            for run in runs:
                for k in range(_MESSAGES):
                    first = run.state == "failed" and k == 0
                    level = 1 if first else 2 if k < 3 else 3
                    text = (
                        'no bias of CCD 3 serves; see <calibrations> & "epochs"'
                        if first
                        else _TEXTS[k % len(_TEXTS)]
                    )
                    log = f"{run.name}_{_MODULES[k % len(_MODULES)]}_J{_JOBS:04d}_{k}.log"
                    yield (
                        run.last_task, run.id, _text(run.begin), level, "error" if first else "level", "none", text, log,
                        10 + k,
                    )  # fmt: skip

        self._put(
            "task_message",
            "task_id pfw_attempt_id message_time message_lvl pattern action message log_file log_line",
            rows(),
        )
        return len(runs) * _MESSAGES

    def _problems(self, runs: Sequence[_Run]) -> int:
        count = self.attempts // 10
        severities = ("watch", "nuisance", "degrade", "block")
        rows = []
        for k in range(count):
            run = runs[(k * len(runs)) // count]
            closed = k % 9 != 0
            at = _text(run.end or run.begin)
            rows.append(
                (
                    "exposure" if run.exposure is not None else "nite", run.unit, "no bias of CCD 3 serves", False, "queue",
                    at, "kim" if closed else None, at if closed else None, "data marked" if closed else None,
                    f"{run.pipeline} of {run.unit} gave up", "closed" if closed else ("new", "confirmed", "in_work")[k % 3],
                    severities[k % 4], "", f"queue:{run.unit}:{k}", 1 + k % 3, at, at, None if k % 3 else "kim",
                    "fixed" if closed else None, run.id,
                )
            )  # fmt: skip
        self._put(
            "problem",
            "subject_kind subject text blocks opened_by opened_at closed_by closed_at resolution title state "
            "severity impression dedupe_key occurrences first_seen last_seen owner resolution_code pfw_attempt_id",
            rows,
        )
        return count

    def _log(self, runs: Sequence[_Run]) -> None:
        events, entries = [], []
        number = 0
        for run in runs:
            number += 1
            events.append((number, _text(run.end or run.begin), "attempt", "pipeline", run.name, run.id,
                           f"{run.name} is {run.state}", None))  # fmt: skip
            if run.exposure is None:
                number += 1
                events.append((number, _text(run.begin), "entry", "kim", run.unit, None,
                               "Clouds from 3 h UTC on; <b>closed</b> for 40 minutes.", None))  # fmt: skip
                entries.append((number, run.unit, "weather", 0.7, "weather"))
        self._put("event", "id event_time kind who subject pfw_attempt_id text reason", events)
        self._put("logbook", "event_id nite category time_lost_h loss", entries)

    def _ccds(self, runs: Sequence[_Run]) -> int:
        """The reduced images of the newest good attempt at each exposure, one a CCD."""
        good = [run for run in runs if run.exposure is not None and run.state in ("done", "flagged")]
        first = self.exposures + 1

        def names() -> Iterator[tuple[int, _Run, int, str]]:
            at = first
            for run in good:
                for ccd in sorted(_CCDS):
                    yield (
                        at,
                        run,
                        ccd,
                        f"{run.unit}_{self._band(run.exposure or 0)}_c{ccd:02d}_r2p{run.attnum:02d}_immasked.fits",
                    )
                    at += 1

        self._put(
            "desfile",
            "id filename compression filetype filesize sha256 md5sum pfw_attempt_id",
            (
                (at, name, ".fz", "red_immask", 16_000_000, f"{at:064x}", f"{at:032x}", run.id)
                for at, run, _, name in names()
            ),
        )
        self._put(
            "image",
            "desfile_id expnum ccdnum band nite ra_cent dec_cent exptime mag_zero fwhm skybrite",
            (
                (
                    at, self._expnum(run.exposure or 0), ccd, self._band(run.exposure or 0),
                    self._nite((run.exposure or 0) // PER_NIGHT), ((run.exposure or 0) * 7.3) % 360,
                    -60 + ((run.exposure or 0) * 1.7) % 65, 90.0, 30.0, 3.6, 120.0,
                )
                for at, run, ccd, _ in names()
            ),
        )  # fmt: skip
        self._put(
            "file_archive_info",
            "desfile_id archive_name path state",
            ((at, self.archive, f"OPS/firstcut/{run.name}/red", "ok") for at, run, _, _ in names()),
        )
        return len(good) * len(_CCDS)


@dataclass(slots=True)
class _Run:
    """An attempt; ``last_task`` is the newest of its tasks."""

    id: int
    reqnum: int
    unit: str
    attnum: int
    pipeline: str
    exposure: int | None
    state: str
    end: datetime | None
    begin: datetime
    last_task: int = 0

    @property
    def name(self) -> str:
        """``<unit>_r<req>p<att>``."""
        return f"{self.unit}_r{self.reqnum}p{self.attnum:02d}"


def _text(at: datetime) -> str:
    """A time as SQLAlchemy stores it in SQLite."""
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


assert tables
