"""What a selection leaves out names exposure and CCD."""

from __future__ import annotations

from desdm.archive import catalog
from desdm.operations.acceptance import exclude_exposure
from desdm.quality.qa.selection import AssessmentPolicy, Omitted, omissions, select_images
from desdm.schema.database import Database
from tests.operations.test_acceptance import PRODUCTION, night

__all__ = ["night"]


def test_a_file_of_an_excluded_or_rejected_exposure_tells_its_ccd(night: Database) -> None:
    """Exposure 3 is rejected; CCD 2 of exposure 1 is excluded."""
    with night.write() as conn:
        exclude_exposure(conn, 1, 2, reason="again", who="mary", scope=PRODUCTION)
        rows = catalog.find(conn, {"filetype": "red_immask"}, scope=PRODUCTION)
        left = select_images(conn, rows, AssessmentPolicy.ACCEPTED, PRODUCTION).omitted
    assert {(o.expnum, o.ccdnum) for o in left} == {(1, 2), (3, 1), (3, 2)}
    assert omissions(left) == [
        "2: D00000003 CCD 1,2: rejected: badT (assess)",
        "1: D00000001 CCD 2: excluded: again (mary)",
    ]


def test_many_exposures_are_counted_and_whole_files_have_no_ccd() -> None:
    left = [Omitted(n, f"raw{n}.fits", n, 0, "no") for n in range(1, 8)]
    names = ", ".join(f"D0000000{n}" for n in range(1, 6))
    assert omissions(left) == [f"7: {names} and 2 more: no"]
    assert omissions([Omitted(9, "sky.fits", None, 0, "old")]) == ["1: sky.fits: old"]
