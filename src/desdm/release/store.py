"""SQL of releases: records in and out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, null, or_, select, update

from desdm.archive import store as archive_store
from desdm.archive.model import Scope
from desdm.release.model import Release, ReleaseColumn, ReleaseFile, ReleaseTable
from desdm.schema import (
    EVALUATIONS,
    METADATA_TABLES,
    announcement,
    desfile,
    image,
    opm_was_derived_from,
    pfw_attempt,
    pfw_request,
    problem,
    release,
    release_column,
    release_file,
    release_table,
)
from desdm.schema.states import AttemptState, DataState, ReleaseState, RunClass

__all__ = [
    "FileFacts",
    "WithdrawnRun",
    "announcements",
    "change",
    "close_problem",
    "delete_release",
    "drop_files",
    "drop_table",
    "exposure_times",
    "file_facts",
    "files",
    "files_of_attempt",
    "files_of_exposure",
    "insert_announcement",
    "insert_files",
    "insert_problem",
    "insert_release",
    "insert_table",
    "judged_exposures",
    "junk_judged",
    "open_problems",
    "problems",
    "provenance",
    "releases",
    "releases_with",
    "replace_files",
    "runs_of",
    "tables",
    "upstream",
    "withdrawn_runs",
]

_RELEASE = tuple(Release.__slots__)


def releases(conn: Connection, states: Sequence[ReleaseState] | None = None) -> list[Release]:
    """Releases, newest last; all, or those in ``states``."""
    query = select(*(release.c[name] for name in _RELEASE)).order_by(release.c.created_at, release.c.name)
    if states is not None:
        query = query.where(release.c.state.in_([s.value for s in states]))
    return [Release(**{**row._mapping, "state": ReleaseState(row.state)}) for row in conn.execute(query)]


def tables(conn: Connection, name: str) -> list[ReleaseTable]:
    """Tables of a release with their columns, in the order of their names."""
    columns: dict[str, list[ReleaseColumn]] = defaultdict(list)
    wanted = select(release_column).where(release_column.c.release_name == name)
    for row in conn.execute(wanted.order_by(release_column.c.table_name, release_column.c.ordinal)):
        columns[row.table_name].append(
            ReleaseColumn(
                name=row.column_name, datatype=row.datatype, arraysize=row.arraysize, xtype=row.xtype, unit=row.unit,
                ucd=row.ucd, text=row.text, principal=row.principal, indexed=row.indexed, inferred=row.inferred,
                minimum=row.minimum, maximum=row.maximum, null_count=row.null_count,
            )
        )  # fmt: skip
    found = select(release_table).where(release_table.c.release_name == name)
    return [
        ReleaseTable(
            release=name, name=row.table_name, kind=row.kind, text=row.text, row_count=row.row_count,
            ra_column=row.ra_column, dec_column=row.dec_column, id_column=row.id_column, path=row.path,
            columns=tuple(columns[row.table_name]),
        )
        for row in conn.execute(found.order_by(release_table.c.table_name))
    ]  # fmt: skip


def files(conn: Connection, name: str, **equal: Any) -> list[ReleaseFile]:
    """Files of a release in the order of their paths; ``equal`` restricts columns (filetype, tilename, band, path)."""
    query = select(release_file).where(release_file.c.release_name == name)
    for column, value in equal.items():
        query = query.where(release_file.c[column] == value)
    found = []
    for row in conn.execute(query.order_by(release_file.c.path)):
        values = dict(row._mapping)
        values["release"] = values.pop("release_name")
        found.append(ReleaseFile(**values))
    return found


def releases_with(conn: Connection, numbers: Iterable[int]) -> dict[str, set[int]]:
    """Return by name of the release those of the archive's files from which files of it were made."""
    found: dict[str, set[int]] = defaultdict(set)
    query = select(release_file.c.release_name, release_file.c.desfile_id).where(
        archive_store.among(conn, release_file.c.desfile_id)
    )
    for name, number in conn.execute(query, {"among": archive_store.packed(conn, numbers)}):
        found[name].add(number)
    return dict(found)


