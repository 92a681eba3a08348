"""Example queries on the published tables, for the examples page (DALI 1.1, section 2.3) and the query page."""

# ruff: noqa: S608 - texts for a form; queries pass the translator before they run
from __future__ import annotations

from typing import NamedTuple

from desdm.query.catalogue import Catalogue, Entry

__all__ = ["Example", "examples_of"]


class Example(NamedTuple):
    """Example query: identifier, title, ADQL text and the tables that it reads."""

    id: str
    title: str
    query: str
    tables: tuple[str, ...]


def examples_of(catalogue: Catalogue) -> list[Example]:
    """Return examples for the tables that a caller may query."""
    examples = [
        Example(
            "tables",
            "Which tables there are",
            "SELECT table_name, description FROM tap_schema.tables ORDER BY table_index",
            ("tap_schema.tables",),
        ),
        Example(
            "images",
            "Which images there are, with their links",
            "SELECT TOP 20 obs_collection, obs_id, s_ra, s_dec, access_url FROM ivoa.obscore ORDER BY obs_id",
            ("ivoa.obscore",),
        ),
    ]
    for entry in catalogue.entries():
        if entry.schema.lower() in ("tap_schema", "ivoa", "mydb"):
            continue
        examples += _table_examples(entry)
    return examples


def _table_examples(entry: Entry) -> list[Example]:
    """Return the examples of one table."""
    name = f"{entry.schema}.{entry.name}"
    slug = name.replace(".", "-").lower()
    examples = [Example(f"first-{slug}", f"First rows of {name}", f"SELECT TOP 10 * FROM {name}", (name,))]
    if entry.ra and entry.dec:
        query = (
            f"SELECT TOP 100 * FROM {name}\n"
            f"WHERE 1 = CONTAINS(POINT('ICRS', {entry.ra}, {entry.dec}), CIRCLE('ICRS', 30.0, -5.0, 0.1))"
        )
        examples.append(Example(f"cone-{slug}", f"Rows of {name} within 0.1° of a position", query, (name,)))
        upload = (
            "SELECT u.*, t.*,\n"
            f"  DISTANCE(POINT('ICRS', t.{entry.ra}, t.{entry.dec}), POINT('ICRS', u.ra, u.dec)) AS separation\n"
            f"FROM TAP_UPLOAD.mine AS u JOIN {name} AS t\n"
            f"ON 1 = CONTAINS(POINT('ICRS', t.{entry.ra}, t.{entry.dec}), CIRCLE('ICRS', u.ra, u.dec, 1.0 / 3600))"
        )
        examples.append(
            Example(f"match-{slug}", f"Partners in {name} of an uploaded table, within 1″", upload, (name,))
        )
    return examples
