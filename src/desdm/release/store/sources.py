"""Queries on the archive's files and runs from which releases are made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, null, or_, select

from desdm.archive import store as archive_store
from desdm.archive.model import Scope
from desdm.schema import (
    EVALUATIONS,
    METADATA_TABLES,
    desfile,
    image,
    opm_was_derived_from,
    pfw_attempt,
    pfw_request,
)
from desdm.schema.states import AttemptState, DataState, RunClass

__all__ = [
    "FileFacts",
    "RunFacts",
    "WithdrawnRun",
    "exposure_times",
    "file_facts",
    "files_of_attempt",
    "files_of_exposure",
    "judged_exposures",
    "junk_judged",
    "runs_of",
    "upstream",
    "withdrawn_runs",
]


def files_of_attempt(conn: Connection, attempt_id: int) -> list[int]:
    """Return the numbers of the files that an attempt produced."""
    return list(conn.execute(select(desfile.c.id).where(desfile.c.pfw_attempt_id == attempt_id)).scalars())


def files_of_exposure(conn: Connection, expnum: int) -> set[int]:
    """Return the numbers of the files whose metadata name an exposure."""
    numbers: set[int] = set()
    for table in METADATA_TABLES.values():
        if "expnum" in table.c:
            numbers.update(conn.execute(select(table.c.desfile_id).where(table.c.expnum == expnum)).scalars())
    return numbers


def exposure_times(conn: Connection, coadds: Sequence[int]) -> dict[int, dict[int, tuple[float, float]]]:
    """Return begin (MJD) and exposure time (s) of the input images of coadds, by coadd and exposure."""
    times: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
    edge = opm_was_derived_from
    for number in coadds:
        query = (
            select(image.c.expnum, image.c.mjd_obs, image.c.exptime)
            .join(edge, edge.c.parent_desfile_id == image.c.desfile_id)
            .where(edge.c.child_desfile_id == number, image.c.expnum.is_not(None))
        )
        for expnum, begin, seconds in conn.execute(query):
            if begin is not None:
                times[number][expnum] = (begin, seconds or 0.0)
    return dict(times)


class RunFacts(NamedTuple):
    """Facts on a run that decide whether a release may use its data."""

    id: int
    name: str
    state: AttemptState
    data_state: DataState
    run_class: RunClass
    project: str
    campaign: str

    @property
    def blessed(self) -> bool:
        """Whether its data may be used: it is done, or flagged and marked ACTIVE by a person."""
        return archive_store.order_of(self.state, self.data_state) == archive_store.BLESSED


def runs_of(conn: Connection, pipeline: str) -> list[RunFacts]:
    """Return every run of a pipeline, oldest first."""
    a, r = pfw_attempt.c, pfw_request.c
    query = (
        select(
            a.id, a.unitname, a.reqnum, a.attnum, a.state, a.data_state, a.run_class, r.project, r.campaign
        )
        .join(pfw_request, r.reqnum == a.reqnum)
        .where(r.pipeline == pipeline)
        .order_by(a.id)
    )
    return [
        RunFacts(
            row[0],
            f"{row[1]}_r{row[2]}p{row[3]:02d}",
            AttemptState(row[4]),
            DataState(row[5]),
            RunClass(row[6]),
            row[7],
            row[8],
        )
        for row in conn.execute(query)
    ]


def upstream(conn: Connection, ids: Sequence[int]) -> tuple[set[int], set[str], set[str]]:
    """Return the exposures, runs and file names of files and of all that they come from."""
    every = sorted({*ids, *archive_store.reached(conn, list(ids), up=True)}) if ids else []
    expnums: set[int] = set()
    numbers: set[int] = set()
    names: set[str] = set()
    for record in archive_store.files_by_id(conn, every):
        names.add(record.name)
        if record.pfw_attempt_id is not None:
            numbers.add(record.pfw_attempt_id)
    for start in range(0, len(every), 500):
        part = every[start : start + 500]
        for table in METADATA_TABLES.values():
            query = select(table.c.expnum).where(table.c.desfile_id.in_(part), table.c.expnum.is_not(None))
            expnums |= set(conn.execute(query.distinct()).scalars())
    runs = {name for name, _ in archive_store.attempt_names(conn, sorted(numbers)).values()}
    return expnums, runs, names


class WithdrawnRun(NamedTuple):
    """A run that is JUNK or PRUNED; ``pruned_from`` is its data state before its files were deleted."""

    id: int
    name: str
    data_state: DataState
    pruned_from: DataState | None


def withdrawn_runs(conn: Connection, attempts: Sequence[int]) -> list[WithdrawnRun]:
    """Return those of the attempts that are JUNK or PRUNED, in the order of their numbers."""
    a = pfw_attempt.c
    query = select(a.id, a.unitname, a.reqnum, a.attnum, a.data_state, a.pruned_from).where(
        archive_store.among(conn, a.id), a.data_state.in_((DataState.JUNK.value, DataState.PRUNED.value))
    )
    return [
        WithdrawnRun(
            row[0],
            f"{row[1]}_r{row[2]}p{row[3]:02d}",
            DataState(row[4]),
            DataState(row[5]) if row[5] else None,
        )
        for row in conn.execute(query.order_by(a.id), {"among": archive_store.packed(conn, attempts)})
    ]


def junk_judged(conn: Connection, expnums: Sequence[int], scope: Scope) -> dict[int, int]:
    """Return the newest attempt in a scope that judged each exposure, of those that are JUNK, or were when deleted."""
    attempts: dict[int, int] = {}
    junk = DataState.JUNK.value
    for table in EVALUATIONS.values():
        query = (
            select(table.c.expnum, func.max(pfw_attempt.c.id))
            .join(pfw_attempt, pfw_attempt.c.id == table.c.pfw_attempt_id)
            .join(pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum)
            .where(
                archive_store.among(conn, table.c.expnum),
                archive_store.in_scope(scope),
                or_(pfw_attempt.c.data_state == junk, pfw_attempt.c.pruned_from == junk),
            )
            .group_by(table.c.expnum)
        )
        for number, attempt_id in conn.execute(query, {"among": archive_store.packed(conn, expnums)}):
            attempts[number] = max(attempt_id, attempts.get(number, 0))
    return attempts


class FileFacts(NamedTuple):
    """Facts on a file of the archive that the provenance of a release uses."""

    id: int
    name: str
    filetype: str
    attempt_id: int | None
    expnum: int | None
    ccdnum: int | None
    band: str | None
    nite: str | None


def file_facts(conn: Connection, ids: Sequence[int]) -> dict[int, FileFacts]:
    """Return the facts of files, by number."""
    facts: dict[int, FileFacts] = {}
    parameters = {"among": archive_store.packed(conn, ids)}
    d = desfile.c
    for table in METADATA_TABLES.values():
        extra = [
            table.c[name] if name in table.c else null().label(name)
            for name in ("expnum", "ccdnum", "band", "nite")
        ]
        query = (
            select(d.id, (d.filename + d.compression).label("name"), d.filetype, d.pfw_attempt_id, *extra)
            .join(table, table.c.desfile_id == d.id)
            .where(archive_store.among(conn, d.id))
        )
        for row in conn.execute(query, parameters):
            facts[row[0]] = FileFacts._make(row)
    rest = select(d.id, (d.filename + d.compression).label("name"), d.filetype, d.pfw_attempt_id)
    for row in conn.execute(rest.where(archive_store.among(conn, d.id)), parameters):
        facts.setdefault(row[0], FileFacts(row[0], row[1], row[2], row[3], None, None, None, None))
    return facts


def judged_exposures(conn: Connection, nites: Sequence[str]) -> list[tuple[int, str, str]]:
    """Return the exposures of some nights on which there is a verdict of any cut: expnum, nite, band."""
    exposures: dict[int, tuple[int, str, str]] = {}
    for table in EVALUATIONS.values():
        query = select(table.c.expnum, table.c.nite, table.c.band).where(
            archive_store.among(conn, table.c.nite)
        )
        for row in conn.execute(query.order_by(table.c.id), {"among": archive_store.packed(conn, nites)}):
            exposures[row[0]] = (row[0], row[1] or "", row[2] or "")
    return [exposures[key] for key in sorted(exposures)]
