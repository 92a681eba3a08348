"""``desdm cutout`` cuts the same pixels as the server, without one."""

from __future__ import annotations

import csv
import subprocess
import sys
import zipfile
from pathlib import Path

import fitsio
import numpy as np
from astropy.io import fits

from tests.support.cutouts import ImageRelease


def run(images: ImageRelease, *words: str) -> tuple[int, str]:
    desdm = str(Path(sys.executable).parent / "desdm")
    command = [desdm, "--home", str(images.home), "cutout", "--release", "C1", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 1, 2), done.stderr
    return done.returncode, done.stdout


def test_a_place_gives_its_files_and_what_became_of_it(images: ImageRelease, tmp_path: Path) -> None:
    code, text = run(
        images, "359.97", "-0.001", "--size", "0.3", "--png", "--bands", "g", "--out", str(tmp_path)
    )
    names = {"cutout_359.97000-0.00100_0.3arcmin.png", "cutout_359.97000-0.00100_0.3arcmin_g.fits"}
    assert code == 0
    assert {p.name for p in tmp_path.iterdir()} == names
    assert all(f"wrote {tmp_path / name} (" in text for name in names)
    with fits.open(tmp_path / "cutout_359.97000-0.00100_0.3arcmin_g.fits") as hdus:
        head = hdus["SCI"].header
        x, y = head["CUTX1"] - 1, head["CUTY1"] - 1
        with fitsio.FITS(str(images.path("DES2359+0000", "g"))) as whole:
            truth = whole["SCI"][y : y + head["NAXIS2"], x : x + head["NAXIS1"]]
        assert np.array_equal(hdus["SCI"].data, truth)


def test_a_table_becomes_a_zip_and_each_row_has_its_outcome(images: ImageRelease, tmp_path: Path) -> None:
    table, out = tmp_path / "ids.csv", tmp_path / "cutouts.zip"
    table.write_text("id,size\n5000000002,0.2\n17,0.2\n")
    code, text = run(images, "--table", str(table), "--bands", "i", "--out", str(out))
    assert code == 1 and "17: failed (no object with this id)" in text
    with zipfile.ZipFile(out) as archive:
        rows = list(csv.DictReader(archive.read("results.csv").decode().splitlines()))
        assert rows[0]["files"] == "5000000002_i.fits" and rows[1]["status"] == "failed"


def test_another_size_is_another_file_and_the_same_one_is_told_of(
    images: ImageRelease, tmp_path: Path
) -> None:
    place = ("359.97", "-0.001", "--bands", "g", "--out", str(tmp_path))
    for size in ("0.2", "0.3"):
        assert "in place of" not in run(images, *place, "--size", size)[1]
    assert len(list(tmp_path.iterdir())) == 2
    assert "in place of an earlier file" in run(images, *place, "--size", "0.3")[1]


def test_half_a_place_is_refused(images: ImageRelease) -> None:
    assert run(images, "1.0")[0] == 2


def test_hours_are_degrees_and_a_place_outside_is_no_success(images: ImageRelease, tmp_path: Path) -> None:
    # 23:59:52.8 = 359.97 degrees
    place = ("23:59:52.8", "-00:00:03.6", "--size", "0.3", "--bands", "g", "--out", str(tmp_path))
    assert run(images, *place)[0] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["cutout_359.97000-0.00100_0.3arcmin_g.fits"]
    code, text = run(images, "100", "60", "--out", str(tmp_path / "none"))
    assert code == 1 and "outside" in text
    assert run(images, "1.0", "2.0", "--siez", "1")[0] == 2