def files_of_attempt(conn: Connection, attempt_id: int) -> list[int]:
    """Return the numbers of the files that an attempt made."""
    return list(conn.execute(select(desfile.c.id).where(desfile.c.pfw_attempt_id == attempt_id)).scalars())


def files_of_exposure(conn: Connection, expnum: int) -> set[int]:
    """Return the numbers of the files whose metadata name an exposure."""
    found: set[int] = set()
    for table in METADATA_TABLES.values():
        if "expnum" in table.c:
            found.update(conn.execute(select(table.c.desfile_id).where(table.c.expnum == expnum)).scalars())
    return found


def insert_release(conn: Connection, made: Release) -> None:
    """A new release."""
    values = {name: getattr(made, name) for name in _RELEASE}
    conn.execute(insert(release).values({**values, "state": made.state.value}))


def change(conn: Connection, name: str, from_state: ReleaseState, **values: Any) -> bool:
    """Change a release that is in ``from_state``; False if it is not (any more)."""
    values = {key: value.value if isinstance(value, ReleaseState) else value for key, value in values.items()}
    wanted = (release.c.name == name) & (release.c.state == from_state.value)
    return conn.execute(update(release).where(wanted).values(values)).rowcount == 1


def delete_release(conn: Connection, name: str) -> bool:
    """Forget a draft with all that hangs on it; False if it is published, which is left alone."""
    if (
        conn.execute(select(release.c.state).where(release.c.name == name)).scalar()
        == ReleaseState.PUBLISHED.value
    ):
        return False
    for table in (release_file, release_column, release_table):
        conn.execute(delete(table).where(table.c.release_name == name))
    conn.execute(delete(release).where(release.c.name == name))
    return True


def insert_table(conn: Connection, made: ReleaseTable, source: str, who: str, when: datetime) -> None:
    """A new table of a release with its columns; ``source`` is its provenance as JSON."""
    conn.execute(
        insert(release_table).values(
            release_name=made.release, table_name=made.name, kind=made.kind, text=made.text, path=made.path,
            row_count=made.row_count, ra_column=made.ra_column, dec_column=made.dec_column,
            id_column=made.id_column, provenance=source, added_by=who, added_at=when,
        )
    )  # fmt: skip
    rows = [
        {
            "release_name": made.release, "table_name": made.name, "column_name": c.name, "ordinal": i,
            **{name: getattr(c, name) for name in c.__slots__ if name != "name"},
        }
        for i, c in enumerate(made.columns)
    ]  # fmt: skip
    conn.execute(insert(release_column), rows)


def drop_table(conn: Connection, name: str, table: str) -> None:
    """Forget a table of a draft."""
    for where in (release_column, release_table):
        conn.execute(delete(where).where(where.c.release_name == name, where.c.table_name == table))


def provenance(conn: Connection, name: str) -> dict[str, str]:
    """Where each table of a release came from, JSON by table."""
    query = select(release_table.c.table_name, release_table.c.provenance).where(
        release_table.c.release_name == name
    )
    return {row[0]: row[1] for row in conn.execute(query)}


