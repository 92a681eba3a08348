"""Pages on runs, opened in a real browser: what they tell, how they look, and that they ask nothing of any machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from desdm.errors import NotFoundError, UsageError
from desdm.facility import Facility, initialise
from desdm.framework.drive import drive
from desdm.framework.engines.local import LocalEngine
from desdm.operations.report.page import write_report
from tests.support.browser import dom, picture
from tests.support.toy import arrive, plan, text_pipeline

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, real: Path) -> Iterator[Facility]:
    """An installation that has made the coadds of nine real exposures."""
    home = tmp_path_factory.mktemp("report") / "demo"
    command = [
        sys.executable,
        "-m",
        "desdm.cli.main",
        "demo",
        "--out",
        home,
        "--data",
        real / "decam-cp-stack",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    opened = Facility.open(home)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def run(demo: Facility) -> str:
    return str(json.loads((demo.config.home / "summary.json").read_text())["attempts"][0]["attempt"])


@pytest.fixture(scope="module")
def page(demo: Facility, run: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "page.html"
    return write_report(demo.database, demo.archive, demo.config, run, out)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Facility]:
    """An installation with one text file in its archive."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    initialise(tmp_path / "home")
    opened = Facility.open(tmp_path / "home")
    arrive(opened, tmp_path)
    yield opened
    opened.close()


def report(facility: Facility, run: str, out: Path) -> Path:
    return write_report(facility.database, facility.archive, facility.config, run, out)


def go(facility: Facility, run: str) -> None:
    drive(
        facility.config,
        facility.database,
        facility.archive,
        run,
        LocalEngine(1, facility.config.runs / run),
        who="me",
    )


