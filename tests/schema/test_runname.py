"""Names of runs, ``<unit>_r<request>p<attempt>`` (DESDM's directories: Y5A1 ``D00431608_r4055p01``)."""

from __future__ import annotations

import pytest

from desdm.schema.runname import RunName


@pytest.mark.parametrize(
    ("text", "unitname", "reqnum", "attnum"),
    [
        ("D00431608_r4055p01", "D00431608", 4055, 1),
        ("DES2157-5248_r2590p07", "DES2157-5248", 2590, 7),
        ("20160101t0110_r3p112", "20160101t0110", 3, 112),
        ("a_r1p01_r2p03", "a_r1p01", 2, 3),
    ],
)
def test_a_name_has_unit_request_and_attempt(text: str, unitname: str, reqnum: int, attnum: int) -> None:
    name = RunName(unitname, reqnum, attnum)
    assert name.text == text
    assert RunName.parse(text) == name


@pytest.mark.parametrize(
    "text", ["", "D00431608", "_r1p01", "D1_r1", "D1_rXp01", "D1_r1p1234567890", "D1_r1p01 ", "D1_r١p01"]
)
def test_other_texts_are_not_names_of_runs(text: str) -> None:
    assert RunName.parse(text) is None
