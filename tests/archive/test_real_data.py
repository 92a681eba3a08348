"""The real data sets go in whole, each file as what it is."""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS

from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.archive.audit import audit
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit, DepositReport
from desdm.schema.database import Database

#: What each set holds, from its README.
TYPES = {
    "decam-cp-stack": {
        "cp_image": 9, "cp_mask": 9, "cp_weight": 9, "cp_psfex": 11, "cp_zeropoints": 1, "refcat": 4, "note": 1,
    },
    "decam-cp-cutouts": {
        "cp_image": 16, "cp_mask": 16, "cp_weight": 16, "cp_psfex": 17, "cp_sky": 15, "cp_catalog": 1,
        "cp_zeropoints": 5, "refcat": 15, "note": 1,
    },
    "decam-diffim-n6": {"diff_input": 10, "diff_kernel": 10, "diff_stack": 2, "diff_image": 2, "note": 1},
    "decam-instrument": {
        "cal_defects": 183, "cal_amplifiers": 3, "cal_astrometry": 4, "cal_affine": 1, "cal_crosstalk": 1,
        "cal_linearity": 1, "cal_pupil": 1, "cal_throughput": 1, "note": 1,
    },
    "refcat-cosmos": {"refcat": 2, "note": 1},
    "des-psf-catalogs": {
        "cat_sextractor": 1, "header": 1, "note": 1, "piff_model": 1, "psf_shapelets": 1, "psf_stars": 1,
        "psf_use_stars": 1, "psfex_psf": 1, "psfex_used": 1,
    },
    "raw-overscan": {"raw": 2, "cal_defects_fits": 1, "note": 1},
    "ntt-galaxies": {"fits_image": 2, "note": 1},
}  # fmt: skip


def items(folder: Path) -> list[Deposit]:
    return [Deposit(path) for path in sorted(folder.rglob("*")) if path.is_file()]


@pytest.mark.parametrize("name", TYPES)
def test_a_set_goes_in_whole(sqlite: Database, archive: Archive, real: Path, name: str) -> None:
    given = items(real / name)
    report = deposit(sqlite, archive, given, who="me")
    assert not report.refused
    assert len(report.registered) == len(given)
    assert Counter(r.filetype for r in report.registered) == TYPES[name]
    assert audit(sqlite, archive, who="me").clean
    again = deposit(sqlite, archive, given, who="me")
    assert len(again.present) == len(given)


def test_defects_are_of_the_ccd_and_date_of_their_header(
    database: Database, archive: Archive, real: Path
) -> None:
    """DETECTOR and CALIBDATE as astropy reads them; a file that is stored under another name has a finding of it."""
    given = [i for i in items(real / "decam-instrument") if i.source.suffix == ".ecsv"]
    report = deposit(database, archive, given, who="me")
    truth = {}
    for item in given:
        meta = Table.read(item.source, format="ascii.ecsv").meta
        when = Time(meta["CALIBDATE"], scale="utc").mjd
        digest = hashlib.sha256(item.source.read_bytes()).hexdigest()
        # A night begins at 15 h UTC; the beginning of 1970 stands for any time before the next file.
        night = Time(math.floor(when - 15 / 24), format="mjd").strftime("%Y%m%d")
        truth[digest] = meta["DETECTOR"], None if when == 40587.0 else night
    with database.read() as conn:
        for record in report.registered:
            (row,) = catalog.find(conn, {"filename": record.filename})
            assert (row.ccdnum, row.nite) == truth[record.sha256]
    names = {item.source.name for item in given}
    renamed = {r.name for r in report.registered} - names
    notes = {name: f for name, f in report.findings if "names other bytes already" in f.text}
    assert set(notes) == renamed
    assert len(renamed) == 183 - len(names)
    assert all(f.assumed == f"it is stored as {name}" for name, f in notes.items())


def test_all_sets_together_and_stale_checksums_are_findings(
    database: Database, archive: Archive, real: Path
) -> None:
    report = deposit(database, archive, items(real), who="me", chunk=100)
    assert not report.refused
    assert len(report.registered) == sum(sum(types.values()) for types in TYPES.values())
    # The README's digests are another program's.
    told = {}
    for readme in real.glob("*/README.md"):
        for line in readme.read_text().splitlines():
            row = re.match(r"\| (\S+) \| \d+ \| ([0-9a-f]{64}) \|", line)
            if row:
                told[row.group(2)] = row.group(1)
    assert len(told) > 300
    stored = {r.sha256 for r in report.registered}
    assert set(told) <= stored
    # Cutouts that kept their parent's checksums: ten exposures, and the stacks and differences made of them.
    stale = {name for name, finding in report.findings if "stale" in finding.text}
    assert stale == {path.name for path in real.rglob("*.fits") if not _sums_hold(path)}
    assert {path.name for path in (real / "decam-diffim-n6").glob("*.mini.fits")} < stale


