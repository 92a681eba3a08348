"""SQL of releases: records in and out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, null, or_, select, update

from desdm.archive import store as archive_store
from desdm.archive.model import Scope
from desdm.release.model import (
    Announcement,
    Problem,
    Release,
    ReleaseColumn,
    ReleaseFile,
    ReleaseTable,
)
from desdm.release.source import TableSource
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
_FILE_COLUMNS = tuple(name for name in ReleaseFile.__slots__ if name not in ("id", "release"))


def releases(conn: Connection, states: Sequence[ReleaseState] | None = None) -> list[Release]:
    """Return releases, newest last: all, or those in ``states``."""
    query = select(*(release.c[name] for name in _RELEASE)).order_by(release.c.created_at, release.c.name)
    if states is not None:
        query = query.where(release.c.state.in_([s.value for s in states]))
    return [Release(**{**row._mapping, "state": ReleaseState(row.state)}) for row in conn.execute(query)]


def tables(conn: Connection, name: str) -> list[ReleaseTable]:
    """Return the tables of a release with their columns, by name."""
    columns: dict[str, list[ReleaseColumn]] = defaultdict(list)
    column_query = select(release_column).where(release_column.c.release_name == name)
    for row in conn.execute(column_query.order_by(release_column.c.table_name, release_column.c.ordinal)):
        columns[row.table_name].append(
            ReleaseColumn(
                name=row.column_name,
                datatype=row.datatype,
                arraysize=row.arraysize,
                xtype=row.xtype,
                unit=row.unit,
                ucd=row.ucd,
                text=row.text,
                principal=row.principal,
                indexed=row.indexed,
                inferred=row.inferred,
                minimum=row.minimum,
                maximum=row.maximum,
                null_count=row.null_count,
            )
        )
    table_query = select(release_table).where(release_table.c.release_name == name)
    return [
        ReleaseTable(
            release=name,
            name=row.table_name,
            kind=row.kind,
            text=row.text,
            row_count=row.row_count,
            ra_column=row.ra_column,
            dec_column=row.dec_column,
            id_column=row.id_column,
            path=row.path,
            columns=tuple(columns[row.table_name]),
        )
        for row in conn.execute(table_query.order_by(release_table.c.table_name))
    ]


def files(conn: Connection, name: str, **equal: str | None) -> list[ReleaseFile]:
    """Return the files of a release by path; ``equal`` restricts columns (filetype, tilename, band, path)."""
    query = select(release_file).where(release_file.c.release_name == name)
    for column, value in equal.items():
        query = query.where(release_file.c[column] == value)
    records = []
    for row in conn.execute(query.order_by(release_file.c.path)):
        values = dict(row._mapping)
        values["release"] = values.pop("release_name")
        records.append(ReleaseFile(**values))
    return records


def releases_with(conn: Connection, numbers: Iterable[int]) -> dict[str, set[int]]:
    """Return which of the archive's files releases were made from, by name of the release."""
    files_by_release: dict[str, set[int]] = defaultdict(set)
    query = select(release_file.c.release_name, release_file.c.desfile_id).where(
        archive_store.among(conn, release_file.c.desfile_id)
    )
    for name, number in conn.execute(query, {"among": archive_store.packed(conn, numbers)}):
        files_by_release[name].add(number)
    return dict(files_by_release)


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


def insert_release(conn: Connection, draft: Release) -> None:
    """Insert a new release."""
    values = {name: getattr(draft, name) for name in _RELEASE}
    conn.execute(insert(release).values({**values, "state": draft.state.value}))


def change(
    conn: Connection, name: str, from_state: ReleaseState, **values: str | datetime | ReleaseState | None
) -> bool:
    """Change a release that is in ``from_state``; return False if it is in another state.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name
        Name of the release.
    from_state
        State in which it must be.
    **values
        New values by column.

    Returns
    -------
    bool
        Whether the release was changed.
    """
    row = {key: value.value if isinstance(value, ReleaseState) else value for key, value in values.items()}
    condition = (release.c.name == name) & (release.c.state == from_state.value)
    return conn.execute(update(release).where(condition).values(row)).rowcount == 1


def delete_release(conn: Connection, name: str) -> bool:
    """Delete a draft with its rows; return False if it is published, and left unchanged."""
    if (
        conn.execute(select(release.c.state).where(release.c.name == name)).scalar()
        == ReleaseState.PUBLISHED.value
    ):
        return False
    for table in (release_file, release_column, release_table):
        conn.execute(delete(table).where(table.c.release_name == name))
    conn.execute(delete(release).where(release.c.name == name))
    return True


