"""The SQL of verdicts: rows added to the evaluation tables, the newest of each exposure, zero points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, Row, Subquery, Table, and_, case, func, not_, select
from sqlalchemy.sql.elements import ColumnElement

from desdm.archive.model import Scope
from desdm.archive.store import (
    BLESSED,
    among,
    ccds_tried,
    in_scope,
    lock_exclusions,
    order_of_columns,
    packed,
    partial,
)
from desdm.schema import DataState, desfile, pfw_attempt, pfw_omitted_input, pfw_request, zeropoint
from desdm.schema.database import new_ids
from desdm.schema.evaluation import EvaluationRow
from desdm.schema.states import AttemptState

__all__ = [
    "LIFTED",
    "PERSON",
    "add_evaluation",
    "add_zeropoints",
    "attempts_at",
    "attempts_judged",
    "counting",
    "counting_words",
    "exposures_of",
    "has_verdicts_of_persons",
    "omitted_inputs",
    "program_verdicts",
    "zeropoints_of",
]

#: Value of column ``program`` in a person's verdict, and in the row that withdraws it.
PERSON, LIFTED = "analyst", "lifted"


def add_evaluation(conn: Connection, table: Table, row: Mapping[str, object]) -> None:
    """Add a verdict; earlier ones stay.

    Parameters
    ----------
    conn
        Connection to the database.
    table
        Table of evaluations of the cut.
    row
        Values by column.
    """
    lock_exclusions(conn, shared=True)
    conn.execute(table.insert(), {"id": new_ids(conn, table, 1)[0], **row})


def has_verdicts_of_persons(conn: Connection, table: Table) -> bool:
    """Tell whether a person ever judged an exposure in an evaluation table."""
    return conn.execute(select(table.c.id).where(table.c.program == PERSON).limit(1)).first() is not None


def counting(
    conn: Connection, table: Table, scope: Scope | None = None, expnums: Sequence[int] | None = None
) -> list[EvaluationRow]:
    """Return the verdict of each exposure that counts, by exposure number.

    A person's verdict counts until that person or another withdraws it (program ``lifted``) or gives a newer one. Without
    one the verdict of a program on the attempt in ``scope`` counts whose files stand: the newest on a blessed attempt,
    else the newest on a flagged or PRUNED one; a run of some CCDs does not judge an exposure of which another run processed
    these and more. Without such an attempt the newest verdict on an exposure that was not
    processed counts.

    Parameters
    ----------
    table
        firstcut_eval or finalcut_eval.
    scope
        Attempts whose verdicts count; None: ``survey`` attempts of every project and campaign.
    expnums
        Exposures; None: all.
    """
    ranked, parameters = _ranked(conn, table, scope, expnums)
    query = select(table, ranked.c.newest.label("newest")).join(ranked, table.c.id == ranked.c.chosen)
    rows = conn.execute(query.order_by(table.c.expnum), parameters).all()
    newest_of = {row.expnum: int(row.newest) for row in rows}
    return _with_numbers(conn, table, [_evaluation_row(row) for row in rows], newest_of)


class BriefVerdict(NamedTuple):
    """The verdict on an exposure that counts, with t_eff, and the program that gave it."""

    expnum: int
    accepted: str
    t_eff: float | None
    program: str


def counting_words(conn: Connection, table: Table, scope: Scope | None = None) -> list[BriefVerdict]:
    """Return what `counting` returns of all exposures, but for the many columns that a table of the survey does not need.

    Parameters
    ----------
    conn
        Connection to the database.
    table
        firstcut_eval or finalcut_eval.
    scope
        As of `counting`.
    """
    ranked, parameters = _ranked(conn, table, scope, None)
    program = table.alias("of_program")
    # Under a person's word stand the numbers of the newest program's verdict.
    t_eff = case((program.c.id.is_(None), table.c.t_eff), else_=program.c.t_eff)
    query = (
        select(table.c.expnum, table.c.accepted, t_eff, table.c.program)
        .join(ranked, table.c.id == ranked.c.chosen)
        .outerjoin(program, and_(table.c.program == PERSON, program.c.id == ranked.c.newest))
    )
    return list(map(BriefVerdict._make, conn.execute(query, parameters).all()))


def _ranked(
    conn: Connection, table: Table, scope: Scope | None, expnums: Sequence[int] | None
) -> tuple[Subquery, dict[str, Any]]:
    """Return numbers of the verdict that counts and of the newest good one of a program by exposure, as of `counting`."""
    where = scope or Scope("", "")
    person = table.c.program == PERSON
    # The row that withdraws a person's verdict judges nothing: its copy of another verdict is never the one that counts.
    by_program = table.c.program.not_in((PERSON, LIFTED))
    good = and_(
        in_scope(where),
        pfw_attempt.c.state.in_([AttemptState.DONE, AttemptState.FLAGGED]),
        pfw_attempt.c.data_state != DataState.JUNK.value,
        # Deleting the files of a JUNK run does not make its verdict count again.
        func.coalesce(pfw_attempt.c.pruned_from, "") != DataState.JUNK.value,
    )
    lesser = _partial_attempts(conn, table, and_(by_program, good), expnums)
    if lesser:
        good = and_(good, not_(among(conn, pfw_attempt.c.id, "lesser")))
    # The verdict follows the files: a flagged attempt that nobody has marked does not take the place of a blessed one.
    blessed = and_(good, order_of_columns(pfw_attempt) == BLESSED)
    facts = (
        select(
            table.c.expnum.label("expnum"),
            func.max(case((person, table.c.id), else_=0)).label("person"),
            func.max(case((table.c.program == LIFTED, table.c.id), else_=0)).label("lifted"),
            func.max(case((and_(by_program, blessed), table.c.id), else_=0)).label("blessed"),
            func.max(case((and_(by_program, good), table.c.id), else_=0)).label("program"),
            func.max(case((and_(by_program, table.c.pfw_attempt_id.is_(None)), table.c.id), else_=0)).label(
                "none"
            ),
        )
        .select_from(
            table.outerjoin(pfw_attempt, pfw_attempt.c.id == table.c.pfw_attempt_id).outerjoin(
                pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum
            )
        )
        .group_by(table.c.expnum)
    )
    parameters: dict[str, Any] = {"lesser": packed(conn, lesser)} if lesser else {}
    if expnums is not None:
        facts = facts.where(among(conn, table.c.expnum))
        parameters["among"] = packed(conn, expnums)
    f = facts.subquery().c
    newest = case((f.blessed > 0, f.blessed), else_=f.program)
    chosen = case((f.person > f.lifted, f.person), (newest > 0, newest), else_=f.none)
    return select(chosen.label("chosen"), newest.label("newest")).subquery(), parameters


def _partial_attempts(
    conn: Connection, table: Table, condition: ColumnElement[bool], expnums: Sequence[int] | None
) -> list[int]:
    """The attempts that processed only some of the CCDs that another attempt at their exposure processed."""
    judged = (
        select(table.c.expnum, pfw_attempt.c.id, order_of_columns(pfw_attempt).label("place"))
        .select_from(
            table.join(pfw_attempt, pfw_attempt.c.id == table.c.pfw_attempt_id).join(
                pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum
            )
        )
        .where(condition)
        .distinct()
    )
    parameters = {}
    if expnums is not None:
        judged = judged.where(among(conn, table.c.expnum))
        parameters["among"] = packed(conn, expnums)
    each = judged.cte()
    again = select(each.c.expnum).group_by(each.c.expnum).having(func.count() > 1)
    several = conn.execute(select(each).where(each.c.expnum.in_(again)), parameters).all()
    tried = ccds_tried(conn, sorted({row.id for row in several}))
    orders = {row.id: int(row.place) for row in several}
    of_exposures: dict[int, dict[int, frozenset[int]]] = {}
    for row in several:
        if row.id in tried:
            of_exposures.setdefault(row.expnum, {})[row.id] = tried[row.id]
    return sorted({number for ccds in of_exposures.values() for number in partial(ccds, orders)})


def _evaluation_row(row: Row[Any]) -> EvaluationRow:
    """Return a row of a table of evaluations without columns that a query adds."""
    columns = row._mapping
    return cast(EvaluationRow, {key: columns[key] for key in EvaluationRow.__annotations__})


def _with_numbers(
    conn: Connection, table: Table, rows: list[EvaluationRow], newest: Mapping[int, int]
) -> list[EvaluationRow]:
    """Put the numbers and the attempt of the newest program's verdict under a person's: the word is on the exposure."""
    wanted = [newest[r["expnum"]] for r in rows if r["program"] == PERSON and newest[r["expnum"]]]
    if not wanted:
        return rows
    query = select(table).where(among(conn, table.c.id))
    current = {r.id: _evaluation_row(r) for r in conn.execute(query, {"among": packed(conn, wanted)})}
    return [
        _with_words_of(r, current[newest[r["expnum"]]])
        if r["program"] == PERSON and newest[r["expnum"]]
        else r
        for r in rows
    ]


def _with_words_of(person: EvaluationRow, program: EvaluationRow) -> EvaluationRow:
    """Return a program's verdict with what a person says in its place."""
    return {
        **program,
        "id": person["id"],
        "accepted": person["accepted"],
        "reason": person["reason"],
        "program": person["program"],
        "analyst": person["analyst"],
        "analyst_comment": person["analyst_comment"],
        "lastchanged_time": person["lastchanged_time"],
    }


