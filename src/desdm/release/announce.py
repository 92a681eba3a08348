"""Announce a published release: mail to the survey's list, and an entry of the web feed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from desdm.config import Config
from desdm.errors import ConflictError
from desdm.mail import send_mail
from desdm.release import store
from desdm.release.model import Announcement, Release, ReleaseTable
from desdm.release.publish import find
from desdm.release.rights import reader_view
from desdm.schema.database import Database
from desdm.schema.states import EventKind, ReleaseState
from desdm.schema.store import record_event

__all__ = ["announce", "message"]


def announce(
    database: Database, config: Config, name: str, *, who: str, text: str = "", reason: str = ""
) -> tuple[str, list[str]]:
    """Announce a release; return the subject, and the addresses to which it was mailed.

    The feed's entry is written after the mail was sent; without a mail server in the settings only the feed is
    written.

    Parameters
    ----------
    database, config
        Database, and configuration with the mail server.
    name
        Name of a published release.
    text
        Introduction, placed before the facts.
    who, reason
        Author and reason, for the record; without a reason ``text`` is recorded.

    Returns
    -------
    tuple of str, list of str
        Subject, and the addresses; no addresses without a mail server.

    Raises
    ------
    ConflictError
        The release is not published.
    TransientError
        The mail server does not take the mail; nothing is announced then.
    """
    release = find(database, name)
    if release.state is not ReleaseState.PUBLISHED:
        raise ConflictError(
            f"{release.name} is a {release.state.value}; publish it first: desdm release publish {release.name}"
        )
    with database.read() as conn:
        tables = store.tables(conn, release.name)
        described = reader_view(conn, release)
    subject, body = message(described, tables, text)
    to = [a.strip() for a in config.mail_to.split(",") if a.strip()] if config.mail_server else []
    if to:
        send_mail(config, to, subject, body)
    with database.write() as conn:
        store.insert_announcement(
            conn,
            Announcement(
                id=0,
                release=release.name,
                subject=subject,
                body=body,
                announced_by=who,
                announced_at=datetime.now(UTC).replace(tzinfo=None),
                mailed_to="\n".join(to),
            ),
        )
        event = f"{release.name} announced in the feed" + (f", mailed to {', '.join(to)}" if to else "")
        record_event(conn, EventKind.RELEASE, who, event, subject=release.name, reason=reason or text)
    return subject, to


def message(release: Release, tables: Sequence[ReleaseTable], text: str = "") -> tuple[str, str]:
    """Compose the subject and body of an announcement.

    Parameters
    ----------
    release, tables
        The release and its tables.
    text
        Introduction, placed before the facts.

    Returns
    -------
    tuple of str, str
        Subject and body.
    """
    title = release.title if release.title != release.name else ""
    corrects = f", which corrects {release.erratum_of}" if release.erratum_of else ""
    subject = f"Release {release.name} is published" + (f": {title}" if title else "")
    lines = [part for part in (text, release.text) if part]
    lines.append(f"Release {release.name}{corrects} is published.")
    if release.proprietary:
        lines.append("It is proprietary: only those with a data right may see it.")
    lines.append(
        "Tables:\n"
        + "\n".join(f"  {t.release}.{t.name}: {t.row_count} rows. {t.text}".rstrip() for t in tables)
    )
    lines.append(
        f"Its notes say what was dropped and why; its manifest has sha-256 {release.manifest_sha256}."
    )
    return subject, "\n\n".join(lines) + "\n"
