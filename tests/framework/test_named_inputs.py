"""Inputs that are named, by a pattern or a query program, obey marks and exclusions as those of queries do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from desdm.archive.catalogfile import CatalogFile
from desdm.archive.model import Scope
from desdm.errors import PlanError
from desdm.framework.inputs import find_by_name, find_by_program
from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.framework.scope import InputFinder
from desdm.framework.submit import _excluded_ccds
from desdm.operations.acceptance import exclude_exposure
from desdm.schema.database import Database
from tests.archive.test_find import attempt, put
from tests.archive.test_unsound import derive
from tests.support.catalogfile import catalog_file

EVERYTHING = Scope("", "")
REASON = "excluded: light leak (ann)"


@pytest.fixture
def exposure(database: Database) -> Database:
    """Two CCDs of exposure 11, made of its raw frame; the second one is excluded."""
    with database.write() as conn:
        attempt(conn, 1, unit="D00000011", pipeline="firstcut")
        put(conn, 11, "raw.fits", filetype="raw", expnum=11, nite="20121120", band="r")
        for c in (1, 2):
            put(conn, 80 + c, f"image_c{c}.fits", 1, expnum=11, ccdnum=c, nite="20121120", band="r")
            derive(conn, 80 + c, 11)
        exclude_exposure(conn, 11, 2, reason="light leak", who="ann", scope=EVERYTHING)
    return database


def names(files: list[CatalogFile]) -> list[str]:
    return [file.filename for file in files]


def query_program(folder: Path, *filenames: str) -> Module:
    """A module whose input is listed by a program that writes these names to its first argument."""
    sections = "".join(f"<f{n}>\nfilename = {name}\n</f{n}>\n" for n, name in enumerate(filenames))
    program = folder / "list_images"
    program.write_text(f'#!/bin/sh\ncat > "$1" <<END\n<images>\n{sections}</images>\nEND\n')
    program.chmod(0o755)
    fileset = FileSet("images", program=str(program), args="${qoutfile}")
    return Module("combine", "wrapper", inputs=(fileset,))


@pytest.mark.parametrize("filename", ["image_c%.fits", "image_c1.fits,image_c2.fits"])
def test_a_pattern_of_names_leaves_an_excluded_ccd_out(exposure: Database, filename: str) -> None:
    module = Module("combine", "wrapper", inputs=(FileSet("images", filename=filename),))
    pipeline = Pipeline("p", "", (Block("b", (module,)),))
    with exposure.read() as conn:
        finder = InputFinder(conn, EVERYTHING)
        _, rows = find_by_name(finder, pipeline, module, module.inputs[0], {})
    assert names(rows) == ["image_c1.fits"]
    assert [(o.filename, o.reason) for o in finder.omitted.values()] == [("image_c2.fits", REASON)]


def test_a_query_without_rules_of_assessment_leaves_an_excluded_ccd_out(exposure: Database) -> None:
    with exposure.read() as conn:
        finder = InputFinder(conn, EVERYTHING)
        assert names(finder.find({"filetype": "red_immask"})) == ["image_c1.fits"]
        raw = finder.find({"filetype": "raw"})
        # Of a file of several CCDs the excluded one alone is not read.
        assert [(file.filename, file.columns()["excluded_ccds"]) for file in raw] == [("raw.fits", "2")]
    assert [(o.filename, o.ccdnum, o.reason) for o in finder.omitted.values()] == [
        ("image_c2.fits", 2, REASON),
        ("raw.fits", 2, REASON),
    ]


def test_an_excluded_exposure_can_be_processed_anew_by_itself(exposure: Database) -> None:
    with exposure.read() as conn:
        finder = InputFinder(conn, EVERYTHING, own=11)
        assert names(finder.find({"filetype": "red_immask"})) == ["image_c1.fits", "image_c2.fits"]
    assert not finder.omitted


def test_a_file_that_a_query_program_lists_is_left_out_when_it_is_excluded(
    exposure: Database, tmp_path: Path
) -> None:
    module = query_program(tmp_path, "image_c1.fits", "image_c2.fits")
    with exposure.read() as conn:
        finder = InputFinder(conn, EVERYTHING)
        _, rows = find_by_program(finder, module, module.inputs[0], {})
    assert names(rows) == ["image_c1.fits"]
    assert [(o.filename, o.reason) for o in finder.omitted.values()] == [("image_c2.fits", REASON)]


def test_a_file_that_a_query_program_lists_and_nobody_has_is_refused(
    exposure: Database, tmp_path: Path
) -> None:
    module = query_program(tmp_path, "image_c3.fits")
    with (
        exposure.read() as conn,
        pytest.raises(PlanError, match=r"image_c3\.fits is not in the archive; ingest it"),
    ):
        find_by_program(InputFinder(conn, EVERYTHING), module, module.inputs[0], {})


def test_a_query_without_result_is_explained_by_its_own_cause(exposure: Database) -> None:
    with exposure.read() as conn:
        finder = InputFinder(conn, EVERYTHING)
        unknown, excluded, absent = (
            {"filetype": "red_immask", "tag": "Y9_NONE"},
            {"filetype": "red_immask", "ccdnum": "2"},
            {"filetype": "coadd"},
        )
        assert [finder.find(query) for query in (unknown, excluded, absent)] == [[], [], []]
        assert finder.describe_excluded(unknown) == "; there is no tag Y9_NONE, see: desdm tag"
        assert finder.describe_excluded(excluded) == (
            "; 1 image was left out (1: D00000011 CCD 2: excluded: light leak (ann))"
        )
        assert finder.describe_excluded(absent) == ""


def test_ccds_that_a_query_program_leaves_out_make_it_other_work() -> None:
    file = catalog_file("raw.fits", expnum=1, excluded_ccds=(3,))
    other = replace(file, overrides={"excluded_ccds": "1,2"})
    # The fingerprint has what the plan obeys.
    assert [_excluded_ccds(f) for f in (file, other)] == ["3", "1,2"]
    assert [f.columns()["excluded_ccds"] for f in (file, other)] == ["3", "1,2"]
