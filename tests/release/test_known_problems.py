"""A problem that degrades data is told with the release; one that blocks refuses it with the path, until it is closed."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
import requests
from sqlalchemy import insert, select

from desdm.errors import UsageError
from desdm.facility import Facility
from desdm.release import problems
from desdm.release.problems import Proposal
from desdm.release.publish import publish
from desdm.schema import desfile, opm_was_derived_from
from desdm.schema.database import Database
from desdm.schema.operationstates import Severity
from tests.archive.test_find import attempt, put
from tests.release.test_validate import Draft, draft, template
from tests.support.server import served
from tests.support.tiles import TILES, demo_release

__all__ = ["draft", "template"]

NOW = datetime(2026, 11, 29, 12, 0)
NWGINT = f"{TILES[0].name}_r1p01_D00000110_r_c01_nwgint.fits"
COADD = f"{TILES[0].name}_r1p01_r_coadd.fits"
#: From the file under the tile's image down to the raw exposure and a bias of another night.
BELOW = ("immask.fits", "bkg.fits", "red.fits", "xtalk.fits", "raw.fits")


def open_problem(
    database: Database, subject: str, severity: Severity, kind: str = "file", **more: str
) -> int:
    with database.write() as conn:
        return problems.open_problem(
            conn, kind, subject, more.pop("text", f"{severity.value} of {subject}"), who="ann", severity=severity,
            now=NOW, **more,
        )  # fmt: skip


def lineage(database: Database) -> None:
    """Put the steps from the raw exposure to a file of the tile, and a bias, into the archive."""
    with database.write() as conn:
        nwgint = conn.execute(select(desfile.c.id).where(desfile.c.filename == NWGINT)).scalar_one()
        attempt(conn, 1, unit="D00000110", pipeline="finalcut")
        attempt(conn, 2, unit="20121118", req=2, pipeline="precal")
        for number, name in enumerate(BELOW, 9001):
            place = {"expnum": 110, "nite": "20121120"} | ({} if name == "raw.fits" else {"ccdnum": 1})
            filetype = "raw" if name == "raw.fits" else "red_immask"
            put(conn, number, name, None if name == "raw.fits" else 1, filetype=filetype, **place)
        put(conn, 9010, "bias.fits", 2, filetype="cal_biascor", ccdnum=1, nite="20121118")
        chain = [nwgint, *range(9001, 9006)]
        edges = [*pairwise(chain), (9004, 9010)]
        conn.execute(
            insert(opm_was_derived_from), [{"child_desfile_id": c, "parent_desfile_id": p} for c, p in edges]
        )


@pytest.mark.parametrize(
    ("kind", "subject", "end"),
    [
        ("file", "raw.fits", "raw.fits"),
        ("exposure", "D00000110", NWGINT),
        ("ccd", "D00000110_c01", NWGINT),
        ("file", "bias.fits", "bias.fits"),
        ("attempt", "20121118_r2p01", "bias.fits"),
        ("nite", "20121118", "bias.fits"),
    ],
)
def test_a_blocking_problem_steps_above_a_tile_refuses_the_release_until_it_is_closed_with_evidence(
    draft: Draft, kind: str, subject: str, end: str
) -> None:
    lineage(draft.database)
    assert draft.wrong() == []
    with draft.database.write() as conn:
        proposal = Proposal(
            kind, subject, "stripes", "stripes in all rows", Severity.BLOCK, f"stripes:{subject}"
        )
        number = problems.propose_problem(conn, proposal, who="qa", now=NOW)
    assert draft.wrong() == [], "a program's word blocks no release"
    with draft.database.write() as conn:
        problems.confirm_problem(conn, number, "seen in the picture", who="ann", now=NOW)
    with pytest.raises(UsageError) as refused:
        publish(draft.database, draft.root, "D1", who="me")
    text = str(refused.value)
    assert f"{kind} {subject}" in text and "stripes in all rows" in text
    full = [COADD, NWGINT, *BELOW]
    steps = full[: full.index(end) + 1] if end in full else [*full[:6], end]
    # Of the tiles' files any may be the first that is reached.
    assert " <- ".join(steps[1:]) in text
    assert len(steps) >= 6 or end == NWGINT
    with draft.database.write() as conn:
        problems.fix_problem(conn, number, "new bias", who="ann", now=NOW)
    assert [check for check, _ in draft.wrong()] == ["problems"], "not before it is closed"
    with draft.database.write() as conn, pytest.raises(UsageError, match="a test or run shows"):
        problems.close_problem(conn, number, "new bias", who="ann", now=NOW)
    with draft.database.write() as conn:
        problems.close_problem(conn, number, "new bias", who="ann", proof=("run", "20121118_r2p01"), now=NOW)
    assert draft.wrong() == []
    assert publish(draft.database, draft.root, "D1", who="me").manifest_sha256


def test_notes_data_and_list_tell_what_degrades_and_nothing_else(draft: Draft) -> None:
    lineage(draft.database)
    told = open_problem(draft.database, "bias.fits", Severity.DEGRADE, title="a line in column 7",
                        impression="photometry within 3 pixels of it")  # fmt: skip
    of_tile = open_problem(
        draft.database, TILES[1].name, Severity.DEGRADE, "tile", text="a ring in its south"
    )
    for severity in (Severity.NUISANCE, Severity.WATCH):
        open_problem(draft.database, "raw.fits", severity)
    open_problem(draft.database, "elsewhere.fits", Severity.DEGRADE, text="of another night")
    closed = open_problem(draft.database, "red.fits", Severity.DEGRADE, text="resolved before")
    with draft.database.write() as conn:
        problems.close_problem(conn, closed, "made again", who="ann", now=NOW)
        proposal = Proposal("file", "red.fits", "guess", "only a program's", Severity.DEGRADE, "guess:1")
        problems.propose_problem(conn, proposal, who="qa", now=NOW)
    publish(draft.database, draft.root, "D1", who="me")
    document = json.loads((draft.root / "docs" / "problems.json").read_text())
    first, second = document["problems"]
    assert (first["number"], first["title"], first["effect"], first["since"]) == (
        told, "a line in column 7", "photometry within 3 pixels of it", "2026-11-29",
    )  # fmt: skip
    assert f"images/{TILES[0].name}/{TILES[0].name}_r.fits.fz" in first["files"]
    assert not [path for path in first["files"] if TILES[1].name in path or "_g." in path]
    assert (second["number"], second["subject"], second["files"]) == (of_tile, TILES[1].name, [])
    for page in ("notes.md", "notes.html", "data.md", "data.html"):
        text = (draft.root / "docs" / page).read_text()
        section = text.partition("Known problems")[2]
        assert "a line in column 7" in section and "a ring in its south" in section, page
        for word in ("nuisance", "watch", "another night", "resolved before", "only a program"):
            assert word not in text, f"{page} tells {word}"


def test_a_release_without_problems_says_so(draft: Draft) -> None:
    publish(draft.database, draft.root, "D1", who="me")
    assert json.loads((draft.root / "docs" / "problems.json").read_text())["problems"] == []
    assert "None was known when it was published." in (draft.root / "docs" / "notes.md").read_text()


def test_the_page_of_a_release_tells_its_known_problems(tmp_path: Path) -> None:
    def degrade(facility: Facility, _: Path) -> None:
        open_problem(
            facility.database, NWGINT, Severity.DEGRADE, title="<b>streaks</b>", impression="a few rows"
        )
        open_problem(facility.database, NWGINT, Severity.WATCH, title="seen once")

    demo_release(tmp_path / "home", before_publication=degrade)
    with served(tmp_path / "home") as url:
        page = requests.get(f"{url}/releases/D1", timeout=30).text
    assert "Known problems" in page and "&lt;b&gt;streaks&lt;/b&gt;" in page and "a few rows" in page
    assert "seen once" not in page and "<b>streaks" not in page
