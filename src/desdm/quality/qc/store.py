"""Quality controls in the database, and their gathering for a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from desdm.errors import storage_error
from desdm.quality.qc.matcher import Matcher
from desdm.quality.qc.patterns import Action, Controls, Filter, Ignore, Level, Pattern
from desdm.quality.qc.runfile import WORTH_KEEPING, compiled_beside
from desdm.quality.qc.vocabulary import escaped, read_controls, to_wcl, unescaped
from desdm.schema import ops_message_filter, ops_message_ignore, ops_message_pattern
from desdm.wcl import write

__all__ = [
    "BASE",
    "load_controls",
    "save_controls",
    "write_patterns",
]

_LOG = logging.getLogger(__name__)
BASE = Path(__file__).with_name("base.wcl")
"""Patterns that hold for every program."""


def load_controls(conn: Connection) -> Controls:
    """Load the controls of the database that are in use.

    Raises
    ------
    WCLError
        A pattern there is wrong; it is named.
    """
    p, i, f = ops_message_pattern.c, ops_message_ignore.c, ops_message_filter.c
    patterns = [
        Pattern(
            row.name,
            row.pattern,
            Level(row.lvl),
            row.priority,
            row.execname,
            row.number_of_lines,
            row.only_matched,
            Action(row.action),
            "ops_message_pattern",
            row.id,
        )
        for row in conn.execute(select(ops_message_pattern).where(p.used).order_by(p.priority, p.id))
    ]
    ignores = [
        Ignore(row.pattern, row.execname, str(row.id), "ops_message_ignore", row.id)
        for row in conn.execute(select(ops_message_ignore).where(i.used).order_by(i.id))
    ]
    filters = [
        Filter(unescaped(row.replace_pattern), unescaped(row.with_pattern or ""), row.execname, str(row.id))
        for row in conn.execute(select(ops_message_filter).where(f.used).order_by(f.id))
    ]
    return Controls(tuple(patterns), tuple(ignores), tuple(filters))


def save_controls(conn: Connection, controls: Controls) -> None:
    """Save controls to the database: patterns take the place of those of the same name, the rest is added once."""
    names = [one.name for one in controls.patterns]
    for at in range(0, len(names), 500):
        conn.execute(delete(ops_message_pattern).where(ops_message_pattern.c.name.in_(names[at : at + 500])))
    if controls.patterns:
        conn.execute(
            insert(ops_message_pattern),
            [
                {
                    "name": one.name,
                    "pattern": one.pattern,
                    "lvl": int(one.level),
                    "priority": one.priority,
                    "execname": one.execname,
                    "used": True,
                    "only_matched": one.only_matched,
                    "number_of_lines": one.number_of_lines,
                    "action": one.action.value,
                }
                for one in controls.patterns
            ],
        )
    stored = load_controls(conn)
    ignored = {(one.pattern, one.execname) for one in stored.ignores}
    filtered = {(one.replace, one.put, one.execname) for one in stored.filters}
    for ignore in controls.ignores:
        if (ignore.pattern, ignore.execname) not in ignored:
            conn.execute(
                insert(ops_message_ignore).values(pattern=ignore.pattern, execname=ignore.execname, used=True)
            )
    for one in controls.filters:
        if (one.replace, one.put, one.execname) not in filtered:
            conn.execute(
                insert(ops_message_filter).values(
                    replace_pattern=escaped(one.replace),
                    with_pattern=escaped(one.put),
                    execname=one.execname,
                    used=True,
                )
            )


def write_patterns(
    conn: Connection,
    files: Iterable[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    own: Controls | None = None,
) -> Controls:
    """Gather what a run is watched by, and write it as one WCL file for its jobs.

    The base patterns come first, then those of the files, then those of the database unless a file says
    ``override = true``. A large set is compiled here once, beside the file, so that no worker has to.

    Parameters
    ----------
    conn
        The database.
    files
        WCL files with controls of codes.
    target
        The file to write.
    own
        The run's own controls (section ``qcf`` of its submit WCL); with ``override`` they stand alone.

    Raises
    ------
    WCLError
        A pattern is wrong, or two different ones have one name.
    """
    if own is not None and own.override:
        sets = [own]
    else:
        sets = [read_controls(BASE), *(read_controls(file) for file in files), *([own] if own else [])]
    joined = Controls.joined(sets)
    if not joined.override:
        joined = Controls.joined([joined, load_controls(conn)])
    matcher = Matcher(joined)
    for name in matcher.idle:
        _LOG.warning("pattern %s can never match a line", name)
    write(target, to_wcl(joined))
    if len(joined.patterns) >= WORTH_KEEPING:
        compiled = compiled_beside(Path(target))
        try:
            compiled.write_bytes(matcher.dump())
        except OSError as err:
            raise storage_error(err, compiled) from err
    return joined
