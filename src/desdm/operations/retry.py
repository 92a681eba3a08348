"""Repeat an attempt with a reason: the same again, its failed part, or with other settings, calibrations, programs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive.archive import Archive
from desdm.archive.calibrations import file_known
from desdm.config import Config
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.framework import store
from desdm.framework.configs import module_configs
from desdm.framework.model import Attempt
from desdm.framework.pipeline import Module, Pipeline
from desdm.framework.process import current_state
from desdm.framework.scope import run_class_of
from desdm.framework.sections import Settings
from desdm.framework.settings import UNIT_KEYS, KnownSettings, settings_of_unit
from desdm.framework.submit import Submission, submit
from desdm.framework.watch import store as watch
from desdm.pipelines import get
from desdm.schema.database import Database
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState, RunClass
from desdm.schema.store import require_reason

__all__ = [
    "Change",
    "Changes",
    "PlanChanged",
    "Retry",
    "operator_settings",
    "parse_changes",
    "plan_digest",
    "plan_retry",
    "require_same_plan",
    "submit_retry",
]

_KINDS = "software=PROGRAM:PATH, calibration=TYPE:FILE or setting=KEY:VALUE"
#: Parts of the keys of settings by which a run calls a program or a function.
_CALLS = frozenset(("exec", "program", "wrappername", "inclfunc", "func"))
_PLAIN = re.compile(r"[\w.,:+-]{1,200}", re.ASCII)
#: Settings, or sections of them, that decide what data are judged by, which are taken, and what a run counts as.
_JUDGING = frozenset(("qcf", "use_qcf", "assessment", "inputs", "project", "campaign"))
_UNFINISHED = (AttemptState.FAILED, AttemptState.INTERRUPTED, AttemptState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that a new attempt changes; empty ``before``: the attempt that it repeats had none."""

    key: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new attempt is to do differently.

    Attributes
    ----------
    settings
        Value by dotted key.
    calibrations
        File by type of calibration.
    programs
        Path by name of the program.
    """

    settings: Mapping[str, str]
    calibrations: Mapping[str, str]
    programs: Mapping[str, str]

    @property
    def any(self) -> bool:
        """Whether anything is to be done differently."""
        return bool(self.settings or self.calibrations or self.programs)

    def require_plain(self) -> None:
        """Refuse what lets a run call a program or function of the machine, or name a path of it.

        At the command line a person has the rights of the installation; in a browser only those of an account.

        Raises
        ------
        UsageError
            A change of a program, a setting that names one, or a value with other than letters, digits and ``_.,:+-``.
        """
        if self.programs:
            raise UsageError(
                "programs are changed at the command line only: desdm retry RUN --with software=…"
            )
        for key, value in [*self.settings.items(), *self.calibrations.items()]:
            if _CALLS.intersection(key.lower().split(".")):
                raise UsageError(f"{key} names a program; it is changed at the command line only")
            if _PLAIN.fullmatch(value) is None:
                raise UsageError(
                    f"{key}: a value given here has letters, digits and _ . , : + - only; others are given at the "
                    "command line: desdm retry RUN --with setting=KEY:VALUE"
                )


@dataclass(frozen=True, slots=True)
class Retry:
    """What a retry does.

    Attributes
    ----------
    attempt
        The attempt that is repeated, or gone on with.
    pipeline
        Its pipeline.
    only_failed
        Whether the attempt itself goes on at its first module that is not done.
    settings
        Settings of the new attempt.
    changes
        Those that differ from the attempt's.
    reason
        Why.
    """

    attempt: Attempt
    pipeline: Pipeline
    only_failed: bool
    settings: Mapping[str, str]
    changes: tuple[Change, ...]
    reason: str

    def require_rights(self, *, may_judge: bool) -> None:
        """Refuse changes that decide a verdict, or make a production run of a trial, by a person at a page.

        Who operates says how data are processed, not what they are judged by. Of a production run (``run_class`` survey)
        these need the right to judge: settings of the modules that give a verdict (with an output of type ``qa_assess``),
        the quality controls (``qcf``, ``use_qcf``), which data a run may take (``assessment``, ``inputs``), ``project`` and
        ``campaign``. A trial supersedes nothing, and may change them; no page makes a production run of it. At the command
        line a person has the rights of the installation, and this is not asked.

        Parameters
        ----------
        may_judge
            Whether the person may judge data.

        Raises
        ------
        UsageError
            A change that the person may not make.
        """
        production = run_class_of(self.settings) is RunClass.SURVEY
        if production and any(change.key == "run_class" for change in self.changes):
            raise UsageError(
                "run_class: a trial is made a production run at the command line only: desdm retry RUN --with "
                "setting=run_class:survey"
            )
        if may_judge or not production:
            return
        judging = _JUDGING | {m.name for _, m in self.pipeline.modules() if _gives_verdict(m)}
        for change in self.changes:
            if change.key.partition(".")[0] in judging:
                raise UsageError(
                    f"{change.key} decides a verdict or what counts as production, which is for the offices "
                    "qa and prod_sci; leave it away, or make a trial, which supersedes nothing: add setting=run_class:study"
                )


def parse_changes(texts: Sequence[str]) -> Changes:
    """Parse the texts ``software=PROGRAM:PATH``, ``calibration=TYPE:FILE`` and ``setting=KEY:VALUE``.

    Raises
    ------
    UsageError
        A text has another form, or says of one thing two things.
    """
    parsed: dict[str, dict[str, str]] = {"setting": {}, "calibration": {}, "software": {}}
    for text in texts:
        kind, equals, rest = text.partition("=")
        key, colon, value = rest.partition(":")
        kind, key = kind.strip().lower(), key.strip()
        if kind not in parsed or not (equals and colon and key and value.strip()):
            raise UsageError(f"--with {text}: write {_KINDS}")
        if parsed[kind].setdefault(key, value.strip()) != value.strip():
            raise UsageError(f"--with {text}: {kind} {key} has two values; give one")
    return Changes(parsed["setting"], parsed["calibration"], parsed["software"])


def plan_retry(
    conn: Connection, run: str, changes: Changes, *, reason: str, only_failed: bool = False
) -> Retry:
    """Say what a retry of a run does; nothing is written.

    Parameters
    ----------
    conn
        The database.
    run
        Name of the attempt.
    changes
        What is to be done differently.
    reason
        Why.
    only_failed
        Go on with the attempt at its first module that is not done, instead of a new one.

    Raises
    ------
    UsageError
        No reason, a change of an attempt that goes on, a change of the unit, or a setting, calibration or program that
        is not known.
    ConflictError
        The attempt has not ended, or nothing of it failed.
    NotFoundError
        There is no such run, or its pipeline has no name here.
    """
    require_reason(reason)
    attempt = store.attempt_by_name(conn, run)
    state = current_state(attempt)
    if state in (AttemptState.RUNNING, AttemptState.PLANNED):
        raise ConflictError(
            f"{attempt.run} is {state.value}; wait for its end, or end it: desdm cancel {attempt.run}"
        )
    try:
        pipeline = get(attempt.pipeline)
    except NotFoundError as err:
        raise NotFoundError(
            f"{attempt.run} is of pipeline {attempt.pipeline}, which comes from a submit WCL; repeat it with: "
            "desdm submit FILE --again"
        ) from err
    before = operator_settings(conn, attempt, pipeline)
    if only_failed:
        if changes.any:
            raise UsageError(
                "--only-failed goes on with the same attempt; leave --with away, or make a new attempt"
            )
        if state not in _UNFINISHED:
            raise ConflictError(
                f"{attempt.run} is {state.value}: nothing of it failed; leave --only-failed away"
            )
        return Retry(attempt, pipeline, True, before, (), reason.strip())
    after = {
        **before,
        **{key.lower(): value for key, value in changes.settings.items()},
        **_calibration_settings(conn, pipeline, changes.calibrations),
        **_program_settings(pipeline, changes.programs),
    }
    record = watch.configuration(conn, attempt.id)
    effective = {**dict(_flat(record.settings)), **dict(_flat(record.modules)), **before}
    differing = [
        Change(key, effective.get(key, ""), value)
        for key, value in after.items()
        if effective.get(key) != value
    ]
    _require_same_unit(attempt, pipeline, differing)
    return Retry(
        attempt, pipeline, False, after, tuple(sorted(differing, key=lambda c: c.key)), reason.strip()
    )


class PlanChanged(ConflictError):
    """The plan of a retry is not the one that a person saw."""


def plan_digest(retry: Retry, submission: Submission | None) -> str:
    """Return a digest of what a plan shows and what decides its results, to tell whether it has changed.

    Parameters
    ----------
    retry
        What is to be done.
    submission
        Its dry run; None if the attempt itself goes on.
    """
    attempt = retry.attempt
    content: list[object] = [attempt.run, attempt.state, attempt.fingerprint, sorted(retry.settings.items())]
    if submission is not None:
        content += [
            submission.run,
            submission.fingerprint,
            submission.jobs,
            submission.wrappers,
            sorted(submission.inputs, key=repr),
            sorted((c.file.id, c.file.filename, c.rule.value, c.reason) for c in submission.calibrations),
            sorted((one.filename, one.ccdnum, one.reason) for one in submission.omitted),
            sorted(submission.notes),
        ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def require_same_plan(retry: Retry, submission: Submission | None, seen: str) -> None:
    """Refuse to start another plan than the one that a person saw.

    Parameters
    ----------
    retry
        What is to be done.
    submission
        The plan of the new attempt; None if the attempt itself goes on.
    seen
        `plan_digest` of what was shown; empty: no plan was shown.

    Raises
    ------
    PlanChanged
        Its digest is another one.
    """
    if seen and plan_digest(retry, submission) != seen:
        raise PlanChanged(
            "the plan has changed since it was shown: calibrations, inputs, notes or programs are others; nothing was "
            "started. Look at the plan below, which holds now"
        )


def submit_retry(
    config: Config,
    database: Database,
    archive: Archive,
    retry: Retry,
    *,
    dry_run: bool = False,
    seen: str = "",
) -> Submission:
    """Plan the new attempt of a retry, which names the attempt that it replaces; `UsageError` if that goes on itself.

    Parameters
    ----------
    config, database, archive
        The installation.
    retry
        What to do.
    dry_run
        Plan and check, write nothing.
    seen
        `plan_digest` of the plan that was shown; empty: none was.

    Raises
    ------
    PlanChanged
        The plan is not the one that was shown.
    """
    if retry.only_failed:
        raise UsageError(f"{retry.attempt.run} goes on itself: resume it")
    return submit(
        config,
        database,
        archive,
        retry.pipeline,
        retry.settings,
        who=config.operator,
        again=True,
        dry_run=dry_run,
        reason=f"repeats {retry.attempt.run}: {retry.reason}",
        replaces=retry.attempt.id,
        check=lambda submission: require_same_plan(retry, submission, seen),
    )


def _require_same_unit(attempt: Attempt, pipeline: Pipeline, changes: Sequence[Change]) -> None:
    """Refuse changes that make another unit of it, whose products would have the name of this one."""
    of_unit = settings_of_unit(pipeline)
    for change in changes:
        if change.key in of_unit:
            key = UNIT_KEYS.get(pipeline.unit, pipeline.unit)
            raise UsageError(
                f"{change.key} says which {pipeline.unit} a run is of, and a retry of {attempt.run} is of "
                f"{attempt.unitname}; submit the other one: desdm submit {pipeline.name} --set {key}=…"
            )


def operator_settings(conn: Connection, attempt: Attempt, pipeline: Pipeline) -> dict[str, str]:
    """Return the settings by which an attempt differs from its pipeline, without what the pipeline finds out itself.

    Parameters
    ----------
    conn
        The database.
    attempt, pipeline
        The attempt, and its pipeline.
    """
    known = KnownSettings(pipeline)
    defaults = dict(_flat(pipeline.settings))
    settings = dict(_flat(watch.configuration(conn, attempt.id).settings))
    return {
        key: value for key, value in settings.items() if defaults.get(key) != value and known.contains(key)
    }


def _gives_verdict(module: Module) -> bool:
    """Whether a module gives the verdict on an exposure."""
    return any(output.filetype == "qa_assess" for output in module.outputs)


def _flat(tree: Settings, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of nested settings with their dotted keys."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        elif isinstance(value, str):
            yield f"{path}{key}".lower(), value


def _calibration_settings(conn: Connection, pipeline: Pipeline, files: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that name calibrations; `UsageError` or `NotFoundError` for one that cannot serve."""
    types = {f.filetype for _, module in pipeline.modules() for f in module.inputs if f.calibration}
    settings = {}
    for filetype, name in files.items():
        if filetype not in types:
            raise UsageError(
                f"--with calibration={filetype}:{name}: pipeline {pipeline.name} takes {', '.join(sorted(types)) or 'none'}"
            )
        if RunName.parse(name) is None and not file_known(conn, filetype, name):
            raise NotFoundError(
                f"--with calibration={filetype}:{name}: no such file; see: desdm files --filetype {filetype}"
            )
        settings[f"calibration.{filetype}"] = name
    return settings


def _program_settings(pipeline: Pipeline, programs: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that name programs, in each module that calls them; `UsageError` for an unknown one."""
    settings = {}
    known: set[str] = set()
    for module, config in module_configs(pipeline)[0].items():
        section = config.get("exec", {})
        names = set(section) if isinstance(section, Mapping) else set()
        known |= names
        settings.update({f"{module}.exec.{name}.program": programs[name] for name in names & set(programs)})
    unknown = sorted(set(programs) - known)
    if unknown:
        raise UsageError(
            f"--with software={unknown[0]}:…: pipeline {pipeline.name} calls {', '.join(sorted(known)) or 'no program'}; "
            "desdm itself is the software of the installation: update it, then retry"
        )
    return settings
