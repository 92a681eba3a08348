"""What the quick look asks the database, on SQLite and PostgreSQL."""

from __future__ import annotations

from desdm.look import store
from desdm.schema.database import Database
from tests.archive.test_find import attempt, put


def test_frames_nights_tiles_and_names(database: Database) -> None:
    with database.write() as conn:
        attempt(conn, 1, unit="D00000010", pipeline="firstcut")
        attempt(conn, 2, unit="DES0001+0001", req=2, pipeline="coadd")
        put(conn, 1, "im.fits", 1, compression=".fz", expnum=10, ccdnum=1, band="g", nite="20160101")
        put(
            conn,
            2,
            "raw10.fits",
            filetype="raw",
            compression=".fz",
            expnum=10,
            band="g",
            nite="20160101",
            obstype="object",
            object="hex",
            exptime=90.0,
            airmass=1.2,
            mjd_obs=57388.1,
        )
        put(conn, 3, "raw9.fits", filetype="raw", expnum=9, nite="20160101", obstype="zero")
        put(conn, 4, "raw11.fits", filetype="raw", expnum=11, nite="20160102", obstype="object")
    with database.read() as conn:
        first = store.Frame(10, "raw10.fits.fz", "raw", "20160101", "g", "object", "hex", 90.0, 1.2, 57388.1)
        assert store.frames_of(conn, 10)[0] == first
        assert [f.filename for f in store.frames_of(conn, 10)] == ["raw10.fits.fz", "im.fits.fz"]
        # What a run made is no frame of the night.
        assert [f.filename for f in store.frames_of_nite(conn, "20160101")] == ["raw9.fits", "raw10.fits.fz"]
        assert store.exposure_numbers(conn) == [9, 10, 11]
        assert store.nites(conn) == ["20160101", "20160102"]
        assert store.tiles(conn) == ["DES0001+0001"]
        assert store.file_names(conn, "raw1") == ["raw10.fits.fz", "raw11.fits"]
