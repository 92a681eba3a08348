"""A quick look at an installation with one simulated exposure of two CCDs, against astropy and the commands."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.nddata import InverseVariance
from astropy.table import Table
from astropy.wcs import WCS
from PIL import Image
from sqlalchemy import text

from desdm import look
from desdm.config import FILENAME
from desdm.errors import FileTypeError, NotFoundError, StorageUnavailable, UsageError
from desdm.facility import Facility, initialise
from desdm.framework.engines.local import LocalEngine
from desdm.look.installation import listed
from desdm.operations.mainjob import hand_over, ingest_folder
from desdm.operations.nightly import Work, run_night
from desdm.schema.database import Database
from desdm.simulate.cameras import camera_of
from desdm.simulate.night import make_night
from desdm.simulate.plan import plan_night

NITE, EXPNUM = "20121120", 150011
SVG = "{http://www.w3.org/2000/svg}"


def desdm(home: Path, *words: str) -> Any:
    """Run a command and return its JSON document."""
    command = [sys.executable, "-m", "desdm.cli.main", "--home", str(home), *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with a night, a First Cut, a coadd, an exclusion and two problems."""
    base = tmp_path_factory.mktemp("look")
    folder, home = base / "night", base / "home"
    plan = plan_night(1, bands=("r",), biases=5, flats=5, exposures=1)
    make_night(folder, plan, camera_of("mini").only((2, 3)), threads=2)
    initialise(home)
    facility = Facility.open(home)
    ingest_folder(facility.database, facility.archive, folder, "test", without=("truth",))
    hand_over(facility.database, "mini", "test")
    run_night(
        Work(
            facility.config, facility.database, facility.archive, lambda: LocalEngine(2, facility.config.runs)
        ),
        NITE,
    )
    facility.close()
    desdm(home, "submit", "coadd", "--wait")
    desdm(home, "exclude", str(EXPNUM), "--ccd", "3", "--reason", "tape bump")
    desdm(home, "problem", "open", "exposure", f"D{EXPNUM:08d}", "a ghost near the edge", "--note")
    desdm(home, "problem", "open", "exposure", "150001", "of another exposure", "--note")
    return home


@pytest.fixture
def exposure(home: Path) -> Any:
    return look.exposure(EXPNUM, home)


def planes(path: Path) -> dict[str, Any]:
    """The planes of a file by astropy."""
    with fits.open(path, memmap=False) as hdus:
        return {name: np.asarray(hdus[name].data) for name in ("SCI", "MSK", "WGT")}