def _sums_hold(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a real header has cards that are none
        with fits.open(path) as hdus:
            return all(hdu.verify_checksum() and hdu.verify_datasum() for hdu in hdus)


@pytest.fixture(scope="module")
def stack(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DepositReport, Database]]:
    from desdm.schema.upgrade import upgrade

    folder = tmp_path_factory.mktemp("stack")
    database = Database(f"sqlite:///{folder}/desdm.sqlite")
    upgrade(database)
    archive = Archive("primary", folder / "archive")
    with database.write() as conn:
        catalog.define(conn, archive)
    given = [
        i for name in ("decam-cp-stack", "decam-cp-cutouts", "refcat-cosmos") for i in items(real / name)
    ]
    yield deposit(database, archive, given, who="me"), database
    database.close()


def test_regions_agree_with_astropy(stack: tuple[DepositReport, Database], real: Path) -> None:
    _, database = stack
    with database.read() as conn:
        rows = catalog.find(conn, {"filetype": "cp_image,cp_mask,cp_weight"})
    assert len(rows) == 75
    for row in rows:
        (path,) = real.rglob(row.filename)
        with fits.open(path) as hdus, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = next(h.header for h in hdus if "CTYPE1" in h.header)
            ny, nx = next(h.shape for h in hdus if "CTYPE1" in h.header)
            wcs = WCS(header)
        x, y = (
            np.array([0.5, nx + 0.5, nx + 0.5, 0.5, (nx + 1) / 2]),
            np.array([0.5, 0.5, ny + 0.5, ny + 0.5, (ny + 1) / 2]),
        )
        ra, dec = wcs.all_pix2world(x, y, 1)
        found = [row.value(c) for c in ("racmin", "racmax", "deccmin", "deccmax", "ra_cent", "dec_cent")]
        expected = [ra[:4].min(), ra[:4].max(), dec[:4].min(), dec[:4].max(), ra[4], dec[4]]
        assert np.allclose(found, expected, rtol=0, atol=1e-10), path.name
        assert (row.metadata.naxis1, row.metadata.naxis2) == (nx, ny)


def test_metadata_say_what_the_headers_say(stack: tuple[DepositReport, Database], real: Path) -> None:
    _, database = stack
    with database.read() as conn:
        (row,) = catalog.find(conn, {"filename": "c4d_180212_083009_ooi_z_ls9.N3.fits"})
        names = {r.filename: r for r in catalog.find(conn, {"filetype": "cp_psfex,refcat,cp_mask"})}
    assert {k: row.value(k) for k in ("expnum", "ccdnum", "band", "nite", "object", "propid", "instrument", "exptime")} == {
        "expnum": 720558, "ccdnum": 34, "band": "z", "nite": "20180211", "object": "DECaLS_9568_z",
        "propid": "2014B-0404", "instrument": "DECam", "exptime": 123.0,
    }  # fmt: skip
    assert row.metadata.pixscale == pytest.approx(0.263, abs=0.01)
    # Mosaic-3 has no BAND, writes its filter as "zd DECam k1038", and no NITE but a calendar date.
    mosaic = names["k4m_160319_075112_ood_zd_ls9.CCD3.fits"]
    assert (mosaic.band, mosaic.nite, mosaic.ccdnum) == ("z", "20160318", 3)
    # 90Prime's filter is "bokr".
    assert names["ksb_170430_055945_ood_r_ls9.CCD4.fits"].band == "r"
    # PSF models: of one CCD, of a whole exposure, of an old form of name.
    one, merged, old = (
        names[n]
        for n in (
            "c4d_180212_083009_ooi_z_ls9-N3-psfex.fits",
            "c4d_170316_062107_ooi_z_ls9-psfex.fits",
            "decam-00431608-N3.fits",
        )
    )
    assert (one.expnum, one.ccdnum, one.band) == (720558, 34, "z")
    assert (merged.band, merged.nite) == ("z", "20170315")
    assert (old.expnum, old.ccdnum) == (431608, 34)
    with fits.open(real / "refcat-cosmos" / "gaia_dr2_231834.fits") as hdus:
        ra, dec = np.degrees(hdus[1].data["coord_ra"]), np.degrees(hdus[1].data["coord_dec"])
    shard = names["gaia_dr2_231834.fits"]
    assert [shard.value(k) for k in ("racmin", "racmax", "deccmin", "deccmax")] == pytest.approx(
        [ra.min(), ra.max(), dec.min(), dec.max()], abs=1e-9
    )


def test_a_position_finds_what_covers_it(stack: tuple[DepositReport, Database]) -> None:
    _, database = stack
    with database.read() as conn:
        (one,) = catalog.find(conn, {"filename": "c4d_180212_083009_ooi_z_ls9.N3.fits"})
        here = f"{one.metadata.ra_cent},{one.metadata.dec_cent},0.001"
        found = catalog.find(conn, {"filetype": "cp_image", "region": here})
    # All nine exposures of the stack are of one field.
    assert len(found) >= 9
    assert {r.band for r in found} == {"g", "r", "z"}