def attempts_judged(conn: Connection, table: Table, expnums: Sequence[int]) -> set[int]:
    """Return the numbers of every attempt of which a verdict on these exposures tells.

    Parameters
    ----------
    conn
        Connection to the database.
    table
        Table of evaluations of the cut.
    expnums
        Exposure numbers.
    """
    query = select(table.c.pfw_attempt_id).where(
        among(conn, table.c.expnum), table.c.pfw_attempt_id.is_not(None)
    )
    return set(conn.execute(query.distinct(), {"among": packed(conn, expnums)}).scalars())


def program_verdicts(conn: Connection, table: Table, expnums: Sequence[int] | None) -> list[EvaluationRow]:
    """Return all verdicts of programs on attempts at exposures (None: all), newest first, also those that do not count.

    Parameters
    ----------
    conn
        Connection to the database.
    table
        Table of evaluations of the cut.
    expnums
        Exposure numbers; None: all.
    """
    query = select(table).where(table.c.program.not_in((PERSON, LIFTED)), table.c.pfw_attempt_id.is_not(None))
    parameters = {}
    if expnums is not None:
        query = query.where(among(conn, table.c.expnum))
        parameters["among"] = packed(conn, expnums)
    return [_evaluation_row(row) for row in conn.execute(query.order_by(table.c.id.desc()), parameters)]


