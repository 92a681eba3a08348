"""Whether a person has blessed the runs of a release, as the record says now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection

from desdm.release import store
from desdm.release.findings import Check, failed, note, passed
from desdm.release.model import Release
from desdm.release.select import again
from desdm.release.selection import selection_entries
from desdm.schema.states import DataState, ReleaseState

__all__ = ["check_reviewed", "unreviewed_runs"]


def unreviewed_runs(conn: Connection, root: Path) -> list[str]:
    """Return the names of the runs of a release whose data nobody has blessed, or whose blessing was withdrawn.

    Parameters
    ----------
    conn
        Connection.
    root
        Directory of the release.
    """
    names = {entry.run for entry in selection_entries(root) if entry.run}
    blessed = {run.name for run in store.runs_of(conn, "coadd") if run.data_state is DataState.ACTIVE}
    return sorted(names - blessed)


def check_reviewed(conn: Connection, root: Path, release: Release, *, blessed_only: bool) -> Iterator[Check]:
    """Check that a release that takes blessed data only still does.

    Parameters
    ----------
    conn
        Connection.
    root, release
        Directory and record of the release.
    blessed_only
        Whether the survey releases blessed data only; a selection of such data asks for it by itself.
    """
    demanded = "data_state" in (again(release.selection) or {})
    if not (demanded or blessed_only):
        return
    rule = (
        "its selection takes blessed data only" if demanded else "release.blessed_only in desdm.toml is true"
    )
    unreviewed = unreviewed_runs(conn, root)
    for run in unreviewed:
        text = f"nobody has blessed its data, or the blessing was withdrawn, and {rule}"
        if release.state is ReleaseState.PUBLISHED:
            yield note("review", f"run {run}", text)
        else:
            advice = f"review it: desdm mark {run} blessed; or discard the draft and create it again"
            yield failed("review", f"run {run}", f"{text}; {advice}")
    delivered = sum(not entry.run for entry in selection_entries(root))
    if delivered and release.state is not ReleaseState.PUBLISHED:
        text = f"{delivered} files were delivered without a run that a person could have blessed, and {rule}"
        yield failed("review", release.name, f"{text}; discard the draft and create it again")
    if not (unreviewed or delivered):
        yield passed("review", release.name, "a person has blessed the data of each of its runs")
