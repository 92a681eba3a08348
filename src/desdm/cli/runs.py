"""What submit and resume share: they drive a run with progress bars, or leave it to a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from desdm.cli.context import CommandContext
from desdm.modes import make_private

if TYPE_CHECKING:
    from rich.progress import TaskID

    from desdm.framework.drive import Progress
    from desdm.operations.nightly import Night
    from desdm.schema.states import AttemptState

__all__ = ["drive_here", "drive_in_background", "exit_status", "night_here"]


def drive_here(context: CommandContext, run: str, *, reason: str = "") -> AttemptState:
    """Drive a run in this process and print its progress; the tags of accepted runs are updated at its end.

    Parameters
    ----------
    context
        The installation.
    run
        Name of the run.
    reason
        Reason, recorded with the event.

    Returns
    -------
    AttemptState
        State at the end.
    """
    from desdm.archive.store import now
    from desdm.framework.drive import drive
    from desdm.framework.engines.local import LocalEngine
    from desdm.operations.acceptance import refresh_tags_after_run
    from desdm.operations.qa.badnumbers import propose_bad_numbers
    from desdm.schema.states import AttemptState

    facility = context.facility
    who = facility.config.operator
    folder = facility.config.runs / run
    make_private(folder)
    engine = LocalEngine(facility.config.workers, folder)
    with context.progress() as bars:
        bar = bars.add_task(run, total=None)

        def watch(progress: Progress) -> None:
            bars.update(
                bar, total=progress.total, completed=progress.done, description=f"{run} {progress.block}"
            )

        state = drive(
            facility.config,
            facility.database,
            facility.archive,
            run,
            engine,
            who=who,
            watch=watch,
            reason=reason,
        )
    if state in (AttemptState.DONE, AttemptState.FLAGGED):
        with facility.database.write() as conn:
            refresh_tags_after_run(conn, facility.production, run, who=who)
            propose_bad_numbers(conn, facility.production, run, who="thresholds", now=now())
    return state


def night_here(
    context: CommandContext,
    nite: str,
    settings: Mapping[str, str],
    *,
    again: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> Night:
    """Process a night in this process and print the progress of its runs.

    Parameters
    ----------
    context
        The installation.
    nite
        Night, YYYYMMDD.
    settings
        Settings of the runs, by name.
    again
        Start new attempts of work that is done.
    say
        Receives lines of text.

    Returns
    -------
    Night
        The runs of the night, and the verdicts on its exposures.
    """
    from desdm.framework.engines.local import LocalEngine
    from desdm.operations.nightly import Work, run_night

    facility = context.facility
    config = facility.config
    with context.progress() as bars:
        tasks: dict[str, TaskID] = {}

        def watch(run: str, progress: Progress) -> None:
            if run not in tasks:
                tasks[run] = bars.add_task(run, total=None)
            bars.update(tasks[run], total=progress.total, completed=progress.done)

        work = Work(
            config,
            facility.database,
            facility.archive,
            lambda: LocalEngine(config.workers, config.runs),
            say,
            watch,
            again,
        )
        return run_night(work, nite, settings=settings)


def drive_in_background(context: CommandContext, run: str, *, reason: str = "") -> int:
    """Start a process that drives a run.

    Parameters
    ----------
    context
        The installation.
    run
        Name of the run.
    reason
        Reason, recorded with the event.

    Returns
    -------
    int
        Process number.
    """
    from desdm.framework import store
    from desdm.processes import process_start

    folder: Path = context.facility.config.runs / run
    make_private(folder)
    with (folder / "submitter.log").open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "desdm.cli.main",
                "--home",
                str(context.facility.config.home),
                "resume",
                run,
                "--wait",
                *(["--reason", reason] if reason else []),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with context.facility.database.write() as conn:
        store.hand_to_submitter(conn, run, process.pid, process_start(process.pid))
    return process.pid


def exit_status(state: AttemptState) -> int:
    """0 done; 1 done with findings, or cancelled; 4 failed; 3 interrupted."""
    from desdm.schema.states import AttemptState

    match state:
        case AttemptState.DONE | AttemptState.PLANNED | AttemptState.RUNNING:
            return 0
        case AttemptState.FLAGGED | AttemptState.CANCELLED:
            return 1
        case AttemptState.INTERRUPTED:
            return 3
        case AttemptState.FAILED:
            return 4