def insert_table(
    conn: Connection, table: ReleaseTable, source: TableSource, who: str, when: datetime
) -> None:
    """Insert a table of a release with its columns.

    Parameters
    ----------
    conn
        Connection in a transaction.
    table
        The table and its columns.
    source
        Its provenance.
    who, when
        User, and time (UTC).
    """
    conn.execute(
        insert(release_table).values(
            release_name=table.release,
            table_name=table.name,
            kind=table.kind,
            text=table.text,
            path=table.path,
            row_count=table.row_count,
            ra_column=table.ra_column,
            dec_column=table.dec_column,
            id_column=table.id_column,
            provenance=source.to_json(),
            added_by=who,
            added_at=when,
        )
    )
    rows = [
        {
            "release_name": table.release,
            "table_name": table.name,
            "column_name": c.name,
            "ordinal": i,
            **{name: getattr(c, name) for name in c.__slots__ if name != "name"},
        }
        for i, c in enumerate(table.columns)
    ]
    conn.execute(insert(release_column), rows)


def drop_table(conn: Connection, name: str, table: str) -> None:
    """Delete a table of a draft.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name, table
        Names of the release and of its table.
    """
    for where in (release_column, release_table):
        conn.execute(delete(where).where(where.c.release_name == name, where.c.table_name == table))


def provenance(conn: Connection, name: str) -> dict[str, TableSource]:
    """Return the provenance of each table of a release."""
    query = select(release_table.c.table_name, release_table.c.provenance).where(
        release_table.c.release_name == name
    )
    return {row[0]: TableSource.from_json(row[1]) for row in conn.execute(query)}


def insert_files(conn: Connection, files: Sequence[ReleaseFile]) -> None:
    """Insert new files of a release; the database gives them their numbers."""
    if files:
        rows = [
            {"release_name": f.release, **{name: getattr(f, name) for name in _FILE_COLUMNS}} for f in files
        ]
        conn.execute(insert(release_file), rows)


def drop_files(conn: Connection, name: str, below: str) -> None:
    """Delete the files of a draft whose paths begin with a prefix.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name
        Name of the release.
    below
        Prefix of the paths.
    """
    condition = (release_file.c.release_name == name) & release_file.c.path.startswith(below, autoescape=True)
    conn.execute(delete(release_file).where(condition))


def replace_files(conn: Connection, name: str, files: Sequence[ReleaseFile]) -> None:
    """Replace the file list of a draft.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name
        Name of the release.
    files
        Its files.
    """
    conn.execute(delete(release_file).where(release_file.c.release_name == name))
    insert_files(conn, files)


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


def open_problems(conn: Connection) -> list[Problem]:
    """Return the open problems, oldest first."""
    return [p for p in problems(conn) if p.closed_at is None]


def problems(conn: Connection) -> list[Problem]:
    """Return the whole problem list, oldest first."""
    return [Problem(**row._mapping) for row in conn.execute(select(problem).order_by(problem.c.id))]


def insert_problem(
    conn: Connection, kind: str, subject: str, text: str, *, blocks: bool, who: str, when: datetime
) -> int:
    """Insert an open problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    kind, subject
        Kind of the subject, and its name.
    text
        Description of the problem.
    blocks
        Whether it blocks a release that contains its subject.
    who, when
        User who opens it, and time (UTC).

    Returns
    -------
    int
        Number of the problem.
    """
    values = insert(problem).values(
        subject_kind=kind, subject=subject, text=text, blocks=blocks, opened_by=who, opened_at=when
    )
    key = conn.execute(values).inserted_primary_key
    assert key is not None
    return int(key[0])


def close_problem(conn: Connection, number: int, resolution: str, *, who: str, when: datetime) -> bool:
    """Close an open problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    resolution
        How it was resolved.
    who, when
        User who closes it, and time (UTC).

    Returns
    -------
    bool
        False if no open problem has this number.
    """
    is_open = (problem.c.id == number) & problem.c.closed_at.is_(None)
    values = {"closed_by": who, "closed_at": when, "resolution": resolution}
    return conn.execute(update(problem).where(is_open).values(values)).rowcount == 1


def insert_announcement(conn: Connection, entry: Announcement) -> int:
    """Insert an announcement, whose ``id`` is ignored; return its number."""
    values = {name: getattr(entry, name) for name in entry.__slots__ if name not in ("id", "release")}
    key = conn.execute(
        insert(announcement).values({**values, "release_name": entry.release})
    ).inserted_primary_key
    assert key is not None
    return int(key[0])


def announcements(conn: Connection) -> list[Announcement]:
    """Return the announcements, newest first."""
    query = select(announcement).order_by(announcement.c.announced_at.desc(), announcement.c.id.desc())
    return [
        Announcement(**{("release" if key == "release_name" else key): v for key, v in row._mapping.items()})
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
