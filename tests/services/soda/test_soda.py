"""Cutouts over HTTP: pixels, world coordinates, provenance; what is outside, wrong, too much, damaged or at once."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from astropy.visualization import make_lupton_rgb
from astropy.wcs import WCS

from desdm.facility import Facility
from desdm.release import store
from desdm.survey.lupton import lupton
from tests.support.cutouts import ImageRelease
from tests.support.server import Served
from tests.support.wait import until

TILE = "DES0000+0000"
OUTSIDE = 32768


def get(url: str, query: Any = (), data: bytes | None = None, kind: str = "") -> tuple[int, str, bytes]:
    """Status, media type and body."""
    request = Request(url + ("?" + urlencode(query, doseq=True) if query else ""), data)
    if kind:
        request.add_header("Content-Type", kind)
    try:
        with urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers.get("content-type", ""), answer.read()
    except HTTPError as err:
        with err:
            return err.code, err.headers.get("content-type", ""), err.read()


def members(body: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]


def results(found: dict[str, bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(found["results.csv"].decode())))


def section(images: ImageRelease, tile: str, band: str, header: fits.Header) -> dict[str, np.ndarray]:
    """What cfitsio reads where a cutout says that it was cut."""
    x, y = int(header["CUTX1"]) - 1, int(header["CUTY1"]) - 1
    nx, ny = header["NAXIS1"], header["NAXIS2"]
    with fitsio.FITS(str(images.path(tile, band))) as file:
        return {n: file[n][y : y + ny, x : x + nx] for n in ("SCI", "MSK", "WGT")}


@pytest.mark.parametrize(
    "pos",
    ["CIRCLE 0.02 0 0.0083", "RANGE 359.999 0.004 -0.003 0.02", "POLYGON 0.01 0.01 0.03 0.012 0.02 -0.02"],
)
def test_a_cutout_has_the_images_own_pixels_and_its_place_on_the_sky(
    server: Served, images: ImageRelease, pos: str
) -> None:
    status, kind, body = get(f"{server}/soda/sync", {"ID": images.did(TILE, "g"), "POS": pos})
    assert (status, kind) == (200, "application/fits"), body[:300]
    with fits.open(io.BytesIO(body), checksum=True) as hdus, fits.open(images.path(TILE, "g")) as whole:
        hdus.verify("exception")
        assert [h.name for h in hdus] == ["PRIMARY", "SCI", "MSK", "WGT"]
        truth = section(images, TILE, "g", hdus["SCI"].header)
        out = (hdus["MSK"].data & OUTSIDE) > 0
        for name, data in truth.items():
            got = hdus[name].data.astype(data.dtype)
            got = got & ~OUTSIDE if name == "MSK" else got
            assert got.tobytes() == data.tobytes(), f"{name}: other bits than cfitsio's section"
            head = hdus[name].header
            assert head["RELEASE"] == "C1" and head["CUTFILE"] == images.relative(TILE, "g")
            assert head["CUTSHA"] == hashlib.sha256(images.path(TILE, "g").read_bytes()).hexdigest()
            assert head["CUTSOFT"].startswith("desdm ") and head["STENCIL"] == pos
            wcs, own = WCS(whole[name].header), WCS(head)
            x, y = np.random.default_rng(3).uniform(0, head["NAXIS1"], (2, 50))
            ra, dec = own.all_pix2world(x, y, 0)
            far = np.array(wcs.all_world2pix(ra, dec, 0)) - [x + head["CUTX1"] - 1, y + head["CUTY1"] - 1]
            assert np.abs(far).max() < 0.01, "pixels"
        # An archive's own provenance goes along.
        assert hdus[0].header["SRCFILE"] == "a.fits" and hdus["SCI"].header["MAGZERO"] == 30.0
        assert not any(k in hdus["SCI"].header for k in ("ZTILE1", "RACMIN", "FZTILE"))
        ny, nx = out.shape
        assert 0 < out.sum() < out.size or pos.startswith("RANGE")
        if pos.startswith("CIRCLE"):
            y, x = np.mgrid[:ny, :nx]
            ra, dec = WCS(hdus["SCI"].header).all_pix2world(x, y, 0)
            r = np.hypot((ra - 0.02 + 180) % 360 - 180, dec)
            assert ((r > 0.0083) == out).mean() > 0.9999


def test_pixels_outside_the_stencil_are_flagged_blanked_or_kept_as_asked(
    server: Served, images: ImageRelease
) -> None:
    asked = {"ID": images.did(TILE, "r"), "CIRCLE": "0.02 0 0.004"}
    for how in ("flag", "blank", "keep"):
        _, _, body = get(f"{server}/soda/sync", {**asked, "OUTSIDE": how})
        with fits.open(io.BytesIO(body)) as hdus:
            out = (hdus["MSK"].data & OUTSIDE) > 0
            assert out[0, 0] == (how != "keep") and not out[out.shape[0] // 2, out.shape[1] // 2]
            assert np.array_equal(np.isnan(hdus["SCI"].data), out & (how == "blank"))
            assert (hdus["WGT"].data[0, 0] == 0) == (how == "blank")


def test_what_is_outside_is_an_answer_and_what_is_wrong_is_told(server: Served, images: ImageRelease) -> None:
    good = images.did(TILE, "g")
    told = {
        204: [{"ID": good, "CIRCLE": "90 0 1"}, {"ID": good, "POLYGON": "90 0 91 0 91 1"}],
        400: [{"CIRCLE": "0 0 1"}, {"ID": good, "CIRCLE": "0 0"}, {"ID": good, "POS": "CIRCLE 0 0 x"},
              {"ID": good, "CIRCLE": "0 0 1", "RESPONSEFORMAT": "gif"}, {"ID": good, "CIRCLE": "0 0 1", "OUTSIDE": "x"},
              {"ID": good.replace("_g.fits.fz", "_g.fits.fz/../../../desdm.toml"), "CIRCLE": ["0 0 1"] * 200 + ["1 1"]},
              {"ID": good, "CIRCLE": [f"0 0 {i}" for i in range(1, 150)]}],
        404: [{"ID": "ivo://desdm/C1?images/none.fits", "CIRCLE": "0 0 1"}, {"ID": "x", "CIRCLE": "0 0 1"},
              {"ID": "ivo://desdm/C1?../../desdm.toml", "CIRCLE": "0 0 1"}, {"ID": "ivo://desdm/No?x", "CIRCLE": "0 0 1"}],
    }  # fmt: skip
    for status, queries in told.items():
        for query in queries:
            found, kind, body = get(f"{server}/soda/sync", query)
            assert found == status, (query, body)
            assert (body == b"") if status == 204 else body.startswith(b"UsageError: "), (query, body)
            assert str(images.home).encode() not in body and kind.startswith("text/plain" if body else "")


@pytest.mark.parametrize(
    "more",
    [{"BAND": "1e-7 2e-7"}, {"TIME": "1 2"}, {"POL": "I"}, {"POS": ""}, {"CIRCLE": "0_0 0 0.003"}],
)
def test_a_filter_that_would_change_nothing_is_refused(
    server: Served, images: ImageRelease, more: dict[str, str]
) -> None:
    """SODA 1.0, section 3.3: BAND, TIME and POL select parts of the data; these images have none."""
    circle = {} if "CIRCLE" in more else {"CIRCLE": "0.02 0 0.003"}
    status, _, body = get(f"{server}/soda/sync", {"ID": images.did(TILE, "g"), **circle, **more})
    assert status == 400 and next(iter(more)) in body.decode()


def test_every_combination_of_id_and_stencil_is_cut(server: Served, images: ImageRelease) -> None:
    query = {
        "ID": [images.did(TILE, "g"), images.did("DES2359+0000", "i")],
        "CIRCLE": ["0.02 0 0.002", "359.97 0 0.002"],
        "POS": "RANGE 0.019 0.021 -0.001 0.001",
    }
    status, kind, body = get(f"{server}/soda/sync", query)
    assert (status, kind) == (200, "application/x-tar")
    rows = results(members(body))
    assert [r["status"] for r in rows] == ["ok", "outside", "ok", "outside", "ok", "outside"]
    assert [r["reason"] for r in rows].count("outside footprint") == 3
    # As a job, each has a result of its own, those outside too.
    with urlopen(
        Request(f"{server}/soda/async", urlencode({**query, "PHASE": "RUN"}, doseq=True).encode())
    ) as job:
        url = job.url
    text = ended(url)
    assert text.count("<uws:result ") == 6 and "COMPLETED" in text
    assert get(f"{url}/results/result-2")[2].startswith(b"UsageError: outside footprint")
    with fits.open(io.BytesIO(get(f"{url}/results/result-1")[2])) as hdus:
        assert np.array_equal(hdus["WGT"].data, section(images, TILE, "g", hdus["SCI"].header)["WGT"])


def ended(url: str) -> str:
    """A job's document once it has ended."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        text = get(f"{url}?WAIT=5")[2].decode()
        if not any(f"<uws:phase>{p}<" in text for p in ("PENDING", "QUEUED", "EXECUTING")):
            return text
    raise AssertionError("the job does not end")


