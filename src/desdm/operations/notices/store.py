"""The SQL of notices: rules, causes that were not looked at yet, and the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, or_, select, update

from desdm.archive.store import among, packed
from desdm.operations.notices.model import Cause, Notice, Rule, Source
from desdm.schema import event, notice, notice_cursor, notice_rule, problem, problem_note
from desdm.schema.operationstates import NoticeMode, NoticeState, ProblemState, Severity
from desdm.schema.states import EventKind

__all__ = [
    "add_notice",
    "add_rule",
    "by_number",
    "causes",
    "claim",
    "cursor",
    "end_rule",
    "last_sent",
    "move_cursor",
    "newest",
    "notices",
    "notices_of_causes",
    "pending",
    "rules",
    "set_batch",
    "set_state",
    "standing",
]

#: Causes that one look takes.
_MOST = 5_000
#: Characters of a text.
_TEXT = 2_000
_GONE = (ProblemState.CLOSED, ProblemState.REJECTED)


def add_rule(conn: Connection, rule: Rule) -> int:
    """Add a rule, whose ``id`` is ignored; return its number."""
    values = {name: getattr(rule, name) for name in Rule.__slots__ if name != "id"}
    for name in ("quiet_from", "quiet_to"):
        values[name] = values[name].strftime("%H:%M") if values[name] is not None else ""
    key = conn.execute(insert(notice_rule).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def end_rule(conn: Connection, name: str, now: datetime) -> bool:
    """End a rule that holds; False if none of that name does."""
    holds = (notice_rule.c.name == name) & notice_rule.c.until.is_(None)
    return conn.execute(update(notice_rule).where(holds).values(until=now)).rowcount == 1


def rules(conn: Connection, *, ended: bool = False) -> list[Rule]:
    """Return the rules that hold, by name; with ``ended`` the others too."""
    query = select(*(notice_rule.c[name] for name in Rule.__slots__)).order_by(notice_rule.c.name)
    if not ended:
        query = query.where(notice_rule.c.until.is_(None))
    return [
        Rule(
            row.id,
            row.name,
            row.kind,
            row.subject,
            Severity(row.severity),
            row.target,
            NoticeMode(row.mode),
            _time(row.quiet_from),
            _time(row.quiet_to),
            row.owner,
            row.since,
            row.until,
            row.after_event,
            row.after_note,
        )
        for row in conn.execute(query)
    ]


def _time(text: str) -> time | None:
    """Return a time of the day, HH:MM; None of an empty text."""
    return time.fromisoformat(text) if text else None


def cursor(conn: Connection, source: Source) -> int:
    """Return the newest row of a source that was looked at."""
    query = select(notice_cursor.c.last_id).where(notice_cursor.c.source == source)
    return conn.execute(query).scalar() or 0


def move_cursor(conn: Connection, source: Source, last_id: int) -> None:
    """Remember the newest row of a source that was looked at."""
    here = notice_cursor.c.source == source
    if not conn.execute(update(notice_cursor).where(here).values(last_id=last_id)).rowcount:
        conn.execute(insert(notice_cursor).values(source=source, last_id=last_id))


def newest(conn: Connection, source: Source) -> int:
    """Return the newest row of a source."""
    column = event.c.id if source is Source.EVENT else problem_note.c.id
    return conn.execute(select(func.max(column))).scalar() or 0


def causes(conn: Connection, source: Source, after: int) -> list[Cause]:
    """Return what happened after a row of a source, oldest first, at most some thousand.

    Parameters
    ----------
    conn
        Connection to the database.
    source
        Events, but for those of problems; or changes of state and severity of problems.
    after
        Number of the row.
    """
    return _events(conn, after) if source is Source.EVENT else _changes_of_problems(conn, after)


def _events(conn: Connection, after: int) -> list[Cause]:
    """Return the events after a number, but for those of problems."""
    e = event.c
    query = (
        select(e.id, e.kind, e.subject, e.text, e.reason)
        .where(e.id > after, e.kind != EventKind.PROBLEM.value)
        .order_by(e.id)
        .limit(_MOST)
    )
    return [
        Cause(
            Source.EVENT,
            row.id,
            EventKind(row.kind),
            row.subject or "",
            Severity.WATCH,
            row.text + (f": {row.reason}" if row.reason else ""),
        )
        for row in conn.execute(query)
    ]


def _changes_of_problems(conn: Connection, after: int) -> list[Cause]:
    """Return the changes of state and severity of problems after a number of a note."""
    n, p = problem_note.c, problem.c
    changes = or_(
        n.severity.is_not(None),
        func.coalesce(n.from_state, "") != func.coalesce(n.to_state, n.from_state, ""),
    )
    query = (
        select(
            n.id, n.problem_id, n.from_state, n.to_state, n.severity, n.text, p.subject, p.title, p.severity
        )
        .join(problem, p.id == n.problem_id)
        .where(n.id > after, changes)
        .order_by(n.id)
        .limit(_MOST)
    )
    listed = []
    for number, problem_id, _, state, changed, text, subject, title, severity in conn.execute(query):
        words = f"problem {problem_id}{' ' + state if state else ''}: {title}: {text}"
        gone = state is not None and ProblemState(state) in _GONE
        listed.append(
            Cause(
                Source.PROBLEM,
                number,
                EventKind.PROBLEM,
                subject,
                Severity(changed or severity),
                words[:_TEXT],
                resolved=gone,
            )
        )
    return listed


def notices_of_causes(conn: Connection, source: Source, numbers: Sequence[int]) -> set[tuple[int, str]]:
    """Return (rule, key) of the notices that there are of some causes.

    Parameters
    ----------
    conn
        Connection to the database.
    source, numbers
        Table of the causes, and the numbers of their rows.
    """
    n = notice.c
    query = select(n.notice_rule_id, n.notice_key).where(among(conn, n.notice_key))
    rules_known = conn.execute(select(notice_rule.c.id)).scalars().all()
    keys = [f"{rule}:{source.value}:{number}" for rule in rules_known for number in numbers]
    rows = conn.execute(query, {"among": packed(conn, keys)})
    return {(rule, key.partition(":")[2]) for rule, key in rows}


def add_notice(
    conn: Connection,
    rule: Rule,
    cause: Cause,
    *,
    state: NoticeState,
    now: datetime,
    resolves: int | None = None,
) -> None:
    """Add a notice to the outbox, unless the rule has told this cause.

    Parameters
    ----------
    conn
        Connection in a transaction.
    rule, cause
        Rule, and what it tells.
    state
        Pending, or suppressed.
    now
        Time, UTC.
    resolves
        Notice whose cause is gone.
    """
    key = f"{rule.id}:{cause.key}"
    if conn.execute(select(notice.c.id).where(notice.c.notice_key == key)).first() is not None:
        return
    conn.execute(
        insert(notice).values(
            notice_rule_id=rule.id,
            notice_key=key,
            event_id=cause.number if cause.source is Source.EVENT else None,
            target=rule.target,
            subject=cause.subject[:200],
            severity=cause.severity,
            body=cause.text,
            state=state,
            tries=0,
            next_try=now,
            made_at=now,
            resolves_id=resolves,
        )
    )


def standing(conn: Connection, rule: Rule, subject: str) -> int | None:
    """Return the newest notice of a rule on a subject that was told or waits, and is not resolved; None without one."""
    n = notice.c
    query = (
        select(n.id)
        .where(
            n.notice_rule_id == rule.id,
            n.subject == subject[:200],
            n.state.in_([NoticeState.PENDING, NoticeState.SENT, NoticeState.ACKED]),
            n.resolves_id.is_(None),
        )
        .order_by(n.id.desc())
        .limit(1)
    )
    return conn.execute(query).scalar()


def pending(conn: Connection, now: datetime) -> list[Notice]:
    """Return the notices that can be sent now, by target and number."""
    n = notice.c
    due = or_(n.next_try.is_(None), n.next_try <= now)
    query = _all().where(n.state == NoticeState.PENDING, due).order_by(n.target, n.id)
    return [_notice(row) for row in conn.execute(query)]


def notices(conn: Connection, *, state: NoticeState | None = None, limit: int | None = None) -> list[Notice]:
    """Return notices, newest first.

    Parameters
    ----------
    conn
        Connection to the database.
    state
        Only those in this state.
    limit
        At most so many.
    """
    query = _all().order_by(notice.c.id.desc())
    if state is not None:
        query = query.where(notice.c.state == state)
    return [_notice(row) for row in conn.execute(query if limit is None else query.limit(limit))]


def by_number(conn: Connection, numbers: Sequence[int]) -> list[Notice]:
    """Return notices by their numbers."""
    if not numbers:
        return []
    return [
        _notice(row) for row in conn.execute(_all().where(notice.c.id.in_(numbers)).order_by(notice.c.id))
    ]


def last_sent(conn: Connection, target: str) -> datetime | None:
    """Return when the target was last sent something."""
    return conn.execute(select(func.max(notice.c.sent_at)).where(notice.c.target == target)).scalar()


def claim(conn: Connection, numbers: Sequence[int], now: datetime, until: datetime) -> bool:
    """Keep notices that are due from other senders until a time; False if another one has them.

    Parameters
    ----------
    conn
        Connection in a transaction.
    numbers
        Numbers of the notices of one message.
    now, until
        Time, and end of the claim, UTC.
    """
    n = notice.c
    is_due = (
        n.id.in_(numbers) & (n.state == NoticeState.PENDING) & or_(n.next_try.is_(None), n.next_try <= now)
    )
    return conn.execute(update(notice).where(is_due).values(next_try=until)).rowcount == len(numbers)


def set_batch(conn: Connection, numbers: Sequence[int], batch: str) -> None:
    """Write the name of the message that carries notices, before it is sent."""
    conn.execute(update(notice).where(notice.c.id.in_(numbers)).values(batch=batch))


def set_state(conn: Connection, numbers: Sequence[int], **values: object) -> int:
    """Change columns of notices; return how many.

    Parameters
    ----------
    conn
        Connection in a transaction.
    numbers
        Numbers of the notices.
    values
        New values by column.
    """
    return conn.execute(update(notice).where(notice.c.id.in_(numbers)).values(values)).rowcount


def _all() -> Select[Any]:
    """Return the query of all notices."""
    columns = (notice.c[_COLUMNS.get(name, name)] for name in Notice.__slots__)
    return select(*columns)


#: Attribute of the record → its column, where they differ.
_COLUMNS = {"rule_id": "notice_rule_id", "key": "notice_key"}


def _notice(row: Row[Any]) -> Notice:
    """Return the record of a row."""
    values = dict(zip(Notice.__slots__, row, strict=True))
    values["severity"], values["state"] = Severity(values["severity"]), NoticeState(values["state"])
    return Notice(**values)