def insert_files(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """New files of a release; a row has the columns of ``release_file`` without ``id``."""
    if rows:
        conn.execute(insert(release_file), list(rows))


def drop_files(conn: Connection, name: str, below: str) -> None:
    """Forget the files of a draft whose paths begin with ``below``."""
    wanted = (release_file.c.release_name == name) & release_file.c.path.startswith(below, autoescape=True)
    conn.execute(delete(release_file).where(wanted))


def replace_files(conn: Connection, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """The files of a draft are these, and no others."""
    conn.execute(delete(release_file).where(release_file.c.release_name == name))
    insert_files(conn, rows)


def exposure_times(conn: Connection, coadds: Sequence[int]) -> dict[int, dict[int, tuple[float, float]]]:
    """By coadd and exposure: its begin (MJD) and exposure time (s), from the images that went into the coadd."""
    found: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
    edge = opm_was_derived_from
    for number in coadds:
        query = (
            select(image.c.expnum, image.c.mjd_obs, image.c.exptime)
            .join(edge, edge.c.parent_desfile_id == image.c.desfile_id)
            .where(edge.c.child_desfile_id == number, image.c.expnum.is_not(None))
        )
        for expnum, begin, seconds in conn.execute(query):
            if begin is not None:
                found[number][expnum] = (begin, seconds or 0.0)
    return dict(found)


class RunFacts(NamedTuple):
    """A run as a release sees it."""

    id: int
    name: str
    state: AttemptState
    data_state: DataState
    run_class: RunClass
    project: str
    campaign: str

    @property
    def blessed(self) -> bool:
        """Whether it is done, or flagged and marked by a person, and its data may be used."""
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
            row[0], f"{row[1]}_r{row[2]}p{row[3]:02d}", AttemptState(row[4]), DataState(row[5]), RunClass(row[6]), row[7],
            row[8],
        )
        for row in conn.execute(query)
    ]  # fmt: skip


def open_problems(conn: Connection) -> list[dict[str, Any]]:
    """Problems that are open, oldest first."""
    return [p for p in problems(conn) if p["closed_at"] is None]


def problems(conn: Connection) -> list[dict[str, Any]]:
    """The whole problem list, oldest first."""
    return [dict(row._mapping) for row in conn.execute(select(problem).order_by(problem.c.id))]


def insert_problem(conn: Connection, values: dict[str, Any]) -> int:
    """A new problem; its number."""
    key = conn.execute(insert(problem).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def close_problem(conn: Connection, number: int, values: dict[str, Any]) -> bool:
    """Close an open problem; False if there is none of that number."""
    wanted = (problem.c.id == number) & problem.c.closed_at.is_(None)
    return conn.execute(update(problem).where(wanted).values(values)).rowcount == 1


def insert_announcement(conn: Connection, values: dict[str, Any]) -> int:
    """A new announcement; its number."""
    key = conn.execute(insert(announcement).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def announcements(conn: Connection) -> list[dict[str, Any]]:
    """Announcements, newest first."""
    query = select(announcement).order_by(announcement.c.announced_at.desc(), announcement.c.id.desc())
    return [dict(row._mapping) for row in conn.execute(query)]


def upstream(conn: Connection, ids: Sequence[int]) -> tuple[set[int], set[str], set[str]]:
    """Of files: the exposure numbers, names of runs and names of files from which they come, their own among them."""
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
    found: dict[int, int] = {}
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
            found[number] = max(attempt_id, found.get(number, 0))
    return found


class FileFacts(NamedTuple):
    """A file of the archive as provenance of a release needs it."""

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
    found: dict[int, FileFacts] = {}
    given = {"among": archive_store.packed(conn, ids)}
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
        for row in conn.execute(query, given):
            found[row[0]] = FileFacts._make(row)
    rest = select(d.id, (d.filename + d.compression).label("name"), d.filetype, d.pfw_attempt_id)
    for row in conn.execute(rest.where(archive_store.among(conn, d.id)), given):
        found.setdefault(row[0], FileFacts(row[0], row[1], row[2], row[3], None, None, None, None))
    return found


def judged_exposures(conn: Connection, nites: Sequence[str]) -> list[tuple[int, str, str]]:
    """Return the exposures of some nights on which there is a verdict of any cut: expnum, nite, band."""
    found: dict[int, tuple[int, str, str]] = {}
    for table in EVALUATIONS.values():
        query = select(table.c.expnum, table.c.nite, table.c.band).where(
            archive_store.among(conn, table.c.nite)
        )
        for row in conn.execute(query.order_by(table.c.id), {"among": archive_store.packed(conn, nites)}):
            found[row[0]] = (row[0], row[1] or "", row[2] or "")
    return [found[key] for key in sorted(found)]
