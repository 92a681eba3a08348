"""Announce a published release: mail to the survey's list, and an entry of the web feed."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from desdm.config import Config
from desdm.errors import ConfigError, ConflictError, TransientError
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
        _send(config, to, subject, body)
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


def _send(config: Config, to: Sequence[str], subject: str, body: str) -> None:
    """Mail an announcement; `TransientError` if the server refuses it."""
    if not config.mail_from:
        raise ConfigError("services.mail_from is not set; set the sender of the announcements in desdm.toml")
    host, _, port = config.mail_server.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"services.mail_server = {config.mail_server!r}: say host:port")
    mail = EmailMessage()
    try:
        mail["From"] = Address(addr_spec=config.mail_from)
        mail["To"] = [Address(addr_spec=address) for address in to]
    except (ValueError, HeaderParseError) as err:
        raise ConfigError(
            f"services.mail_from or mail_to has an invalid address: {err}; correct it in desdm.toml"
        ) from err
    mail["Subject"] = subject
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=config.mail_from.rpartition("@")[2] or "localhost")
    mail.set_content(body)
    try:
        with smtplib.SMTP(host, int(port), timeout=30) as server:
            refused = server.send_message(mail, to_addrs=list(to))
    except (OSError, smtplib.SMTPException) as err:
        raise TransientError(
            f"the mail server {config.mail_server} did not take the mail: {err}; try again"
        ) from err
    if refused:
        raise TransientError(
            f"the mail server refused {', '.join(refused)}; correct the addresses and announce again"
        )