def attempts_at(conn: Connection, pipeline: str, unitname: str) -> list[int]:
    """Return the numbers of the attempts of a pipeline at a unit, newest first.

    Parameters
    ----------
    conn
        Connection to the database.
    pipeline
        Name of the pipeline.
    unitname
        Name of the unit.
    """
    query = (
        select(pfw_attempt.c.id)
        .join(pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum)
        .where(pfw_attempt.c.unitname == unitname, pfw_request.c.pipeline == pipeline)
        .order_by(pfw_attempt.c.id.desc())
    )
    return list(conn.execute(query).scalars())


def omitted_inputs(conn: Connection, attempt_id: int) -> list[tuple[int, str, int | None, int, str]]:
    """Return (file, name, exposure, CCD or 0, reason) of what the plan of an attempt left out, by name and CCD."""
    table = pfw_omitted_input.c
    query = (
        select(table.desfile_id, desfile.c.filename, table.expnum, table.ccdnum, table.reason)
        .join(desfile, desfile.c.id == table.desfile_id)
        .where(table.pfw_attempt_id == attempt_id)
        .order_by(desfile.c.filename, table.ccdnum)
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in conn.execute(query)]


def exposures_of(conn: Connection, table: Table, attempt_id: int) -> list[int]:
    """Return the exposures on which there are verdicts of an attempt.

    Parameters
    ----------
    conn
        Connection to the database.
    table
        Table of evaluations of the cut.
    attempt_id
        Number of the attempt.
    """
    query = select(table.c.expnum).where(table.c.pfw_attempt_id == attempt_id).distinct()
    return sorted(conn.execute(query).scalars())


def add_zeropoints(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add zero points of images."""
    if rows:
        ids = new_ids(conn, zeropoint, len(rows))
        conn.execute(zeropoint.insert(), [{"id": i, **row} for i, row in zip(ids, rows, strict=True)])


def zeropoints_of(conn: Connection, attempt_id: int) -> list[dict[str, Any]]:
    """Zero points that an attempt produced, by exposure and CCD."""
    query = select(zeropoint).where(zeropoint.c.pfw_attempt_id == attempt_id)
    return [
        dict(row._mapping) for row in conn.execute(query.order_by(zeropoint.c.expnum, zeropoint.c.ccdnum))
    ]