def words(html: str) -> str:
    """The text of a page without its tags."""
    body = re.sub(r"<(style|script)\b.*?</\1>", " ", html[html.index("<body") :], flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_browser_shows_the_run_and_its_console_is_silent(page: Path, run: str) -> None:
    html, console = dom(page)
    # A style, script or picture that the page's own policy forbids would be refused here.
    assert console == []
    text = words(html)
    for expected in (
        run,
        "done",
        "17/17 jobs done",
        "63/63 wrappers done",
        "9 exposures in g r z",
        "Lineage",
        "swarp × 3",
    ):
        assert expected in text
    assert 'class="sorts"' in html  # the page's own script ran


def test_nothing_in_the_page_points_to_another_machine(page: Path) -> None:
    html = page.read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    assert unescape(policy.group(1)).startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy.group(1)
    assert set(re.findall(r'(?:src|href)="(data:|#|[^"]*)', html)) <= {"data:", "#"}
    assert not re.search(r"url\(\s*['\"]?(?!#)", html) and "@import" not in html


def test_the_policy_keeps_a_smuggled_picture_from_being_fetched(page: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    class Ear(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Ear) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tag = f'<img src="http://127.0.0.1:{server.server_port}/x.png"></main>'
        smuggled = page.read_text().replace("</main>", tag)
        (tmp_path / "smuggled.html").write_text(smuggled)
        (tmp_path / "open.html").write_text(re.sub(r'<meta http-equiv="Content[^>]+>', "", smuggled))
        dom(tmp_path / "smuggled.html")
        assert asked == []
        dom(tmp_path / "open.html")  # without the policy the ear hears it
        assert asked == ["/x.png"]
        server.shutdown()


def test_the_page_is_drawn_light_and_dark(page: Path, tmp_path: Path) -> None:
    light, dark = (picture(page, tmp_path / f"{d}.png", dark=d) for d in (False, True))
    assert light.shape == (2400, 1300, 3)
    assert light[:, :8].mean() > 230 and dark[:, :8].mean() < 40
    for shot in (light, dark):
        # The colour picture and the grey ones fill a good part; nothing of the page is one tone from edge to edge.
        assert np.unique(shot.reshape(-1, 3), axis=0).shape[0] > 1000
        assert (shot[400:1000, 40:700].std(axis=(0, 1)) > 10).all()


def test_the_numbers_are_those_of_the_products(demo: Facility, page: Path, run: str) -> None:
    text = words(page.read_text())
    root = demo.config.archive_root
    table = next(root.rglob(f"{run}_objects.parquet"))
    assert f"Number counts {pq.read_metadata(table).num_rows} objects" in text
    matches = [fits.getdata(p, "RESIDUALS") for p in root.rglob(f"{run}_*_astro-check.fits")]
    dra = np.concatenate([m["DRA"] for m in matches])
    assert f"{dra.size} matches; median ({np.median(dra):.1f},".replace("-", "−") in text
    for path in root.rglob(f"{run}_*_depth.json"):
        assert f"{json.loads(path.read_text())['snr10']:.2f}" in text
    for path in root.rglob(f"{run}_*_nwgint.fits"):
        head = fits.getheader(path)
        assert re.search(
            rf"{head['BAND']} {head['EXPNUM']} {head['CCDNUM']} {head['NITE']} {head['EXPTIME']:.4g} ", text
        )


def test_every_file_is_listed_with_its_digest(demo: Facility, page: Path, run: str) -> None:
    import hashlib

    html = page.read_text()
    products = [p for p in demo.config.archive_root.rglob(f"{run}*") if p.is_file()]
    assert len(products) > 60
    for path in products:
        assert path.name in html and hashlib.sha256(path.read_bytes()).hexdigest() in html


def test_the_lineage_goes_from_the_exposures_to_the_catalogue(page: Path) -> None:
    html = page.read_text()
    hints = re.findall(r'class="edge".*?<title>(.*?)</title>', html)
    for hint in (
        "9 files cp_image, archive → nwgint",
        "9 files coadd_nwgint, nwgint → swarp",
        "3 files coadd, swarp → detection",
        "3 files coadd_cat, coaddcat → objects",
    ):
        assert hint in hints
    graph = html[html.index('<svg class="lineage') :]
    graph = graph[: graph.index("</svg>")]
    version = subprocess.run(["SWarp", "-v"], capture_output=True, text=True)
    told = re.search(r"\d+\.\d+\.\d+", version.stdout + version.stderr)
    assert told is not None and f">swarp {told.group()}<" in graph


def test_the_command_writes_beside_the_installation_and_says_where(demo: Facility, run: str) -> None:
    command = [sys.executable, "-m", "desdm.cli.main", "--home", demo.config.home, "report", run, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"report": str(demo.config.home / "reports" / f"{run}.html")}
    assert (demo.config.home / "reports" / f"{run}.html").read_text().startswith("<!doctype html>")


def test_a_failed_run_says_first_why(toy: Facility, tmp_path: Path) -> None:
    fault = tmp_path / "fault"
    fault.write_text("2")
    made = plan(toy, text_pipeline(fault_file=str(fault), unitname="T2"))
    go(toy, made.run)
    html, console = dom(report(toy, made.run, tmp_path / "f.html"))
    assert console == []
    text = words(html)
    assert "failed" in text and "3/5 jobs done, 1 failed" in text
    assert "Job 2 · part=2" in text and "ValueError: this code has a bug" in text
    # The reason stands before everything else, with the log's own line, and what to do next.
    assert html.index('id="why"') < html.index('class="tiles"') < html.index('id="times"')
    assert re.search(r'class="hit">ValueError: this code has a bug<', html)
    assert f"desdm resume {made.run}" in text and f"desdm log {made.run} --job 2" in text


def test_a_run_that_has_not_begun_has_a_page_too(toy: Facility, tmp_path: Path) -> None:
    made = plan(toy, text_pipeline())
    text = words(report(toy, made.run, tmp_path / "p.html").read_text())
    assert "planned" in text and "0/5 jobs done" in text and "Nothing has run yet." in text


def test_a_run_of_texts_has_no_empty_shelves(toy: Facility, tmp_path: Path) -> None:
    made = plan(toy, text_pipeline())
    go(toy, made.run)
    html = report(toy, made.run, tmp_path / "p.html").read_text()
    assert 'id="pictures"' not in html and 'id="lineage"' in html
    assert "1 file misc, archive → split" in html and "4 files misc, upper → join" in html


def test_texts_of_the_run_cannot_become_markup(toy: Facility, tmp_path: Path) -> None:
    evil = "</pre><script>document.title='taken'</script><img src=x onerror=alert(1)>"
    made = plan(toy, text_pipeline(remark=evil), {"jira_id": evil})
    html, _ = dom(report(toy, made.run, tmp_path / "p.html"))
    assert "<title>taken</title>" not in html and "onerror=alert(1)&gt;" in html
    assert html.count("<script") == 1


def test_a_lost_product_is_said_and_the_page_is_made(demo: Facility, run: str, tmp_path: Path) -> None:
    root = demo.config.archive_root
    lost = next(root.rglob(f"{run}_r_coadd.fits"))
    torn = next(root.rglob(f"{run}_objects.parquet"))
    away = lost.rename(tmp_path / "away.fits")
    whole = torn.read_bytes()
    try:
        torn.chmod(0o644)
        torn.write_bytes(whole[:1000])
        text = words(report(demo, run, tmp_path / "p.html").read_text())
    finally:
        away.rename(lost)
        torn.write_bytes(whole)
    assert "What could not be read" in text
    assert f"{run}_r_coadd.fits" in text and "is damaged, missing" in text and "Depth" in text
    assert f"{run}_objects.parquet is damaged, truncated" in text


def test_what_cannot_be_reported_or_written_is_a_typed_error(toy: Facility, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no run X_r1p01"):
        report(toy, "X_r1p01", tmp_path / "p.html")
    made = plan(toy, text_pipeline())
    (tmp_path / "folder").write_text("a file in the way")
    with pytest.raises(UsageError, match="give another path"):
        report(toy, made.run, tmp_path / "folder" / "p.html")
