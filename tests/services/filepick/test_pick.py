"""Files are found by what they are and where they lie, the same in every form, and nothing is cut in silence."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io.votable import parse_single_table
from astropy_healpix import HEALPix
from hypothesis import given
from hypothesis import strategies as st

from desdm.release.model import ReleaseFile
from desdm.services.filepick.outline import Outlines
from desdm.sky.spherical import polygon_distance, unit
from tests.support.files import file_release
from tests.support.server import Served, served


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served installation with the release T1 of two tiles in two bands, a table and a text."""
    home = tmp_path_factory.mktemp("pick") / "home"
    file_release(home, "T1", size=1000)
    with served(home) as made:
        yield made


def fetch(url: str, at: str = "/files", /, **parameters: str) -> tuple[int, str, bytes]:
    query = f"?{urlencode(parameters)}" if parameters else ""
    command = ["curl", "-s", "-w", "\n%{http_code} %{content_type}", f"{url}{at}{query}"]
    body, _, tail = subprocess.run(command, capture_output=True, timeout=60).stdout.rpartition(b"\n")
    status, _, mime = tail.decode().partition(" ")
    return int(status), mime, body


def names(url: str, /, **parameters: str) -> list[str]:
    status, _, body = fetch(url, **parameters)
    assert status == 200, body
    return [Path(f["path"]).name.removesuffix(".fits.fz") for f in json.loads(body)["files"]]


A, B = "DES0000+0000", "DES0200-0500"


def test_a_choice_by_tile_band_and_type(url: Served) -> None:
    assert names(url, filetype="coadd") == [f"{A}_g", f"{A}_r", f"{B}_g", f"{B}_r"]
    assert names(url, TILENAME=A.lower()) == [f"{A}_g", f"{A}_r"]
    assert names(url, band="r", release="t1") == [f"{A}_r", f"{B}_r"]
    assert names(url, band="g,r", tilename=f"{A},{B}", filetype="coadd,table") == names(url, filetype="coadd")
    assert names(url, band="G") == []
    assert names(url, path="docs/", filetype="document")[-1] == "read me.txt"


@pytest.mark.parametrize(
    ("pos", "tiles"),
    [
        # The first tile spans RA 359.65 to 0.35 and Dec -0.35 to 0.35.
        ("0,0", [A]),
        ("359.9,0.1,0", [A]),
        ("0.1,-0.1,0", [A]),
        ("CIRCLE 30 -5 0.1", [B]),
        ("0.45,0,0.09", []),
        ("0.45,0,0.11", [A]),
        ("359.55,0,0.11", [A]),
        # Beside a corner: within the circle about the tile (radius 0.5), outside the tile.
        ("0.42,0.42,0.09", []),
        ("0.42,0.42,0.11", [A]),
        ("200,80,1", []),
        ("180,0,179.7", [A, B]),
        ("15,-2.5,180", [A, B]),
        ("0,90,89.7", [A]),
    ],
)
def test_a_choice_by_place(url: Served, pos: str, tiles: list[str]) -> None:
    assert names(url, pos=pos, band="g") == [f"{tile}_g" for tile in tiles]


def test_the_partitions_of_a_table_lie_where_their_cells_do(url: Served) -> None:
    for ra, dec, radius in ((30, -5, 1), (0, 0, 3), (200, 89, 5), (359.9, 10, 0.1), (77, -41, 30)):
        _, _, body = fetch(url, filetype="table", pos=f"{ra},{dec},{radius}")
        found = {f["path"] for f in json.loads(body)["files"]}
        _, _, body = fetch(url, filetype="table", path="tables/objects/dataset/Norder")
        every = {f["path"] for f in json.loads(body)["files"]}
        touched = HEALPix(nside=1, order="nested").cone_search_lonlat(ra * u.deg, dec * u.deg, radius * u.deg)
        assert found == {p for p in every if int(p.split("Npix=")[1].split(".")[0]) in set(touched)}


def test_every_form_says_the_same(url: Served, tmp_path: Path) -> None:
    _, _, body = fetch(url, filetype="coadd")
    want = [(f["path"], f["size"], f["sha256"], f["url"]) for f in json.loads(body)["files"]]
    keys = ("path", "size", "sha256", "url")
    status, mime, body = fetch(url, filetype="coadd", format="csv")
    rows = list(csv.DictReader(io.StringIO(body.decode())))
    assert (status, mime.split(";")[0]) == (200, "text/csv")
    assert [(r["path"], int(r["size"]), r["sha256"], r["url"]) for r in rows] == want
    _, mime, body = fetch(url, filetype="coadd", format="votable")
    assert mime.startswith("application/x-votable+xml")
    table = parse_single_table(io.BytesIO(body + b"\n")).to_table()
    assert [tuple(row[k] for k in keys) for row in table] == want
    assert table["size"].unit == u.byte
    _, _, body = fetch(url, filetype="coadd", format="parquet")
    (tmp_path / "t.parquet").write_bytes(body)
    assert [tuple(r[k] for k in keys) for r in pq.read_table(tmp_path / "t.parquet").to_pylist()] == want
    _, mime, body = fetch(url, filetype="coadd", format="txt")
    assert body.decode().split() == [address for *_, address in want]
    _, mime, body = fetch(url, filetype="coadd", format="html")
    assert mime.startswith("text/html")
    assert all(sha.encode() in body for _, _, sha, _ in want)


