"""The main job on a simulated patch: what comes out is held against the truth and the photon limit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from healsparse import HealSparseMap
from scipy.spatial import cKDTree

from desdm.simulate.patch import Truth, make
from tests.support.fits import unclean
from tests.support.footprint import sampled
from tests.support.tasks import Coadd

COS = float(np.cos(np.radians(-5.0)))


@dataclass
class Done:
    """The truth, the work, and the objects matched to the truth."""

    truth: Truth
    work: Coadd
    true: Any
    found: dict[str, Any]
    far: Any
    index: Any

    def stars(self, band: str, least: float = 50.0) -> Any:
        """True objects that are isolated stars of good S/N, seen by all exposures, found, and clean."""
        t, i = self.true, self.index
        return (
            t["star"]
            & (t["isolation"] > 6)
            & (t[f"snr_{band}"] > least)
            & t[f"unsaturated_{band}"]
            & (t[f"nexp_{band}"] == 3)
            & (self.far < 1.0)
            & (self.found[f"flags_{band}"][i] < 4)
            & ((self.found[f"imaflags_iso_{band}"][i] & 2) == 0)
        )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Nine exposures in three bands, from files to objects."""
    truth = make(tmp_path_factory.mktemp("sky"), seed=1)
    tile = {"tilename": "DES0200-0500", "tile_ra": "30.0", "tile_dec": "-5.0", "tile_naxis": "1100"}
    work = Coadd(tmp_path_factory.mktemp("run"), {**tile, "tile_pixscale": "0.263"}, refcat=[truth.refcat])
    for image in truth.images:
        work.exposure(image)
    work.finish()
    table = pq.read_table(work.out / "objects.parquet").to_pydict()
    found = {k: np.array(v) for k, v in table.items()}
    true = fits.getdata(truth.table)
    far, index = cKDTree(np.c_[found["ra"] * COS, found["dec"]]).query(np.c_[true["ra"] * COS, true["dec"]])
    return Done(truth, work, true, found, far * 3600, index)


def _scatter(values: Any) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def test_positions_reach_the_photon_limit(done: Done) -> None:
    pulls: list[Any] = []
    for band in "grz":
        s = done.stars(band)
        assert s.sum() > 60
        i = done.index[s]
        dra = (done.found[f"ra_win_{band}"][i] - done.true["ra"][s]) * COS * 3.6e6
        ddec = (done.found[f"dec_win_{band}"][i] - done.true["dec"][s]) * 3.6e6
        assert abs(np.median(dra)) < 3.0
        assert abs(np.median(ddec)) < 3.0
        pulls += [dra / done.true[f"sigra_{band}"][s], ddec / done.true[f"sigdec_{band}"][s]]
    assert _scatter(np.concatenate(pulls)) < 1.2


def test_fluxes_are_unbiased_and_reach_the_photon_limit(done: Done) -> None:
    pulls = []
    for band in "grz":
        s = done.stars(band)
        flux = 10 ** (-0.4 * (done.true[f"mag_{band}"][s] - 30.0))
        ratio = done.found[f"flux_psf_{band}"][done.index[s]] / flux
        assert abs(-2.5 * np.log10(np.median(ratio))) < 0.005
        pulls.append((ratio - np.median(ratio)) * done.true[f"snr_{band}"][s])
    assert _scatter(np.concatenate(pulls)) < 1.2


def test_stars_at_signal_to_noise_ten_are_found(done: Done) -> None:
    t = done.true
    near = np.zeros(len(t), bool)
    for band in "rz":
        near |= (t[f"snr_{band}"] > 9) & (t[f"snr_{band}"] < 11)
    near &= t["star"] & (t["isolation"] > 5) & (t["nexp_r"] > 0) & (t["nexp_z"] > 0)
    assert near.sum() > 15
    assert (done.far[near] < 1.0).mean() > 0.97


def test_nearly_every_object_is_true(done: Done) -> None:
    sky = np.c_[done.true["ra"] * COS, done.true["dec"]]
    far, _ = cKDTree(sky).query(np.c_[done.found["ra"] * COS, done.found["dec"]])
    assert (far * 3600 > 1.5).mean() < 0.01


