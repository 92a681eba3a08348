"""Tables of releases: what was selected, its tables, columns and files; problems that block; announcements."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
)
from sqlalchemy import (
    text as sql,
)

from desdm.schema.columns import STATE, closed, col, metadata
from desdm.schema.operationstates import ProblemState, Resolution, Severity
from desdm.schema.states import ReleaseState

__all__ = ["announcement", "problem", "release", "release_column", "release_file", "release_table"]

release = Table(
    "release",
    metadata,
    col("name", String(32), primary_key=True, text="Release, for instance Y6; the schema's name in ADQL"),
    col("state", STATE, default="draft", text="State of the release"),
    col("title", Text, default="", text="Title, one line"),
    col("text", Text, default="", text="What it is"),
    col("selection", Text, default="", text="How its data were selected"),
    col("erratum_of", String(32), ForeignKey("release.name"), nullable=True, text="Release that this one corrects"),
    col("proprietary", Boolean, default=False, text="Whether only those with a data right may see it once published"),
    col("created_by", String(32), text="Who made it"),
    col("created_at", DateTime, text="When, UTC"),
    col("frozen_at", DateTime, nullable=True, text="When its content was frozen, UTC"),
    col("published_by", String(32), nullable=True, text="Who published it"),
    col("published_at", DateTime, nullable=True, text="When, UTC"),
    col("manifest_sha256", String(64), nullable=True, text="sha-256 of its manifest", ucd="meta.checksum"),
    closed("state", ReleaseState),
    comment="Releases: frozen selections of blessed data; a published one never changes",
)  # fmt: skip

release_table = Table(
    "release_table",
    metadata,
    col("release_name", String(32), ForeignKey("release.name"), primary_key=True, text="Release"),
    col("table_name", String(48), primary_key=True, text="Table"),
    col("kind", String(12), default="release", text="release, or value-added"),
    col("text", Text, default="", text="What a row is"),
    col("row_count", BigInteger, text="Rows", ucd="meta.number"),
    col("ra_column", String(64), nullable=True, text="Column of right ascension, ICRS degrees"),
    col("dec_column", String(64), nullable=True, text="Column of declination, ICRS degrees"),
    col("id_column", String(64), nullable=True, text="Column that names a row"),
    col("path", String(160), text="Directory of its Parquet files (HATS layout), relative to the release's"),
    col("provenance", Text, default="{}", text="Where it came from, JSON"),
    col("added_by", String(32), text="Who added it"),
    col("added_at", DateTime, text="When, UTC"),
    comment="Tables of a release",
)

release_column = Table(
    "release_column",
    metadata,
    col("release_name", String(32), primary_key=True, text="Release"),
    col("table_name", String(48), primary_key=True, text="Table"),
    col("column_name", String(64), primary_key=True, text="Column"),
    col("ordinal", Integer, text="Its place, from 0"),
    col(
        "datatype",
        String(16),
        text="VOTable data type: boolean, short, int, long, float, double, char, unicodeChar",
    ),
    col("arraysize", String(16), nullable=True, text="VOTable array size; * for text"),
    col("xtype", String(16), nullable=True, text="DALI extended type"),
    col("unit", String(48), default="", text="Unit (VOUnits 1.1)"),
    col("ucd", String(80), default="", text="UCD1+"),
    col("text", Text, default="", text="What it is"),
    col("principal", Boolean, default=False, text="Whether a first look should show it"),
    col("indexed", Boolean, default=False, text="Whether a condition on it is fast"),
    col("inferred", Boolean, default=False, text="Whether text, unit or UCD are guesses of the program"),
    col("minimum", Float, nullable=True, text="Least value", ucd="stat.min"),
    col("maximum", Float, nullable=True, text="Largest value", ucd="stat.max"),
    col("null_count", BigInteger, default=0, text="Rows without a value", ucd="meta.number"),
    ForeignKeyConstraint(
        ["release_name", "table_name"], ["release_table.release_name", "release_table.table_name"]
    ),
    comment="Columns of the tables of a release",
)

release_file = Table(
    "release_file",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the row", ucd="meta.id;meta.main"),
    col("release_name", String(32), ForeignKey("release.name"), text="Release"),
    col("path", String(240), text="Path relative to the release's directory", ucd="meta.id;meta.file"),
    col("filetype", String(24), text="coadd, coadd_color, table, footprint, moc, hips, document, manifest"),
    col("mime", String(80), text="Media type"),
    col("tilename", String(24), nullable=True, text="Coadd tile"),
    col("band", String(8), nullable=True, text="Band", ucd="instr.bandpass"),
    col("filesize", BigInteger, text="Size", unit="byte", ucd="phys.size;meta.file"),
    col("sha256", String(64), text="sha-256 of the bytes, hexadecimal", ucd="meta.checksum"),
    col("desfile_id", Integer, ForeignKey("desfile.id"), nullable=True, text="Archive's file that it was made from"),
    col("source_sha256", String(64), nullable=True, text="sha-256 of that file", ucd="meta.checksum"),
    col("ra_cent", Float, nullable=True, text="Right ascension of the centre, ICRS", unit="deg", ucd="pos.eq.ra"),
    col("dec_cent", Float, nullable=True, text="Declination of the centre, ICRS", unit="deg", ucd="pos.eq.dec"),
    col("radius", Float, nullable=True, text="Radius of the circle that holds it", unit="deg", ucd="phys.angSize"),
    col("s_region", Text, nullable=True, text="Outline, STC-S polygon, ICRS", ucd="pos.outline;obs.field"),
    col("naxis1", Integer, nullable=True, text="Columns", unit="pixel"),
    col("naxis2", Integer, nullable=True, text="Rows", unit="pixel"),
    col("pixscale", Float, nullable=True, text="Pixel scale", unit="arcsec/pixel", ucd="instr.pixel"),
    col("fwhm", Float, nullable=True, text="Full width at half maximum of the PSF", unit="arcsec", ucd="instr.obsty.seeing"),
    col("t_min", Float, nullable=True, text="Begin of its first exposure", unit="d", ucd="time.start;obs.exposure"),
    col("t_max", Float, nullable=True, text="End of its last exposure", unit="d", ucd="time.end;obs.exposure"),
    col("t_exptime", Float, nullable=True, text="Summed exposure time", unit="s", ucd="time.duration;obs.exposure"),
    Index("ix_release_file_release", "release_name", "path", unique=True),
    Index("ix_release_file_tile", "release_name", "tilename"),
    comment="Files of a release, each with its digest and the archive's file that it was made from",
)  # fmt: skip

problem = Table(
    "problem",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the problem", ucd="meta.id;meta.main"),
    col(
        "subject_kind",
        String(12),
        text="Kind of what it is about: release, tag, tile, exposure, ccd, attempt, file, nite …",
    ),
    col("subject", String(200), text="Its name"),
    col("text", Text, text="What is wrong"),
    col("blocks", Boolean, default=True, text="Whether it blocks a release that holds its subject"),
    col("opened_by", String(32), text="Who opened it"),
    col("opened_at", DateTime, text="When, UTC"),
    col("closed_by", String(32), nullable=True, text="Who closed it"),
    col("closed_at", DateTime, nullable=True, text="When, UTC"),
    col("resolution", Text, nullable=True, text="How it was resolved"),
    col("title", String(160), server_default=sql("''"), text="What is wrong, in one line"),
    col("state", STATE, server_default="confirmed", text="Where it stands"),
    col("severity", STATE, server_default="block", text="Severity, by its effect"),
    col("impression", Text, server_default=sql("''"), text="What is affected, and how much it matters"),
    col("dedupe_key", String(200), nullable=True, text="Key: the same trouble again counts as an occurrence"),
    col("occurrences", Integer, server_default="1", text="How often it was seen", ucd="meta.number"),
    col("first_seen", DateTime, nullable=True, text="When it was first seen, UTC", ucd="time"),
    col("last_seen", DateTime, nullable=True, text="When it was last seen, UTC", ucd="time"),
    col("owner", String(32), nullable=True, text="Who works on it"),
    col("resolution_code", STATE, nullable=True, text="How it was resolved, from a closed list"),
    col("confirmed_by", String(32), nullable=True, text="Who confirmed it"),
    col(
        "pfw_attempt_id",
        Integer,
        ForeignKey("pfw_attempt.id"),
        nullable=True,
        text="Attempt in which it was seen",
    ),
    closed("state", ProblemState),
    closed("severity", Severity),
    closed("resolution_code", Resolution),
    Index("ix_problem_subject", "subject_kind", "subject"),
    Index("ix_problem_state", "state"),
    Index("ix_problem_dedupe_key", "dedupe_key"),
    comment="The problem list",
)

announcement = Table(
    "announcement",
    metadata,
    col("id", Integer, primary_key=True, text="Number of the announcement", ucd="meta.id;meta.main"),
    col("release_name", String(32), ForeignKey("release.name"), text="Release"),
    col("subject", Text, text="Subject"),
    col("body", Text, text="Text"),
    col("announced_by", String(32), text="Who announced it"),
    col("announced_at", DateTime, text="When, UTC"),
    col("mailed_to", Text, default="", text="Addresses that it was mailed to, one a line"),
    comment="Announcements of releases, as mail and in the web feed",
)
