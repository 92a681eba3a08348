"""Which calibration frames a night's precal and a campaign's supercal take, and the order of their steps."""

from __future__ import annotations

import pytest

from desdm.errors import PlanError
from desdm.framework.plan import make_plan
from desdm.pipelines.calframes import NONE, night, nights
from desdm.pipelines.precal import PRECAL
from desdm.pipelines.supercal import SUPERCAL
from desdm.schema.runname import RunName
from tests.support.catalogfile import catalog_file


def row(expnum, obstype, title, band=None, nite="20160101"):
    return catalog_file(
        f"DECam_{expnum:08d}.fits.fz",
        expnum=expnum,
        obstype=obstype,
        object=title,
        band=band,
        nite=nite,
        ccds="1:4",
    )


def archive(rows):
    asked = []

    def find(query):
        asked.append(query)
        return rows

    find.asked = asked
    return find


ZEROS = [row(100 + i, "zero", "zero") for i in range(6)]
FLATS = [row(200 + i, "dome flat", f"dome flat {b}", b) for i, b in enumerate("ggggggrrr")]
RAMP = [row(300 + i, "dome flat", f"linearity ramp g {i}s", "g") for i in range(3)]


def test_a_night_is_told_apart_into_biases_and_flats():
    find = archive([*FLATS, *ZEROS, *RAMP, row(400, "object", "DES survey hex", "g")])
    told = night(find, {"nite": "20160101"})
    assert find.asked == [{"filetype": "raw", "nite": "20160101", "assessment": "unassessed"}]
    assert told["zero_expnums"] == "100,101,102,103,104,105"
    assert told["dflat_expnums"] == ",".join(str(200 + i) for i in range(9))  # no ramp among them
    assert (told["band"], told["ccdnum"], told["unitname"]) == ("g,r", "1,2,3,4", "20160101")
    assert told["left_out"] == {}


def test_excluded_frames_and_those_delivered_twice_are_left_out():
    find = archive([*ZEROS, ZEROS[0], *FLATS])
    told = night(find, {"nite": "20160101", "exclude": "102:103"})
    assert told["zero_expnums"] == "101,104,105"


def test_a_night_without_flats_is_asked_for_every_band():
    told = night(archive(ZEROS), {"nite": "20160101"})
    assert told["dflat_expnums"] == NONE
    assert told["band"] == "g,r,i,z,Y"
    with pytest.raises(PlanError, match="20160101: no bias"):
        night(archive([]), {"nite": "20160101"})
    with pytest.raises(PlanError, match="nite=YYYYMMDD"):
        night(archive([]), {})


def test_a_campaign_takes_at_most_150_of_a_kind_evenly():
    zeros = [row(1000 + i, "zero", "zero", nite=f"201601{i // 40 + 1:02d}") for i in range(320)]
    told = nights(archive([*zeros, *FLATS]), {"unitname": "20160101t0110"})
    taken = [int(n) for n in told["zero_expnums"].split(",")]
    assert len(taken) == 150
    assert told["left_out"] == {"zero": "170"}
    by_night = [sum(n // 40 == k for n in (t - 1000 for t in taken)) for k in range(8)]
    assert max(by_night) - min(by_night) <= 1
    assert (told["nitemin"], told["nitemax"], told["nite"]) == ("20160101", "20160110", "20160110")


def test_a_campaign_knows_its_fields():
    fields = [
        row(500, "object", "crosstalk field", "r"),
        row(501, "object", "star flat g 1", "g"),
        row(502, "object", "DES survey hex g tiling 1", "g"),
        row(503, "object", "junk", "g"),
        row(504, "object", "focus sweep", "g"),
    ]
    told = nights(archive([*ZEROS, *FLATS, *RAMP, *fields]), {"nitemin": "20160101", "nitemax": "20160102"})
    assert told["crosstalk_expnums"] == "500"
    assert told["starflat_expnums"] == "501"
    assert told["sky_expnums"] == "502"
    assert told["ramp_expnums"] == "300,301,302"
    assert told["unitname"] == "20160101t0102"


def test_a_range_over_the_end_of_the_year():
    find = archive([*ZEROS, *FLATS])
    nights(find, {"unitname": "20161220t0110"})
    assert find.asked[0]["nite"] == "20161220:20170110"
    with pytest.raises(PlanError, match="nitemin"):
        nights(find, {"unitname": "20161220"})


def test_precal_is_planned_ccd_by_ccd_and_band_by_band():
    settings = night(archive([*ZEROS, *FLATS]), {"nite": "20160101"}) | {"nite": "20160101"}
    found = {
        (module, "raw"): rows
        for module, rows in (
            ("minibias", ZEROS),
            ("mkbiascor", ZEROS),
            ("miniflat", FLATS),
            ("mkflatcor", FLATS),
        )
    }
    plan = make_plan(PRECAL, RunName("20160101", 1, 1), settings, found, "run")
    wrappers = [w for job in plan.jobs for w in job.wrappers]
    count = {m.name: sum(w.module.name == m.name for w in wrappers) for _, m in PRECAL.modules()}
    assert count == {
        "minibias": 6, "sift_biases": 1, "mkbiascor": 4, "miniflat": 9, "mini_compare": 2, "find_flat_normalization": 2,
        "mkflatcor": 8, "scale_flat": 8, "norm_combine": 2,
    }  # fmt: skip
    flat = next(
        w
        for w in wrappers
        if w.module.name == "mkflatcor" and w.keys["ccdnum"] == "3" and w.keys["band"] == "r"
    )
    assert [f.columns["expnum"] for f in flat.inputs["raw"]] == [206, 207, 208]
    assert [f.filename for f in flat.inputs["biascor"]] == ["20160101_r1p01_c03_biascor.fits"]
    assert [f.filename for f in flat.inputs["frames"]] == ["20160101_r1p01_r_flatframes.fits"]
    # A CCD's bias, flats of all bands and their scaling are of no other job's making within a block.
    names = {f.filename for w in wrappers for f in w.outputs.values()}
    assert "20160101_r1p01_g_c04_dflatcor.fits" in names


def test_supercal_has_every_step_before_what_needs_it():
    order = [m.name for _, m in SUPERCAL.modules()]
    for first, then in (
        ("mkbiascor", "ramp"), ("ramp", "mklintable"), ("mkbiascor", "mkcrosstalk"), ("mklintable", "miniflat"),
        ("mkcrosstalk", "mkflatcor"), ("mkflatcor", "mkbpm"), ("mkbpm", "scale_flat"), ("scale_flat", "detrend_starflat"),
        ("starcat", "starfit"), ("starfit", "mkstarflat"), ("skycombine", "skypca"), ("skypca", "skytemplate"),
    ):  # fmt: skip
        assert order.index(first) < order.index(then)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("max_frames", "abc", "max_frames=abc: a whole number of at least 1"),
        ("max_frames", "0", "max_frames=0: a whole number of at least 1"),
        ("max_frames", "-3", "max_frames=-3: a whole number of at least 1"),
        ("ccdnum", "abc", "ccdnum=abc: numbers or ranges"),
        ("ccdnum", "6:1", "ccdnum=6:1: .* runs backwards"),
        ("exclude", "1,x", "exclude=1,x: numbers or ranges"),
        ("band", "g,q", "band=g,q: there is no band 'q'"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(key, text, message):
    with pytest.raises(PlanError, match=message):
        night(archive([*ZEROS, *FLATS]), {"nite": "20160101", key: text})
