"""Formats of answers: names, media types, and the selection by a request."""

from __future__ import annotations

from dataclasses import dataclass

from desdm.errors import UsageError

__all__ = ["FORMATS", "Format", "choose"]


@dataclass(frozen=True, slots=True)
class Format:
    """One format of a table in an answer.

    Attributes
    ----------
    name
        Short name.
    mime
        Media type of the answer.
    extension
        File extension, without the dot.
    aliases
        Other names and media types, in lower case without blanks.
    """

    name: str
    mime: str
    extension: str
    aliases: tuple[str, ...] = ()

    @property
    def reports_cuts(self) -> bool:
        """Whether the format can state that rows were left out (QUERY_STATUS OVERFLOW)."""
        return self.name not in ("csv", "tsv")

    @property
    def has_null_bytes(self) -> bool:
        """Whether a byte can be null; in FITS all 256 values of a byte may be data, so that none is left for TNULL."""
        return self.name != "fits"

    @property
    def reports_errors(self) -> bool:
        """Whether the format can state after the rows that an error ended them (DALI 1.1, section 4.4.1)."""
        return self.extension == "vot"


_VOTABLE = "application/x-votable+xml"

#: Formats of a table in an answer; the first is the default.
FORMATS: tuple[Format, ...] = (
    Format(
        "votable",
        f"{_VOTABLE};serialization=BINARY2",
        "vot",
        (
            _VOTABLE,
            "votable/b2",
            "votable/binary2",
            f"{_VOTABLE};serialization=binary2",
            "application/x-votable",
        ),
    ),
    Format(
        "votable/td",
        f"{_VOTABLE};serialization=TABLEDATA",
        "vot",
        (
            f"{_VOTABLE};serialization=tabledata",
            "votable/tabledata",
            "text/xml",
            "application/xml",
            "text/x-votable+xml",
        ),
    ),
    Format("csv", "text/csv;header=present", "csv", ("text/csv", "text/csv;header=present")),
    Format("tsv", "text/tab-separated-values", "tsv", ("text/tab-separated-values", "tab", "text/tsv")),
    Format("fits", "application/fits", "fits", ("application/fits", "application/x-fits", "image/fits")),
    Format(
        "parquet",
        "application/vnd.apache.parquet",
        "parquet",
        ("application/vnd.apache.parquet", "application/x-parquet", "application/parquet"),
    ),
)


def choose(requested: str | None) -> Format:
    """Return the format that a request names.

    Parameters
    ----------
    requested
        Value of RESPONSEFORMAT or FORMAT (DALI 1.1, 3.4.3): a short name or a media type, whatever its case;
        None or empty for the default. ``charset`` and ``header`` in a media type are ignored.

    Raises
    ------
    UsageError
        If there is no such format; the message lists the formats.
    """
    if not requested or not requested.strip():
        return FORMATS[0]
    kind, *parameters = (part.strip() for part in requested.lower().split(";"))
    options = sorted(p.replace(" ", "").replace('"', "") for p in parameters if p.startswith("serialization"))
    wanted = ";".join((kind, *options))
    for form in FORMATS:
        if wanted == form.name or wanted in form.aliases:
            return form
    known = ", ".join(f"{form.name} ({form.mime})" for form in FORMATS)
    raise UsageError(f"RESPONSEFORMAT {requested!r} is not known; there are: {known}")
