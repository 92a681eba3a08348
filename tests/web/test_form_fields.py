"""Fields of a form of parts stay in memory and are bounded in all; files of it are not fields (RFC 7578, section 4.2)."""

from __future__ import annotations

import pytest
import requests

from tests.web.conftest import Site

#: The public may send 2 MB of parameters.
PIECE = "x" * 300_000


@pytest.mark.parametrize("path", ["/tap/sync", "/tap/async", "/soda/sync", "/footprint"])
def test_fields_have_a_bound_in_all(site: Site, path: str) -> None:
    fields = [(f"P{i}", (None, PIECE)) for i in range(10)]
    answer = requests.post(site.url + path, files=fields, timeout=30)
    assert answer.status_code == 413, answer.text[:200]
    assert "the parameters have more than 2 MB" in answer.text


def test_a_file_of_the_same_size_is_no_field(site: Site) -> None:
    rows = "ra,dec\n" + "30.0,-5.0\n" * 300_000
    parts = {
        "QUERY": (None, "SELECT COUNT(*) AS n FROM TAP_UPLOAD.mine"),
        "LANG": (None, "ADQL"),
        "FORMAT": (None, "csv"),
        "UPLOAD": (None, "mine,param:part"),
        "part": ("mine.csv", rows, "text/csv"),
    }
    answer = requests.post(f"{site.url}/tap/sync", files=parts, timeout=60)
    assert answer.status_code == 200, answer.text[:300]
    assert answer.text.split() == ["n", "300000"]
