"""What a person marks or reviews: exposures, CCDs, tiles, runs and files, by their names."""

from __future__ import annotations

import re

from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.model import Scope
from desdm.archive.store import attempt_facts, attempt_names, ccds_of_exposure
from desdm.archive.withheld import outside
from desdm.errors import NotFoundError
from desdm.quality.qa import store
from desdm.quality.qa.model import Subject
from desdm.quality.qa.verdict import verdicts
from desdm.schema import EVALUATIONS
from desdm.schema.operationstates import SubjectKind
from desdm.schema.runname import RunName
from desdm.schema.store import exposure_name

__all__ = ["ccd_name", "find_subject", "subject_of_attempt"]

_EXPOSURE = re.compile(r"[Dd]?0*([1-9]\d{0,8})")
_CCD = re.compile(r"[Dd]?0*([1-9]\d{0,8})_[Cc]0*([1-9]\d{0,2})")
#: Pipelines whose unit is an exposure.
_CUTS = tuple(EVALUATIONS)
_COADD = "coadd"


def ccd_name(expnum: int, ccdnum: int) -> str:
    """Return the name of a CCD of an exposure, for instance D00229686_c10."""
    return f"{exposure_name(expnum)}_c{ccdnum:02d}"


def find_subject(conn: Connection, text: str, scope: Scope, cut: str = "firstcut") -> Subject:
    """Return the subject of a name, with the attempt whose data count for it.

    Parameters
    ----------
    conn
        Connection to the database.
    text
        Name of a run, a CCD (D00229686_c10), an exposure (D00229686 or its number), a file or a tile.
    scope
        Project, campaign and run classes whose attempts count.
    cut
        Pipeline of an exposure: firstcut or finalcut.

    Raises
    ------
    NotFoundError
        Nothing has this name.
    """
    text = text.strip()
    if RunName.parse(text) is not None and catalog.by_name(conn, text) is None:
        number = catalog.attempt_number(conn, text)
        run = attempt_names(conn, [number])[number][0]
        return Subject(SubjectKind.ATTEMPT, run, attempt_id=number, run=run)
    if match := _CCD.fullmatch(text):
        expnum, ccdnum = int(match[1]), int(match[2])
        ccds = ccds_of_exposure(conn, expnum)
        if ccds is None:
            raise NotFoundError(f"{exposure_name(expnum)} is not in the archive; see: desdm verdict")
        attempt_id, run = _attempt_of_exposure(conn, expnum, scope, cut)
        return Subject(SubjectKind.CCD, ccd_name(expnum, ccdnum), expnum, ccdnum, attempt_id, run)
    if match := _EXPOSURE.fullmatch(text):
        expnum = int(match[1])
        attempt_id, run = _attempt_of_exposure(conn, expnum, scope, cut)
        if attempt_id is None and ccds_of_exposure(conn, expnum) is None and not _judged(conn, expnum):
            raise NotFoundError(
                f"{exposure_name(expnum)} is not in the archive; to exclude it before it arrives: desdm exclude {expnum}"
            )
        return Subject(SubjectKind.EXPOSURE, exposure_name(expnum), expnum, None, attempt_id, run)
    file = catalog.by_name(conn, text)
    if file is not None:
        number_of = file.pfw_attempt_id
        run = attempt_names(conn, [number_of])[number_of][0] if number_of is not None else ""
        return Subject(SubjectKind.FILE, file.name, attempt_id=number_of, run=run, desfile_id=file.id)
    attempt_id, run = _best(conn, text, (_COADD,), scope)
    if attempt_id is None:
        raise NotFoundError(
            f"{text!r} names no run, exposure, CCD (D00229686_c10), file or tile that was processed; see: desdm history, "
            "desdm files, desdm verdict"
        )
    return Subject(SubjectKind.TILE, text, attempt_id=attempt_id, run=run)


def subject_of_attempt(conn: Connection, attempt_id: int) -> Subject:
    """Return what an attempt is reviewed as: its exposure or tile, or the run itself."""
    facts = attempt_facts(conn, [attempt_id])[attempt_id]
    unit = facts.run.rpartition("_r")[0]
    match = _EXPOSURE.fullmatch(unit)
    if facts.pipeline in _CUTS and match:
        expnum = int(match[1])
        return Subject(
            SubjectKind.EXPOSURE, exposure_name(expnum), expnum, attempt_id=attempt_id, run=facts.run
        )
    if facts.pipeline == _COADD:
        return Subject(SubjectKind.TILE, unit, attempt_id=attempt_id, run=facts.run)
    return Subject(SubjectKind.ATTEMPT, facts.run, attempt_id=attempt_id, run=facts.run)


def _attempt_of_exposure(conn: Connection, expnum: int, scope: Scope, cut: str) -> tuple[int | None, str]:
    """Return the attempt whose data count for an exposure, with its name: of its verdict, else the best."""
    for one in dict.fromkeys((cut, *_CUTS)):
        for row in verdicts(conn, one, [expnum], scope):
            number = row["pfw_attempt_id"]
            if number is not None:
                return number, attempt_names(conn, [number])[number][0]
    return _best(conn, exposure_name(expnum), _CUTS, scope)


def _judged(conn: Connection, expnum: int) -> bool:
    """Tell whether there is any verdict on an exposure."""
    return any(store.counting(conn, table, None, [expnum]) for table in EVALUATIONS.values())


def _best(conn: Connection, unit: str, pipelines: tuple[str, ...], scope: Scope) -> tuple[int | None, str]:
    """Return the attempt at a unit that counts, with its name: the newest good one in scope, else the newest in scope."""
    numbers = [n for n, pipeline in store.attempts_of_unit(conn, unit) if pipeline in pipelines]
    facts = attempt_facts(conn, numbers) if numbers else {}
    mine = [n for n in numbers if not outside(facts[n], scope)]
    if not mine:
        return None, ""
    best = min(mine, key=lambda n: (facts[n].order, -n))
    return best, facts[best].run
