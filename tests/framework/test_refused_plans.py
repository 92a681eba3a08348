"""A refused plan names the files that would have fitted, why they are not used, and what helps."""

from __future__ import annotations

import pytest

from desdm.framework.picking import InputError
from desdm.framework.refusals import describe_refusal
from desdm.quality.qa.selection import Omitted
from desdm.schema.database import Database
from tests.archive.test_unsound import EXCLUDED, JUNK, night

__all__ = ["night"]


def refusal(database: Database, reason: str, keys: dict[str, str], filetype: str = "cal_biascor") -> str:
    """The message of a wrapper without bias where those of CCDs 1 and 2 were left out."""
    err = InputError("no file for input bias", "register it", frozenset({filetype}), keys)
    omitted = [Omitted(20 + c, f"new_c{c}.fits", None, c, reason) for c in (1, 2)]
    with database.read() as conn:
        return describe_refusal(conn, err, omitted)


def test_files_that_were_left_out_are_named_with_what_helps(night: Database) -> None:
    text = refusal(night, EXCLUDED, {"expnum": "11", "ccdnum": "02"})
    assert f"must not be used: new_c2.fits ({EXCLUDED})" in text
    assert "new_c1" not in text and "register" not in text
    assert "desdm exclude EXPNUM --ccd CCD --lift --reason TEXT" in text and "precal of 20121120" in text
    text = refusal(night, JUNK, {})
    assert f"new_c1.fits, new_c2.fits ({JUNK})" in text
    assert "desdm mark RUN active" in text and "--lift" not in text


@pytest.mark.parametrize(("keys", "filetype"), [({"ccdnum": "3"}, "cal_biascor"), ({}, "cal_bpm")])
def test_files_of_another_ccd_or_type_are_not_named(
    night: Database, keys: dict[str, str], filetype: str
) -> None:
    assert refusal(night, EXCLUDED, keys, filetype) == "no file for input bias; register it"
