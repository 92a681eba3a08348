"""Value-added products: taken with a schema, documentation, provenance and another person's review, else refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.release import store
from desdm.release.addtable import add_table
from desdm.release.create import create_empty
from desdm.release.publish import publish
from desdm.release.valueadded import add_value_added
from desdm.schema.database import Database
from tests.support.release import objects

DOCUMENTATION = (
    "Photometric redshifts from the magnitudes of Y1.objects, by a nearest-neighbour fit on a spectroscopic sample of "
    "twenty thousand galaxies; good between 0.1 and 1.2, with a scatter of 0.03. Stars carry no redshift. "
    "Use them for ensembles, not for single objects; the error is the spread of the neighbours."
)
SCHEMA = {
    "description": "Photometric redshifts, one an object",
    "columns": [
        {"name": "id", "description": "identifier of the object", "ucd": "meta.id;meta.main"},
        {"name": "zphot", "description": "photometric redshift", "ucd": "src.redshift.phot"},
    ],
}


@pytest.fixture
def product(sqlite: Database, tmp_path: Path) -> dict[str, Any]:
    """A draft with objects, and what a scientist hands in."""
    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    table = objects(100)
    add_table(
        sqlite, tmp_path / "Y1", "Y1", "objects", iter(table.to_batches()), ra="ra", dec="dec", who="me"
    )
    z = np.random.default_rng(1).uniform(0, 1.2, 100)
    pq.write_table(pa.table({"id": table["id"], "zphot": z}), tmp_path / "z.parquet")
    (tmp_path / "z.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "z.md").write_text(DOCUMENTATION)
    return {
        "database": sqlite, "root": tmp_path / "Y1", "release": "Y1", "table": "zphot", "source": tmp_path / "z.parquet",
        "schema": tmp_path / "z.json", "documentation": tmp_path / "z.md", "came_from": "Y1.objects, program nnz 1.2",
        "reviewed_by": "A. Reviewer", "review": "Scatter and bias as told, on 500 redshifts of my own.", "ra": None,
        "dec": None, "who": "me",
    }  # fmt: skip


def test_a_product_stands_beside_the_tables_and_in_the_notes(product: dict[str, Any]) -> None:
    made = add_value_added(**product)
    assert (made.kind, made.row_count, made.id_column) == ("value-added", 100, "id")
    asked: list[str] = []

    def ask(adql: str) -> pa.Table:
        asked.append(adql)
        return pa.table({"n": [100]})

    publish(product["database"], product["root"], "Y1", who="me", ask=ask)
    notes = (product["root"] / "docs" / "notes.md").read_text()
    assert "| zphot | Y1.objects, program nnz 1.2 | A. Reviewer | Scatter and bias as told" in notes
    assert (product["root"] / "docs" / "zphot.md").read_text() == DOCUMENTATION
    assert any("JOIN Y1.zphot AS b ON a.id = b.id" in adql for adql in asked)
    with product["database"].read() as conn:
        assert "docs/zphot.md" in {f.path for f in store.files(conn, "Y1")}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"came_from": " "}, "needs --from"),
        ({"reviewed_by": ""}, "needs --reviewed-by"),
        ({"review": ""}, "needs --review"),
        ({"reviewed_by": "Me"}, "cannot review it"),
        ({"documentation": Path("nowhere.md")}, "nowhere.md cannot be read"),
        ({"source": Path("nowhere.parquet")}, "no file nowhere.parquet"),
        ({"schema": Path("nowhere.json")}, "nowhere.json cannot be read"),
    ],
)
def test_a_criterion_that_is_not_met_is_named(
    change: dict[str, Any], told: str, product: dict[str, Any]
) -> None:
    with pytest.raises((UsageError, NotFoundError), match=told):
        add_value_added(**{**product, **change})
    assert not (product["root"] / "tables" / "zphot").exists()


def test_thin_documentation_and_undescribed_columns_are_refused(product: dict[str, Any]) -> None:
    product["documentation"].write_text("Redshifts.")
    with pytest.raises(UsageError, match="too short: say how the product was made"):
        add_value_added(**product)
    product["documentation"].write_text(DOCUMENTATION)
    product["schema"].write_text(json.dumps({**SCHEMA, "columns": SCHEMA["columns"][:1]}))
    with pytest.raises(UsageError, match=r"zphot \(text, UCD\)"):
        add_value_added(**product)


def test_a_published_release_takes_no_product(product: dict[str, Any]) -> None:
    publish(product["database"], product["root"], "Y1", who="me")
    with pytest.raises(ConflictError, match="never changes; make a point release"):
        add_value_added(**product)
