"""Verdicts in a report: the reckoning, the whiskers' direction on the sky, and files that hold no verdict."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from desdm.operations.current import CurrentStanding, CurrentVerdict
from desdm.operations.report.exposures import assessed_exposures
from desdm.operations.report.science import UnreadableFile
from desdm.schema.states import Verdict


def ccd(number: int, east: float, e1: float, e2: float) -> dict[str, Any]:
    """A CCD whose pixel columns run north and rows run east, as DECam's do; 0.1 deg a side."""
    ra, dec = 30.0 + east, 0.0
    return {
        "ccdnum": number, "name": f"N{number}",
        "corners": [[ra, dec], [ra, dec + 0.1], [ra + 0.1, dec + 0.1], [ra + 0.1, dec]],
        "fwhm_mean": 0.95, "e1": e1, "e2": e2, "psf": "psfex", "mag_zero": 30.0 + 0.001 * number, "sigma_mag_zero": 0.0007,
        "zp_stars": 140, "zp_flag": 0, "scampflg": 0, "scamp_stars": 150, "scamp_rms": 2.5, "objects": 270,
    }  # fmt: skip


TOLD: dict[str, Any] = {
    "exposurename": "D00000007", "expnum": 7, "band": "r", "object": "DES survey hex", "accepted": "False",
    "reason": "badT",
    "words": "t_eff 0.129, more than 0.3 is needed", "t_eff": 0.1291, "f_eff": 0.875, "b_eff": 1.022, "c_eff": 0.1444,
    "fwhm_asec": 1.0013, "skybrightness": 2.603, "cloud": 1.251, "depth": 21.26, "ellipticity": 0.01, "astrom_rms": 3.1,
    "magzero": 29.06, "n_match": 523, "exptime": 90.0, "airmass": 1.11, "n_ccd": 2,
    "counts": {"edges": [20.0, 20.25, 20.5], "counts": [30, 40], "errors": [0.01, 0.1]},
    "ccds": [ccd(1, 0.0, 0.03, 0.0), ccd(2, 0.15, -0.02, 0.0)],
}  # fmt: skip


def facts(tmp_path: Path, *documents: str) -> Any:
    records = []
    for i, text in enumerate(documents):
        path = tmp_path / f"D{i:08d}_assess.json"
        path.write_text(text)
        records.append(SimpleNamespace(name=path.name, band="r"))
    return SimpleNamespace(
        of_type=lambda kind: records if kind == "qa_assess" else [],
        path=lambda r: tmp_path / r.name,
        current=CurrentStanding(),
    )


def test_the_reckoning_is_shown_with_its_reason(tmp_path: Path) -> None:
    (one,) = assessed_exposures(facts(tmp_path, json.dumps(TOLD)), [])
    assert (one.verdict, one.style) == ("rejected", "failed")
    assert one.reason == "badT: t_eff 0.129, more than 0.3 is needed"
    assert [(f.measured, f.factor) for f in one.factors] == [
        ("1.001″ (median FWHM_MEAN + offset)", "0.875"),
        ("2.603 e⁻/s/pixel", "1.022"),
        ("1.251 mag", "0.144"),
    ]
    assert one.t_eff == "0.129"
    assert ("Depth (error 0.1)", "21.26 mag") in one.numbers
    assert [c.zero for c in one.ccds] == ["30.0010", "30.0020"]
    # From 30.0 to 30.25 deg along the equator, and 0.1 deg high.
    assert one.extent == "15.0′ × 6.0′"
    assert [f.title for f in one.figures] == [
        "PSF over the field",
        "Magnitudes and depth",
        "Zero points of the CCDs",
    ]


def test_whiskers_lie_along_the_stars_on_the_sky(tmp_path: Path) -> None:
    """e1 > 0 is long along x, and x runs north here: a whisker that stands; e1 < 0 lies."""
    (one,) = assessed_exposures(facts(tmp_path, json.dumps(TOLD)), [])
    lines = re.findall(
        r'class="whisker b-r" x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"', one.figures[0].svg
    )
    (first, second) = [[float(v) for v in line] for line in lines]
    assert abs(first[2] - first[0]) < 0.2 < 5 < abs(first[3] - first[1])
    assert abs(second[3] - second[1]) < 0.2 < 5 < abs(second[2] - second[0])
    assert first[0] > second[0], "the second CCD lies east, that is left"


def test_what_was_not_measured_is_said_to_be_so(tmp_path: Path) -> None:
    told = {
        **TOLD,
        "accepted": "Unknown",
        "reason": "unkn cloud",
        "words": "",
        "cloud": None,
        "c_eff": None,
        "depth": None,
    }
    (one,) = assessed_exposures(facts(tmp_path, json.dumps({**told, "ccds": [], "counts": None})), [])
    assert (one.verdict, one.style, one.reason) == ("an analyst decides", "flagged", "unkn cloud")
    assert one.factors[2] == ("Clouds C", "not measured", "not measured")
    assert one.figures == ()
    assert "Depth (error 0.1)" not in dict(one.numbers)


@pytest.mark.parametrize("text", ["{", "[]", '{"expnum": 1}'])
def test_a_file_without_a_verdict_is_told(text: str, tmp_path: Path) -> None:
    unread: list[UnreadableFile] = []
    assert assessed_exposures(facts(tmp_path, text), unread) == []
    assert unread[0].name == "D00000000_assess.json"


def test_the_badge_is_the_verdict_that_counts_now(tmp_path: Path) -> None:
    """The program's word stays beside it."""
    told = facts(tmp_path, json.dumps(TOLD | {"accepted": "True", "reason": ""}))
    for current, badge in (
        (CurrentVerdict(Verdict.REJECTED, False, ("overruled: satellite (ann)",)), ("rejected", "failed")),
        (CurrentVerdict(Verdict.ACCEPTED, True, ("D00000007 is excluded",)), ("excluded", "failed")),
        (
            CurrentVerdict(Verdict.UNKNOWN, False, ("no verdict counts: JUNK",)),
            ("no verdict counts", "flagged"),
        ),
        (CurrentVerdict(Verdict.ACCEPTED, False, ()), ("accepted", "done")),
    ):
        told.current = CurrentStanding(verdicts={7: current})
        (one,) = assessed_exposures(told, [])
        assert (one.verdict, one.style, one.current) == (*badge, current.words)
        if current.words:
            assert one.reason.startswith("the program of this run: accepted")
