"""Header updates (``hdrupd_*``) and the job's environment of a submit WCL, as astropy and fitsverify read them."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from desdm import wcl
from desdm.archive import catalog
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.errors import ProgramFailed, WCLError
from desdm.facility import Facility, initialise
from desdm.framework.headerupdates import update_headers
from desdm.framework.submitwcl import describe_ignored_keys, from_wcl, to_wcl
from tests.framework.test_production_wcl import desdm

RUN = """
pipeline = heads
unitname = T1
blocklist = one
depth = 23.5
<job_environment>
    survey_word = ${unitname} of the survey
</job_environment>
<block one>
    modulelist = go
</block>
<module go>
    wrappername = genwrap.py
    <file>
        <raw>
            filename = first.fits
        </raw>
        <red>
            filetype = fits_image
            filename = ${run}_red.fits
            <hdrupd_flag>
                scampflg = 1
                skysub = T
                mag_deep = ${depth}
                words = two words
                ccdnum = 12
            </hdrupd_flag>
            <hdrupd_compression>
                headers = SCI,MSK
                FZALGOR = RICE_1
                FZQVALUE = 16
            </hdrupd_compression>
        </red>
        <words>
            filetype = misc
            filename = ${run}_words.txt
        </words>
    </file>
    <exec_1>
        execname = PROGRAM
        used = file.raw
        was_generated_by = file.red, file.words
        <cmdline>
            _01_in = ${file.raw.fullname}
            _02_out = ${file.red.fullname}
            _03_words = ${file.words.fullname}
        </cmdline>
    </exec_1>
</module>
"""


def planes(path: Path, *, compressed: bool = False) -> Path:
    """Planes SCI and MSK with checksums, behind a primary HDU without data."""
    data = np.arange(600, dtype=np.int32).reshape(20, 30)
    kind: Any = fits.CompImageHDU if compressed else fits.ImageHDU
    hdus = [kind(data, name="SCI"), kind(data % 2, name="MSK")]
    hdus[0].header["CCDNUM"] = 7
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, checksum=True)
    return path


def test_outputs_get_their_updates_and_programs_their_environment(tmp_path: Path) -> None:
    home = tmp_path / "home"
    initialise(home)
    facility = Facility.open(home)
    first = planes(tmp_path / "first.fits")
    assert not deposit(facility.database, facility.archive, [Deposit(first, "fits_image")], who="me").refused
    program = tmp_path / "prog.sh"
    program.write_text('#!/bin/sh\ncp "$1" "$2"\nchmod u+w "$2"\necho "$SURVEY_WORD" > "$3"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = tmp_path / "heads.des"
    path.write_text(RUN.replace("PROGRAM", str(program)))
    done = desdm(facility, "submit", str(path), "--compat", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    assert "not acted upon" not in done.stderr
    run = json.loads(done.stdout)["attempt"]
    with facility.database.read() as conn:
        red, words = (catalog.by_name(conn, f"{run}_{name}") for name in ("red.fits", "words.txt"))
    assert red is not None and words is not None
    assert (facility.archive.root / words.path / words.name).read_text() == "T1 of the survey\n"
    out = facility.archive.root / red.path / red.name
    with fits.open(out, checksum=True) as hdus, fits.open(first) as before:
        sci, msk = hdus["SCI"].header, hdus["MSK"].header
        told = {k: sci[k] for k in ("SCAMPFLG", "SKYSUB", "MAG_DEEP", "WORDS", "CCDNUM")}
        assert told == {"SCAMPFLG": 1, "SKYSUB": True, "MAG_DEEP": 23.5, "WORDS": "two words", "CCDNUM": 12}
        assert [type(v) for v in told.values()] == [int, bool, float, str, int]
        assert all((h["FZALGOR"], h["FZQVALUE"]) == ("RICE_1", 16) for h in (sci, msk))
        assert "SCAMPFLG" not in msk and "FZALGOR" not in hdus[0].header
        assert all(np.array_equal(hdus[n].data, before[n].data) for n in ("SCI", "MSK"))
    assert (
        "verification OK"
        in subprocess.run(["fitsverify", "-q", str(out)], capture_output=True, text=True).stdout
    )
    assert desdm(facility, "audit").returncode == 0
    facility.close()


def test_a_compressed_image_is_updated_where_its_pixels_are(tmp_path: Path) -> None:
    path = planes(tmp_path / "x.fits.fz", compressed=True)
    update_headers(path, {"hdrupd_a": {"skysub": "F", "headers": "2"}, "hdrupd_b": {"airmass": "1e0"}})
    with fits.open(path, checksum=True) as hdus:
        assert hdus["MSK"].header["SKYSUB"] is False
        assert hdus["SCI"].header["AIRMASS"] == 1.0
        assert np.array_equal(hdus["SCI"].data.ravel(), np.arange(600))


@pytest.mark.parametrize("damage", ["no FITS", "no HDU"])
def test_an_output_that_cannot_be_updated_fails_its_wrapper(damage: str, tmp_path: Path) -> None:
    path = planes(tmp_path / "x.fits")
    if damage == "no FITS":
        path.write_text("words\n")
    before = path.read_bytes()
    with pytest.raises(ProgramFailed, match=r"x\.fits: its header cannot be updated \(hdrupd_a\)"):
        update_headers(path, {"hdrupd_a": {"headers": "SKY", "skysub": "T"}})
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("much_too_long", "at most 8"),
        ("naxis1", "how the data are stored"),
        ("bitpix", "how the data are stored"),
    ],
)
def test_keywords_that_cannot_be_are_refused_at_submission(key: str, told: str) -> None:
    with pytest.raises(WCLError, match=told):
        from_wcl(wcl.loads(RUN.replace("scampflg", key), compat=True).tree)


def test_it_is_written_again_and_what_has_no_effect_says_why() -> None:
    tree = wcl.loads(RUN, compat=True).tree
    pipeline, _ = from_wcl(tree)
    again, _ = from_wcl(wcl.loads(wcl.dumps(to_wcl(pipeline)), compat=True).tree)
    assert (
        again == pipeline
        and pipeline.blocks[0].modules[0].outputs[0].headers["hdrupd_flag"]["scampflg"] == "1"
    )
    asked = RUN.replace(
        "filename = first.fits", "filename = first.fits\n<hdrupd_x>\na = 1\n</hdrupd_x>\nrundir = x"
    )
    asked = asked.replace("filetype = misc", "filetype = misc\ncompress_files = true")
    lines = describe_ignored_keys(wcl.loads(asked, compat=True).tree)
    assert [line.partition(" is not acted upon: ")[0] for line in lines] == [
        "module.go.file.raw.hdrupd_x", "module.go.file.raw.rundir", "module.go.file.words.compress_files",
    ]  # fmt: skip
    assert all(line.partition(" is not acted upon: ")[2] for line in lines)
