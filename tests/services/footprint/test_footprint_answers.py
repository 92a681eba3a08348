"""One look-up, many doors: the same answers by GET, POST, Python and command, against maps and outlines read elsewhere."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
import requests
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS, FITSFixedWarning
from astropy_healpix import HEALPix
from healsparse import HealSparseMap
from mocpy import MOC

from desdm.client.client import Client
from desdm.errors import UsageError
from desdm.release.problems import problems
from desdm.schema.database import Database
from desdm.services.footprint.lookup import Footprint
from desdm.services.soda.stencil import stencils_of
from tests.support.footprintrelease import BANDS, SIDE, TILES, Coadds, coadds, footprint_release
from tests.support.server import Served, served
from tests.support.wait import until

GRID = HEALPix(nside=4096, order="nested")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Coadds:
    return coadds(tmp_path_factory.mktemp("coadds"))


@pytest.fixture(scope="module")
def home(made: Coadds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    footprint_release(home, made, "X1")
    _flip(home / "releases" / "X1" / "footprint" / "g.hsp")
    footprint_release(home, made, "X2")
    footprint_release(home, made)
    footprint_release(home, made, "P1", proprietary=True)
    return home


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[Served]:
    with served(home) as server:
        yield server


@pytest.fixture(scope="module")
def footprint(home: Path) -> Footprint:
    return Footprint(home / "releases" / "F1")


@pytest.fixture(scope="module")
def places() -> pa.Table:
    """Positions on the tiles, around them, at poles and seams, and none at all."""
    rng = np.random.default_rng(11)
    ra = np.concatenate(
        [rng.uniform(359.88, 360.08, 3000) % 360, [0, 360, 359.98, 123, 0, 0, np.nan, 10, 10]]
    )
    dec = np.concatenate([rng.uniform(-44.05, -43.95, 3000), [-44, -44, -44, 5, 90, -90, -44, np.nan, 91]])
    return pa.table({"name": [f"P{i}" for i in range(len(ra))], "ra": ra, "dec": dec})


def _direct(home: Path, band: str, ra: Any, dec: Any) -> Any:
    """The map read by healsparse, at cells found by astropy: (inside, depth, nexp, fraction)."""
    whole = HealSparseMap.read(str(home / "releases" / "F1" / "footprint" / f"{band}.hsp"))
    good = np.isfinite(ra) & (np.abs(dec) <= 90)
    cell = GRID.lonlat_to_healpix(ra[good] * units.deg, dec[good] * units.deg)
    found = whole[cell]
    inside = np.zeros(len(ra), bool)
    inside[good] = found["fraction"] > 0
    out = {"inside": inside}
    for name in ("depth", "nexp", "fraction"):
        values = np.zeros(len(ra), found[name].dtype)
        values[good] = found[name]
        out[name] = np.ma.array(values, mask=~inside)
    return out


def _same(table: pa.Table, true: Any, band: str, exact: bool = True) -> None:
    assert (np.array(table[f"inside_{band}"].to_pylist()) == true["inside"]).all()
    for name in ("depth", "nexp", "fraction"):
        found = table[f"{name}_{band}"].to_pylist()
        assert [v is None for v in found] == (~true["inside"]).tolist()
        values = np.array([0 if v is None else v for v in found])[true["inside"]]
        # Tables in text have the shortest digits that make the same single-precision number.
        assert (values.astype(true[name].dtype) == true[name].data[true["inside"]]).all(), name


def test_a_table_by_post_is_the_map_in_every_format(url: Served, home: Path, places: pa.Table) -> None:
    true = {b: _direct(home, b, places["ra"].to_numpy(), places["dec"].to_numpy()) for b in BANDS}
    assert 0.2 < true["g"]["inside"].mean() < 0.9
    parquet, csv = io.BytesIO(), io.BytesIO()
    pq.write_table(places, parquet)
    pcsv.write_csv(places, csv)
    table = Table(
        {"name": places["name"].to_numpy().astype(str), **{n: places[n].to_numpy() for n in ("ra", "dec")}}
    )
    votable, bintable = io.BytesIO(), io.BytesIO()
    table.write(votable, format="votable")
    table.write(bintable, format="fits")
    sent = {
        "parquet": (parquet, "application/vnd.apache.parquet"), "csv": (csv, "text/csv"),
        "votable": (votable, "application/x-votable+xml"), "fits": (bintable, "application/fits"),
    }  # fmt: skip
    for form, (data, mime) in sent.items():
        answer = requests.post(
            f"{url}/footprint?release=F1", data.getvalue(), headers={"content-type": mime}, timeout=60
        )
        assert answer.status_code == 200, answer.text
        assert form in answer.headers["content-type"] or form == "parquet"
        found = _read(form, answer.content)
        assert found.column_names[:3] == ["name", "ra", "dec"]
        for band in BANDS:
            _same(found, true[band], band)


def _read(form: str, data: bytes) -> pa.Table:
    if form == "parquet":
        return pq.read_table(io.BytesIO(data))
    if form == "csv":
        return pcsv.read_csv(io.BytesIO(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)
        table = Table.read(io.BytesIO(data), format=form)
    columns = {}
    for name in table.colnames:
        values = table[name]
        masked = (
            np.ma.getmaskarray(values)
            if isinstance(values, np.ma.MaskedArray)
            else np.zeros(len(table), bool)
        )
        if values.dtype.kind == "f":
            masked = masked | ~np.isfinite(np.asarray(values))
        plain = np.asarray(values)
        columns[name] = [None if m else v for m, v in zip(masked, plain.tolist(), strict=True)]
    return pa.table(columns)


def test_every_door_gives_one_answer(url: Served, home: Path, footprint: Footprint, places: pa.Table) -> None:
    """GET, POST, the client, the look-up in this process, the command and ADQL, on the same positions."""
    chosen = places.slice(2980, 26)
    ra, dec = chosen["ra"].to_numpy(), chosen["dec"].to_numpy()
    true = {b: _direct(home, b, ra, dec) for b in BANDS}
    client = Client(url)
    _check_client(client, chosen, true)
    values = footprint.points(ra, dec)
    good = np.flatnonzero(np.isfinite(ra) & (np.abs(dec) <= 90))
    for i in good.tolist():
        told = requests.get(
            f"{url}/footprint",
            {"ra": repr(float(ra[i])), "dec": repr(float(dec[i])), "release": "F1"},
            timeout=60,
        ).json()
        here = footprint.at(ra[i], dec[i])
        assert told["hpix"] == here.hpix == int(GRID.lonlat_to_healpix(ra[i] * units.deg, dec[i] * units.deg))
        assert told["bands"] == here.bands
        assert told["tiles"] == here.tiles
        assert told["exposures"] == here.exposures
        for band in BANDS:
            one = told["bands"][band]
            assert one["inside"] == true[band]["inside"][i] == values[band].inside[i]
            for name in ("depth", "nexp", "fraction"):
                if one["inside"]:
                    kind = true[band][name].dtype.type
                    assert kind(one[name]) == true[band][name][i] == getattr(values[band], name)[i]
                else:
                    assert one[name] is None
    _check_adql(client, chosen.take(good), {b: {n: v[good] for n, v in true[b].items()} for b in BANDS})
    i = int(np.flatnonzero(true["g"]["inside"])[0])
    said = json.loads(_command(home, repr(float(ra[i])), repr(float(dec[i])), "--release", "F1", "--json"))
    told = requests.get(
        f"{url}/footprint",
        {"ra": repr(float(ra[i])), "dec": repr(float(dec[i])), "release": "F1"},
        timeout=60,
    ).json()
    assert said == {key: told[key] for key in said}


def _check_client(client: Client, chosen: pa.Table, true: Any) -> None:
    table = client.footprint(chosen, release="F1")
    assert isinstance(table, pa.Table)
    for band in BANDS:
        _same(table, true[band], band)
    one = client.footprint(0.0, -44.0, release="F1", band="g")
    assert isinstance(one, dict)
    assert list(one["bands"]) == ["g"]


def _check_adql(client: Client, chosen: pa.Table, true: Any) -> None:
    functions = {"inside": "in_footprint", "depth": "depth", "nexp": "nexp", "fraction": "fraction"}
    asked = ", ".join(
        f"desdm_{function}('F1', '{band}', ra, dec) AS {name}_{band}"
        for band in BANDS
        for name, function in functions.items()
    )
    query = f"SELECT name, {asked} FROM TAP_UPLOAD.places"
    found = client.query(query, format="arrow", uploads={"places": chosen})
    order = {name: i for i, name in enumerate(found["name"].to_pylist())}
    found = found.take([order[name] for name in chosen["name"].to_pylist()])
    for band in BANDS:
        _same(found, true[band], band)


def _command(home: Path, *words: str) -> str:
    program = Path(sys.executable).parent / "desdm"
    done = subprocess.run(
        [str(program), "--home", str(home), "footprint", *words], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("words", [("359.97", "-0.001"), ("--region", "CIRCLE 359.97 0 0.02"), ("123", "-5")])
def test_a_server_answers_the_command_as_the_installation_does(
    home: Path, url: Served, words: tuple[str, ...]
) -> None:
    for more in ((), ("--band", "r", "--json")):
        ours = _command(home, "--release", "F1", *words, *more)
        # Without scheme too, as browsers take an address.
        theirs = _command(home, "--release", "F1", *words, *more, "--url", url.removeprefix("http://"))
        if "--json" in more:
            known = json.loads(ours)
            assert {k: v for k, v in json.loads(theirs).items() if k in known} == known
        else:
            assert theirs == ours


def test_the_command_answers_a_table(home: Path, places: pa.Table, tmp_path: Path) -> None:
    pcsv.write_csv(places, tmp_path / "places.csv")
    out = tmp_path / "answer.parquet"
    _command(
        home, "--release", "F1", "--table", str(tmp_path / "places.csv"), "--out", str(out), "--band", "r"
    )
    true = _direct(home, "r", places["ra"].to_numpy(), places["dec"].to_numpy())
    found = pq.read_table(out)
    assert "inside_g" not in found.column_names
    _same(found, true, "r")
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["answer.parquet", "places.csv"]


def test_tiles_and_exposures_are_those_whose_pixels_hold_the_place(
    made: Coadds, footprint: Footprint, places: pa.Table
) -> None:
    """Each outline against the pixel grid of its file, by astropy; a place on the very edge may fall to either side."""
    ra, dec = places["ra"].to_numpy()[:3000], places["dec"].to_numpy()[:3000]
    many = footprint.tiles_at(ra, dec)
    sure = np.ones(3000, bool)
    true: list[list[str]] = [[] for _ in range(3000)]
    for tile in TILES:
        on, edge = _on(tile.header(), ra, dec)
        sure &= ~edge
        for i in np.flatnonzero(on):
            true[i].append(tile.name)
    assert sum(len(t) == 2 for t in true) > 100
    assert [many[i] for i in np.flatnonzero(sure)] == [true[i] for i in np.flatnonzero(sure)]
    assert footprint.tiles_at(np.array([np.nan]), np.array([0.0])) == [[]]
    for i in np.flatnonzero(sure)[:60].tolist():
        answer = footprint.at(ra[i], dec[i])
        assert answer.tiles == true[i]
        images = [p for (name, _), paths in made.images.items() if name in true[i] for p in paths]
        holding, doubtful = set(), set()
        for path in images:
            on, edge = _on(fits.getheader(path), ra[i : i + 1], dec[i : i + 1])
            (doubtful if edge[0] else holding if on[0] else set()).add(path.name)
        named = {e["filename"] for e in answer.exposures}
        assert holding - named == set()
        assert named - holding <= doubtful


def _on(head: Any, ra: Any, dec: Any) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        x, y = WCS(head).all_world2pix(ra, dec, 0)
    far = np.minimum.reduce([x + 0.5, y + 0.5, SIDE - 0.5 - x, SIDE - 0.5 - y])
    return far > 0, np.abs(far) < 0.05


@pytest.mark.parametrize(
    "pos",
    [
        "CIRCLE 359.99 -44.01 0.02",
        "RANGE 359.95 359.99 -90 -44",
        "POLYGON 0.01 -44 359.97 -44.02 359.97 -43.98",
    ],
)
def test_a_region_has_the_cells_within_it_and_the_files_of_its_tiles(
    url: Served, home: Path, pos: str
) -> None:
    told = requests.get(f"{url}/footprint/region", {"POS": pos, "release": "F1"}, timeout=60).json()
    assert requests.get(f"{url}/footprint", {"POS": pos, "release": "F1"}, timeout=60).json() == told
    for band in BANDS:
        whole = HealSparseMap.read(str(home / "releases" / "F1" / "footprint" / f"{band}.hsp"))
        cells = whole.valid_pixels
        lon, lat = GRID.healpix_to_lonlat(cells)
        inside = _within(pos, lon, lat)
        assert 0 < inside.sum() < cells.size
        said = told["bands"][band]
        assert said["cells"] == inside.sum()
        area = GRID.pixel_area.to_value("deg2") * whole[cells[inside]]["fraction"].sum(dtype=float)
        assert said["area"] == pytest.approx(area, rel=1e-6)
        assert said["depth"]["median"] == pytest.approx(
            float(np.median(whole[cells[inside]]["depth"])), abs=1e-4
        )
        assert said["nexp"]["max"] == whole[cells[inside]]["nexp"].max()
    assert told["tiles"] == (
        ["DES2359-4400"] if pos.startswith("RANGE") and "359.96 " in pos else [t.name for t in TILES]
    )
    assert {f["band"] for f in told["files"]} == set(BANDS)
    rows = requests.get(f"{url}/footprint/region", {"POS": pos, "release": "F1", "format": "csv"}, timeout=60)
    found = pcsv.read_csv(io.BytesIO(rows.content)).to_pylist()
    assert [f["path"] for f in found] == [f["path"] for f in told["files"]]
    first = requests.head(found[0]["url"], timeout=60)
    assert int(first.headers["content-length"]) == found[0]["filesize"]


def _within(pos: str, lon: Any, lat: Any) -> Any:
    numbers = [float(word) for word in pos.split()[1:]]
    if pos.startswith("CIRCLE"):
        centre = SkyCoord(numbers[0] * units.deg, numbers[1] * units.deg)
        return SkyCoord(lon, lat).separation(centre).to_value("deg") <= numbers[2]
    x, y = (lon.to_value("deg") + 180) % 360, lat.to_value("deg")
    if pos.startswith("RANGE"):
        a, b = (numbers[0] + 180) % 360, (numbers[1] + 180) % 360
        return (x >= a) & (x <= b) & (y >= numbers[2]) & (y <= numbers[3])
    # On so small a triangle the sides of great circles are straight to a thousandth of an arcsec.
    corners = np.array(numbers).reshape(-1, 2)
    corners[:, 0] = (corners[:, 0] + 180) % 360
    sides = [
        (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0])
        for p, q in zip(corners, np.roll(corners, -1, 0), strict=True)
    ]
    return np.all(np.sign(sides) == np.sign(sides[0]), axis=0)


def test_a_region_that_holds_the_sky_holds_all_and_one_elsewhere_nothing(footprint: Footprint) -> None:
    everything, nothing, pole = stencils_of({"POS": ["CIRCLE 10 20 180", "CIRCLE 40 -44 1", "CIRCLE 0 90 0"]})
    assert footprint.within(everything).tiles == [t.name for t in TILES]
    assert footprint.within(everything).bands["g"]["cells"] == len(
        footprint.map("g").values(np.arange(1)).depth
    ) * 0 + sum(cells.size for cells, _ in footprint.map("g").blocks(footprint.map("g").covered))
    for region in (nothing, pole):
        found = footprint.within(region)
        assert found.tiles == []
        assert found.bands["g"] == {"cells": 0, "area": 0.0, "depth": None, "nexp": None}


def test_files_beside_it_are_served_as_they_were_released(url: Served, home: Path) -> None:
    for name in ("g.moc.fits", "g.moc.json", "tiles.stcs", "tiles.reg", "tiles.json"):
        answer = requests.get(f"{url}/footprint/F1/{name}", timeout=60)
        assert answer.content == (home / "releases" / "F1" / "footprint" / name).read_bytes()
        again = requests.get(
            f"{url}/footprint/F1/{name}", headers={"if-none-match": answer.headers["etag"]}, timeout=60
        )
        assert again.status_code == 304
    for name in ("g.hsp", "nothing", "..%2f..%2fdesdm.toml"):
        assert requests.get(f"{url}/footprint/F1/{name}", timeout=60).status_code == 404


@pytest.mark.parametrize("form", ["fits", "json", "ascii"])
def test_a_moc_of_what_is_good_enough(url: Served, home: Path, form: str, tmp_path: Path) -> None:
    """Cells that pass the cuts in both bands, by the maps; the MOC is read by the CDS' own library."""
    cuts = {"depth": 24.2, "nexp": 2, "fraction": 0.9}
    asked = {"band": "g,r", "format": form, **cuts}
    passing = []
    for band in BANDS:
        whole = HealSparseMap.read(str(home / "releases" / "F1" / "footprint" / f"{band}.hsp"))
        rows = whole[whole.valid_pixels]
        passing.append(
            set(whole.valid_pixels[np.all([rows[n] >= least for n, least in cuts.items()], axis=0)].tolist())
        )
    true = passing[0] & passing[1]
    assert 3 < len(true) < len(passing[0])
    answer = requests.get(f"{url}/footprint/F1/moc", asked, timeout=60)
    assert answer.status_code == 200, answer.text
    path = tmp_path / "moc"
    path.write_bytes(answer.content)
    assert set(MOC.load(str(path), format=form).to_order(12).flatten().tolist()) == true
    wrong = requests.get(f"{url}/footprint/F1/moc", {"format": "gif"}, timeout=60)
    assert wrong.status_code == 400
    assert "there are fits, json, ascii" in wrong.json()["error"]["message"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "give a position"),
        ({"ra": "1"}, "give a position"),
        ({"ra": "x", "dec": "1"}, "ra=x: a number is wanted"),
        ({"ra": "1", "dec": "91"}, "dec=91: a number from -90 to 90 is wanted"),
        ({"ra": "inf", "dec": "1"}, "ra=inf: a number is wanted"),
        ({"ra": "1", "dec": "1", "band": "z"}, "band 'z' is not in the footprint; it has g, r"),
        ({"ra": "1", "dec": "1", "colour": "red"}, "unknown parameter COLOUR"),
        ({"ra": "1", "dec": "1", "format": "doc"}, "'doc' is not known; there are"),
        ({"POS": "CIRCLE 1 1"}, "a circle is RA, Dec and radius"),
        ({"POS": "CIRCLE 1 1 1", "ra": "1"}, "not by both"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_said(url: Served, asked: dict[str, str], said: str) -> None:
    answer = requests.get(f"{url}/footprint", asked, timeout=60)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_a_table_without_positions_is_refused_and_named_columns_are_taken(url: Served, home: Path) -> None:
    csv = "x,y\n0.0,-44.0\n"
    head = {"content-type": "text/csv"}
    answer = requests.post(f"{url}/footprint", csv, headers=head, timeout=60)
    assert answer.status_code == 400
    assert "name it: ra_column=" in answer.json()["error"]["message"]
    answer = requests.post(
        f"{url}/footprint?ra_column=x&dec_column=y&tiles=1&band=g&release=F1", csv, headers=head, timeout=60
    )
    (row,) = pcsv.read_csv(io.BytesIO(answer.content)).to_pylist()
    true = _direct(home, "g", np.array([0.0]), np.array([-44.0]))
    assert (row["inside_g"], row["nexp_g"], row["tiles"]) == (1, true["nexp"][0], "DES0000-4400")
    assert requests.post(f"{url}/footprint", "", headers=head, timeout=60).status_code == 400
    form = requests.post(
        f"{url}/footprint", files={"t": ("t.csv", "ra,dec\n0,-44\n")}, data={"band": "r"}, timeout=60
    )
    assert form.text.startswith("ra,dec,inside_r,")


def test_a_proprietary_release_is_not_shown_to_anybody(url: Served) -> None:
    newest = requests.get(f"{url}/footprint?ra=0&dec=-44", timeout=60).json()
    assert newest["release"] == "F1"
    for path in (
        "/footprint?ra=0&dec=-44&release=P1",
        "/footprint/P1/g.moc.json",
        "/footprint/region?POS=CIRCLE 0 -44 1&release=P1",
    ):
        answer = requests.get(url + path, timeout=60)
        nowhere = requests.get(url + path.replace("P1", "N0"), timeout=60)
        assert answer.status_code == nowhere.status_code == 404
        assert answer.text == nowhere.text.replace("N0", "P1")


def _flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-3000, 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 16]))


