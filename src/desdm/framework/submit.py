"""Submit a pipeline: settings, queries, checks, a plan, and all rows of it in one transaction.

Nothing is queued before everything is checked: every query has a result, every input lies in the archive,
every name is free. The same work is not done twice: pipeline, codes, settings and inputs make a fingerprint, and
an attempt that has it and is done is reused, unless ``again`` asks for a new one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection

from desdm import wcl
from desdm.archive.archive import Archive
from desdm.archive.calibrations import (
    CalibrationChoice,
    CalibrationRequest,
    RejectedCalibration,
    choose,
    explain_none,
)
from desdm.archive.catalog import missing_tag
from desdm.archive.catalogfile import CatalogFile
from desdm.archive.store import attempt_facts, excluded, lock_exclusions
from desdm.config import Config
from desdm.errors import ConflictError, MissingCalibration, PlanError, UsageError, WCLError, storage_error
from desdm.framework import store
from desdm.framework.commandlines import check_command_lines
from desdm.framework.configs import is_program, module_configs, overlay_settings
from desdm.framework.filenames import expand_value
from desdm.framework.inputdigests import write_inputs
from desdm.framework.inputs import find_by_name, find_by_program, query_value, resolved_identity
from desdm.framework.jobwcl import JobRenderer, check_lists
from desdm.framework.model import Attempt
from desdm.framework.objectstore import budget
from desdm.framework.picking import InputError
from desdm.framework.pipeline import FileSet, Module, Pipeline
from desdm.framework.plan import Plan, PlannedInput, make_plan
from desdm.framework.process import is_in_progress
from desdm.framework.record import ConfigRecord, archive_record
from desdm.framework.refusals import describe_refusal, describe_suspects, describe_unused
from desdm.framework.scope import ASSESSMENT, InputFinder, Scopes, run_class_of, scopes_of
from desdm.framework.sections import Settings, Tree, section, texts_of
from desdm.framework.settings import UNIT_KEYS, KnownSettings
from desdm.framework.software import cached_file_digest, system_software
from desdm.modes import make_private
from desdm.quality.qa.flags import marks_concern, read_flags
from desdm.quality.qa.selection import AssessmentPolicy, Omitted
from desdm.quality.qa.store import lock_marks, newest_mark_number
from desdm.schema.database import Database
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState, DataState

__all__ = ["Submission", "submit"]

FilesByInput: TypeAlias = dict[tuple[str, str], list[CatalogFile]]


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted run."""

    run: str
    state: AttemptState
    jobs: int = 0
    wrappers: int = 0
    #: True: the same work stands already, nothing new was planned
    reused: bool = False
    #: what the plan takes from the archive, and what it leaves out (of a dry run, or of a new plan)
    inputs: tuple[PlannedInput, ...] = ()
    omitted: tuple[Omitted, ...] = ()
    calibrations: tuple[CalibrationChoice, ...] = ()
    #: what a person should know of the calibrations that were chosen
    notes: tuple[str, ...] = ()
    #: digest of everything that determines the results (of a dry run, or of a new plan)
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs of a run: files by module and input, the queries with their counts, the calibrations.

    ``passed`` are calibrations that were not chosen though they lay nearer or were named; ``notes`` are for people.
    """

    files_by_input: FilesByInput
    queries: list[tuple[str, str, str, int]]
    choices: list[CalibrationChoice]
    passed: tuple[Omitted, ...]
    notes: tuple[str, ...]


def submit(
    config: Config,
    database: Database,
    archive: Archive,
    pipeline: Pipeline,
    settings: Mapping[str, str],
    *,
    who: str,
    labels: Sequence[str] = (),
    again: bool = False,
    resume: bool = False,
    dry_run: bool = False,
    top: Mapping[str, str] | None = None,
    reason: str = "",
    replaces: int | None = None,
    link: Callable[[Connection, int, str], object] = lambda conn, attempt_id, run: None,
    check: Callable[[Submission], object] = lambda submission: None,
) -> Submission:
    """Plan an attempt of a pipeline and write it down; `drive` runs it.

    Parameters
    ----------
    settings
        Operator's values by key; a dotted key (``psfex.psfvar_degrees``) goes into that section.
        ``unitname`` (or the pipeline's unit: ``tilename``, ``nite``, ``expnum``), ``reqnum``, ``project``,
        ``campaign`` and ``jira_id`` say what the attempt is called; ``run_class`` says what it is for.
    again
        Make a new attempt even if the same work is done.
    resume
        Go on with an attempt at the same work that is not done, if there is one.
    dry_run
        Plan and check, write nothing.
    top
        The values at the top of a submit WCL; ``settings`` overlay them.
    who, reason
        Who submits it, and why; they stay on record.
    replaces
        Number of the attempt that a new one repeats.
    link
        Called with the transaction, number and name of the attempt, new or existing; its error prevents the submission.
    check
        Called with the plan, before anything of it is written; its error prevents the submission.

    Raises
    ------
    UsageError
        If the pipeline does not know a setting.
    PlanError
        If a query is empty, an input is missing, or the pipeline is not sound.
    ConflictError
        If another process is at the same work now.
    """
    while True:
        try:
            return _submit(
                config,
                database,
                archive,
                pipeline,
                settings,
                _Options(who, tuple(labels), again, resume, dry_run, top, reason, replaces, link, check),
            )
        except _FlagsChanged:
            continue  # somebody excluded, judged or freed an exposure while this was planned


class _FlagsChanged(Exception):
    """Verdicts, exclusions, marks or data states that a plan read were changed before it was written."""


@dataclass(frozen=True, slots=True)
class _Options:
    """Options of a submission, as of `submit`."""

    who: str
    labels: tuple[str, ...]
    again: bool
    resume: bool
    dry_run: bool
    top: Mapping[str, str] | None
    reason: str
    replaces: int | None
    link: Callable[[Connection, int, str], object]
    check: Callable[[Submission], object]


def _submit(
    config: Config,
    database: Database,
    archive: Archive,
    pipeline: Pipeline,
    settings: Mapping[str, str],
    options: _Options,
) -> Submission:
    """Plan an attempt once; `_FlagsChanged` if the verdicts and exclusions that it read do not hold when it is written."""
    top, again, dry_run = options.top, options.again, options.dry_run
    base, codes = module_configs(pipeline)
    known = KnownSettings(pipeline, base, top or ())
    known.check(settings)
    known.check_values(settings)
    if top is not None:
        known.check_modules(pipeline)
    run = _run_settings(pipeline, {**(top or {}), **settings})
    project, campaign = (
        _composed_setting(run, "project", config.project),
        _composed_setting(run, "campaign", config.campaign),
    )
    run_class = run_class_of(run)
    # The record of the attempt names its unit even if the installation's settings do.
    run |= {"project": project, "campaign": campaign, "run_class": run_class.value}
    scopes = scopes_of(config, run)
    budget(run, config.hold_memory)  # a setting that no worker could read is refused here
    _uses_quality_controls(run)
    with database.read() as conn:
        exposure = str(run.get("expnum", ""))
        finder = InputFinder(conn, scopes.inputs, int(exposure) if exposure.isdecimal() else None)
        run |= _inclfunc(pipeline, finder, run)
        run |= resolved_identity(run)
        inputs = _find_inputs(finder, pipeline, run, scopes)
        suspects = describe_suspects(
            conn, (file for files in inputs.files_by_input.values() for file in files)
        )
        if tag := missing_tag(conn, str(run.get("calibration_tag", ""))):
            suspects = (*suspects, f"there is no tag {tag} yet: calibration_tag chooses nothing")
        inputs = replace(inputs, notes=(*inputs.notes, *_exclusion_notes(conn, finder.own), *suspects))
        flags = read_flags(conn, _exposures(finder, inputs), finder.own)
        data_states = _data_states(conn, inputs)
        newest_mark = newest_mark_number(conn)
    files_by_input = inputs.files_by_input
    omitted = (*finder.omitted.values(), *inputs.passed)
    _check_archived(archive, files_by_input)
    configs = overlay_settings(base, run)
    unitname = _unit_name(pipeline, run)
    fingerprint = _fingerprint(pipeline, run, configs, codes, files_by_input)
    with database.write() as conn:
        store.lock_submissions(conn)
        lock_marks(conn)
        lock_exclusions(conn)
        read = chain.from_iterable(files_by_input.values())
        if (
            read_flags(conn, flags.expnums, flags.own) != flags
            or _data_states(conn, inputs) != data_states
            or marks_concern(conn, newest_mark, read, [one.desfile_id for one in omitted])
        ):
            raise _FlagsChanged
        same_work = _same_work(conn, pipeline, fingerprint, files_by_input, configs)
        done = (
            same_work is not None
            and same_work.state in (AttemptState.DONE, AttemptState.FLAGGED)
            and not again
        )
        existing = same_work if same_work is not None and not again and (done or options.resume) else None
        if existing is not None and not dry_run:
            jobs_of_run, wrappers_of_run = store.plan_size(conn, existing.id)
            options.link(conn, existing.id, existing.run)
            return Submission(existing.run, existing.state, jobs_of_run, wrappers_of_run, reused=done)
        if same_work is not None and not again and not dry_run and is_in_progress(same_work):
            raise ConflictError(
                f"{same_work.run} is the same work and under way, "
                f"by process {same_work.submitter_pid} on {same_work.submitter_host}; "
                "wait for it (desdm status), or make a new attempt with --again"
            )
        identity = store.number_attempt(
            conn,
            project=project,
            campaign=campaign,
            pipeline=pipeline.name,
            unitname=unitname,
            jira_id=str(run["jira_id"]) if "jira_id" in run else None,
            reqnum=_integer_setting(run, "reqnum"),
        )
        run_dir = _run_dir(pipeline, identity, project, run)
        try:
            plan = make_plan(pipeline, identity, run, files_by_input, run_dir)
        except InputError as err:
            raise PlanError(describe_refusal(conn, err, omitted)) from err
        jobs = list(plan.jobs)
        if not jobs:
            raise PlanError(f"pipeline {pipeline.name} plans no job at all")
        nwrap = sum(len(job.wrappers) for job in jobs)
        attempt_values = {
            "unitname": unitname,
            "reqnum": str(identity.reqnum),
            "attnum": str(identity.attnum),
        }
        check_command_lines(plan, run, configs, {**attempt_values, "run": identity.text})
        _check_programs(pipeline)
        submission = Submission(
            identity.text,
            AttemptState.PLANNED,
            len(jobs),
            nwrap,
            inputs=tuple(plan.inputs()),
            omitted=omitted,
            calibrations=tuple(inputs.choices),
            notes=inputs.notes,
            fingerprint=fingerprint,
        )
        if dry_run:
            check_lists(plan)
            conn.rollback()
            if existing is not None:
                return replace(submission, run=existing.run, state=existing.state, reused=done)
            return submission
        options.check(submission)
        folder = config.runs / identity.text
        common = {"archive_root": str(archive.root), "ops_run_dir": run_dir}
        try:
            texts = _write_jobs(folder, conn, common, pipeline, identity, plan, run, configs, codes)
        except OSError as err:
            raise storage_error(err, folder) from err
        number = store.insert_plan(
            conn,
            pipeline,
            identity,
            plan,
            values={k: v for k, v in run.items() if isinstance(v, str)},
            queries=inputs.queries,
            labels=options.labels,
            operator=options.who,
            archive_path=run_dir,
            fingerprint=fingerprint,
            calibrations=inputs.choices,
            run_class=run_class,
            omitted=omitted,
            reason=options.reason,
            replaces=options.replaces,
            flags=flags,
            jobroots={job.jobnum: str(folder / f"J{job.jobnum:04d}") for job in jobs},
        )
        archive_record(
            conn, archive, identity, number, run_dir, folder, ConfigRecord(run, configs, codes, texts)
        )
        options.link(conn, number, identity.text)
    return submission


def _exclusion_notes(conn: Connection, expnum: int | None) -> list[str]:
    """Say of the exposure that a run processes by itself that it, or CCDs of it, are excluded, and why."""
    notes = []
    for row in excluded(conn, [] if expnum is None else [expnum]):
        subject, whose = f"exposure {expnum}", "its"
        if row["ccdnum"]:
            subject, whose = f"CCD {row['ccdnum']} of {subject}", "the CCD's"
        notes.append(
            f"{subject} is excluded ({row['reason']}, by {row['analyst']}): {whose} products are made, but no coadd or "
            "calibration uses them"
        )
    return notes


def _exposures(finder: InputFinder, inputs: Inputs) -> set[int]:
    """Return the exposures whose verdicts and exclusions the plan read: those of its inputs, and those that it omits."""
    files = {file.expnum for files in inputs.files_by_input.values() for file in files}
    omitted = {one.expnum for one in (*finder.omitted.values(), *inputs.passed)}
    return {n for n in (*files, *omitted, finder.own) if n is not None}


def _data_states(conn: Connection, inputs: Inputs) -> dict[int, DataState]:
    """Return the data states of the attempts that made the inputs: files of one that is JUNK are not taken."""
    numbers = {f.pfw_attempt_id for files in inputs.files_by_input.values() for f in files}
    facts = attempt_facts(conn, sorted(n for n in numbers if n is not None))
    return {number: fact.data_state for number, fact in facts.items()}


def _uses_quality_controls(run: Settings) -> bool:
    """Return whether logs are read by the quality controls; `UsageError` if the setting is neither true nor false."""
    try:
        return wcl.truth(str(run.get("use_qcf", "true")))
    except WCLError as err:
        raise UsageError(f"use_qcf: {err.message}") from err


def _composed_setting(run: Settings, key: str, default: str) -> str:
    """The project or campaign of a run, which may be composed of other settings."""
    text = str(run.get(key) or default)
    if "$" not in text:
        return text
    try:
        return expand_value(text, run)
    except WCLError as err:
        raise PlanError(f"{key} = {text}: {err.message}; set it: --set {key}=VALUE") from err


def _run_settings(pipeline: Pipeline, settings: Mapping[str, str]) -> Tree:
    """Return the settings of a run: the pipeline's with the operator's over them, dotted keys in sections."""
    run: Tree = wcl.merge({}, dict(pipeline.settings))
    for key, value in settings.items():
        section_of_key = run
        *path, last = key.lower().split(".")
        for step in path:
            inner = section_of_key.setdefault(step, {})
            if not isinstance(inner, dict):
                raise UsageError(f"--set {key}: {step} is a value, not a section")
            section_of_key = inner
        section_of_key[last] = value
    return run


def _inclfunc(pipeline: Pipeline, finder: InputFinder, run: Settings) -> dict[str, str]:
    """The settings that the pipeline's own function adds."""
    if not pipeline.inclfunc:
        return {}
    module, _, name = pipeline.inclfunc.rpartition(".")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as err:
        raise PlanError(f"inclfunc {pipeline.inclfunc} of {pipeline.name} cannot be found: {err}") from err
    try:
        values: dict[str, str] = function(finder.find, run)
    except PlanError as err:
        # If a query has no image, omitted ones are the cause.
        raise PlanError(f"{err}{finder.describe_omitted()}") from err
    return values


def _find_inputs(finder: InputFinder, pipeline: Pipeline, run: Settings, scopes: Scopes) -> Inputs:
    """The files of every external file set."""
    files_by_input: FilesByInput = {}
    request = _calibration_request(run, scopes)
    choices: dict[int, CalibrationChoice] = {}
    rejected: dict[int, RejectedCalibration] = {}
    notes: dict[str, None] = {}
    queries: list[tuple[str, str, str, int]] = []
    for _, module in pipeline.modules():
        for fileset in module.inputs:
            if fileset.calibration:
                selection = choose(finder.conn, fileset.filetype, request)
                choices_here = selection.choices
                rejected |= {choice.file.id: choice for choice in selection.rejected}
                notes |= dict.fromkeys(selection.notes)
                if fileset.fallback:
                    suffix = "; read only where the run makes none of its own"
                    choices_here = [choice._replace(reason=choice.reason + suffix) for choice in choices_here]
                if not choices_here and not fileset.optional:
                    reason = explain_none(finder.conn, fileset.filetype, request)
                    unused = [_omitted(one) for one in selection.rejected]
                    if unused:
                        reason = f"{reason}; {describe_unused(finder.conn, unused)}"
                    raise MissingCalibration(f"module {module.name}, input {fileset.name}: {reason}")
                files_by_input[module.name, fileset.name] = [choice.file.record for choice in choices_here]
                choices |= {choice.file.id: choice for choice in choices_here}
                queries.append(
                    (module.name, fileset.name, f"calibration {fileset.filetype}", len(choices_here))
                )
                continue
            if fileset.by_name or fileset.newname or fileset.program:
                text, files = (
                    find_by_program(finder, module, fileset, run)
                    if fileset.program
                    else find_by_name(finder, pipeline, module, fileset, run)
                )
                files_by_input[module.name, fileset.name] = files
                queries.append((module.name, fileset.name, text, len(files)))
                continue
            if fileset.depends or fileset.own_attempt or not fileset.query:
                continue
            query = _query(module, fileset, run)
            text = ", ".join(f"{k} = {v}" for k, v in query.items())
            files = finder.find(query, _images_of(query, module.name, files_by_input))
            if not files and not fileset.optional:
                raise PlanError(
                    f"module {module.name}, input {fileset.name}: no file in the archive for the query {text}"
                    f"{finder.describe_excluded(query)}; ingest files, or change the settings that it uses"
                )
            files_by_input[module.name, fileset.name] = files
            queries.append((module.name, fileset.name, text, len(files)))
    omitted = tuple(_omitted(one) for one in rejected.values())
    return Inputs(files_by_input, queries, list(choices.values()), omitted, tuple(notes))


def _omitted(one: RejectedCalibration) -> Omitted:
    """A calibration that was not chosen, as plans record it."""
    return Omitted(one.file.id, one.file.filename, one.file.expnum, one.file.ccdnum or 0, one.reason)


def _images_of(query: Mapping[str, str], module: str, files_by_input: FilesByInput) -> Sequence[CatalogFile]:
    """The images whose companions a query asks for: an input of the same module, or ``module.input``."""
    owner, dot, name = query.get("companion_of", "").rpartition(".")
    return files_by_input.get((owner if dot else module, name), [])


def _calibration_request(run: Settings, scopes: Scopes) -> CalibrationRequest:
    """Build the request for calibrations of a run: its exposure, night, band and campaign."""
    expnum = str(run.get("expnum", ""))
    band = str(run.get("band", ""))
    return CalibrationRequest(
        int(expnum) if expnum.isdecimal() else None,
        str(run.get("nite", "")),
        "" if "," in band else band,
        str(run.get("campaign", "")),
        _integer_setting(run, "calibration_nights") or 10,
        str(run.get("calibration_tag", "")),
        texts_of(section(run, "calibration")),
        str(run.get("unitname", "")),
        scopes.calibrations,
    )


def _query(module: Module, fileset: FileSet, run: Settings) -> dict[str, str]:
    """Return the query of an input with its values filled in."""
    scope = {**run, **module.settings}
    query = dict(fileset.query) or {"filename": fileset.filename}
    if fileset.filetype and "filetype" not in query:
        query["filetype"] = fileset.filetype
    try:
        # A key whose value is empty ($opt{} of what nobody set) asks for nothing.
        values = {key: text for key, value in query.items() if (text := query_value(key, value, scope))}
    except WCLError as err:
        raise PlanError(f"module {module.name}, input {fileset.name}: {err.message}") from err
    if ASSESSMENT in query:
        # Where nobody says which exposures may be used, only accepted ones are.
        values.setdefault(ASSESSMENT, AssessmentPolicy.ACCEPTED.value)
    return values


def _check_archived(archive: Archive, files_by_input: FilesByInput) -> None:
    """Raise `PlanError` if a registered input is missing in the archive."""
    checked: set[str] = set()
    for (module, name), files in files_by_input.items():
        for file in files:
            if file.fullname in checked:
                continue
            checked.add(file.fullname)
            if not (archive.root / file.fullname).is_file():
                raise PlanError(
                    f"module {module}, input {name}: {file.filename} is registered but not in the archive; "
                    "see: desdm audit"
                )


def _check_programs(pipeline: Pipeline) -> None:
    """Refuse wrappers that are programs, once it is known that nothing else is missing."""
    for _, module in pipeline.modules():
        if is_program(module.wrapper):
            raise PlanError(
                f"module {module.name}: wrapper {module.wrapper} is a program, and only genwrap.py and functions of "
                "packages run here; set wrappername = genwrap.py if its exec_1 can run by itself"
            )


def _fallbacks(pipeline: Pipeline) -> dict[tuple[str, str], str]:
    """File types of the inputs that are read only where the run makes none of its own, by module and input."""
    return {(m.name, f.name): f.filetype for _, m in pipeline.modules() for f in m.inputs if f.fallback}


def _same_work(
    conn: Connection,
    pipeline: Pipeline,
    fingerprint: str,
    files_by_input: FilesByInput,
    configs: Mapping[str, Settings],
) -> Attempt | None:
    """Return the attempt at the same work, if there is one: with the programs, and the fallbacks, that serve now."""
    fallbacks = _fallbacks(pipeline)
    usable = {file.id for key in fallbacks for file in files_by_input.get(key, ())}
    for attempt in store.attempts_with_fingerprint(conn, fingerprint):
        if fallbacks and not store.calibrations_read(conn, attempt.id, {*fallbacks.values()}) <= usable:
            continue
        if _has_same_programs(conn, attempt, configs):
            return attempt
    return None


def _has_same_programs(conn: Connection, attempt: Attempt, configs: Mapping[str, Settings]) -> bool:
    """Tell whether the programs that an attempt ran are those that would run now; one that is gone is not compared."""
    for name, digests in store.program_digests(conn, attempt.id).items():
        specs = (section(config, "exec", name) for config in configs.values())
        program = next((str(spec["program"]) for spec in specs if "program" in spec), name)
        path = shutil.which(program)
        if path is not None and digests != {cached_file_digest(Path(path))}:
            return False
    return True


def _excluded_ccds(file: CatalogFile) -> str:
    """Return the CCDs of a file that the plan leaves out, by exclusions or as a query program says."""
    return file.overrides.get("excluded_ccds", ",".join(map(str, file.excluded_ccds)))


def _fingerprint(
    pipeline: Pipeline,
    run: Settings,
    configs: Mapping[str, Settings],
    codes: Mapping[Path, str],
    files_by_input: FilesByInput,
) -> str:
    """Return the digest of everything that determines the results of a run."""
    # A CCD that is excluded makes it other work, though the file is the same; a calibration that is read only where the
    # run makes none of its own does not: see `_same_work`.
    unread = _fallbacks(pipeline)
    inputs = sorted(
        {
            (file.filename, file.sha256, *filter(None, [_excluded_ccds(file)]))
            for key, files in files_by_input.items()
            if key not in unread
            for file in files
        }
    )
    content = [system_software().digest, run, configs, sorted(codes.values()), inputs]
    # The order of blocks, modules and options of a command line means something, that of settings does not.
    text = json.dumps(content, sort_keys=True, default=str) + json.dumps(asdict(pipeline), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _unit_name(pipeline: Pipeline, run: Settings) -> str:
    """Return the name of the unit; `PlanError` if no setting tells it, `UsageError` if it has other characters."""
    key = UNIT_KEYS.get(pipeline.unit, pipeline.unit)
    unit = run.get("unitname", run.get(key))
    if not isinstance(unit, str) or not unit:
        raise PlanError(f"pipeline {pipeline.name} works on a {pipeline.unit}; say which: --set {key}=…")
    if pipeline.unit == "exposure" and unit.isdecimal():
        unit = f"D{int(unit):08d}"
    allowed = unit.replace("-", "").replace("+", "").replace("_", "").replace(".", "")
    if not (allowed.isalnum() and allowed.isascii() and len(unit) <= 48 and unit[0].isalnum()):
        raise UsageError(f"unit name {unit!r}: letters, digits and + - _ . only, at most 48")
    return unit


def _run_dir(pipeline: Pipeline, identity: RunName, project: str, run: Settings) -> str:
    """The attempt's directory in the archive: ``ops_run_dir``, or the usual one."""
    usual = f"{project}/{pipeline.name}/{identity.unitname}-r{identity.reqnum}/p{identity.attnum:02d}"
    text = run.get("ops_run_dir")
    if not isinstance(text, str):
        return usual
    attempt_values = {
        "reqnum": str(identity.reqnum),
        "attnum": str(identity.attnum),
        "unitname": identity.unitname,
    }
    try:
        path = expand_value(text, {**run, "project": project, "pipeline": pipeline.name, **attempt_values})
    except WCLError as err:
        raise PlanError(f"ops_run_dir = {text}: {err.message}") from err
    steps = path.split("/")
    if not all(steps) or ".." in steps or "." in steps or len(path) > 160:
        raise UsageError(f"ops_run_dir = {path}: a relative path of at most 160 characters, without . and ..")
    if f"{identity.attnum:02d}" not in path:
        raise UsageError(f"ops_run_dir = {path}: two attempts would share it; put p${{attnum:2}} into it")
    return path


def _integer_setting(run: Settings, key: str) -> int | None:
    """Return a setting as an integer, None if it is missing; `UsageError` if it is not one."""
    value = run.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.isdecimal():
        raise UsageError(f"{key} must be a number, not {value!r}")
    return int(value)


def _write_jobs(
    folder: Path,
    conn: Connection,
    common: dict[str, str],
    pipeline: Pipeline,
    identity: RunName,
    plan: Plan,
    run: Settings,
    configs: Mapping[str, Settings],
    codes: Mapping[Path, str],
) -> dict[int, str]:
    """Write each job's WCL into its work folder; returns the texts by job number."""
    # A folder of this name without rows is what a submission left that did not come to its commit.
    shutil.rmtree(folder, ignore_errors=True)
    make_private(folder)
    qcf = folder / "qcf.wcl"
    patterns = [code / "qc.wcl" for code in codes if (code / "qc.wcl").is_file()]
    common |= {"pipeline": pipeline.name, "pipever": pipeline.version}
    if _uses_quality_controls(run):
        from desdm.quality.qc import from_wcl, write_patterns

        patterns_of_run = run.get("qcf")
        write_patterns(
            conn,
            patterns,
            qcf,
            from_wcl({"qcf": patterns_of_run}) if isinstance(patterns_of_run, dict) else None,
        )
        common["qcf"] = str(qcf)
    renderer = JobRenderer(identity, common, {k: v for k, v in run.items() if k != "qcf"}, configs)
    texts = {}
    for job in plan.jobs:
        jobroot = folder / f"J{job.jobnum:04d}"
        jobroot.mkdir()
        text = renderer.render(job, pipeline.blocks[job.blknum - 1].name)
        (jobroot / "job.wcl").write_text(text, "utf-8")
        texts[job.jobnum] = text
    write_inputs(folder, plan.jobs)
    return texts
