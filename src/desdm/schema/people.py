"""Tables of people: accounts, tokens and data rights; sessions and denials are in the service's own database."""

from __future__ import annotations

from sqlalchemy import DateTime, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.operationstates import Office
from desdm.schema.states import Role

__all__ = ["access_token", "data_right", "person", "person_office"]

person = Table(
    "person",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the person", ucd="meta.id;meta.main"),
    col("login", String(32), text="Login name"),
    col("name", Text, default="", text="Full name"),
    col("email", String(120), default="", text="Mail address"),
    col("role", STATE, text="Role"),
    col("password_hash", Text, nullable=True, text="argon2id hash; none: no login by password"),
    col(
        "session_generation",
        Integer,
        nullable=True,
        text="How often all sessions of browsers were ended (none: 0); one of an earlier count is refused",
    ),
    col("disabled_at", DateTime, nullable=True, text="When the account was closed, UTC"),
    col("created_by", String(32), text="Who made the account"),
    col("created_at", DateTime, text="When, UTC"),
    UniqueConstraint("login"),
    closed("role", Role),
    comment="Accounts of people",
)

access_token = Table(
    "access_token",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the token", ucd="meta.id;meta.main"),
    col("person_id", Integer, ForeignKey("person.id"), text="Whose it is"),
    col("kind", String(12), text="api"),
    col("name", Text, default="", text="What it is for"),
    col("digest", String(64), text="sha-256 of the token; the token itself is shown once and never kept"),
    col("scopes", Text, text="What it allows, names with spaces between"),
    col("created_at", DateTime, text="When it was made, UTC"),
    col("expires_at", DateTime, text="When it ends, UTC"),
    col("revoked_at", DateTime, nullable=True, text="When it was revoked, UTC"),
    UniqueConstraint("digest"),
    Index("ix_access_token_person_id", "person_id"),
    comment="Tokens by which programs act for a person",
)

data_right = Table(
    "data_right",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the right", ucd="meta.id;meta.main"),
    col("grantee_kind", String(8), text="role or person"),
    col("grantee", String(32), text="Name of the role, or login"),
    col("release_name", String(32), text="Release"),
    col("table_name", String(48), default="*", text="Table; * for all, with the files"),
    col("granted_by", String(32), text="Who granted it"),
    col("granted_at", DateTime, text="When, UTC"),
    UniqueConstraint("grantee_kind", "grantee", "release_name", "table_name"),
    comment="Who may see what is not public",
)

person_office = Table(
    "person_office",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the row", ucd="meta.id;meta.main"),
    col("person_id", Integer, ForeignKey("person.id"), text="Person"),
    col("office", STATE, text="Office that the person holds"),
    col("working_group", String(32), default="", text="Working group of a member"),
    col("who", String(32), text="Who gave it"),
    col("since", DateTime, text="Since when, UTC"),
    col("until", DateTime, nullable=True, text="Until when, UTC; none: it is held"),
    closed("office", Office),
    Index("ix_person_office_person_id", "person_id"),
    comment="Offices that people hold in the organisation",
)
