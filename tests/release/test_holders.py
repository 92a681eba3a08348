"""Who withdraws what a release was made from is told which releases hold it, and what can be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from desdm.archive.catalog import files
from desdm.facility import Facility
from desdm.release.create import create_empty
from desdm.release.selection import SELECTION
from desdm.schema import opm_was_derived_from, pfw_request, release, release_file
from tests.archive.test_find import attempt, put
from tests.cli.test_archive_commands import Run, document, runner
from tests.operations.test_acceptance import judge
from tests.support.tiles import deposit_tiles

FIRSTCUT, COADD = "D00000001_r1p01", "DES0001+0001_r3p01"


@pytest.fixture
def installation(tmp_path: Path) -> Run:
    """Coadd 100 (run 3) of CCD 1 of exposure 1 (run 1): in DR1, published; catalogue 101 of it: rows of the draft D2.

    CCD 2 and exposure 2 are in no release; exposure 5 is under the calibration of CCD 1.
    """
    home = tmp_path / "home"
    run = runner(home)
    facility = Facility.open(home)
    for name in ("DR1", "D2"):
        create_empty(facility.database, facility.config.releases / name, name, who="mary")
    with facility.database.write() as conn:
        for expnum in (1, 2):
            attempt(conn, expnum, unit=f"D{expnum:08d}", req=1, pipeline="firstcut")
            judge(conn, expnum, "True", expnum)
        attempt(conn, 3, unit="DES0001+0001", req=3, pipeline="coadd")
        attempt(conn, 4, unit="20121120", req=4, pipeline="supercal")
        conn.execute(update(pfw_request).values(campaign=facility.config.campaign))
        night: dict[str, Any] = {"band": "r", "nite": "20121120"}
        put(conn, 10, "e1c1.fits", 1, expnum=1, ccdnum=1, **night)
        put(conn, 11, "e1c2.fits", 1, expnum=1, ccdnum=2, **night)
        put(conn, 20, "e2c1.fits", 2, expnum=2, ccdnum=1, **night)
        put(conn, 50, "e5.fits", filetype="raw", expnum=5, **night)
        put(conn, 80, "bias.fits", 4, filetype="cal_biascor", ccdnum=1, nite="20121120")
        put(conn, 100, "coadd_r.fits", 3, filetype="coadd", band="r")
        put(conn, 101, "coadd_r_cat.fits", 3, filetype="coadd_cat", band="r")
        edges = [(100, 10), (101, 100), (10, 80), (80, 50), (20, 50)]
        conn.execute(
            insert(opm_was_derived_from), [{"child_desfile_id": c, "parent_desfile_id": p} for c, p in edges]
        )
        conn.execute(
            insert(release_file).values(
                release_name="DR1", path="images/coadd_r.fits.fz", filetype="coadd", filesize=1, sha256="0" * 64,
                desfile_id=100, mime="image/fits",
            )
        )  # fmt: skip
        conn.execute(update(release).where(release.c.name == "DR1").values(state="frozen"))
        conn.execute(update(release).where(release.c.name == "DR1").values(state="published"))
    selection = {
        "files": [
            {
                "file": "coadd_r_cat.fits",
                "filetype": "coadd_cat",
                "tilename": "T",
                "objects": 1,
                "sha256": "",
                "band": "r",
                "run": COADD,
            }
        ]
    }
    written = facility.config.releases / "D2" / SELECTION
    written.parent.mkdir()
    written.write_text(json.dumps(selection))
    facility.close()
    return run


def notes(run: Run, *words: str) -> str:
    return " ".join(run(*words, "--reason", "ghost").stderr.split())


@pytest.mark.parametrize(
    "words",
    [
        ("mark", FIRSTCUT, "junk"),
        ("mark", COADD, "junk"),
        ("verdict", "1", "--set", "False"),
        ("exclude", "1"),
        ("exclude", "1", "--ccd", "1"),
        ("exclude", "5"),
        ("exclude", "5", "--ccd", "1"),
    ],
)
def test_the_releases_of_what_is_withdrawn_are_named(installation: Run, words: tuple[str, ...]) -> None:
    told = notes(installation, *words)
    assert "published release DR1 holds 1 file made from it" in told
    assert "desdm release create NAME --erratum-of DR1" in told
    assert "draft release D2 holds 1 file made from it" in told and "desdm release discard D2" in told


@pytest.mark.parametrize(
    "words",
    [
        ("mark", "D00000002_r1p01", "junk"),
        ("verdict", "2", "--set", "False"),
        ("verdict", "1", "--set", "True"),
        ("exclude", "2"),
        ("exclude", "1", "--ccd", "2"),
    ],
)
def test_no_release_is_named_that_does_not_hold_it(installation: Run, words: tuple[str, ...]) -> None:
    assert "release" not in notes(installation, *words)


def test_json_of_a_mark_and_of_descendants_names_the_releases(installation: Run) -> None:
    found = document(installation("lineage", "e1c1.fits", "--down", "--json"))["releases"]
    assert {(r["release"], r["state"], *r["files"]) for r in found} == {
        ("DR1", "published", "coadd_r.fits"),
        ("D2", "draft", "coadd_r_cat.fits"),
    }
    shown = installation("lineage", "e1c1.fits", "--down").stdout
    assert "release DR1 (published) was made from coadd_r.fits" in shown
    assert document(installation("lineage", "e2c1.fits", "--down", "--json"))["releases"] == []
    marked = document(installation("mark", FIRSTCUT, "junk", "--reason", "ghost", "--json"))
    assert sorted(marked["releases"]) == ["D2", "DR1"]


@pytest.mark.parametrize("words", [("exclude", "1"), ("verdict", "1", "--set", "False")])
def test_json_of_an_exclusion_and_of_a_verdict_names_the_releases(
    installation: Run, words: tuple[str, ...]
) -> None:
    (row,) = document(installation(*words, "--reason", "clouds", "--json"))
    assert row["expnum"] == 1
    assert row["releases"] == ["DR1", "D2"]


def test_a_published_release_is_corrected_by_a_point_release(installation: Run) -> None:
    """Its files never change, so that making a coadd again does not mend it."""
    notes(installation, "mark", FIRSTCUT, "junk")
    notes(installation, "exclude", "1")
    checks = document(installation("release", "validate", "DR1", "--json", status=1))
    found = [c["text"] for c in checks if c["check"] in ("marks", "exposures") and c["outcome"] == "error"]
    assert len(found) == 2
    assert all("--erratum-of DR1" in text and "the draft from it" not in text for text in found)
    # What other checks advise (add the table again, discard it) is not open to a published release either.
    [closing] = [c for c in checks if c["check"] == "published"]
    assert "put back from a copy" in closing["text"]
    drafts = document(installation("release", "validate", "D2", "--json", status=1))
    assert not any("erratum" in c["text"] for c in drafts)


def test_a_draft_of_what_must_not_be_used_says_so_at_once(tmp_path: Path) -> None:
    """Who creates a release learns then, and not when it is published, that a coadd of it must be made again."""
    desdm = runner(tmp_path / "home")
    facility = Facility.open(tmp_path / "home")
    deposit_tiles(facility.database, facility.archive, tmp_path / "incoming")
    with facility.database.write() as conn:
        put(conn, 9001, "im_e77.fits", expnum=77, ccdnum=1, band="r", nite="20121120")
        coadd = files(conn, filetype="coadd")[0]
        conn.execute(
            insert(opm_was_derived_from), [{"child_desfile_id": coadd.id, "parent_desfile_id": 9001}]
        )
    facility.close()
    sound = desdm("release", "create", "D1", "--select", "tag=BLESSED")
    assert "cannot be published" not in sound.stderr and "next: desdm release publish D1" in sound.stdout
    desdm("exclude", "77", "--reason", "ghost")
    unsound = desdm("release", "create", "D2", "--select", "tag=BLESSED")
    assert "note: D2 cannot be published as it is" in unsound.stderr and "D00000077" in unsound.stderr
    assert "next: desdm release validate D2" in unsound.stdout
    assert "D00000077" in desdm("release", "validate", "D2", status=1).stdout
