"""A tile that was coadded again in one band: the release has every band, and says what comes from which run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.io import fits
from sqlalchemy import update

from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.facility import Facility, initialise
from desdm.framework.mark import mark
from desdm.release import store
from desdm.release.create import create
from desdm.release.mixtures import check_mixtures
from desdm.release.publish import publish
from desdm.release.selection import SelectionEntry
from desdm.release.validate import validate
from desdm.schema import desfile
from desdm.schema.states import DataState
from desdm.survey.imageio import write_planes
from tests.archive.test_find import attempt
from tests.support.tiles import QUICK, TILES, deposit_tiles, image

OLD, NEW = (f"{TILES[0].name}_r1p{n:02d}" for n in (1, 2))


@pytest.fixture
def again(tmp_path: Path) -> Iterator[Facility]:
    """Both tiles in g and r, each of one coadd run; the first was coadded again in r alone."""
    home = tmp_path / "home"
    initialise(home)
    facility = Facility.open(home)
    truth = deposit_tiles(facility.database, facility.archive, home / "incoming")
    coadd = home / "incoming" / f"{NEW}_r_coadd.fits"
    write_planes(coadd, image(TILES[0], "r", truth), threads=1)
    with facility.database.write() as conn:
        attempt(conn, 1, TILES[0].name, 1, 1, pipeline="coadd")
        attempt(conn, 2, TILES[0].name, 1, 2, pipeline="coadd")
        attempt(conn, 3, TILES[1].name, 1, 1, pipeline="coadd")
        for number, stem in ((1, OLD), (3, f"{TILES[1].name}_r1p01")):
            mine = desfile.c.filename.startswith(stem)
            conn.execute(update(desfile).where(mine).values(pfw_attempt_id=number))
    parents = tuple(f"{OLD}_D{n:08d}_r_c01_nwgint.fits" for n in (110, 111))
    done = deposit(
        facility.database,
        facility.archive,
        [Deposit(coadd, parents=parents, pfw_attempt_id=2)],
        who="me",
    )
    assert not done.refused
    yield facility
    facility.close()


def test_every_band_is_in_the_release_and_the_mixture_is_named(again: Facility) -> None:
    database, root = again.database, again.config.releases / "R1"
    release, selection = create(database, again.archive, root, "R1", {}, who="me", steps=QUICK)
    with database.read() as conn:
        images = store.files(conn, "R1", filetype="coadd", tilename=TILES[0].name)
    source = {f.band: fits.getheader(root / f.path)["SRCFILE"] for f in images}
    assert source == {"g": f"{OLD}_g_coadd.fits", "r": f"{NEW}_r_coadd.fits"}
    assert {one.subject: one.reason for one in selection.omissions} == {
        f"{OLD}_r_coadd.fits": f"that of run {NEW} stands"
    }
    (told,) = [c for c in validate(database, root, release) if c.check == "runs"]
    assert (told.subject, told.outcome) == (TILES[0].name, "note")
    for words in (
        f"images of g come from {OLD}",
        f"images of r come from {NEW}",
        f"picture from {OLD}",
        "say of r ",
    ):
        assert words in told.text
    publish(database, root, "R1", who="me")
    notes = (root / "docs" / "notes.md").read_text()
    assert told.text in notes and f"that of run {NEW} stands" in notes


def test_a_tile_of_one_run_is_no_mixture(again: Facility) -> None:
    database, root = again.database, again.config.releases / "R1"
    with database.write() as conn:
        mark(conn, NEW, DataState.JUNK, who="me", reason="not wanted")
    release, _ = create(database, again.archive, root, "R1", {}, who="me", steps=QUICK)
    assert [c for c in validate(database, root, release) if c.check == "runs"] == []
    chosen = json.loads((root / "docs" / "selection.json").read_text())["files"]
    assert {f["run"] for f in chosen if f["tilename"] == TILES[0].name} == {OLD}


def test_images_of_two_runs_without_catalogues_are_named_too() -> None:
    files = [
        SelectionEntry("x", "0" * 64, "coadd", "T", band, run)
        for band, run in (("g", "T_r1p01"), ("r", "T_r1p02"), ("i", "T_r1p02"))
    ]
    (told,) = check_mixtures(files)
    assert "images of g come from T_r1p01; images of r i come from T_r1p02" in told.text
    assert list(check_mixtures(files[1:])) == []
