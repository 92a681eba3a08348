"""desdm show: one run in full."""

from __future__ import annotations

import click

from desdm.cli.door import Door, json_option, pass_door


@click.command()
@click.argument("run")
@click.option("--jobs", "with_jobs", is_flag=True, help="Every job, with its state and times.")
@click.option("--wrappers", "with_wrappers", is_flag=True, help="Every wrapper, with its state and times.")
@click.option("--metrics", "with_metrics", is_flag=True, help="Every QA number.")
@json_option
@pass_door
def command(
    door: Door, run: str, with_jobs: bool, with_wrappers: bool, with_metrics: bool, as_json: bool
) -> None:
    """One run in full: blocks, failed jobs, messages, programs, files."""
    from desdm.framework import store as runs
    from desdm.framework.watch import store

    with door.facility.database.read() as conn:
        attempt = runs.attempt_by_name(conn, run)
        blocks = store.blocks(conn, attempt.id)
        jobs = store.jobs(conn, attempt.id)
        wrappers = store.wrappers(conn, attempt.id)
        messages = store.messages(conn, attempt.id, limit=None if as_json else 20)
        metrics = store.metrics(conn, attempt.id)
        software = store.software(conn, attempt.id)
        files = store.files_by_type(conn, attempt.id)
        values = store.values(conn, attempt.id)
    document = {
        "attempt": run,
        "pipeline": attempt.pipeline,
        "state": attempt.state.value,
        "data_state": attempt.data_state,
        "run_class": attempt.run_class.value,
        "operator": attempt.operator,
        "submittime": attempt.submittime,
        "endtime": attempt.endtime,
        "settings": values,
        "blocks": [b._asdict() for b in blocks],
        "jobs": jobs,
        "wrappers": wrappers,
        "messages": [m._asdict() for m in messages],
        "metrics": metrics,
        "software": software,
        "files": [{"filetype": t, "files": n, "bytes": size} for t, n, size in files],
    }

    def human() -> None:
        click.echo(
            f"{run}  {attempt.pipeline}  {attempt.state.value} ({attempt.state.text})  "
            f"data {attempt.data_state}, {attempt.run_class.value} run"
        )
        door.table(
            ("BLOCK", "MODULES", "JOBS", "DONE", "FAILED", "WRAPPERS", "WALL s"),
            [(b.name, b.modulelist, b.jobs, b.done, b.failed, b.wrappers, _seconds(b)) for b in blocks],
        )
        picked = jobs if with_jobs else [j for j in jobs if j["state"] in ("failed", "lost")]
        if picked:
            door.table(
                ("JOB", "KEYS", "STATE", "TRIES", "WHY", "WORK FOLDER KEPT AS"),
                [
                    (j["jobnum"], j["jobkeys"], j["state"], j["tries"], j["comment"], j["junktar"])
                    for j in picked
                ],
                "Jobs",
            )
        if with_wrappers:
            door.table(
                ("WRAPPER", "MODULE", "KEYS", "STATE", "LOG"),
                [(w["wrapnum"], w["modname"], w["wrapkeys"], w["state"], w["log"]) for w in wrappers],
                "Wrappers",
            )
        if messages:
            door.table(
                ("LEVEL", "MODULE", "KEYS", "MESSAGE", "LOG", "LINE"),
                [(m.level, m.module, m.wrapkeys, m.text[:90], m.log, m.line) for m in messages],
                "Messages",
            )
        if with_metrics:
            door.table(
                ("MODULE", "KEYS", "BAND", "NUMBER", "VALUE", "UNIT"),
                [(m["modname"], m["wrapkeys"], m["band"], m["name"], m["value"], m["unit"]) for m in metrics],
                "QA numbers",
            )
        door.table(
            ("PROGRAM", "VERSION", "RUNS", "CPU s"),
            [(s["name"], s["version"], s["runs"], s["cpu_s"]) for s in software],
            "Software",
        )
        door.table(("FILE TYPE", "FILES", "BYTES"), files, "Files")

    door.show(document, human, as_json)


def _seconds(block: object) -> float | None:
    start, end = getattr(block, "start_time", None), getattr(block, "end_time", None)
    return None if start is None or end is None else round((end - start).total_seconds(), 1)
