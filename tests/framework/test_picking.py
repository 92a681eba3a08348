"""Which files of an input go to a wrapper: all that agree in what the wrapper has, found without looking at every one."""

from __future__ import annotations

import pytest

from desdm.errors import PlanError
from desdm.framework import picking
from desdm.framework.picking import KeyPicker, archived_file
from desdm.framework.pipeline import FileSet, Module
from tests.support.catalogfile import catalog_file

INPUT = FileSet("red", "red", match=("expnum", "ccdnum"))
COMBINE = Module("combine", "genwrap", loop=("ccdnum",), inputs=(INPUT,))


def picker(exposures: int, ccds: int) -> KeyPicker:
    files = [
        catalog_file(f"D{e}_c{c}.fits", filetype="red", path="red", expnum=e, ccdnum=c)
        for e in range(1, exposures + 1)
        for c in range(1, ccds + 1)
    ]
    return KeyPicker(COMBINE, INPUT, [archived_file(file) for file in files])


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"ccdnum": "2"}, ["D1_c2.fits", "D2_c2.fits", "D3_c2.fits"]),
        ({"ccdnum": "02"}, ["D1_c2.fits", "D2_c2.fits", "D3_c2.fits"]),
        ({"expnum": "3"}, ["D3_c1.fits", "D3_c2.fits"]),
        ({"expnum": "3", "ccdnum": "1"}, ["D3_c1.fits"]),
        # Several exposures at once are no value of one file.
        ({"expnum": "1,3", "ccdnum": "1"}, ["D1_c1.fits", "D2_c1.fits", "D3_c1.fits"]),
        ({}, [f"D{e}_c{c}.fits" for e in (1, 2, 3) for c in (1, 2)]),
    ],
)
def test_a_wrapper_gets_the_files_that_agree_in_what_it_has(
    keys: dict[str, str], expected: list[str]
) -> None:
    assert [f.filename for f in picker(3, 2).pick(keys, {})] == expected


def test_a_value_that_no_file_has_is_an_error() -> None:
    with pytest.raises(PlanError, match=r"no file for input red of ccdnum=9"):
        picker(3, 2).pick({"ccdnum": "9"}, {})


def test_work_grows_with_files_and_wrappers_and_not_with_their_product(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A night of 100 exposures and 62 CCDs combined CCD by CCD: each file is looked at a few times in all."""
    looks = 0
    real = picking.text_of

    def counted(value: object) -> str:
        nonlocal looks
        looks += 1
        return real(value)

    monkeypatch.setattr(picking, "text_of", counted)
    one = picker(100, 62)
    for ccdnum in range(1, 63):
        assert len(one.pick({"ccdnum": str(ccdnum)}, {})) == 100
    assert looks < 5 * 6200