def cells(drawing: Any) -> list[ET.Element]:
    """The filled outlines of CCDs in a drawing."""
    return [e for e in ET.fromstring(drawing.svg).iter(f"{SVG}path") if e.get("class") == "cell"]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = """
        import sys, time
        begin = time.process_time()
        from desdm import look
        spent = time.process_time() - begin
        heavy = {"numpy", "astropy", "sqlalchemy", "scipy", "numba", "fitsio"} & set(sys.modules)
        print(spent, sorted(heavy))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    spent, _, heavy = done.stdout.strip().partition(" ")
    assert heavy == "[]"
    assert float(spent) <= 0.3


def test_an_exposure_says_what_the_commands_say(home: Path, exposure: Any) -> None:
    [row] = desdm(home, "verdict", str(EXPNUM))
    assert (exposure.name, exposure.nite, exposure.band) == ("D00150011", NITE, "r")
    assert exposure.title == "DES survey hex r tiling 1"
    assert exposure.verdict.value == row["accepted"] == "True"
    assert exposure.t_eff == row["t_eff"]
    assert [(e.ccdnum, e.reason) for e in exposure.exclusions] == [(3, "tape bump")]
    assert [p.text for p in exposure.problems] == ["a ghost near the edge"]
    assert [r.run for r in exposure.runs] == ["D00150011_r2p01"]
    assert exposure.run.name == "D00150011_r2p01"
    assert exposure.ccds == (2, 3)
    shown = str(exposure)
    assert "accepted: (assess)" in shown and "tape bump" in shown and "a ghost near the edge" in shown
    assert look.exposure("D00150011", home).expnum == EXPNUM


def test_numbers_of_ccds_are_those_of_the_run(home: Path, exposure: Any) -> None:
    metrics = desdm(home, "show", "D00150011_r2p01")["metrics"]
    for name in ("fwhm_mean", "nobjects"):
        recorded = {
            int(m["wrapkeys"].rpartition("=")[2]): m["value"]
            for m in metrics
            if m["name"] == name and "ccdnum" in m["wrapkeys"]
        }
        assert exposure.metric(name) == recorded
    with fits.open(find(home, "*_zeropoints.fits")) as hdus:
        zeros = {int(r["CCDNUM"]): float(r["MAG_ZERO"]) for r in hdus["ZEROPOINTS"].data}
    assert exposure.metric("mag_zero") == pytest.approx(zeros, abs=1e-9)
    assert set(exposure.names) >= {"fwhm_mean", "mag_zero", "skysubtract.sky", "assess.fwhm_mean"}


def find(home: Path, pattern: str) -> Path:
    """The one file of the archive of that pattern."""
    [path] = (home / "archive").rglob(pattern)
    return path


def test_the_planes_of_a_ccd_are_those_of_the_file(home: Path, exposure: Any) -> None:
    ccd = exposure.ccd(2)
    path = find(home, "D00150011_r_c02_*_immask.fits.fz")
    assert ccd.path == path and ccd.planes == ("SCI", "MSK", "WGT")
    expected = planes(path)
    np.testing.assert_array_equal(ccd.sci, expected["SCI"])
    np.testing.assert_array_equal(ccd.mask, expected["MSK"])
    np.testing.assert_array_equal(ccd.weight, expected["WGT"])
    data = ccd.ccddata
    assert data.unit.to_string() == "electron" and isinstance(data.uncertainty, InverseVariance)
    np.testing.assert_array_equal(data.mask, expected["MSK"] != 0)
    here = WCS(fits.getheader(path, "SCI")).pixel_to_world(100, 900)
    assert ccd.wcs.pixel_to_world(100, 900).separation(here).arcsec < 1e-9
    assert ccd.header["CCDNUM"] == 2 and ccd.header["NAXIS1"] == 512


def test_pixels_are_read_within_a_second(home: Path) -> None:
    ccd = look.exposure(EXPNUM, home).ccd(3)
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    assert ccd.sci.size + ccd.mask.size + ccd.weight.size == 3 * 512 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - begin < 1.0


def test_the_catalogue_of_a_ccd_is_the_table_of_objects(home: Path, exposure: Any) -> None:
    path = find(home, "D00150011_r_c02_*_cat-firstcut.fits")
    expected = Table.read(path, hdu="LDAC_OBJECTS")
    ccd = exposure.ccd(2)
    for table in (ccd.catalog, look.catalog(path.name, home)):
        assert table.colnames == expected.colnames and len(table) == len(expected)
        np.testing.assert_array_equal(table["MAG_AUTO"], expected["MAG_AUTO"])
    assert len(ccd.catalog) == ccd.metrics["nobjects"]
    assert len(look.catalog(path.name, home, hdu=1)) == len(expected)


def test_residuals_of_a_ccd_are_those_on_its_pixels(home: Path, exposure: Any) -> None:
    with fits.open(find(home, "D00150011_r_*_astro-check.fits")) as hdus:
        count = len(hdus["RESIDUALS"].data)
    drawn = [exposure.ccd(n).astrometry() for n in (2, 3)]
    matches = [int(next(t for t in texts(d) if "matches" in t).split()[0]) for d in drawn]
    assert all(matches) and sum(matches) == count


def texts(drawing: Any) -> list[str]:
    """The texts in a drawing."""
    return ["".join(e.itertext()) for e in ET.fromstring(drawing.svg).iter(f"{SVG}text")]


def test_drawings_are_whole_documents_and_pictures_have_their_size(exposure: Any, tmp_path: Path) -> None:
    plane = exposure.focalplane("fwhm_mean")
    drawn = cells(plane)
    values = exposure.metric("fwhm_mean")
    assert len(drawn) == 2
    hints = ["".join(cell.itertext()) for cell in drawn]
    for hint, (ccdnum, value) in zip(hints, sorted(values.items()), strict=True):
        assert hint.startswith(f"CCD {ccdnum} ") and hint.endswith(f"{value:.4g}")
    for drawing in (
        exposure.astrometry(),
        exposure.photometry(),
        exposure.psf(),
        exposure.run.trend("fwhm_mean"),
    ):
        root = ET.fromstring(drawing._repr_svg_())
        assert root.tag == f"{SVG}svg" and "var(" not in drawing.svg
        assert drawing.save(tmp_path / "drawing.svg").read_text("utf-8") == drawing.svg
    picture = exposure.ccd(2).picture()
    with Image.open(io.BytesIO(picture._repr_png_())) as image:
        assert image.format == "PNG" and image.size == (picture.width, picture.height)
    mask = planes(exposure.ccd(2).path)["MSK"]
    assert picture.bits["SATURATE"] == pytest.approx(np.mean((mask & 2) != 0))
    assert not exposure.ccd(2).picture(mask=False).bits
    assert picture.save(tmp_path / "ccd.png").read_bytes() == picture.png
    with pytest.raises(UsageError, match=r"\.png"):
        picture.save(tmp_path / "ccd.jpg")
    assert exposure.picture().width > 500


def test_the_style_of_a_drawing_stays_in_it(exposure: Any) -> None:
    [style] = ET.fromstring(exposure.psf().svg).iter(f"{SVG}style")
    rules = [rule.partition("{")[0] for rule in (style.text or "").split("}") if rule]
    assert rules
    assert all(one.startswith(".desdm-look ") for rule in rules for one in rule.split(","))


def test_a_tile_has_its_coadd_objects_and_inputs(home: Path) -> None:
    tile = look.tile("DES0200-0500", home)
    assert tile.bands == ("r",) and tile.run.pipeline == "coadd"
    path = find(home, "*_r_coadd.fits")
    np.testing.assert_array_equal(tile.image("r").sci, planes(path)["SCI"])
    objects = pq.read_metadata(find(home, "*_objects.parquet"))
    assert (len(tile.catalog), len(tile.catalog.colnames)) == (objects.num_rows, objects.num_columns)
    assert [(int(r["expnum"]), int(r["ccdnum"]), r["verdict"]) for r in tile.inputs] == [
        (EXPNUM, 2, "accepted"),
        (EXPNUM, 3, "accepted"),
    ]
    assert tile.picture().png.startswith(b"\x89PNG") and tile.picture("r").width > 500


def test_a_night_is_a_table_with_trends(home: Path) -> None:
    night = look.night(NITE, home)
    [row] = desdm(home, "verdict", str(EXPNUM))
    assert list(night.exposures["expnum"]) == [EXPNUM]
    one = night.exposures[0]
    assert one["verdict"] == "accepted" and one["excluded"] == "CCD 3" and one["run"] == "D00150011_r2p01"
    for name in ("t_eff", "fwhm_asec", "skybrightness", "cloud", "magzero"):
        assert one[name] == row[name]
    assert night.exposures["depth"].mask[0] == (row["depth"] is None)
    assert sorted(night.calibrations["obstype"]) == ["dome flat"] * 5 + ["zero"] * 5
    marks = list(ET.fromstring(night.trends().svg).iter(f"{SVG}circle"))
    assert len(marks) == 4
    assert look.night(20121120, home).nite == look.night("2012-11-20", home).nite == NITE


def test_a_run_has_state_modules_numbers_and_messages(home: Path) -> None:
    run = look.run("DES0200-0500_r3p01", home)
    document = desdm(home, "show", run.name)
    assert (run.state.value, run.data_state.value) == (document["state"], document["data_state"])
    assert len(run.numbers) == len(document["metrics"])
    assert sum(len(group.messages) for group in run.messages) == len(document["messages"])
    assert [m.name for m in run.modules][:2] == ["nwgint", "psfcat"]
    assert not run.failures
    # The coadd was made before its CCD was excluded: its data must not be used now.
    assert any("excluded" in text for text in run.standing)


def test_lineage_goes_up_and_down(home: Path) -> None:
    name = find(home, "D00150011_r_c02_*_immask.fits.fz").name
    history = look.lineage(name, home)
    for way, files in (("--up", history.ancestors), ("--down", history.descendants)):
        listed_files = desdm(home, "lineage", name, way)["files"][1:]
        assert {f.name for f in files} == {f["filename"] for f in listed_files}
    lines = str(history).splitlines()
    assert lines[0] == f"{name} was made from {len(history.ancestors)} files:"
    assert sum(line.startswith("  ") for line in lines) == len(history.ancestors) + len(history.descendants)
    assert "  DECam_00150011.fits.fz  [raw]" in lines
    assert str(look.lineage("DECam_00150011.fits.fz", home)).startswith(
        "DECam_00150011.fits.fz was made from 0 files"
    )


def test_what_does_not_exist_is_named_with_what_does(home: Path, exposure: Any) -> None:
    cases = [
        (lambda: look.exposure(150012, home), "150012.*150011"),
        (lambda: look.exposure("zzz", home), "zzz.*150001"),
        (lambda: look.exposure(150001, home).run, "D00150001 has no run that stands; its runs: none"),
        (lambda: exposure.ccd(7), "CCD 7.*CCD 2, 3"),
        (lambda: exposure.metric("seeing"), "seeing.*fwhm_mean"),
        (lambda: look.night(20121121, home), "20121121.*20121120"),
        (lambda: look.tile("DES0000", home), "DES0000.*DES0200-0500"),
        (lambda: look.tile("DES0200-0500", home).image("g"), "'g'.*: r"),
        (lambda: look.run("D00150011", home), "D00150011_r2p01"),
        (
            lambda: look.catalog("D00150011_r_c02_r2p01_cat.fits", home),
            "D00150011_r_c02_r2p01_cat-firstcut.fits",
        ),
        (lambda: look.catalog("D00150011_r_c02_r2p01_cat-firstcut.fits", home, hdu="X"), "LDAC_OBJECTS"),
        (lambda: look.lineage("nothing.fits", home), "nothing.fits"),
        (lambda: look.night(NITE, home).trends("moon"), "moon.*t_eff"),
        (lambda: look.run("20121120_r1p01", home).trend("t_eff"), "t_eff"),
    ]
    for call, message in cases:
        with pytest.raises(NotFoundError, match=message):
            call()
    with pytest.raises(UsageError, match=r"detrend\.sky, skycompress\.sky, skysubtract\.sky"):
        exposure.metric("sky")
    with pytest.raises(FileTypeError, match="no table"):
        look.catalog("DECam_00150001.fits.fz", home)
    assert listed(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7 and 4 more"


#: Everything that a quick look does, as a program of its own.
EVERYTHING = f"""
from desdm import look
home = {{home!r}}
e = look.exposure({EXPNUM}, home)
e.ccd(2).ccddata, e.ccd(2).catalog, e.ccd(2).picture(), str(e.ccd(2).lineage), e.ccd(2).photometry()
e.focalplane("fwhm_mean"), e.astrometry(), e.photometry(), e.psf(), e.picture()
t = look.tile("DES0200-0500", home)
t.catalog, t.picture(), t.picture("r"), t.run.messages, t.run.numbers
look.night("{NITE}", home).trends()
print("seen")
"""


def tree(home: Path) -> dict[str, tuple[int, int, int]]:
    """Every file and folder with its size, time of change and mode."""
    return {
        str(p.relative_to(home)): (s.st_size if p.is_file() else 0, s.st_mtime_ns, s.st_mode)
        for p in (home, *home.rglob("*"))
        for s in [p.lstat()]
    }


def test_a_look_changes_nothing(home: Path) -> None:
    before = tree(home)
    subprocess.run([sys.executable, "-c", EVERYTHING.format(home=str(home))], check=True, timeout=200)
    assert tree(home) == before


def test_a_look_needs_no_permission_to_write(home: Path) -> None:
    """A bind mount that is read only, in a mount name space of its own."""
    bind = f'mount --bind "{home}" "{home}" && mount -o remount,bind,ro "{home}" && exec "$@"'
    program = [sys.executable, "-c", EVERYTHING.format(home=str(home))]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", bind, "sh", *program], capture_output=True, text=True, timeout=200
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("mounting needs privileges")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "seen\n"


@pytest.fixture
def reader(database: Database) -> Iterator[Database]:
    """The same database, opened for reading only."""
    opened = Database(database.url, create=False, writable=False)
    yield opened
    opened.close()


def test_a_database_that_is_opened_for_reading_refuses_to_write(reader: Database) -> None:
    assert reader.read_only
    with pytest.raises(StorageUnavailable, match="opened for reading only"), reader.write():
        pass
    with pytest.raises(StorageUnavailable, match="reading only"), reader.read() as conn:
        conn.execute(text("DELETE FROM event"))
    with pytest.raises(StorageUnavailable, match="reading only"), reader.read() as conn:
        conn.execute(text("CREATE TABLE anything (a integer)"))


def test_a_reader_sees_what_a_writer_commits(database: Database, reader: Database) -> None:
    def count() -> int:
        with reader.read() as conn:
            return int(conn.execute(text("SELECT count(*) FROM ops_filetype")).scalar_one())

    begin = count()
    for number in (1, 2):
        with database.write() as conn:
            conn.execute(
                text(
                    "INSERT INTO ops_filetype (filetype, metadata_table, description) VALUES (:n, 'image', 'a test')"
                ),
                {"n": f"test{number}"},
            )
        assert count() == begin + number
    database.close()
    assert count() == begin + 2


def test_the_working_directory_and_the_environment_name_the_installation(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESDM_HOME", raising=False)
    monkeypatch.chdir(home / "archive")
    assert (home / FILENAME).is_file() and look.exposure(EXPNUM).name == "D00150011"
    monkeypatch.chdir("/")
    monkeypatch.setenv("DESDM_HOME", os.fspath(home))
    assert look.exposure(EXPNUM).name == "D00150011"
