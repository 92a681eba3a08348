"""Which tile a submission is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from desdm.archive.catalogfile import CatalogFile
from desdm.errors import PlanError
from desdm.pipelines.tile import cover
from tests.support.catalogfile import catalog_file


def _row(ra: float, dec: float, size: float, band: str = "r") -> CatalogFile:
    half = size / 2
    return catalog_file(
        f"{ra}_{band}.fits", band=band, ra_cent=ra, dec_cent=dec, pixscale=0.2627, racmin=(ra - half) % 360,
        racmax=(ra + half) % 360, deccmin=dec - half, deccmax=dec + half, crossra0="N",
    )  # fmt: skip


def _finder(rows: Sequence[CatalogFile]) -> Any:
    asked: list[Mapping[str, str]] = []

    def find(query: Mapping[str, str]) -> Sequence[CatalogFile]:
        asked.append(query)
        return rows

    find.asked = asked  # type: ignore[attr-defined]
    return find


def test_a_tile_covers_all_images() -> None:
    tile = cover(_finder([_row(30.0, 0.0, 0.02, "z"), _row(30.01, 0.005, 0.02, "g")]), {})
    assert float(tile["tile_ra"]) == pytest.approx(30.005)
    assert float(tile["tile_size"]) >= 0.03
    assert tile["tilename"] == "DES0200+0000"
    assert tile["bands"] == "g,z"
    assert tile["tile_pixscale"] == "0.263"


def test_a_field_across_right_ascension_zero() -> None:
    tile = cover(_finder([_row(359.99, 0.0, 0.04), _row(0.01, 0.0, 0.04)]), {})
    assert float(tile["tile_ra"]) % 360 == pytest.approx(0.0, abs=1e-9)
    assert float(tile["tile_size"]) == pytest.approx(0.06, abs=1e-3)


def test_images_all_over_the_sky_are_refused() -> None:
    with pytest.raises(PlanError, match=r"spread over 5\.\d degrees.*set tile_ra"):
        cover(_finder([_row(30.0, 0.0, 0.02), _row(35.0, 0.0, 0.02)]), {})


def test_the_operator_s_tile_is_asked_for() -> None:
    find = _finder([_row(30.0, 0.0, 0.02)])
    tile = cover(find, {"tile_ra": "30", "tile_dec": "0", "tile_size": "0.1"})
    assert find.asked[0]["region"].startswith("30.00000000,0.00000000,0.1")
    assert tile["tile_naxis"] == "1369"


def test_half_a_tile_is_refused() -> None:
    with pytest.raises(PlanError, match="set only in part"):
        cover(_finder([]), {"tile_ra": "30"})


def test_a_setting_that_is_no_number_is_refused_by_its_name() -> None:
    whole = {"tile_ra": "30", "tile_dec": "0", "tile_size": "0.1"}
    for key, text in (("tile_ra", "abc"), ("tile_dec", "1_0"), ("tile_size", "inf"), ("tile_naxis", "x")):
        with pytest.raises(
            PlanError, match=f"{key}={text}: a (whole number of at least 1|number of degrees) is needed"
        ):
            cover(_finder([]), {**whole, key: text})


def test_no_image_is_refused() -> None:
    with pytest.raises(PlanError, match="ingest images"):
        cover(_finder([]), {})
