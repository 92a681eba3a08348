"""A release is made of blessed data: what is selected, each object once, images bit for bit what they should be."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from sqlalchemy import update

from desdm.archive.tags import tag
from desdm.errors import ConflictError, CorruptFile, NotFoundError, UsageError
from desdm.facility import Facility, initialise
from desdm.framework.mark import mark
from desdm.release import store
from desdm.release.create import create, create_empty
from desdm.release.hats import parts
from desdm.release.overlap import Square, owners
from desdm.release.select import parse, select
from desdm.schema import pfw_attempt
from desdm.schema.database import Database
from desdm.schema.states import DataState
from desdm.survey.imageio import read_planes
from tests.archive.test_find import attempt, put
from tests.support.tiles import BANDS, NAXIS, QUICK, TILES, Stars, deposit_tiles


class Made:
    """An installation with the two tiles deposited, and a draft made of them."""

    def __init__(self, home: Path) -> None:
        initialise(home)
        self.facility = Facility.open(home)
        self.database, self.archive = self.facility.database, self.facility.archive
        self.truth: Stars = deposit_tiles(self.database, self.archive, home / "incoming")
        self.root = self.facility.config.releases / "D1"
        self.incoming = home / "incoming"
        _, self.selection = create(
            self.database, self.archive, self.root, "D1", {"tag": "BLESSED"}, who="me", steps=QUICK
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    one = Made(tmp_path_factory.mktemp("made") / "home")
    yield one
    one.facility.close()


def objects(made: Made) -> pa.Table:
    return pa.concat_tables(
        [pq.read_table(p, partitioning=None) for p in parts(made.root / "tables" / "objects")]
    )


def test_every_star_of_the_truth_stands_in_the_release_once(made: Made) -> None:
    found = objects(made)
    assert sorted(found["star"].to_pylist()) == list(range(len(made.truth.ra)))
    order = found["star"].to_numpy()
    place = SkyCoord(found["ra"].to_numpy(), found["dec"].to_numpy(), unit="deg")
    true = SkyCoord(made.truth.ra[order], made.truth.dec[order], unit="deg")
    assert place.separation(true).max() < 0.1 * units.arcsec


def test_a_star_in_the_overlap_comes_from_the_tile_whose_centre_is_nearer(made: Made) -> None:
    found = objects(made)
    middle = (TILES[0].dec + TILES[1].dec) / 2
    expected = [TILES[int(dec > middle)].name for dec in found["dec"].to_pylist()]
    assert found["tilename"].to_pylist() == expected


def test_what_was_dropped_is_counted_tile_by_tile(made: Made) -> None:
    with made.database.read() as conn:
        told = store.provenance(conn, "D1")["objects"].tiles
    for tile, other in zip(TILES, reversed(TILES), strict=True):
        whole = pq.read_table(made.incoming / f"{tile.name}_r1p01_objects.parquet")
        kept = objects(made)["tilename"].to_pylist().count(tile.name)
        assert told[tile.name].rows == whole.num_rows and told[tile.name].own == kept
        assert told[tile.name].dropped == {other.name: whole.num_rows - kept}


@pytest.mark.parametrize("band", BANDS)
def test_an_image_keeps_its_pixels_mask_and_place(band: str, made: Made) -> None:
    tile = TILES[0]
    source = read_planes(made.incoming / f"{tile.name}_r1p01_{band}_coadd.fits", 1)
    path = made.root / "images" / tile.name / f"{tile.name}_{band}.fits.fz"
    with fits.open(path) as hdus:
        assert [h.name for h in hdus[1:]] == ["SCI", "MSK", "WGT"]
        sci, msk, wgt = (hdus[plane].data for plane in ("SCI", "MSK", "WGT"))
        # The weight tells a noise of 3: steps are a quarter of it, so that no pixel is off by more than half a step.
        assert np.abs(sci - source.sci).max() <= 3.0 / 4 / 2 * 1.0001
        assert np.array_equal(msk, source.msk)
        assert np.all(wgt[source.wgt == 0] == 0) and np.all(sci[source.sci == 0] == 0)
        assert np.abs(wgt[source.wgt > 0] * 9 - 1).max() < 0.006
        for plane in ("SCI", "MSK", "WGT"):
            one, two = WCS(hdus[plane].header), WCS(source.header)
            assert np.allclose(one.all_pix2world(*TWO, 0), two.all_pix2world(*TWO, 0), rtol=0, atol=1e-11)
    with fits.open(path, disable_image_compression=True) as hdus:
        assert all((h.header["ZTILE1"], h.header["ZTILE2"]) == (256, 256) for h in hdus[1:])
        head = hdus[0].header
    with made.database.read() as conn:
        (record,) = store.files(conn, "D1", tilename=tile.name, band=band, filetype="coadd")
    assert (head["RELEASE"], head["TILENAME"], head["BAND"]) == ("D1", tile.name, band)
    assert head["SRCSHA"] == record.source_sha256


#: Two places on an image, (x, y) from 0.
TWO = (np.array([0.0, 500.0]), np.array([0.0, 599.0]))


def test_images_are_lawful_fits(made: Made) -> None:
    images = sorted((made.root / "images").rglob("*.fits.fz"))
    said = subprocess.run(["fitsverify", "-q", *map(str, images)], capture_output=True, text=True)
    assert said.stdout.count("verification OK") == len(images) == 4, said.stdout


def test_the_record_of_an_image_says_where_when_and_how_sharp_it_is(made: Made) -> None:
    tile = TILES[1]
    with made.database.read() as conn:
        (file,) = store.files(conn, "D1", tilename=tile.name, band="r", filetype="coadd")
    words = (file.s_region or "").split()
    corners = SkyCoord(np.reshape(list(map(float, words[2:])), (4, 2)), unit="deg")
    assert words[:2] == ["POLYGON", "ICRS"]
    truth = WCS(tile.header()).calc_footprint(axes=(NAXIS, NAXIS), center=False)
    near = corners[:, None].separation(SkyCoord(truth, unit="deg")[None, :]).min(axis=1)
    assert near.max() < 0.01 * units.arcsec
    centre = SkyCoord(file.ra_cent, file.dec_cent, unit="deg")
    assert centre.separation(SkyCoord(tile.ra, tile.dec, unit="deg")) < 0.01 * units.arcsec
    assert centre.separation(corners).max().deg == pytest.approx(file.radius, rel=1e-6)
    # Two exposures of 90 s in the r band went in: numbers 110 and 111, one thousandth of a day apart each.
    assert (file.t_min, file.t_exptime) == (pytest.approx(56252.110, abs=1e-9), 180.0)
    assert file.t_max == pytest.approx(56252.111 + 90 / 86400, abs=1e-9)
    assert file.fwhm == pytest.approx(3.77 * 0.263, rel=1e-4)


def test_a_rotten_source_stops_the_build_and_leaves_nothing(made: Made, tmp_path: Path) -> None:
    home = tmp_path / "home"
    initialise(home)
    facility = Facility.open(home)
    deposit_tiles(facility.database, facility.archive, home / "incoming")
    (coadd,) = facility.archive.root.rglob(f"{TILES[0].name}*_g_coadd.fits")
    data = bytearray(coadd.read_bytes())
    data[-3000] ^= 1
    coadd.write_bytes(data)
    root = facility.config.releases / "D1"
    with pytest.raises(CorruptFile, match=r"g_coadd\.fits is damaged"):
        create(facility.database, facility.archive, root, "D1", {"tag": "BLESSED"}, who="me", steps=QUICK)
    with facility.database.read() as conn:
        assert store.releases(conn) == [] and store.tables(conn, "D1") == []
    assert not root.exists()
    facility.close()


@pytest.fixture
def runs(database: Database) -> Database:
    """Seven coadd runs: a good one, its older twin, and one of each kind that must not be released."""
    with database.write() as conn:
        attempt(conn, 1, "DES0001+0001", 1, 1, pipeline="coadd")
        attempt(conn, 2, "DES0001+0001", 1, 2, pipeline="coadd")
        attempt(conn, 3, "DES0002+0001", 1, 1, state="failed")
        attempt(conn, 4, "DES0003+0001", 1, 1, data_state="JUNK")
        attempt(conn, 5, "DES0004+0001", 1, 1, state="flagged")
        attempt(conn, 6, "DES0005+0001", 1, 1, state="flagged", data_state="ACTIVE")
        attempt(conn, 7, "DES0006+0001", 1, 1)
        for number, unit, att in (
            (1, 1, 1),
            (2, 1, 2),
            (3, 2, 1),
            (4, 3, 1),
            (5, 4, 1),
            (6, 5, 1),
            (7, 6, 1),
        ):
            name = f"DES{unit:04d}+0001"
            put(
                conn,
                number,
                f"{name}_r1p{att:02d}_g_coadd.fits",
                number,
                filetype="coadd",
                band="g",
                tilename=name,
            )
            put(
                conn,
                10 + number,
                f"{name}_r1p{att:02d}_det.fits",
                number,
                filetype="coadd_det",
                tilename=name,
            )
        tag(conn, "Y1", [], ["DES0001+0001_r1p02", "DES0003+0001_r1p01"], who="me")
    return database


def test_good_runs_are_taken_and_the_others_left_with_a_reason(runs: Database) -> None:
    with runs.read() as conn:
        found = select(conn, {})
    assert [p.record.name for p in found.files] == [
        f"DES{n}+0001_r1p{a}_g_coadd.fits" for n, a in (("0001", "02"), ("0005", "01"), ("0006", "01"))
    ]
    assert {one.subject: one.reason for one in found.omissions} == {
        "run DES0001+0001_r1p01": "a newer run of its tile stands",
        "run DES0002+0001_r1p01": "it is failed",
        "run DES0003+0001_r1p01": "its data are JUNK",
        "run DES0004+0001_r1p01": "flagged: an operator has not marked its data ACTIVE",
    }


@pytest.mark.parametrize("changes", [{}, {"run_class": "study"}], ids=["production", "trial"])
def test_a_flagged_run_hides_the_older_one_only_when_it_is_marked(
    runs: Database, changes: dict[str, str]
) -> None:
    tile = "DES0006+0001"
    with runs.write() as conn:
        attempt(conn, 8, tile, 1, 2, state="flagged")
        put(conn, 8, f"{tile}_r1p02_g_coadd.fits", 8, filetype="coadd", band="g", tilename=tile)
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == 8).values(**(changes or {"attnum": 2})))
    asked = {"tilename": tile, **({"run_class": "study,survey"} if changes else {})}
    with runs.read() as conn:
        found = select(conn, asked)
    assert [p.run for p in found.files] == [f"{tile}_r1p01"]
    why = {one.subject: one.reason for one in found.omissions}[f"run {tile}_r1p02"]
    assert why == "flagged: an operator has not marked its data ACTIVE"
    with runs.write() as conn:
        mark(conn, f"{tile}_r1p02", DataState.ACTIVE, who="me", reason="looked at")
    with runs.read() as conn:
        assert [p.run for p in select(conn, asked).files] == [f"{tile}_r1p02"]


def test_a_newer_run_without_the_tag_does_not_hide_a_tagged_one(runs: Database) -> None:
    with runs.write() as conn:
        tag(conn, "Y2", [], ["DES0001+0001_r1p01"], who="me")
    with runs.read() as conn:
        assert [p.run for p in select(conn, {"tag": "Y2"}).files] == ["DES0001+0001_r1p01"]


def test_a_tag_blesses_but_does_not_overrule(runs: Database) -> None:
    with runs.read() as conn:
        found = select(conn, {"tag": "Y1"})
        assert [p.run for p in found.files] == ["DES0001+0001_r1p02"]
        assert found.text == "tag=Y1"
        with pytest.raises(NotFoundError, match=r"no good product of a coadd run fits \(tag=NONE\)"):
            select(conn, {"tag": "NONE"})


def test_a_tile_is_selected_with_its_table_and_picture_and_a_band_with_those_of_no_band(made: Made) -> None:
    with made.database.read() as conn:
        tile = select(conn, {"tag": "BLESSED", "tilename": TILES[0].name})
        band = select(conn, {"tag": "BLESSED", "band": "g"})
    assert [(p.record.filetype, p.band) for p in tile.files] == [
        ("coadd", "g"), ("coadd", "r"), ("coadd_color", None), ("coadd_objects", None),
    ]  # fmt: skip
    assert {p.tilename for p in tile.files} == {TILES[0].name}
    kinds = [(p.record.filetype, p.band) for p in band.files]
    assert kinds == [("coadd", "g")] * 2 + [("coadd_color", None)] * 2 + [("coadd_objects", None)] * 2


def test_a_selection_is_read_as_it_is_written() -> None:
    assert parse(["tag=Y6A1,band=g,r", "tilename=DES0001+0001"]) == {
        "tag": "Y6A1", "band": "g,r", "tilename": "DES0001+0001",
    }  # fmt: skip
    assert parse([]) == parse([""]) == {}
    for wrong in (["Y6A1"], ["tag=A", "tag=B"], ["tag="]):
        with pytest.raises(UsageError, match="--select"):
            parse(wrong)


@pytest.mark.parametrize(
    "name", ["", "1Y", "Y 1", "Y1.2", "tap_schema", "IVOA", "mydb", "pg_x", "Y" * 33, "a;b"]
)
def test_a_name_that_could_be_no_schema_is_refused(name: str, sqlite: Database, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the tables' schema in ADQL"):
        create_empty(sqlite, tmp_path / "x", name, who="me")


@pytest.mark.parametrize("name", ["FULL", "union", "Select", "left"])
def test_a_reserved_word_of_adql_is_refused_before_anything_is_made(
    name: str, sqlite: Database, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"{name} is a reserved word of ADQL"):
        create_empty(sqlite, tmp_path / "x", name, who="me")
    assert not (tmp_path / "x").exists()


def test_a_name_stands_once_and_an_erratum_corrects_what_is_published(
    database: Database, tmp_path: Path
) -> None:
    create_empty(database, tmp_path / "Y1", "Y1", who="me")
    with pytest.raises(
        ConflictError, match=r"a release Y1 \(draft\) exists already; .*desdm release discard Y1"
    ):
        create_empty(database, tmp_path / "y1", "y1", who="me")
    with pytest.raises(NotFoundError, match="no published release Y1"):
        create_empty(database, tmp_path / "Y2", "Y2", erratum_of="Y1", who="me")


def test_who_owns_a_place_is_the_same_answer_from_both_tiles() -> None:
    """A hundred thousand places about three overlapping tiles near the pole, across RA 0: one owner each."""
    tiles = [
        Square("a", 0.2, 88.0, 0.4, 0.4),
        Square("b", 359.0, 88.5, 0.4, 0.4),
        Square("c", 10.0, 88.2, 0.4, 0.4),
    ]
    rng = np.random.default_rng(2)
    ra, dec = rng.uniform(-40, 40, 100_000) % 360, rng.uniform(87, 89.5, 100_000)
    centres = SkyCoord([t.ra for t in tiles], [t.dec for t in tiles], unit="deg")
    place = SkyCoord(ra, dec, unit="deg")
    far = np.array([place.separation(c).deg for c in centres])
    offsets = [place.transform_to(c.skyoffset_frame()).cartesian.xyz.value for c in centres]
    # Gnomonic: the direction cosines over the one along the centre.
    covers = np.array(
        [np.degrees(np.maximum(np.abs(y / x), np.abs(z / x))) <= 0.4 for x, y, z in offsets]
    )  # fmt: skip
    truth = np.where(covers.any(axis=0), np.argmin(np.where(covers, far, np.inf), axis=0), -1)
    for i, tile in enumerate(tiles):
        mine = covers[i]
        others = [t for t in tiles if t is not tile]
        said = owners(tile, others, ra[mine], dec[mine])
        names = np.array([tile.name, *(t.name for t in others)])[said + 1]
        assert np.array_equal(names, np.array(["a", "b", "c"])[truth[mine]])


def test_a_band_that_a_tile_lacks_gives_its_rows_no_value(made: Made, tmp_path: Path) -> None:
    home = tmp_path / "home"
    initialise(home)
    facility = Facility.open(home)
    incoming = tmp_path / "incoming"
    shutil.copytree(made.incoming, incoming)
    lacking = incoming / f"{TILES[1].name}_r1p01_objects.parquet"
    table = pq.read_table(lacking)
    pq.write_table(table.drop_columns(["mag_auto_r"]), lacking)
    _register(facility, incoming)
    root = facility.config.releases / "D1"
    create(
        facility.database,
        facility.archive,
        root,
        "D1",
        {"tag": "T", "filetype": "coadd_objects"},
        who="me",
        steps=QUICK,
    )
    found = pa.concat_tables(
        [pq.read_table(p, partitioning=None) for p in parts(root / "tables" / "objects")]
    )
    without = {
        name
        for name, mag in zip(*(found[c].to_pylist() for c in ("tilename", "mag_auto_r")), strict=True)
        if mag is None
    }
    assert without == {TILES[1].name}
    facility.close()


def _register(facility: Facility, incoming: Path) -> None:
    from desdm.archive.deposit import deposit
    from desdm.archive.model import Deposit

    names = sorted(p.name for p in incoming.glob("*_objects.parquet"))
    deposit(facility.database, facility.archive, [Deposit(incoming / n) for n in names], who="me")
    with facility.database.write() as conn:
        tag(conn, "T", names, [], who="me")
