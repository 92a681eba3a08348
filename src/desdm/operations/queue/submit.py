"""Submit a row of the queue: the settings of its attempt, with what arrivals and exclusions say now."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from desdm.archive.archive import Archive
from desdm.config import Config
from desdm.framework.submit import Submission, submit
from desdm.operations.arrival import arrivals
from desdm.operations.nightly import precal_settings
from desdm.operations.queue.model import QueueRow
from desdm.pipelines import get
from desdm.schema.database import Database

__all__ = ["settings_of", "submit_row"]


def settings_of(conn: Connection, config: Config, row: QueueRow) -> dict[str, str] | None:
    """Return the settings of the next attempt of a row; None: its exposure is refused now.

    Parameters
    ----------
    conn
        The database.
    config
        The installation.
    row
        The row.
    """
    if row.campaign != config.campaign:
        # The set of a campaign is frozen: a person chose it.
        return {**row.settings, "campaign": row.campaign}
    if row.expnum is None:
        return {**row.settings, **precal_settings(row.nite, arrivals(conn, row.nite))}
    if any(arrival.refused for arrival in arrivals(conn, row.nite, row.expnum)):
        return None
    return {**row.settings, "expnum": str(row.expnum)}


def submit_row(
    config: Config,
    database: Database,
    archive: Archive,
    row: QueueRow,
    link: Callable[[Connection, int, str], object],
) -> Submission | None:
    """Submit a row, or go on with the attempt at the same work; None: its exposure is refused now.

    Parameters
    ----------
    config, database, archive
        The installation.
    row
        The row.
    link
        Writes the attempt into the row, in the transaction of its plan.

    Returns
    -------
    Submission or None
        The submission.

    Raises
    ------
    DesdmError
        It cannot be planned.
    """
    with database.read() as conn:
        settings = settings_of(conn, config, row)
    if settings is None:
        return None
    return submit(
        config,
        database,
        archive,
        get(row.pipeline),
        settings,
        who=config.operator,
        resume=True,
        reason=row.why if not row.tries else f"try {row.tries + 1}: {row.why}",
        replaces=row.attempt_id,
        link=link,
    )