def test_galaxies_stand_apart_from_stars(done: Done) -> None:
    s = done.stars("r", 40)
    star = done.found["spread_model_r"][done.index[s]]
    t = done.true
    g = ~t["star"] & (t["snr_r"] > 40) & (done.far < 0.5)
    galaxy = done.found["spread_model_r"][done.index[g]]
    assert g.sum() > 10
    # DES Y3 separates them at about 0.003 (Sevilla-Noarbe et al. 2018).
    assert np.percentile(star, 95) < 0.004 < np.percentile(galaxy, 10)


def test_every_product_conforms_and_says_what_made_it(done: Done) -> None:
    products = sorted(done.work.out.glob("*.fits"))
    assert len(products) == 9 * 5 + 3 * 4 + 1
    assert unclean(products) == []
    assert fits.getheader(done.work.coadd["r"])["SOFT02"].startswith("swarp 2.")
    for path in products:
        head = fits.getheader(path, 0)
        assert head["SOFT01"].startswith("desdm ")
        assert head["REQNUM"] == 1


def test_exposures_agree_with_the_reference(done: Done) -> None:
    for task in done.work.tasks:
        if task.name != "check":
            continue
        said = {m.name: m.value for m in task.metrics}
        assert said["nmatch"] > 80
        assert abs(said["dra_median"]) < 3
        assert abs(said["ddec_median"]) < 3
        assert abs(said["zp_offset"]) < 0.005


def test_the_weight_is_the_noise(done: Done) -> None:
    """Empty apertures scatter as the weights say: 1 for independent pixels, a little more after resampling."""
    import json

    for band in "grz":
        facts = json.loads((done.work.out / f"depth_{band}.json").read_text())
        assert 0.97 < facts["correlation"] < 1.15
        assert facts["apertures"] > 200


def test_depth_is_that_of_the_truth(done: Done) -> None:
    """The noise of a 2″ aperture, from the exposures' true sky, against what the product says."""
    import json

    for band in "grz":
        facts = json.loads((done.work.out / f"depth_{band}.json").read_text())
        weight = sum(
            10 ** (0.8 * (e.magzero - 30.0)) / e.background for e in done.truth.exposures if e.band == band
        )
        noise = np.sqrt(np.pi / 0.263**2 / weight)
        assert facts["snr10"] == pytest.approx(30 - 2.5 * np.log10(10 * noise), abs=0.08)


def test_objects_are_ordered_on_the_sky_and_described(done: Done) -> None:
    file = pq.ParquetFile(done.work.out / "objects.parquet")
    pixels = done.found["hpix29"]
    assert (np.diff(pixels) >= 0).all()
    assert len(set(done.found["coadd_object_id"])) == len(pixels)
    schema = file.schema_arrow
    for field in schema:
        assert field.metadata[b"description"]
        assert field.metadata[b"ucd"]
    assert schema.field("ra").metadata[b"unit"] == b"deg"
    assert schema.metadata[b"BANDS"] == b"g,r,z"


def test_the_mask_says_where_nothing_was_seen(done: Done) -> None:
    with fits.open(done.work.coadd["r"]) as hdus:
        sci, msk, wgt = (hdus[name].data for name in ("SCI", "MSK", "WGT"))
    assert ((msk[wgt == 0] & ~4) != 0).all()
    assert (sci[wgt == 0] == 0).all()
    assert (wgt > 0).mean() > 0.85
    assert Path(done.work.out / "color.png").stat().st_size > 10000


def test_the_footprint_is_what_every_pixel_says(done: Done) -> None:
    """Cells, good area, exposures and depth against a count with astropy alone; and its table of images."""
    for band in ("g", "z"):
        whole = HealSparseMap.read(str(done.work.footprint[band]))
        true = sampled(done.work.coadd[band], done.work.nwgint[band], done.work.out / f"depth_{band}.json")
        found = whole[true.cells]
        clear = true.fraction > 0.01
        assert clear.sum() > 25
        assert set(whole.valid_pixels) <= set(true.cells[true.fraction > 0])
        assert np.abs(found["fraction"][clear] - true.fraction[clear]).max() < 0.01
        halfway = np.abs(true.nexp % 1 - 0.5) < 0.02
        assert (found["nexp"] == np.rint(true.nexp))[clear & ~halfway].all()
        assert np.abs(found["depth"] - true.depth)[clear & (true.looked > 1000)].max() < 0.01
        images = fits.getdata(done.work.footprint[band], "IMAGES")
        assert len(images) == len(done.work.nwgint[band])
        assert sorted(images["EXPNUM"]) == sorted(fits.getheader(p)["EXPNUM"] for p in done.work.nwgint[band])
