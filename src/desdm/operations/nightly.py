"""A night's work: calibrations of the night, First Cut of each exposure that has arrived, and a verdict on every one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from desdm.archive.archive import Archive
from desdm.archive.model import Scope
from desdm.config import Config
from desdm.errors import ConflictError, DesdmError, NotFoundError, PlanError
from desdm.framework.drive import Progress
from desdm.framework.engines import Engine
from desdm.framework.parallel import drive_many
from desdm.framework.scope import run_class_of
from desdm.framework.settings import KnownSettings
from desdm.framework.submit import Submission, submit
from desdm.operations.acceptance import VerdictRow, accepted_tag, refresh_tags_of_exposures
from desdm.operations.arrival import Arrival, arrivals
from desdm.operations.unassessed import NIGHTLY, Exposure, is_production, record_unassessed
from desdm.pipelines import get
from desdm.quality.qa.exclusions import with_exclusions
from desdm.quality.qa.uncounted import listed_verdict
from desdm.quality.qa.verdict import verdicts
from desdm.schema.database import Database
from desdm.schema.states import AttemptState, Verdict

__all__ = ["Night", "Work", "accepted_tag", "parallel_runs", "precal_settings", "run_night"]

#: State of a run that another process drives.
ELSEWHERE = "driven elsewhere"
_GOOD = (AttemptState.DONE, AttemptState.FLAGGED)


@dataclass(frozen=True, slots=True)
class Work:
    """What the night's work needs of an installation, and of whoever watches.

    ``engine`` makes an engine for a batch of runs; ``say`` takes one line of text; ``watch`` a run's progress.
    """

    config: Config
    database: Database
    archive: Archive
    engine: Callable[[], Engine]
    say: Callable[[str], object] = lambda text: None
    watch: Callable[[str, Progress], None] = lambda run, progress: None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Night:
    """What a night's work came to: its runs, and the verdict that counts of each exposure that is no calibration.

    A verdict has the further key ``exclusions`` (`desdm.quality.qa.exclusions.with_exclusions`).
    """

    nite: str
    runs: Mapping[str, str]
    verdicts: Sequence[VerdictRow]

    @property
    def accepted(self) -> list[VerdictRow]:
        """The verdicts of the accepted exposures that are not excluded."""
        return [
            v
            for v in self.verdicts
            if v["accepted"] == Verdict.ACCEPTED and all(e["ccdnum"] for e in v["exclusions"])
        ]


def run_night(work: Work, nite: str, *, settings: Mapping[str, str] | None = None) -> Night:
    """Process what has arrived of a night; what is done already is taken over.

    Parameters
    ----------
    nite
        YYYYMMDD.
    settings
        Values for every run of the night (``campaign``, ``calibration_nights`` …).

    Raises
    ------
    UsageError
        A setting is known to neither pipeline.
    NotFoundError
        Nothing has arrived of that night.
    """
    overrides = dict(settings or {})
    settings_by_pipeline = _settings_of(overrides)
    with work.database.read() as conn:
        exposures_of_night = arrivals(conn, nite)
    if not exposures_of_night:
        raise NotFoundError(f"no raw exposure of night {nite} is in the archive; see: desdm ingest")
    scope = _scope(work.config, overrides)
    runs = _precal(work, nite, exposures_of_night, settings_by_pipeline["precal"])
    exposures = [a for a in exposures_of_night if not a.calibration]
    runs |= _firstcut(work, exposures, settings_by_pipeline["firstcut"], scope)
    numbers = [a.expnum for a in exposures]
    with work.database.read() as conn:
        counting = verdicts(conn, "firstcut", numbers, scope)
        judged = with_exclusions(conn, [listed_verdict(row) for row in counting])
    if is_production(work.config, scope):
        with work.database.write() as conn:
            refresh_tags_of_exposures(
                conn, scope, numbers, who=work.config.operator, reason=f"night {nite} processed"
            )
    return Night(nite, runs, judged)


def _scope(config: Config, settings: Mapping[str, str]) -> Scope:
    """The attempts of this night's work: its own project, campaign and run class."""
    project, campaign = settings.get("project") or config.project, settings.get("campaign") or config.campaign
    return Scope(project, campaign, (run_class_of(settings),))