def test_nothing_is_cut_in_silence(url: Served) -> None:
    whole = names(url)
    found: list[str] = []
    following = f"{url}/files?limit=3&band="
    while following:
        answer = json.loads(subprocess.run(["curl", "-s", following], capture_output=True, timeout=60).stdout)
        assert answer["total"] == len(whole)
        found += [Path(f["path"]).name.removesuffix(".fits.fz") for f in answer["files"]]
        following = answer["next"]
    assert found == whole


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"tile": A}, "TILE"),
        ({"pos": "1,91"}, "declination"),
        ({"pos": "1"}, "POS"),
        ({"pos": "1,2,-3"}, "radius"),
        ({"pos": "nan,2,3"}, "POS"),
        ({"limit": "-1"}, "LIMIT"),
        ({"format": "docx"}, "FORMAT"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(
    url: Served, parameters: dict[str, str], word: str
) -> None:
    status, _, body = fetch(url, **parameters)
    assert status == 400
    assert word in body.decode()


def test_releases_are_listed_with_their_sums(url: Served) -> None:
    status, mime, body = fetch(url, "/api/releases")
    (release,) = json.loads(body)["releases"]
    files = json.loads(fetch(url)[2])["files"]
    assert (status, mime) == (200, "application/json")
    assert (release["name"], release["tables"]) == ("T1", ["T1.objects"])
    assert (release["files"], release["bytes"]) == (len(files), sum(f["size"] for f in files))
    assert json.loads(fetch(url, "/api/releases/T1")[2]) == release
    assert json.loads(fetch(url, "/api/releases/T1/files")[2])["files"] == files
    assert fetch(url, "/api/releases/T9")[0] == 404


def test_a_page_asks_no_script_and_shows_hostile_names_as_text(url: Served) -> None:
    _, _, body = fetch(url, tilename="<script>alert(1)</script>", format="html")
    assert b"<script" not in body
    assert b"&lt;script&gt;" in body


@given(
    st.floats(0, 360), st.floats(-89.9, 89.9), st.floats(0.05, 3), st.floats(0, 360), st.floats(0.0, 1.2),
    st.integers(3, 7), st.floats(0, 6),
)  # fmt: skip
def test_the_angle_to_a_polygon_is_that_to_its_nearest_point(
    ra: float, dec: float, size: float, towards: float, far: float, corners: int, turn: float
) -> None:
    centre = SkyCoord(ra * u.deg, dec * u.deg)
    bearings = (turn + np.arange(corners) * 2 * np.pi / corners) * u.rad
    around = centre.directional_offset_by(bearings, size * u.deg)
    polygon = unit(around.ra.deg, around.dec.deg)
    place = centre.directional_offset_by(towards * u.deg, far * 3 * size * u.deg)
    found = np.degrees(polygon_distance(unit(place.ra.deg, place.dec.deg), polygon))
    # The sides in 2000 pieces, by astropy's own separations; inside means within all half-spaces of a regular polygon.
    steps = np.linspace(0, 1, 2000)[:, None, None]
    sides = (1 - steps) * polygon + steps * np.roll(polygon, -1, axis=0)
    x, y, z = np.moveaxis(sides / np.linalg.norm(sides, axis=-1, keepdims=True), -1, 0)
    along = SkyCoord(x=x.ravel(), y=y.ravel(), z=z.ravel(), representation_type="cartesian")
    nearest = place.separation(along).deg.min()
    inside = far * 3 < np.cos(np.pi / corners) * 0.999
    outside = far * 3 > 1.001
    if inside:
        assert found == 0
    elif outside:
        assert found == pytest.approx(nearest, abs=size * 2e-3)
    assert found in (0, pytest.approx(nearest, abs=size * 2e-3))


def test_a_file_without_a_place_is_nowhere() -> None:
    file = ReleaseFile(1, "R", "docs/a.md", "document", "text/markdown", None, None, 1, "0" * 64)
    assert not Outlines([file]).touches(0, 0, 180).any()