ROWS = """coadd_object_id,xsize,ysize,bands,name
5000000001,0.4,0.2,gri,
5000000070,0.3,,r,mine
1,,,,
5000000003,,,Y,
abc,,,,
"""


def test_a_table_of_objects_is_cut_row_by_row_each_with_its_outcome(
    server: Served, images: ImageRelease
) -> None:
    status, _, body = get(f"{server}/api/cutouts", {"png": 1, "bands": "g"}, ROWS.encode(), "text/csv")
    assert status == 200
    found = members(body)
    rows = results(found)
    assert [r["status"] for r in rows] == ["ok", rows[1]["status"], "failed", "failed", "failed"]
    assert [r["reason"] for r in rows[2:]] == [
        "no object with this id",
        "no image in Y here",
        "no object with this id",
    ]
    assert {
        "5000000001_g.fits",
        "5000000001_r.fits",
        "5000000001_i.fits",
        "5000000001.png",
        "mine_r.fits",
    } <= set(found)
    assert json.loads(found["summary.json"])["rows"] == 5
    for name in ("5000000001_g.fits", "mine_r.fits"):
        with fits.open(io.BytesIO(found[name])) as hdus:
            tile = TILE if name[0] == "5" else "DES2359+0000"
            truth = section(images, tile, hdus["SCI"].header["BAND"], hdus["SCI"].header)
            assert all(np.array_equal(hdus[n].data, truth[n]) for n in truth)
    with fits.open(io.BytesIO(found["5000000001_g.fits"])) as hdus:
        assert hdus["SCI"].data.shape == (46, 91), "0.2 by 0.4 arcmin"


