"""Say of a plan that lacks an input which files of the archive would have fitted, why they are not used, and what helps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from desdm.archive import store
from desdm.archive.catalogfile import CatalogFile
from desdm.framework.picking import InputError, text_of
from desdm.quality.qa.selection import Omitted

__all__ = ["describe_refusal", "describe_suspects", "describe_unused"]

#: Files that a message names.
_NAMED = 4


def describe_refusal(conn: Connection, err: InputError, omitted: Sequence[Omitted]) -> str:
    """Return the text of a refused plan; with the files of the input that were left out, if there are any.

    Parameters
    ----------
    conn
        Connection to the database.
    err
        Which wrapper has no file of which input.
    omitted
        What the plan left out.
    """
    records = {r.id: r for r in store.files_by_id(conn, sorted({o.desfile_id for o in omitted}))}
    fitting = [
        o
        for o in omitted
        if o.desfile_id in records and records[o.desfile_id].filetype in err.filetypes and _fits(o, err.keys)
    ]
    return f"{err.message}; {describe_unused(conn, fitting)}" if fitting else str(err)


def describe_unused(conn: Connection, omitted: Sequence[Omitted]) -> str:
    """Name files of the archive that must not be used, with the reasons and what helps."""
    records = {r.id: r for r in store.files_by_id(conn, sorted({o.desfile_id for o in omitted}))}
    by_reason: dict[str, dict[str, None]] = {}
    for one in omitted:
        by_reason.setdefault(one.reason, {})[records[one.desfile_id].filename] = None
    parts = []
    for reason, of_reason in by_reason.items():
        names = list(of_reason)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        parts.append(f"{', '.join(names[:_NAMED])}{more} ({reason})")
    numbers = {r.pfw_attempt_id for r in records.values()}
    facts = store.attempt_facts(conn, sorted(n for n in numbers if n is not None))
    return f"the archive has files that must not be used: {'; '.join(parts)}; {_advice(by_reason, facts)}"


def _fits(one: Omitted, keys: Mapping[str, str]) -> bool:
    """Whether a file may be of a wrapper's exposure and CCD."""
    ccdnum, expnum = keys.get("ccdnum", ""), keys.get("expnum", "")
    return (not ccdnum or not one.ccdnum or text_of(ccdnum) == str(one.ccdnum)) and (
        not expnum or one.expnum is None or text_of(expnum) == str(one.expnum)
    )


def _advice(reasons: Iterable[str], facts: Mapping[int, store.AttemptFacts]) -> str:
    """What helps against the reasons for which files of these attempts are not used."""
    reasons, steps = list(reasons), []
    if any("excluded" in reason for reason in reasons):
        steps.append("lift the exclusion: desdm exclude EXPNUM --ccd CCD --lift --reason TEXT")
    if any("JUNK" in reason for reason in reasons):
        steps.append("if the run is good: desdm mark RUN active --reason TEXT")
    runs = sorted({f"{one.pipeline} of {one.run.rpartition('_r')[0]}" for one in facts.values()})
    steps.append(
        f"make again without what is excluded or junk: {', '.join(runs)} (desdm submit PIPELINE)"
        if runs
        else "deliver other files"
    )
    return ", or ".join(steps)


def describe_suspects(conn: Connection, files: Iterable[CatalogFile]) -> tuple[str, ...]:
    """Say which inputs are suspect, by the damaged file that they were derived from.

    A suspect file may be used: whether the bytes changed before or after it was made is not known.

    Parameters
    ----------
    conn
        Connection to the database.
    files
        The inputs.
    """
    by_cause: dict[tuple[str, str], set[int]] = {}
    for mark in store.suspects_of(conn, sorted({file.id for file in files})):
        by_cause.setdefault((mark.cause, mark.reason), set()).add(mark.desfile_id)
    return tuple(
        f"inputs that are suspect: {len(suspects)}, for {cause}: {reason}; a release of their products is refused while "
        "they are (desdm files --suspect)"
        for (cause, reason), suspects in sorted(by_cause.items())
    )
