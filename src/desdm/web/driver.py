"""The process that drives a run which a page has started: ``python -m desdm.web.driver HOME RUN STATE WHO``.

The reason comes on standard input: arguments can be read by everybody on the machine.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress

from desdm.archive.store import now
from desdm.config import Config
from desdm.errors import DesdmError
from desdm.facility import Facility
from desdm.framework import store
from desdm.framework.drive import drive
from desdm.framework.engines.local import LocalEngine
from desdm.modes import make_private
from desdm.operations.acceptance import refresh_tags_after_run
from desdm.operations.qa.badnumbers import propose_bad_numbers
from desdm.operations.queue.repeated import settle_repeated
from desdm.processes import process_start
from desdm.schema.database import Database
from desdm.schema.states import AttemptState

__all__ = ["main", "start_driver"]


def start_driver(config: Config, database: Database, run: str, *, who: str, reason: str) -> int:
    """Start a process that drives a run, and return its number; it outlives the server.

    Parameters
    ----------
    config, database
        The installation.
    run
        Name of the run.
    who, reason
        Who starts it, and why.
    """
    folder = config.runs / run
    make_private(folder)
    with database.read() as conn:
        state = store.attempt_by_name(conn, run).state
    command = [sys.executable, "-m", "desdm.web.driver", str(config.home), run, state.value, who]
    with (folder / "submitter.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as channel:
        channel.write(reason.encode())
    # A process that has ended counts as running until its parent has asked for its status.
    threading.Thread(target=process.wait, name=f"driver-{process.pid}", daemon=True).start()
    with database.write() as conn:
        store.hand_to_submitter(conn, run, process.pid, process_start(process.pid))
    return process.pid


def main(arguments: list[str] | None = None) -> int:
    """Drive a run, and do what follows from its end; return the exit status."""
    home, run, before, who = sys.argv[1:] if arguments is None else arguments
    reason = sys.stdin.read()
    try:
        facility = Facility.open(home)
        try:
            with facility.database.read() as conn:
                state = store.attempt_by_name(conn, run).state
            if state is AttemptState.CANCELLED and before != state:
                # Cancelled runs can be gone on with, but not this one against the word of a person.
                sys.stdout.write(f"{run} was cancelled before it began\n")
                return 0
            folder = facility.config.runs / run
            make_private(folder)
            engine = LocalEngine(facility.config.workers, folder)
            state = drive(
                facility.config, facility.database, facility.archive, run, engine, who=who, reason=reason
            )
            with facility.database.write() as conn:
                if state in (AttemptState.DONE, AttemptState.FLAGGED):
                    refresh_tags_after_run(conn, facility.production, run, who=who)
                    propose_bad_numbers(conn, facility.production, run, who="thresholds", now=now())
                settle_repeated(conn, facility.production, run, who=who)
        finally:
            facility.close()
    except DesdmError as err:
        sys.stderr.write(f"error: {err}\n")
        return err.exit_status
    sys.stdout.write(f"{run} {state.value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
