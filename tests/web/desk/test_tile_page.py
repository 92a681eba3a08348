"""The page of a tile: a picture of each band, and its numbers by band."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from astropy.io import fits
from PIL import Image
from sqlalchemy import insert, update

from desdm.facility import Facility, initialise
from desdm.quality.qa.verdict import record
from desdm.schema import desfile, qa_metric, task
from tests.archive.test_find import attempt, put
from tests.support.desknight import PASSWORD, people_with_offices
from tests.support.server import served

TILE = "DES0001+0001"
#: Exposure → band, t_eff, seeing in arcsec.
EXPOSURES = {1: ("g", 0.5, 1.1), 2: ("g", 0.75, 1.3), 3: ("r", 0.9, 0.8)}


def coadd(facility: Facility, number: int, band: str) -> None:
    """Put a coadd of 60 x 60 pixels with a bright square into the archive."""
    path = facility.config.home / "archive" / "d" / f"coadd_{band}.fits"
    path.parent.mkdir(parents=True, exist_ok=True)
    sci = np.random.default_rng(number).normal(0, 1, (60, 60)).astype(np.float32)
    sci[10 * (number - 19) : 10 * (number - 18)] += 500
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(sci, name="SCI")]).writeto(path)
    data = path.read_bytes()
    with facility.database.write() as conn:
        put(conn, number, path.name, 2, filetype="coadd", tilename=TILE, band=band)
        digest = {"filesize": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        conn.execute(update(desfile).where(desfile.c.id == number).values(**digest))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tile with coadds in g, r and i, numbers of its run, and verdicts on the exposures that went in."""
    home: Path = tmp_path_factory.mktemp("tiles") / "home"
    initialise(home)
    facility = Facility.open(home)
    people_with_offices(facility)
    scope = facility.production
    with facility.database.write() as conn:
        attempt(conn, 2, unit=TILE, req=2, pipeline="coadd")
        for expnum, (band, t_eff, seeing) in EXPOSURES.items():
            attempt(conn, 10 + expnum, unit=f"D{expnum:08d}", req=1, pipeline="finalcut")
            row = {
                "exposurename": f"D{expnum:08d}", "expnum": expnum, "nite": "20121120", "band": band,
                "accepted": "True", "reason": "", "t_eff": t_eff, "fwhm_asec": seeing,
            }  # fmt: skip
            record(conn, "finalcut", row, 10 + expnum)
        conn.exec_driver_sql(
            "UPDATE pfw_request SET project = ?, campaign = ?", (scope.project, scope.campaign)
        )
        metrics = [
            ("background", b, f"expnum={e},ccdnum={c}", 3.0)
            for e, (b, *_) in EXPOSURES.items()
            for c in (1, 2)
        ]
        metrics += [
            ("depth_sigma01", "g", "band=g", 24.31),
            ("depth_sigma01", "r", "band=r", 23.87),
            ("area", "", "", 7.5),
        ]
        for number, (name, band, keys, value) in enumerate(metrics, 100):
            conn.execute(insert(task), {"id": number, "name": "w", "info_table": "pfw_wrapper"})
            row = {
                "task_id": number, "name": name, "band": band, "pfw_attempt_id": 2, "wrapkeys": keys, "value": value,
                "unit": "mag" if "depth" in name else "", "text": "",
            }  # fmt: skip
            conn.execute(insert(qa_metric), row)
    for number, band in ((20, "g"), (21, "r"), (22, "i")):
        coadd(facility, number, band)
    facility.close()
    with served(home) as url:
        yield str(url)


@pytest.fixture
def ann(site: str) -> requests.Session:
    """A session of Ann, of quality assessment."""
    session = requests.Session()
    fields = {"login": "ann", "password": PASSWORD, "next": "/"}
    assert session.post(f"{site}/login", data=fields, timeout=60).status_code == 200
    return session


def test_a_tile_is_seen_in_each_of_its_bands(site: str, ann: requests.Session) -> None:
    pictures = {
        band: ann.get(f"{site}/qa/picture/{TILE}?band={band}", timeout=60).content for band in ("g", "r", "i")
    }
    assert len(set(pictures.values())) == 3
    assert ann.get(f"{site}/qa/picture/{TILE}", timeout=60).content == pictures["r"], "r is the first look"
    bright = {}
    for band, data in pictures.items():
        rows = np.asarray(Image.open(io.BytesIO(data)).convert("L"), float).mean(axis=1)
        # The first row of FITS is the lowest of a picture.
        bright[band] = int((len(rows) - 1 - np.argmax(np.convolve(rows, np.ones(9), "same"))) / len(rows) * 6)
    assert bright == {"g": 1, "r": 2, "i": 3}
    assert ann.get(f"{site}/qa/picture/{TILE}?band=z", timeout=60).status_code == 404
    page = ann.get(f"{site}/qa/tile/{TILE}?band=i", timeout=60).text
    assert re.findall(r'href="/qa/tile/[^"]*\?band=(\w)"', page) == ["g", "r", "i"]
    assert "coadd_i.fits, coadd, band i" in page and "coadd_r.fits, coadd, band r" not in page


def test_the_numbers_of_a_tile_stand_by_band(site: str, ann: requests.Session) -> None:
    page = ann.get(f"{site}/qa/tile/{TILE}", timeout=60).text
    table = page.partition('<table id="by-band">')[2].partition("</table>")[0]
    cells = {
        re.sub(r"<[^>]+>", "", row[0]).strip(): [re.sub(r"<[^>]+>", "", c).strip() for c in row[1:]]
        for row in (re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line) for line in table.split("<tr>") if line)
        if row
    }
    assert cells["Number"] == ["g", "r"]
    assert cells["exposures"] == ["2", "1"]
    assert [float(v) for v in cells["t_eff, sum"]] == [1.25, 0.9]
    assert [float(v) for v in cells["seeing, median of exposures arcsec"]] == [1.2, 0.8]
    depth = next(values for name, values in cells.items() if name.replace("<wbr>", "").startswith("depth"))
    assert [float(v) for v in depth] == [24.31, 23.87]
    assert next(values for name, values in cells.items() if name.startswith("area")) == ["7.5"]
