"""The service's own database: what requests write (sessions, jobs, users' tables, denials), apart from production.

Whoever fills or locks it cannot touch the operations database, and a long writer there does not hold up requests. It is
created when it does not exist; existing installations are carried over by ``desdm init --upgrade``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    insert,
    inspect,
    literal,
    select,
    update,
)

from desdm.errors import ConfigError
from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.database import Database
from desdm.schema.states import Phase

__all__ = [
    "MOVED",
    "VERSION",
    "access_denial",
    "browser_session",
    "carry_over",
    "mydb_table",
    "prepare",
    "release_fault",
    "sent_form",
    "service_metadata",
    "token_use",
    "uws_job",
    "uws_parameter",
    "uws_result",
]

#: Version of these tables; a change of them comes with a step in `prepare`.
VERSION = 3
#: Versions that lack only tables, which are created.
_EARLIER = (1, 2)
#: Tables of the operations database of earlier versions whose rows are carried over; of the last one the sessions.
MOVED = ("uws_job", "uws_parameter", "uws_result", "access_denial", "mydb_table", "access_token")
_PIECE = 500

service_metadata = MetaData(naming_convention=metadata.naming_convention)

service_version = Table(
    "service_version",
    service_metadata,
    col("version", Integer, primary_key=True, text="Version of these tables"),
    comment="The one row says which version of the tables this is",
)

uws_job = Table(
    "uws_job",
    service_metadata,
    col("id", String(32), primary_key=True, text="Job"),
    col("service", String(16), text="Service: tap, soda, cutout"),
    col("owner", String(32), default="", text="Login of its owner; empty: anybody"),
    col("run_id", String(64), default="", text="The client's own name for it (RUNID)"),
    col("phase", STATE, default="PENDING", text="UWS phase"),
    col("creation_time", DateTime, text="When it was made, UTC"),
    col("start_time", DateTime, nullable=True, text="When it began to run, UTC"),
    col("end_time", DateTime, nullable=True, text="When it ended, UTC"),
    col("execution_duration", Float, text="How long it may run; 0: no limit", unit="s"),
    col("destruction", DateTime, text="When job and results go, UTC"),
    col("error_type", String(12), nullable=True, text="transient or fatal"),
    col("error_message", Text, nullable=True, text="What went wrong"),
    col("server", String(64), nullable=True, text="Server process that runs it"),
    col("tries", Integer, default=0, text="How often a server took it up"),
    col("address", String(64), default="", text="Address of who made it"),
    col("size", BigInteger, default=0, text="Room of its parameters, uploads and results", unit="byte"),
    closed("phase", Phase),
    Index("ix_uws_job_owner", "service", "owner", "creation_time"),
    comment="Asynchronous jobs (IVOA UWS 1.1)",
)

uws_parameter = Table(
    "uws_parameter",
    service_metadata,
    col("job_id", String(32), ForeignKey("uws_job.id", ondelete="CASCADE"), primary_key=True, text="Job"),
    col("ordinal", Integer, primary_key=True, text="Its place, from 0"),
    col("name", String(64), text="Parameter, in capitals"),
    col("value", Text, text="Its value"),
    comment="Parameters of asynchronous jobs",
)

uws_result = Table(
    "uws_result",
    service_metadata,
    col("job_id", String(32), ForeignKey("uws_job.id", ondelete="CASCADE"), primary_key=True, text="Job"),
    col("result_id", String(64), primary_key=True, text="Result"),
    col("ordinal", Integer, text="Its place, from 0"),
    col("path", String(240), text="File, relative to the results' directory"),
    col("mime", String(120), text="Media type"),
    col("filesize", BigInteger, text="Size", unit="byte", ucd="phys.size;meta.file"),
    comment="Results of asynchronous jobs",
)

access_denial = Table(
    "access_denial",
    service_metadata,
    col("id", Integer, primary_key=True, text="Number of the denial", ucd="meta.id;meta.main"),
    col("at", DateTime, text="When, UTC"),
    col("login", String(32), text="Who asked; empty: nobody that is known"),
    col("address", String(64), text="From which address"),
    col("action", String(48), text="What was asked for"),
    col("subject", Text, text="Of what"),
    col("reason", Text, text="Why it was denied"),
    Index("ix_access_denial_at", "at"),
    comment="What was denied to whom; pruned by age",
)

token_use = Table(
    "token_use",
    service_metadata,
    col("token_id", Integer, primary_key=True, text="Number of the token (access_token.id)"),
    col("last_used_at", DateTime, text="When it was last used, UTC, to the minute"),
    comment="When tokens were last used",
)

browser_session = Table(
    "browser_session",
    service_metadata,
    col("digest", String(64), primary_key=True, text="sha-256 of the cookie's secret, which is never kept"),
    col("login", String(32), text="Whose it is"),
    col(
        "generation",
        Integer,
        text="The person's count of ended sessions when it began (person.session_generation)",
    ),
    col("name", Text, default="", text="Browser"),
    col("scopes", Text, text="What it allows, names with spaces between"),
    col("created_at", DateTime, text="When it began, UTC"),
    col("expires_at", DateTime, text="When it ends, UTC"),
    col("ended_at", DateTime, nullable=True, text="When it was ended by logging out, UTC"),
    Index("ix_browser_session_expires_at", "expires_at"),
    comment="Sessions of browsers that are logged in",
)

sent_form = Table(
    "sent_form",
    service_metadata,
    col(
        "digest", String(64), primary_key=True, text="sha-256 of the form: address, fields, session and page"
    ),
    col("sent_at", DateTime, text="When it was taken, UTC"),
    Index("ix_sent_form_sent_at", "sent_at"),
    comment="Forms of the desk that were sent, so that each is done once",
)

mydb_table = Table(
    "mydb_table",
    service_metadata,
    col("owner", String(32), primary_key=True, text="Login of its owner"),
    col("table_name", String(48), primary_key=True, text="Table"),
    col("row_count", BigInteger, text="Rows", ucd="meta.number"),
    col("bytes", BigInteger, text="Room that it takes", unit="byte", ucd="phys.size"),
    col("columns", Text, text="Its columns with type, unit, UCD and text, JSON"),
    col("text", Text, default="", text="What it is"),
    col("created_at", DateTime, text="When it was made, UTC"),
    comment="Tables that users keep (mydb)",
)

release_fault = Table(
    "release_fault",
    service_metadata,
    col("release", String(32), primary_key=True, text="Release"),
    col("path", String(200), primary_key=True, text="File, relative to the release's directory"),
    col("at", DateTime, text="When a service met the fault last, UTC"),
    col("who", String(32), text="Service that met it"),
    col("fault", Text, text="What is wrong with the file"),
    col("problem", Integer, nullable=True, text="Number in the problem list; none: not entered yet"),
    comment="Files of releases that a service found not as released, on their way to the problem list",
)


def prepare(service: Database) -> None:
    """Make the tables that are not there; safe to call again, and by several servers.

    Raises
    ------
    ConfigError
        The database is that of another version.
    """
    if service.dialect == "sqlite" and service.url.database:
        # The file is private whatever the umask; its journals take its mode.
        with suppress(FileExistsError):
            os.close(os.open(service.url.database, os.O_CREAT | os.O_EXCL, 0o600))
    with service.read() as conn:
        there = inspect(conn).has_table("service_version")
        database_version = conn.execute(select(service_version.c.version)).scalar() if there else None
    if database_version is None:
        with service.write() as conn:
            service_metadata.create_all(conn)
            if conn.execute(select(service_version.c.version)).scalar() is None:
                conn.execute(insert(service_version).values(version=VERSION))
    elif database_version in _EARLIER:
        with service.write() as conn:
            service_metadata.create_all(conn)
            conn.execute(update(service_version).values(version=VERSION))
    elif database_version > VERSION:
        raise ConfigError(
            f"the service's database {service.describe()} is at version {database_version}, this program knows versions up "
            f"to {VERSION}: the program is older than the database; update the program"
        )
    elif database_version != VERSION:
        raise ConfigError(
            f"the service's database {service.describe()} is at version {database_version}, this program needs {VERSION}; "
            "use the program that made it, or move the file away (jobs and denials are lost)"
        )


def carry_over(database: Database, service: Database) -> int:
    """Copy the rows of requests of an earlier version of the operations database; how many. Safe to call again."""
    prepare(service)
    count = 0
    with database.read() as source:
        present = set(inspect(source).get_table_names())
        for name in MOVED:
            if name not in present:
                continue
            old = Table(name, MetaData(), autoload_with=source)
            into = browser_session if name == "access_token" else service_metadata.tables[name]
            query = _sessions(source, old) if name == "access_token" else select(old)
            rows = [dict(row._mapping) for row in source.execute(query)]
            for at in range(0, len(rows), _PIECE):
                with service.write() as conn:
                    count += _add(conn, into, rows[at : at + _PIECE])
    return count


def _sessions(source: Connection, token: Table) -> Select[Any]:
    """The sessions among the tokens of an earlier version, as they stand now."""
    person = Table("person", MetaData(), autoload_with=source)
    return (
        select(
            token.c.digest, person.c.login, literal(0).label("generation"), token.c.name, token.c.scopes,
            token.c.created_at, token.c.expires_at, token.c.revoked_at.label("ended_at"),
        )
        .join(person, token.c.person_id == person.c.id)
        .where(token.c.kind == "session")
    )  # fmt: skip


def _add(conn: Connection, table: Table, rows: Sequence[dict[str, object]]) -> int:
    """Add the rows whose key is not there yet; how many."""
    key = list(table.primary_key.columns)
    wanted = [row[key[0].name] for row in rows]
    known = {tuple(row) for row in conn.execute(select(*key).where(key[0].in_(wanted)))}
    new = [row for row in rows if tuple(row[column.name] for column in key) not in known]
    if new:
        conn.execute(insert(table), new)
    return len(new)