def test_a_job_of_coordinates_gives_one_zip(server: Served, tmp_path: Path) -> None:
    table = tmp_path / "places.csv"
    table.write_text("ra,dec,size\n0.02,0.0,0.2\n40,40,1\n359.97,0,0.2\n")
    made = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{redirect_url}", "-F", f"table=@{table}", "-F", "PHASE=RUN",
         "-F", "FORMAT=zip", "-F", "BANDS=g,i", f"{server}/api/cutouts/async"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    text = ended(made.stdout)
    assert "COMPLETED" in text, text
    with zipfile.ZipFile(io.BytesIO(get(f"{made.stdout}/results/result")[2])) as archive:
        assert archive.testzip() is None
        rows = list(csv.DictReader(io.StringIO(archive.read("results.csv").decode())))
        assert [(r["status"], r["reason"]) for r in rows] == [
            ("ok", ""),
            ("outside", "outside footprint"),
            ("ok", ""),
        ]
        assert len([n for n in archive.namelist() if n.endswith(".fits")]) == 4


def test_one_place_gives_one_file_or_says_that_it_is_outside(server: Served) -> None:
    place = {"ra": 0.02, "dec": 0, "size": 0.5}
    assert get(f"{server}/api/cutouts", {**place, "bands": "g", "format": "fits"})[2].startswith(b"SIMPLE")
    assert len(members(get(f"{server}/api/cutouts", place)[2])) == 5
    status, _, body = get(f"{server}/api/cutouts", {**place, "ra": 90, "format": "png"})
    assert (status, json.loads(body)["error"]) == (404, "outside footprint")
    status, _, body = get(f"{server}/api/cutouts", {**place, "ra": 90})
    assert (status, json.loads(body)["status"]) == (404, "outside")
    for wrong in ({"bands": "q"}, {"size": "x"}, {"foo": 1}, {"release": "No"}, {"size": 0}, {"q": "inf"}):
        status, _, body = get(f"{server}/api/cutouts", {**place, **wrong})
        assert status in (400, 404) and json.loads(body)["error"], (wrong, body)


