"""desdm show: one run in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.findings import suspect_document
from desdm.cli.names import RUN

if TYPE_CHECKING:
    from desdm.cli.context import JsonValue

#: Largest number of messages; a run may have thousands.
_MOST_MESSAGES = 20


@click.command()
@click.argument("run", type=RUN)
@click.option("--jobs", "with_jobs", is_flag=True, help="Every job, with its state and times.")
@click.option("--wrappers", "with_wrappers", is_flag=True, help="Every wrapper, with its state and times.")
@click.option("--metrics", "with_metrics", is_flag=True, help="Every QA number.")
@click.option("--configuration", "with_configuration", is_flag=True, help="Settings of each module, too.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    run: str,
    with_jobs: bool,
    with_wrappers: bool,
    with_metrics: bool,
    with_configuration: bool,
    as_json: bool,
) -> None:
    """One run in full: blocks, failed jobs, messages, programs, settings, calibrations, files."""
    from desdm.archive import catalog
    from desdm.archive.store import calibrations_of, suspects_of
    from desdm.archive.withheld import unfit_reasons
    from desdm.framework import store as runs
    from desdm.framework.process import current_state
    from desdm.framework.watch import store
    from desdm.operations.current import rejected_inputs, unsound_files
    from desdm.quality.qa.exclusions import exclusions_of_run
    from desdm.quality.qa.selection import omissions, omitted_of_run
    from desdm.schema.states import JobState
    from desdm.texttable import size_text, time_text

    with context.facility.database.read() as conn:
        attempt = runs.attempt_by_name(conn, run)
        blocks = store.blocks(conn, attempt.id)
        jobs = store.jobs(conn, attempt.id)
        wrappers = store.wrappers(conn, attempt.id)
        messages = store.messages(conn, attempt.id, limit=None if as_json else _MOST_MESSAGES + 1)
        metrics = store.metrics(conn, attempt.id)
        software = store.software(conn, attempt.id)
        files = store.files_by_type(conn, attempt.id)
        configuration = store.configuration(conn, attempt.id)
        calibrations = calibrations_of(conn, attempt.id)
        excluded = exclusions_of_run(conn, attempt.id)
        omitted = omitted_of_run(conn, attempt.id)
        production = context.facility.production
        unfit = unfit_reasons(conn, [attempt.id], production).get(attempt.id, "")
        unsound = unsound_files(conn, attempt.id)
        rejected = rejected_inputs(conn, attempt, production)
        suspects = suspects_of(conn, [f.id for f in catalog.files(conn, attempt=attempt.id)])
    state = current_state(attempt)
    program_names = {s["name"] for s in software}
    # The system and its codes are no programs that are called and counted: they run within the jobs.
    own = [s for s in configuration.software if s["name"] not in program_names]
    document = {
        "attempt": run,
        "pipeline": attempt.pipeline,
        "state": state.value,
        "data_state": attempt.data_state,
        "run_class": attempt.run_class.value,
        "operator": attempt.operator,
        "submittime": attempt.submittime,
        "endtime": attempt.endtime,
        "fingerprint": attempt.fingerprint,
        "settings": configuration.settings,
        "configuration": configuration.modules,
        "calibrations": calibrations,
        "blocks": [b._asdict() for b in blocks],
        "jobs": jobs,
        "wrappers": wrappers,
        "messages": [m._asdict() for m in messages],
        "metrics": metrics,
        "software": own + software,
        "excluded": [exclusion.document() for exclusion in excluded],
        "omitted": [one.document() for one in omitted],
        "unfit": unfit,
        "unsound": unsound,
        "rejected": rejected,
        "suspect": [{"filename": m.filename, **suspect_document(m)} for m in suspects],
        "files": [row._asdict() for row in files],
    }

    def human() -> None:
        click.echo(
            f"{run}  {attempt.pipeline}  {state.value} ({state.text})  "
            f"data {attempt.data_state}, {attempt.run_class.value} run"
        )
        end = f", ended {time_text(attempt.endtime)}" if attempt.endtime else ""
        click.echo(f"submitted {time_text(attempt.submittime)}{end} (UTC) by {attempt.operator}")
        click.echo(f"fingerprint {attempt.fingerprint}")
        context.table(
            ("BLOCK", "MODULES", "JOBS", "DONE", "FAILED", "WRAPPERS", "WALL s"),
            # With blanks between the names the list is text, which a narrow terminal cuts.
            [
                (
                    b.name,
                    ", ".join(b.modulelist.split(",")),
                    b.jobs,
                    b.done,
                    b.failed,
                    b.wrappers,
                    _seconds(b),
                )
                for b in blocks
            ],
        )
        if unfit:
            click.echo(click.style("not for production: ", fg="yellow") + unfit)
        for text in unsound:
            click.echo(click.style("not to be used: ", fg="red") + text)
        for text in rejected:
            click.echo(click.style("rejected: ", fg="yellow") + text)
        for exclusion in excluded:
            click.echo(click.style("excluded: ", fg="yellow") + exclusion.text)
        for line in omissions(omitted):
            click.echo(f"left out: {line}")
        for mark in suspects:
            click.echo(click.style("suspect: ", fg="red") + f"{mark.filename}: {mark.reason}")
        listed_jobs = (
            jobs if with_jobs else [j for j in jobs if j["state"] in (JobState.FAILED, JobState.LOST)]
        )
        if listed_jobs:
            context.table(
                ("JOB", "KEYS", "STATE", "TRIES", "WHY", "WORK FOLDER KEPT AS"),
                [
                    (j["jobnum"], j["jobkeys"], j["state"], j["tries"], j["comment"], j["junktar"])
                    for j in listed_jobs
                ],
                "Jobs",
            )
        if with_wrappers:
            context.table(
                ("WRAPPER", "MODULE", "KEYS", "STATE", "LOG"),
                [(w["wrapnum"], w["modname"], w["wrapkeys"], w["state"], w["log"]) for w in wrappers],
                "Wrappers",
            )
        if messages:
            context.table(
                ("LEVEL", "MODULE", "KEYS", "MESSAGE", "LOG", "LINE"),
                [(m.level, m.module, m.wrapkeys, m.text, m.log, m.line) for m in messages[:_MOST_MESSAGES]],
                "Messages",
                expendable=("LOG", "LINE", "KEYS"),
            )
            if len(messages) > _MOST_MESSAGES:
                click.echo(f"… the gravest {_MOST_MESSAGES} are listed; all: desdm log {run} --messages")
        if with_metrics:
            context.table(
                ("MODULE", "KEYS", "BAND", "NUMBER", "VALUE", "UNIT"),
                [(m["modname"], m["wrapkeys"], m["band"], m["name"], m["value"], m["unit"]) for m in metrics],
                "QA numbers",
                mixed=("VALUE",),
            )
        context.table(
            ("PROGRAM", "VERSION", "DIGEST", "RUNS", "CPU s"),
            [
                (s["name"], s["version"], (s["digest"] or "")[:12], s.get("runs"), s.get("cpu_s"))
                for s in own + software
            ],
            "Software",
            expendable=("DIGEST", "RUNS", "CPU s"),
        )
        settings = [
            *_flat(configuration.settings),
            *(_flat(configuration.modules) if with_configuration else ()),
        ]
        context.table(("SETTING", "VALUE"), settings, "Settings")
        if calibrations:
            rows = [(c["filetype"], c["ccdnum"], c["filename"], c["how"]) for c in calibrations]
            context.table(("FILE TYPE", "CCD", "FILE", "RULE"), rows, "Calibrations")
        deleted = any(row.deleted for row in files)
        context.table(
            ("FILE TYPE", "FILES", "SIZE", *(("DELETED",) if deleted else ())),
            [(r.filetype, r.files, size_text(r.bytes), *((r.deleted,) if deleted else ())) for r in files],
            "Files, with those that were deleted since" if deleted else "Files",
            empty="none",
        )

    context.show(document, human, as_json)


def _flat(tree: Mapping[str, JsonValue], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value of nested settings with its dotted key."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", str(value)


def _seconds(block: object) -> float | None:
    """Return the wall time of a block."""
    start, end = getattr(block, "start_time", None), getattr(block, "end_time", None)
    return None if start is None or end is None else round((end - start).total_seconds(), 1)
