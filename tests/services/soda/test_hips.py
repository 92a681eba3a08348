"""HiPS: the pixels lie where readers look for them, parents are the mean of children, and they are served."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from astropy.wcs import WCS
from astropy_healpix import HEALPix
from mocpy import MOC
from PIL import Image

from tests.support.hips import CELLS, ORDER, colours, small_hips
from tests.support.server import Served


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("hips") / "color"
    small_hips(out)
    return out


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def tile_wcs(order: int, cell: int) -> WCS:
    """World coordinates of a tile with its rows counted from below, in the HPX projection (as Hipsgen's FITS tiles)."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---HPX", "DEC--HPX"], [0.0, 0.0]
    step = 45.0 / 512 / 2**order
    wcs.wcs.cd = [[-step, -step], [step, -step]]
    wcs.wcs.set_pv([(2, 1, 4.0), (2, 2, 3.0)])
    wcs.wcs.crpix = [0.0, 0.0]
    middle = HEALPix(nside=2**order, order="nested").healpix_to_lonlat(cell)
    x, y = wcs.all_world2pix(middle[0].deg, middle[1].deg, 1)
    wcs.wcs.crpix = [256.5 - x, 256.5 - y]
    return wcs


def test_a_tile_shows_the_sky_the_way_round_that_readers_expect(tree: Path) -> None:
    for cell in CELLS[:2]:
        found = picture(tree / f"Norder{ORDER}/Dir0/Npix{cell}.png")[::-1]
        y, x = np.mgrid[0:512:37, 0:512:37]
        ra, dec = tile_wcs(ORDER, int(cell)).all_pix2world(x, y, 0)
        truth = colours(ra, dec)
        assert np.abs(found[y, x].astype(int) - truth).max() <= 1, cell


def test_the_empty_is_left_out_and_parents_are_made_of_children(tree: Path) -> None:
    assert not (tree / f"Norder{ORDER}/Dir0/Npix77.png").exists()
    parent, child = (
        picture(tree / "Norder3/Dir0/Npix300.png"),
        picture(tree / f"Norder{ORDER}/Dir0/Npix1201.png"),
    )
    mean = child.reshape(256, 2, 256, 2, 4).astype(float).mean(axis=(1, 3))
    assert np.abs(parent[256:, :256] - mean).max() <= 1.0, "child 1 lies along the rows"
    assert not parent[:, 256:, 3].any(), "two of four children are empty"
    allsky = picture(tree / "Norder3/Allsky.png")
    assert allsky.shape == (29 * 64, 27 * 64, 4)
    assert np.flatnonzero(allsky[..., 3].reshape(29, 64, 27, 64).any(axis=(1, 3)).ravel()).tolist() == [300]
    words = dict(
        line.split(" = ") for line in (tree / "properties").read_text().splitlines() if " = " in line
    )
    keys = {key.strip(): value for key, value in words.items()}
    assert (keys["hips_order"], keys["hips_tile_width"], keys["hips_frame"]) == ("4", "512", "equatorial")
    moc = MOC.from_fits(str(tree / "Moc.fits"))
    assert sorted(moc.flatten()) == [1200, 1201]


def test_two_writings_are_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    small_hips(tmp_path / "again")
    for path in tree.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tree)).read_bytes(), path.name


def test_it_is_served_with_404_for_what_is_empty(server: Served) -> None:
    base = f"{server}/hips/C1/color"
    with urlopen(f"{base}/properties") as answer:
        assert answer.headers["access-control-allow-origin"] == "*" and b"hips_order" in answer.read()
    with urlopen(f"{base}/Norder4/Dir0/Npix1200.png") as answer:
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.read())).size == (512, 512)
    for path in (
        "Norder4/Dir0/Npix77.png",
        "../../../manifest.json",
        "%2e%2e/%2e%2e/manifest.json",
        "Norder4/x.png",
    ):
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{base}/{path}")
        assert refused.value.code == 404
        refused.value.close()