def test_a_flipped_byte_in_a_map_is_refused_and_reported(url: Served, home: Path) -> None:
    answer = requests.get(f"{url}/footprint?ra=0&dec=-44&release=X1", timeout=60)
    assert answer.status_code == 500
    assert "footprint/g.hsp of X1 is not as it was released" in answer.json()["error"]["message"]
    requests.get(f"{url}/footprint?ra=0&dec=-44&release=X1", timeout=60)
    database = Database(f"sqlite:///{home}/desdm.sqlite")

    def listed() -> list[tuple[str, str]]:
        with database.read() as conn:
            return [(p.subject_kind, p.subject) for p in problems(conn)]

    assert until(listed) == [("file", "X1/footprint/g.hsp")]
    database.close()


def test_a_map_that_changes_while_it_is_served_is_refused(url: Served, home: Path) -> None:
    address = f"{url}/footprint?ra=0&dec=-44&release=X2"
    assert requests.get(address, timeout=60).status_code == 200
    path = home / "releases" / "X2" / "footprint" / "g.hsp"
    whole, before = path.read_bytes(), path.stat()
    _flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    answer = requests.get(address, timeout=60)
    assert answer.status_code == 500
    assert "footprint/g.hsp of X2 is not as it was released" in answer.json()["error"]["message"]
    # Of a map that is shorter than when it was mapped the kernel would end the whole process (SIGBUS).
    path.write_bytes(b"")
    assert requests.get(address, timeout=60).status_code == 500
    path.write_bytes(whole)
    assert requests.get(address, timeout=60).status_code == 200


def test_no_position_is_no_answer(footprint: Footprint) -> None:
    with pytest.raises(UsageError, match="not a position"):
        footprint.at(1.0, 90.5)
    assert footprint.at(-0.02, -44.0).hpix == footprint.at(359.98, -44.0).hpix
    assert not footprint.at(77.0, 90.0).inside