def _settings_of(settings: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Pipeline → the settings that it knows; one that neither pipeline knows is refused before anything is run."""
    by_pipeline = {name: KnownSettings(get(name)) for name in ("precal", "firstcut")}
    for key in settings:
        if not any(known_settings.contains(key) for known_settings in by_pipeline.values()):
            by_pipeline["firstcut"].check([key])
    return {
        name: {k: v for k, v in settings.items() if known_settings.contains(k)}
        for name, known_settings in by_pipeline.items()
    }


def _submit(work: Work, pipeline: str, settings: Mapping[str, str]) -> Submission:
    """Submit a pipeline; an attempt at the same work that is not done is resumed."""
    return submit(
        work.config,
        work.database,
        work.archive,
        get(pipeline),
        settings,
        who=work.config.operator,
        again=work.again,
        resume=True,
    )


def _drive(work: Work, runs: Sequence[str], at_once: int) -> dict[str, str]:
    """Drive runs to their ends; return the state of each."""
    if not runs:
        return {}
    ends = drive_many(
        work.config,
        work.database,
        work.archive,
        runs,
        work.engine(),
        who=work.config.operator,
        at_once=at_once,
        watch=work.watch,
    )
    states = {}
    for run, end in ends.items():
        if isinstance(end, AttemptState):
            states[run] = end.value
        elif isinstance(end, ConflictError):
            work.say(f"{run}: {end}")
            states[run] = ELSEWHERE
        elif isinstance(end, DesdmError):
            work.say(f"{run}: {end}")
            states[run] = "not driven"
        else:
            raise end
    return states


def _precal(
    work: Work, nite: str, exposures: Sequence[Arrival], settings: Mapping[str, str]
) -> dict[str, str]:
    """Run precal on the night's calibration frames; return the state of its run."""
    if not any(a.calibration and not a.refused for a in exposures):
        work.say(f"night {nite}: no calibration frames have arrived; near nights' calibrations serve")
        return {}
    try:
        planned = _submit(work, "precal", {**settings, **precal_settings(nite, exposures)})
    except PlanError as err:
        # Near nights' calibrations may serve: the plan of each exposure checks that.
        work.say(f"night {nite}: no precal: {err}")
        return {}
    if planned.reused:
        work.say(f"{planned.run} has done this work already and is taken over")
        return {planned.run: planned.state.value}
    work.say(f"running {planned.run}: {planned.jobs} jobs, {planned.wrappers} wrappers")
    return _drive(work, [planned.run], 1)


def precal_settings(nite: str, exposures: Sequence[Arrival]) -> dict[str, str]:
    """Return the settings of precal of a night: the night, and the calibration frames that it must not use."""
    banned = sorted({a.expnum for a in exposures if a.calibration and a.refused})
    return {"nite": nite} | ({"exclude": ",".join(map(str, banned))} if banned else {})


def _firstcut(
    work: Work, exposures: Sequence[Arrival], settings: Mapping[str, str], scope: Scope
) -> dict[str, str]:
    """Run First Cut on the exposures; return the state of each run."""
    runs: dict[str, str] = {}
    todo: dict[str, Arrival] = {}
    for exposure in exposures:
        if exposure.refused:
            _record_verdict(work, scope, exposure, Verdict.REJECTED, exposure.refused, processed=False)
            continue
        try:
            planned = _submit(work, "firstcut", {**settings, "expnum": str(exposure.expnum)})
        except PlanError as err:
            work.say(f"exposure {exposure.expnum}: {err}")
            _record_verdict(
                work, scope, exposure, Verdict.UNKNOWN, f"unkn: not processed: {err}", processed=False
            )
            continue
        if planned.reused:
            runs[planned.run] = planned.state.value
        else:
            todo[planned.run] = exposure
    if todo:
        work.say(f"running firstcut of {len(todo)} exposures")
    ended = _drive(work, list(todo), parallel_runs(work.config))
    with work.database.read() as conn:
        judged = {
            v["exposurename"]: v for v in verdicts(conn, "firstcut", [a.expnum for a in todo.values()], scope)
        }
    for run, state in ended.items():
        word = judged.get(f"D{todo[run].expnum:08d}")
        if state == ELSEWHERE:
            continue  # who drives it judges it
        if state not in (s.value for s in _GOOD):
            _record_verdict(
                work, scope, todo[run], Verdict.UNKNOWN, f"unkn: its run {run} is {state}", processed=True
            )
        elif word is None or word["program"] == NIGHTLY:
            _record_verdict(
                work,
                scope,
                todo[run],
                Verdict.UNKNOWN,
                f"unkn: its run {run} made no verdict",
                processed=True,
            )
    return runs | ended


def parallel_runs(config: Config) -> int:
    """Return how many runs are driven at once: one more than workers, so that none waits while a driver registers."""
    import os

    return (config.workers or len(os.sched_getaffinity(0))) + 1


def _record_verdict(
    work: Work, scope: Scope, exposure: Arrival, verdict: Verdict, reason: str, *, processed: bool
) -> None:
    """Record a verdict on an exposure that was not processed, or whose run failed; a trial records none."""
    if not is_production(work.config, scope):
        return
    subject = Exposure(exposure.expnum, exposure.nite, exposure.band)
    with work.database.write() as conn:
        record_unassessed(conn, scope, subject, verdict, reason, processed=processed)
