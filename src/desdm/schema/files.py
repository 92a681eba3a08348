"""Tables of files: identity, copies in archives, tags, and the Open Provenance Model's edges."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.states import CopyState

__all__ = [
    "desfile",
    "file_archive_info",
    "file_finding",
    "file_suspect",
    "file_tag",
    "file_trash",
    "opm_used",
    "opm_was_derived_from",
    "opm_was_generated_by",
    "ops_archive",
    "ops_filetype",
    "ops_proctag_def",
    "proctag",
]

ops_filetype = Table(
    "ops_filetype",
    metadata,
    col("filetype", String(24), primary_key=True, text="File type"),
    col("metadata_table", String(24), text="Table of its metadata"),
    col("description", Text, text="What such a file is"),
    comment="File types known to this installation, from archive/filetypes",
)

ops_archive = Table(
    "ops_archive",
    metadata,
    col("name", String(16), primary_key=True, text="Archive"),
    col("root", String(240), text="Its root directory"),
    comment="Archives: places that hold copies of files",
)

desfile = Table(
    "desfile",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the file", ucd="meta.id;meta.main"),
    col(
        "filename",
        String(160),
        text="Name without compression suffix, unique with it",
        ucd="meta.id;meta.file",
    ),
    col("compression", String(5), default="", text="Compression suffix: empty, .fz or .gz"),
    col("filetype", String(24), ForeignKey("ops_filetype.filetype"), text="File type"),
    col("filesize", BigInteger, text="Size", unit="byte", ucd="phys.size;meta.file"),
    col("sha256", String(64), text="sha-256 of the bytes, hexadecimal", ucd="meta.checksum"),
    col(
        "md5sum", String(32), text="md5 of the bytes, hexadecimal, for the field's tools", ucd="meta.checksum"
    ),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), nullable=True, text="Attempt that made it"),
    UniqueConstraint("filename", "compression"),
    Index("ix_desfile_filetype", "filetype"),
    Index("ix_desfile_pfw_attempt_id", "pfw_attempt_id"),
    comment="Every file ever registered: its identity, size and digests",
)

file_archive_info = Table(
    "file_archive_info",
    metadata,
    col("desfile_id", Integer, ForeignKey("desfile.id"), primary_key=True, text="File"),
    col("archive_name", String(16), ForeignKey("ops_archive.name"), primary_key=True, text="Archive"),
    col("path", String(160), text="Directory relative to the archive's root"),
    col("state", STATE, default="ok", text="State of the copy"),
    closed("state", CopyState),
    comment="Where copies of a file lie; a file may lie in many archives",
    sqlite_with_rowid=False,
)

file_finding = Table(
    "file_finding",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the finding"),
    col("desfile_id", Integer, ForeignKey("desfile.id"), text="File"),
    col(
        "severity",
        STATE,
        text="note, warning (something was assumed) or error (not used until a person decides)",
    ),
    col("keyword", String(160), text="Keyword that it is about; empty: the file as a whole"),
    col("value", Text, text="Value of the keyword as it stands"),
    col("text", Text, text="What is wrong"),
    col("assumed", Text, text="What was assumed, or what follows"),
    Index("ix_file_finding_desfile_id", "desfile_id"),
    comment="What in a delivered file could not be interpreted, or only by an assumption",
)

file_suspect = Table(
    "file_suspect",
    metadata,
    col("desfile_id", Integer, ForeignKey("desfile.id"), primary_key=True, text="File that is suspect"),
    col(
        "cause_desfile_id",
        Integer,
        ForeignKey("desfile.id"),
        primary_key=True,
        text="Damaged file that it was made from, or itself",
    ),
    col("who", String(32), text="Person or program that marked it"),
    col("since", DateTime, text="When, UTC", ucd="time"),
    col("reason", Text, text="Why"),
    Index("ix_file_suspect_cause", "cause_desfile_id"),
    comment="Files that an audit found damaged, and files that were made from them; not to be released",
    sqlite_with_rowid=False,
)

file_trash = Table(
    "file_trash",
    metadata,
    col("desfile_id", Integer, ForeignKey("desfile.id"), primary_key=True, text="File"),
    col("archive_name", String(16), ForeignKey("ops_archive.name"), primary_key=True, text="Archive"),
    col("deleted_by", String(32), text="Who deleted it"),
    col("deleted_at", DateTime, text="When, UTC"),
    col("purge_after", DateTime, text="When its bytes may go, UTC"),
    col("reason", Text, text="Why"),
    comment="Deleted copies that can be recovered until their grace time ends",
)

opm_used = Table(
    "opm_used",
    metadata,
    col("task_id", Integer, ForeignKey("task.id"), primary_key=True, text="Task"),
    col("desfile_id", Integer, ForeignKey("desfile.id"), primary_key=True, text="File that it used"),
    Index("ix_opm_used_desfile_id", "desfile_id"),
    comment="Provenance: which task used which file",
    sqlite_with_rowid=False,
)

opm_was_generated_by = Table(
    "opm_was_generated_by",
    metadata,
    col("desfile_id", Integer, ForeignKey("desfile.id"), primary_key=True, text="File"),
    col("task_id", Integer, ForeignKey("task.id"), text="Task that made it"),
    Index("ix_opm_was_generated_by_task_id", "task_id"),
    comment="Provenance: which task made a file",
)

opm_was_derived_from = Table(
    "opm_was_derived_from",
    metadata,
    col("child_desfile_id", Integer, ForeignKey("desfile.id"), primary_key=True, text="File"),
    col(
        "parent_desfile_id",
        Integer,
        ForeignKey("desfile.id"),
        primary_key=True,
        text="File it was derived from",
    ),
    Index("ix_opm_was_derived_from_parent", "parent_desfile_id", "child_desfile_id"),
    comment="Provenance: which file was derived from which",
    sqlite_with_rowid=False,
)

ops_proctag_def = Table(
    "ops_proctag_def",
    metadata,
    col("tag", String(32), primary_key=True, text="Tag"),
    col("description", Text, text="What it stands for"),
    comment="Tags and what they stand for",
)

proctag = Table(
    "proctag",
    metadata,
    col("tag", String(32), ForeignKey("ops_proctag_def.tag"), primary_key=True, text="Tag"),
    col("pfw_attempt_id", Integer, ForeignKey("pfw_attempt.id"), primary_key=True, text="Attempt"),
    col("who", String(32), nullable=True, text="Who set the tag"),
    col("since", DateTime, nullable=True, text="When, UTC", ucd="time"),
    col("reason", Text, nullable=True, text="Why"),
    comment="Tagged attempts",
)

file_tag = Table(
    "file_tag",
    metadata,
    col("tag", String(32), ForeignKey("ops_proctag_def.tag"), primary_key=True, text="Tag"),
    col("desfile_id", Integer, ForeignKey("desfile.id"), primary_key=True, text="File"),
    col("who", String(32), nullable=True, text="Who set the tag"),
    col("since", DateTime, nullable=True, text="When, UTC", ucd="time"),
    col("reason", Text, nullable=True, text="Why"),
    Index("ix_file_tag_desfile_id", "desfile_id"),
    comment="Tagged files",
)
