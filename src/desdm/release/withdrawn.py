"""Runs under a release whose data were marked JUNK, or deleted (PRUNED): named with who marked them, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.archive.model import Scope
from desdm.release import store
from desdm.release.contents import Contents, again
from desdm.release.findings import Check, correction, failed, passed
from desdm.schema.states import DataState

__all__ = ["Withdrawn", "check_withdrawn", "junk_of_exposures", "withdrawn_under"]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A run whose data are JUNK, or PRUNED; ``junk`` also if they were JUNK before they were deleted.

    ``mark`` says who marked it, and why; empty without such an event.
    """

    attempt_id: int
    run: str
    state: DataState
    junk: bool
    mark: str

    @property
    def text(self) -> str:
        """Describe the run and its state."""
        state = (
            "JUNK, and its files are deleted"
            if self.junk and self.state is DataState.PRUNED
            else self.state.value
        )
        return f"run {self.run} is {state}" + (f", {self.mark}" if self.mark else "")

    def remedy(self, anew: str) -> str:
        """Return how to correct a product of the run; ``anew`` replaces the advice to make product and draft again."""
        anew = anew or "make the product again without that run, and the draft from it"
        if not self.junk:
            return f"bring the files back (desdm delete --undelete --attempt {self.run}), or {anew}"
        return f"{anew}; or, if the data are good: {self.active}"

    @property
    def active(self) -> str:
        """Return the command that marks the data good; deleted files must be restored first."""
        pruned = self.state is DataState.PRUNED
        back = f"desdm delete --undelete --attempt {self.run}, then " if pruned else ""
        return f"{back}desdm mark {self.run} active --reason TEXT"


def withdrawn_under(conn: Connection, contents: Contents) -> dict[int, Withdrawn]:
    """Return the JUNK and PRUNED runs whose files a release contains or was made from, by attempt."""
    producers = {f.attempt_id for f in contents.ancestors.values() if f.attempt_id is not None}
    return {run.id: _withdrawn(conn, run) for run in store.withdrawn_runs(conn, sorted(producers))}


def junk_of_exposures(
    conn: Connection, expnums: Sequence[int], scopes: Sequence[Scope]
) -> dict[int, Withdrawn]:
    """Return the newest JUNK run that judged each exposure, in the first of the scopes that has one.

    Parameters
    ----------
    expnums
        Exposure numbers.
    scopes
        Scopes to search, the most important first.

    Returns
    -------
    dict of int to Withdrawn
        The run, by exposure number; exposures without such a run are absent.
    """
    by_exposure: dict[int, Withdrawn] = {}
    for scope in scopes:
        runs = store.junk_judged(conn, [n for n in expnums if n not in by_exposure], scope)
        by_attempt = {
            run.id: _withdrawn(conn, run) for run in store.withdrawn_runs(conn, sorted({*runs.values()}))
        }
        by_exposure |= {number: by_attempt[attempt_id] for number, attempt_id in runs.items()}
    return by_exposure


def _withdrawn(conn: Connection, run: store.WithdrawnRun) -> Withdrawn:
    """Add the event of its mark to a run's state: that of JUNK if it is JUNK, else that of PRUNED."""
    junk = DataState.JUNK in (run.data_state, run.pruned_from)
    state = DataState.JUNK if junk else DataState.PRUNED
    last = archive_store.last_marks(conn, [run.id], state).get(run.id)
    mark = f"marked by {last.who}{': ' if last.reason else ''}{last.reason}" if last else ""
    return Withdrawn(run.id, run.name, run.data_state, junk, mark)


def check_withdrawn(
    conn: Connection,
    release: str,
    contents: Contents,
    withdrawn: Mapping[int, Withdrawn],
    *,
    published: bool = False,
) -> Iterator[Check]:
    """Check that no file of a release is a product of a JUNK or PRUNED run, or was made from files of a JUNK one.

    What was made with a calibration of a JUNK run is no better than its product. Files of First Cut may be PRUNED once
    they are in a coadd, which is no finding.

    Parameters
    ----------
    conn, release
        The database; the release's name.
    contents
        What its files were made from.
    withdrawn
        As of `withdrawn_under`.
    published
        Whether the release is published, so that only a point release can correct it.
    """
    failures = False
    for number, run in sorted(withdrawn.items()):
        files = {f.id for f in contents.ancestors.values() if f.attempt_id == number}
        goals = files if run.junk else files.intersection(contents.files)
        checks = list(_products(conn, contents, goals, run, correction(release) if published else ""))
        failures = failures or bool(checks)
        yield from checks
    if not failures:
        yield passed("marks", release, "its products come from runs that are neither JUNK nor PRUNED")


def _products(
    conn: Connection, contents: Contents, goals: Collection[int], run: Withdrawn, remedy: str
) -> Iterator[Check]:
    """Yield one finding for each file of the release that a run produced, or that was made from its files.

    ``remedy`` is what helps beside marking the run active; empty: the runs on the path must be made again.
    """
    if not goals:
        return
    for number, path in sorted(contents.files.items(), key=lambda item: item[1]):
        direct = contents.chain(number, goals, calibrations=False)
        chain = direct or contents.chain(number, goals)
        if chain:
            chain_text = " <- ".join(contents.ancestors[n].name for n in chain)
            relation = "it is a product of a run" if number in goals else "it contains files of a run"
            advice = run.remedy(remedy)
            if not direct:
                relation = "it was made with calibrations of a run"
                advice = f"{remedy or again(conn, contents, chain)}; or, if the data are good: {run.active}"
            yield failed(
                "marks", path, f"{relation} that must not be used: {run.text}; path: {chain_text}; {advice}"
            )
