"""Make notices of what happened, and send them: each cause once by each rule, few messages to each target.

Events and notes on problems are committed with their effects, and are looked at from a cursor that moves in the transaction
that makes the notices. So no cause is lost, and none is told twice by one rule.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection

from desdm.errors import DesdmError, NotFoundError, UsageError
from desdm.operations.notices import store
from desdm.operations.notices.channels import require_target
from desdm.operations.notices.model import Cause, Message, Notice, Rule, Source, rank
from desdm.release.problems import Proposal, propose_problem
from desdm.schema.database import Database
from desdm.schema.operationstates import NoticeMode, NoticeState, Severity
from desdm.schema.states import EventKind
from desdm.schema.store import record_event, require_reason

__all__ = ["Channel", "acknowledge", "add_rule", "collect", "deliver", "end_rule"]

#: Sends a message; raises `DesdmError` if the channel does not take it.
Channel = Callable[[Message], None]

#: Time between two messages to one target; what comes in between goes out together.
INTERVAL = timedelta(minutes=5)
DIGEST_INTERVAL = timedelta(hours=1)
#: How long a message that is being sent is kept from other senders; after the death of its sender it is sent again.
CLAIM = timedelta(minutes=5)
#: Pauses after the first, second … refusal; then the target is given up.
PAUSES = tuple(timedelta(minutes=m) for m in (1, 2, 5, 10, 10, 15, 15, 30, 30, 60, 60, 120, 120, 240))
#: Rows that are looked at again: a transaction that began earlier can commit a smaller number later.
_AGAIN = 500
#: Lines of a message.
_LINES = 200


def add_rule(conn: Connection, rule: Rule, *, who: str, reason: str) -> int:
    """Add a rule of notices; what happened before is not told.

    Parameters
    ----------
    conn
        Connection in a transaction.
    rule
        The rule; its ``id`` is ignored.
    who, reason
        Author and reason.

    Raises
    ------
    UsageError
        There was a rule of this name, or nothing can ever be sent to the target.
    """
    require_reason(reason)
    if any(r.name == rule.name for r in store.rules(conn, ended=True)):
        raise UsageError(f"there was a rule {rule.name} before; names of rules are not used again")
    require_target(rule.target)
    if (rule.quiet_from is None) != (rule.quiet_to is None):
        raise UsageError("quiet hours have a begin and an end, for instance 22:00-06:00")
    events, notes = store.newest(conn, Source.EVENT), store.newest(conn, Source.PROBLEM)
    if not store.rules(conn, ended=True):
        store.move_cursor(conn, Source.EVENT, events)
        store.move_cursor(conn, Source.PROBLEM, notes)
    number = store.add_rule(conn, replace(rule, after_event=events, after_note=notes))
    text = f"rule {rule.name} of notices: {rule.kind} of {rule.subject} to {_public(rule.target)}, {rule.mode.value}"
    record_event(conn, EventKind.NOTICE, who, text, subject=rule.name, reason=reason)
    return number


def end_rule(conn: Connection, name: str, *, who: str, reason: str, now: datetime) -> None:
    """End a rule of notices.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name
        Name of the rule.
    who, reason
        Author and reason.
    now
        Time, UTC.

    Raises
    ------
    NotFoundError
        No rule of this name holds.
    """
    require_reason(reason)
    if not store.end_rule(conn, name, now):
        raise NotFoundError(f"no rule {name} holds; see: desdm notice rule list")
    record_event(conn, EventKind.NOTICE, who, f"rule {name} of notices ended", subject=name, reason=reason)


def acknowledge(conn: Connection, number: int, *, who: str) -> None:
    """Acknowledge a notice that was sent: its subject is not told again by its rule until it is resolved.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the notice.
    who
        Login of the person.
    """
    wanted = next(iter(store.by_number(conn, [number])), None)
    if wanted is None or wanted.state is not NoticeState.SENT:
        state = "there is none" if wanted is None else f"it is {wanted.state.value}"
        raise NotFoundError(
            f"no notice {number} waits for an acknowledgement: {state}; see: desdm notice list"
        )
    store.set_state(conn, [number], state=NoticeState.ACKED, acked_by=who)
    record_event(
        conn,
        EventKind.NOTICE,
        who,
        f"notice {number} acknowledged: {wanted.body[:100]}",
        subject=wanted.subject,
    )


def collect(conn: Connection, now: datetime) -> int:
    """Make the notices of what happened since the last look; return the number of causes that were looked at.

    Parameters
    ----------
    conn
        Connection in a transaction.
    now
        Time, UTC.
    """
    rules = store.rules(conn)
    seen = 0
    for source in Source:
        cursor = store.cursor(conn, source)
        causes = store.causes(conn, source, max(0, cursor - _AGAIN))
        present = (
            store.notices_of_causes(conn, source, [cause.number for cause in causes])
            if causes and rules
            else set()
        )
        for cause in causes:
            # Notices about notices would never end.
            if cause.kind is not EventKind.NOTICE:
                for rule in rules:
                    if (rule.id, cause.key) not in present:
                        _tell(conn, rule, cause, now)
        if causes and causes[-1].number > cursor:
            store.move_cursor(conn, source, causes[-1].number)
        seen += sum(cause.number > cursor for cause in causes)
    return seen


def _tell(conn: Connection, rule: Rule, cause: Cause, now: datetime) -> None:
    """Make the notice of a cause by a rule, if it fits."""
    if not rule.fits(cause):
        return
    earlier = store.standing(conn, rule, cause.subject) if cause.subject else None
    if cause.resolved:
        # Of trouble that was never told nobody is told that it is gone.
        if earlier is not None:
            store.add_notice(conn, rule, cause, state=NoticeState.PENDING, now=now, resolves=earlier)
        return
    again = rule.mode is NoticeMode.FIRST and earlier is not None
    state = NoticeState.SUPPRESSED if again else NoticeState.PENDING
    store.add_notice(conn, rule, cause, state=state, now=now)


def deliver(database: Database, channel: Channel, now: datetime) -> list[tuple[Message, str]]:
    """Send what is due; return each message with what the channel said against it, empty if it took it.

    A message that was on its way when the process ended is sent again under the same name.

    Parameters
    ----------
    database
        Database of the installation.
    channel
        Sends a message.
    now
        Time, UTC.
    """
    with database.write() as conn:
        messages = _messages(conn, now)
    results = []
    for message in messages:
        with database.write() as conn:
            # The queue and a command can send at the same time: one of them sends this message.
            if not store.claim(conn, message.notices, now, now + CLAIM):
                continue
        error = ""
        try:
            channel(message)
        except DesdmError as err:
            error = str(err)
        with database.write() as conn:
            _settle(conn, message, error, now)
        results.append((message, error))
    return results


def _messages(conn: Connection, now: datetime) -> list[Message]:
    """Return the messages that are due, each with its name written down."""
    rules = {rule.id: rule for rule in store.rules(conn, ended=True)}
    messages = []
    for target, group in groupby(store.pending(conn, now), key=lambda n: n.target):
        waiting = list(group)
        # A message that was tried goes out as it was.
        for batch, tried in groupby(
            sorted((n for n in waiting if n.batch), key=lambda n: (n.batch or "", n.id)),
            key=lambda n: n.batch,
        ):
            messages.append(_message(target, batch or "", list(tried)))
        new = [n for n in waiting if not n.batch and not _withheld(rules[n.rule_id], n, now)]
        if new and _is_due(conn, target, new, rules, now):
            batch = uuid.uuid4().hex
            store.set_batch(conn, [n.id for n in new], batch)
            messages.append(_message(target, batch, new))
    return messages


def _withheld(rule: Rule, notice: Notice, now: datetime) -> bool:
    """Whether quiet hours withhold a notice."""
    return rule.is_quiet(now) and notice.severity is not Severity.STOP


def _is_due(
    conn: Connection, target: str, new: Sequence[Notice], rules: dict[int, Rule], now: datetime
) -> bool:
    """Whether a target may be sent something now."""
    last = store.last_sent(conn, target)
    if all(rules[n.rule_id].mode is NoticeMode.DIGEST for n in new):
        return now - max(last or datetime.min, new[0].made_at) >= DIGEST_INTERVAL
    return last is None or now - last >= INTERVAL


def _message(target: str, batch: str, notices: Sequence[Notice]) -> Message:
    """Return the message that carries notices."""
    gravest = min((n.severity for n in notices), key=rank)
    first = notices[0]
    more = f" and {len(notices) - 1} more" if len(notices) > 1 else ""
    gone = "resolved: " if all(n.resolves_id is not None for n in notices) else ""
    lines = [f"{n.made_at:%Y-%m-%d %H:%M} UTC  {n.body}" for n in notices[:_LINES]]
    if len(notices) > _LINES:
        lines.append(f"… and {len(notices) - _LINES} more; see: desdm notice list")
    subject = f"[desdm] {gone}{first.subject or first.body}"[:120] + more
    return Message(
        batch,
        target,
        "".join(c if c.isprintable() else " " for c in subject),
        "\n".join(lines) + "\n",
        gravest,
        tuple(n.id for n in notices),
        first.tries,
    )


def _settle(conn: Connection, message: Message, error: str, now: datetime) -> None:
    """Write down how a message went."""
    if not error:
        store.set_state(
            conn,
            message.notices,
            state=NoticeState.SENT,
            sent_at=now,
            tries=message.tries + 1,
            last_error=None,
        )
        _resolve(conn, message)
        return
    if message.tries >= len(PAUSES):
        store.set_state(
            conn, message.notices, state=NoticeState.FAILED, tries=message.tries + 1, last_error=error[:2000]
        )
        # A dead channel is trouble that people must see on the problem list: it cannot tell them.
        target = _public(message.target)
        proposal = Proposal(
            "notice",
            target,
            "a channel takes no notices",
            f"{target} takes no notices: {error[:300]}",
            Severity.NUISANCE,
            f"notice:{target}"[:200],
        )
        propose_problem(conn, proposal, who="notifier", now=now)
        return
    store.set_state(
        conn,
        message.notices,
        tries=message.tries + 1,
        next_try=now + PAUSES[message.tries],
        last_error=error[:2000],
    )


def _resolve(conn: Connection, message: Message) -> None:
    """Mark the notices as resolved of which a message told that their trouble is gone."""
    resolved = {n.resolves_id for n in store.by_number(conn, message.notices) if n.resolves_id is not None}
    told = [
        n.id
        for n in store.by_number(conn, sorted(resolved))
        if n.state in (NoticeState.SENT, NoticeState.ACKED)
    ]
    if told:
        store.set_state(conn, told, state=NoticeState.RESOLVED)


def _public(target: str) -> str:
    """Return a target without the secrets that URLs of channels hold."""
    scheme, _, rest = target.partition(":")
    if scheme == "mailto":
        return target
    host = rest.lstrip("/").split("/")[0].rpartition("@")[2]
    return f"{scheme}://{host}/…"
