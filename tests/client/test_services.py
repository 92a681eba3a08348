"""Images, cutouts, cones and files of a real server by the Python client."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from desdm.client import Client
from desdm.errors import NotFoundError
from tests.support.server import served
from tests.support.tiles import TILES, Stars, demo_release

pytestmark = pytest.mark.filterwarnings("ignore::pyvo.utils.xml.exceptions.UnknownElementWarning")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Stars]]:
    home = tmp_path_factory.mktemp("client") / "home"
    known = demo_release(home)
    with served(home) as url, Client(url) as client:
        yield client, known


def test_a_place_leads_to_images_and_these_to_cutouts(made: tuple[Client, Stars], tmp_path: Path) -> None:
    client, _ = made
    ra, dec = TILES[0].ra, TILES[0].dec
    images = client.images(ra, dec)
    idents = sorted(images["obs_publisher_did"])
    assert [ident.rpartition("/")[2] for ident in idents] == [
        "DES0200-0500_g.fits.fz",
        "DES0200-0500_r.fits.fz",
    ]
    path = client.cutout(idents[0], tmp_path / "cut.fits", circle=f"{ra} {dec} 0.004")
    with fits.open(path) as file:
        plane = next(hdu for hdu in file if hdu.name == "SCI")
        x, y = WCS(plane.header).world_to_pixel_values(ra, dec)
        assert 0 < x < plane.data.shape[1] and 0 < y < plane.data.shape[0]
    with pytest.raises(NotFoundError, match="outside"):
        client.cutout(idents[0], tmp_path / "none.fits", circle=f"{ra} {dec + 20} 0.004")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.fits"]


def test_a_table_of_places_becomes_a_tar_with_a_reason_for_each_row(
    made: tuple[Client, Stars], tmp_path: Path
) -> None:
    client, _ = made
    ra, dec = TILES[0].ra, TILES[0].dec
    path = client.cutouts(
        Table({"ra": [ra, ra], "dec": [dec, dec + 30]}), tmp_path / "cut.tar", RELEASE="D1", BANDS="g"
    )
    with tarfile.open(path) as held:
        assert "row000001_g.fits" in held.getnames()
        results = held.extractfile("results.csv")
        assert results is not None
        rows = list(csv.DictReader(io.TextIOWrapper(results)))
    assert "outside" in " ".join(rows[-1].values())


def test_a_cone_holds_the_stars_that_are_there(made: tuple[Client, Stars]) -> None:
    client, known = made
    ra, dec = TILES[0].ra, TILES[0].dec
    a, d = np.radians(known.ra), np.radians(known.dec)
    d0 = np.radians(dec)
    half = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - np.radians(ra)) / 2) ** 2
    wanted = int((np.degrees(2 * np.arcsin(np.sqrt(half))) <= 0.01).sum())
    assert 0 < wanted == len(client.cone("D1.objects", ra, dec, 0.01))


def test_files_are_found_by_tile_and_band(made: tuple[Client, Stars]) -> None:
    client, _ = made
    assert [r["name"] for r in client.releases()] == ["D1"]
    found = client.files("D1", tilename="DES0200-0500", band="g", filetype="coadd")
    assert [file["path"].rpartition("/")[2] for file in found] == ["DES0200-0500_g.fits.fz"]
    assert client.whoami()["role"] == "public"