def test_a_picture_is_luptons_with_its_parameters_in_it(server: Served, images: ImageRelease) -> None:
    from PIL import Image

    query = {
        "ID": images.did(TILE, "g"),
        "CIRCLE": "0.02 0 0.005",
        "RESPONSEFORMAT": "image/png",
        "Q": 6,
        "STRETCH": 60,
    }
    status, kind, body = get(f"{server}/soda/sync", {**query, "MINIMUM": -5})
    assert (status, kind) == (200, "image/png")
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.text["Lupton"] == "Q=6 stretch=60 minimum=-5" and "g*1.6" in picture.text["Bands"]
        pixels = np.asarray(picture)
    _, _, cut = get(f"{server}/soda/sync", {"ID": images.did(TILE, "g"), "CIRCLE": "0.02 0 0.005"})
    with fits.open(io.BytesIO(cut)) as hdus:
        head = hdus["SCI"].header
    planes = [f * section(images, TILE, b, head)["SCI"] for b, f in (("i", 0.8), ("r", 1.0), ("g", 1.6))]
    truth = make_lupton_rgb(*planes, minimum=-5, stretch=60, Q=6)
    assert np.abs(pixels[::-1].astype(int) - truth).max() <= 1
    rng = np.random.default_rng(1)
    r, g, b = rng.normal(20, 200, (3, 50, 50)).astype(np.float32)
    assert (
        np.abs(
            lupton(r, g, b, 8, 5, 0).astype(int) - make_lupton_rgb(r, g, b, minimum=0, stretch=5, Q=8)
        ).max()
        <= 1
    )


def test_fifty_at_once_are_all_right(server: Served, images: ImageRelease) -> None:
    rng = np.random.default_rng(9)
    asked = [(float(a), float(d)) for a, d in rng.uniform([-0.0, -0.02], [0.04, 0.02], (50, 2))]

    def one(place: tuple[float, float]) -> bytes:
        query = {"ID": images.did(TILE, "g"), "CIRCLE": f"{place[0]} {place[1]} 0.003"}
        return get(f"{server}/soda/sync", query)[2]

    with ThreadPoolExecutor(50) as clients:
        bodies = list(clients.map(one, asked))
    whole = {n: fitsio.read(str(images.path(TILE, "g")), ext=n) for n in ("SCI", "WGT")}
    for body in bodies:
        with fits.open(io.BytesIO(body)) as hdus:
            head = hdus["SCI"].header
            x, y = head["CUTX1"] - 1, head["CUTY1"] - 1
            for name, data in whole.items():
                assert np.array_equal(hdus[name].data, data[y : y + head["NAXIS2"], x : x + head["NAXIS1"]])


def test_a_flipped_byte_is_refused_and_stands_in_the_problem_list(
    server: Served, images: ImageRelease
) -> None:
    hurt = ImageRelease(images.home, "F1")
    path = hurt.path(TILE, "g")
    query = {"ID": hurt.did(TILE, "g"), "CIRCLE": "0.02 0 0.002"}
    assert get(f"{server}/soda/sync", query)[0] == 200
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    status, _, body = get(f"{server}/soda/sync", query)
    assert (status, body[:6]) == (500, b"Error:") and b"SIMPLE" not in body
    place = {"ra": 0.02, "dec": 0, "size": 0.1, "bands": "g", "release": "F1"}
    rows = results(members(get(f"{server}/api/cutouts", place)[2]))
    told = "the image is damaged on this server and not served"
    assert [(r["status"], r["reason"]) for r in rows] == [("failed", told)]
    assert get(f"{server}/soda/sync", {**query, "ID": hurt.did(TILE, "r")})[0] == 200
    facility = Facility.open(images.home)

    def listed() -> list[object]:
        with facility.database.read() as conn:
            return [p for p in store.open_problems(conn) if p.subject == f"F1/{hurt.relative(TILE, 'g')}"]

    found = until(listed)
    facility.close()
    assert len(found) == 1


def test_the_service_describes_itself(server: Served) -> None:
    text = get(f"{server}/soda/capabilities")[2].decode()
    assert "SODA#sync-1.0" in text and "SODA#async-1.0" in text
    assert "<vosi:available>true" in get(f"{server}/soda/availability")[2].decode()


def test_a_whole_image_may_be_cut_and_says_that_it_ends(server: Served, images: ImageRelease) -> None:
    status, _, body = get(f"{server}/soda/sync", {"ID": images.did(TILE, "g"), "CIRCLE": "0.02 0 1"})
    assert status == 200
    with fits.open(io.BytesIO(body)) as hdus:
        assert hdus["SCI"].data.shape == (700, 700) and hdus["SCI"].header["TRIMMED"]
    assert get(f"{server}/api/cutouts", {"ra": 0.02, "dec": 0, "size": 61, "format": "png"})[0] == 400
