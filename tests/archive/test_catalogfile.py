"""The record of a file that a query returns: its columns are those of the schema."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from desdm.archive.catalogfile import CatalogFile, FileIdentity, FileMetadata
from desdm.errors import UsageError
from desdm.schema import METADATA_TABLES
from tests.support.catalogfile import catalog_file


def test_the_record_has_every_column_of_the_metadata_tables() -> None:
    columns = {c.name for table in METADATA_TABLES.values() for c in table.c} - {"desfile_id"}
    fields = {field.name for field in dataclasses.fields(CatalogFile)}
    assert columns - fields == set(FileMetadata._fields)
    assert columns & {field.name for field in dataclasses.fields(FileIdentity)} == {
        "expnum",
        "ccdnum",
        "band",
        "nite",
    }


def test_a_value_is_read_by_the_name_of_its_column() -> None:
    file = catalog_file("D1.fits", expnum=1, path="raw/d", exptime=90.0)
    assert [file.value(c) for c in ("expnum", "fullname", "exptime", "objects")] == [
        1,
        "raw/d/D1.fits",
        90.0,
        None,
    ]
    with pytest.raises(UsageError, match="no column 'exptim'; known: airmass, "):
        file.value("exptim")


@pytest.mark.parametrize("table", sorted(METADATA_TABLES))
def test_a_plan_sees_the_columns_of_the_file_s_own_table(table: str) -> None:
    own = {c.name for c in METADATA_TABLES[table].c} - {"desfile_id"}
    place = {"id", "filename", "compression", "filetype", "filesize", "sha256", "md5sum"}
    place |= {"pfw_attempt_id", "archive_name", "path", "fullname"}
    assert set(catalog_file("a.fits", table=table).columns()) == own | place


def test_what_a_query_program_says_counts_before_the_columns() -> None:
    file = catalog_file("a.fits", expnum=1, overrides={"expnum": "0002", "flavour": "x"})
    assert (file.expnum, file.value("expnum"), file.value("flavour")) == (1, "0002", "x")
    assert [file.columns()[key] for key in ("expnum", "flavour")] == ["0002", "x"]


def test_excluded_ccds_are_a_comma_list_in_plans() -> None:
    assert catalog_file("a.fits", excluded_ccds=(3, 12)).columns()["excluded_ccds"] == "3,12"
    assert "excluded_ccds" not in catalog_file("a.fits").columns()


def test_a_record_can_be_sent_to_another_process() -> None:
    file = catalog_file("D1.fits", expnum=1)
    assert pickle.loads(pickle.dumps(file)) == file
