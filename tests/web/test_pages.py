"""The pages, driven as a scientist drives them, in a real browser: no complaint, nothing off the machine."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest
from astropy.io import fits
from PIL import Image

from tests.support.pages import Browser, Tab
from tests.web.conftest import PASSWORD, Site


def rows_of(site: Site) -> int:
    """Rows of D1.objects, counted by an independent reader."""
    return int(
        ds.dataset(site.home / "releases/D1/tables/objects/dataset", exclude_invalid_files=True).count_rows()
    )


def test_a_query_gives_its_rows_and_an_error_shows_its_place(site: Site, chromium: Browser) -> None:
    with chromium.tab() as tab:
        page = tab.go("/query")
        page.fill("#query", "SELECT coadd_object_id, ra, dec FROM D1.objects ORDER BY ra")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#rows tbody tr")
        assert f"{rows_of(site)} rows" in page.inner_text("#told")
        assert page.locator("#rows tbody tr").count() == rows_of(site)
        assert [h.split("\n")[0] for h in page.locator("#rows th").all_inner_texts()] == [
            "coadd_object_id",
            "ra",
            "dec",
        ]
        assert "deg" in page.inner_text("#rows th:nth-child(2)")
        shown = [float(text) for text in page.locator("#rows td:nth-child(2)").all_inner_texts()]
        table = ds.dataset(
            site.home / "releases/D1/tables/objects/dataset", exclude_invalid_files=True
        ).to_table(columns=["ra"])
        assert np.allclose(shown, np.sort(table["ra"].to_numpy()), atol=1e-7)
        tab.check()
        page.fill("#query", "SELECT ra\nFROM D1.objects\nWHERE colour > 3")
        page.click("#run")
        page.wait_for_selector(".note.bad")
        assert "line 3, column 7" in page.inner_text("#told")
        assert page.inner_text("#told pre").splitlines() == ["WHERE colour > 3", "      ^"]
        # A 400 is the right answer here; the browser notes it, and nothing else.
        assert len(tab.complaints) == 1 and "400" in tab.complaints[0]


def test_a_job_runs_is_listed_and_deleted_and_its_file_comes(
    site: Site, chromium: Browser, tmp_path: Path
) -> None:
    with chromium.tab() as tab:
        page = tab.go("/query")
        page.fill("#query", "SELECT ra, dec FROM D1.objects")
        page.select_option("#format", "csv")
        page.click("#job")
        page.wait_for_selector("#told:has-text('is on its way')")
        row = f"#jobs tr[data-job='{page.inner_text('#told').split()[1]}']"
        page.wait_for_selector(f"{row}:has-text('completed')")
        with page.expect_download() as download:
            page.click(f"{row} a:has-text('result')")
        target = tmp_path / "rows.csv"
        download.value.save_as(target)
        lines = target.read_text().splitlines()
        assert lines[0] == "ra,dec"
        assert len(lines) == 1 + rows_of(site)
        page.reload()
        page.wait_for_selector(f"{row}:has-text('completed')")
        page.click(f"{row} button:has-text('delete')")
        page.wait_for_selector(row, state="detached")
        tab.check()


def test_an_example_is_a_query_that_works(chromium: Browser) -> None:
    with chromium.tab() as tab:
        page = tab.go("/query")
        for number in range(page.locator("[data-query]").count()):
            page.locator("[data-query]").nth(number).click()
            page.click("#run")
            page.wait_for_selector("#told:has-text(' in '), .note.bad")
            assert not page.locator(".note.bad").count(), page.input_value("#query")
        tab.check()


def test_a_cutout_is_seen_and_downloaded(site: Site, chromium: Browser, tmp_path: Path) -> None:
    with chromium.tab() as tab:
        page = tab.go("/")
        page.fill("input[name=pos]", "02:00:00 -05:00:00")
        page.keyboard.press("Enter")
        page.wait_for_load_state()
        page.select_option("select[name=release]", "D1")
        page.fill("input[name=size]", "0.5")
        page.click("button:has-text('Cut')")
        shown = "[...document.images].filter(i => i.naturalWidth > 50).length"
        while page.evaluate(shown) < 2:
            page.wait_for_timeout(50)
            assert not tab.complaints, tab.complaints
        assert page.locator("figcaption").all_inner_texts()[0].startswith("g")
        with page.expect_download() as download:
            page.click("figcaption a:has-text('FITS')")
        target = tmp_path / "cutout.fits"
        download.value.save_as(target)
        with fits.open(target) as hdus:
            assert {"SCI", "MSK", "WGT"} <= {hdu.name for hdu in hdus}
            side = 0.5 * 60 / 0.263
            assert abs(hdus["SCI"].data.shape[0] - side) <= 2
        tab.check()
        page.fill("input[name=pos]", "200 45")
        page.click("button:has-text('Cut')")
        assert "outside the footprint" in page.inner_text(".note")
        page.fill("input[name=pos]", "M31")
        page.click("button:has-text('Cut')")
        assert "a position is two numbers" in page.inner_text(".note.bad")


def test_the_map_draws_the_footprint_and_a_place_tells_its_depth(site: Site, chromium: Browser) -> None:
    with chromium.tab() as tab:
        page = tab.go("/map?release=F1&pos=0.01+-43.99")
        page.wait_for_selector("body[data-map=ready]")
        page.wait_for_selector("#here table")
        assert "Inside at 0.01000 -43.99000" in page.inner_text("#here")
        told = page.inner_text("#here tbody tr:first-child").split()
        asked = page.evaluate("fetch('/footprint?ra=0.01&dec=-43.99&release=F1').then(a => a.json())")[
            "bands"
        ]["g"]
        assert told == ["g", f"{asked['depth']:.2f}", str(asked["nexp"]), f"{asked['fraction']:.2f}"]
        page.wait_for_timeout(300)
        inside, outside = (
            picked(page.locator("#sky").screenshot(), 0.5, 0.45),
            picked(page.locator("#sky").screenshot(), 0.1, 0.85),
        )
        assert inside[2] > outside[2] + 15, "the coverage is not drawn"
        page.locator("#sky").click(position={"x": 40, "y": 300})
        page.wait_for_selector("#here:has-text('Outside')")
        page.check("#tiles")
        tab.check()
        assert "wasm-unsafe-eval" in tab.policies["/map"]


def test_the_hips_of_the_coadds_is_drawn_where_the_tiles_are(site: Site, chromium: Browser) -> None:
    with chromium.tab() as tab:
        page = tab.go("/map?release=D1")
        page.wait_for_selector("body[data-map=ready]")
        assert page.locator("#layer option").all_inner_texts()[0] == "color"
        spread = 0.0
        for _ in range(60):  # tiles come one by one
            page.wait_for_timeout(100)
            with Image.open(BytesIO(page.locator("#sky").screenshot())) as image:
                pixels = np.asarray(image.convert("L")).astype(float)
            high, wide = pixels.shape
            spread = float((pixels[high // 3 : 2 * high // 3, 2 * wide // 5 : 3 * wide // 5] > 120).mean())
            if spread > 0.002:
                break
        assert spread > 0.002, "no stars are drawn"
        page.select_option("#layer", label="none")
        tab.check()


def picked(png: bytes, x: float, y: float) -> tuple[int, int, int]:
    """Median colour of a small box around a place, as parts of the picture's width and height."""
    with Image.open(BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    high, wide = pixels.shape[:2]
    box = pixels[int(y * high) - 6 : int(y * high) + 6, int(x * wide) + 4 : int(x * wide) + 16]
    r, g, b = np.median(box.reshape(-1, 3), axis=0)
    return int(r), int(g), int(b)


def test_without_aladin_the_map_is_a_picture_whose_tiles_are_links(chromium: Browser) -> None:
    with chromium.tab() as tab:
        page = tab.go("/map?release=F1")
        page.click("summary:has-text('plain picture')")
        assert page.locator("svg.sky polygon").count() == 2
        page.locator("svg.sky a").first.click()
        page.wait_for_url(re.compile("/pick"))
        assert page.locator("tbody tr").count() >= 2
        tab.check()


def test_files_are_picked_by_band_and_place_and_fetched(
    site: Site, chromium: Browser, tmp_path: Path
) -> None:
    with chromium.tab() as tab:
        page = tab.go("/pick")
        page.select_option("select[name=release]", "D1")
        page.select_option("select[name=filetype]", "coadd")
        page.select_option("select[name=band]", "r")
        page.fill("input[name=pos]", "30.0, -5.0, 0.001")
        page.click("button:has-text('Pick')")
        assert page.locator("tbody tr").count() == 1
        with page.expect_download() as download:
            page.click("tbody a")
        target = tmp_path / "tile.fits.fz"
        download.value.save_as(target)
        there = site.home / "releases/D1/images/DES0200-0500/DES0200-0500_r.fits.fz"
        assert target.read_bytes() == there.read_bytes()
        tab.check()


def test_release_and_table_pages_say_what_there_is(site: Site, chromium: Browser) -> None:
    with chromium.tab() as tab:
        page = tab.go("/")
        page.click("a:text-is('D1')")
        page.click("a:text-is('D1.objects')")
        assert f"{rows_of(site)} rows" in page.inner_text(".lead")
        assert "right ascension (ICRS)" in page.inner_text("#columns tr:has(code:text-is('ra'))")
        page.fill("#filter", "phot.mag")
        assert page.locator("#columns tbody tr:visible").count() == 2
        assert page.locator("h2:has-text('First rows') + div tbody tr").count() == 20
        assert page.goto(site.url + "/releases/P1").status == 404  # type: ignore[union-attr]
        assert "P1" not in tab.go("/").inner_text("main")


def log_in(tab: Tab, login: str) -> None:
    page = tab.go("/login")
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector(f".who a:text-is('{login}')")


def test_somebody_logs_in_makes_a_token_and_logs_out(site: Site, chromium: Browser) -> None:
    with chromium.tab() as tab:
        log_in(tab, "admin")
        assert "P1" in tab.page.inner_text("main")
        page = tab.go("/account")
        page.fill("input[name=name]", "notebook")
        page.click("button:has-text('Make a token')")
        secret = page.inner_text("#secret").strip()
        assert secret.startswith("desdm_t_")
        assert secret not in tab.go("/account").content()
        page.click("tr:has-text('notebook') button:has-text('revoke')")
        page.wait_for_selector("tr:has-text('notebook')", state="detached")
        page.go_back()
        tab.go("/query")
        page.fill("#query", "SELECT TOP 3 id FROM P1.objects")
        page.click("#run")
        page.wait_for_selector("#rows tbody tr")
        tab.check()
        tab.go("/account")
        page.click("button:has-text('Log out')")
        page.wait_for_selector(".who a:text-is('Log in')")
        assert "P1" not in page.inner_text("main")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_can_be_read_in_light_and_dark(chromium: Browser, dark: bool) -> None:
    with chromium.tab(dark=dark, width=420) as tab:
        for path in (
            "/",
            "/releases/D1",
            "/tables/D1.objects",
            "/query",
            "/cutout",
            "/map?release=F1",
            "/pick",
            "/api",
            "/login",
        ):
            page = tab.go(path)
            ink, ground = page.evaluate(
                "[getComputedStyle(document.querySelector('h1')).color, getComputedStyle(document.body).backgroundColor]"
            )
            assert contrast(ink, ground) > 7, path
            assert (luminance(ground) < 0.1) == dark
            # No page is wider than a telephone, and each can be read aloud: one h1, names on all fields.
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), path
            assert page.locator("h1").count() == 1
            assert (
                page.evaluate(
                    "[...document.querySelectorAll('input:not([type=hidden]),select,textarea')]"
                    ".filter(e => !e.closest('#sky'))"
                    ".filter(e => !e.labels?.length && !e.ariaLabel).length"
                )
                == 0
            ), path
        tab.check()


def test_the_pages_are_used_by_keyboard(chromium: Browser) -> None:
    with chromium.tab() as tab:
        page = tab.go("/query")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
            )
        assert {"query", "run", "job", "format", "download", "A first look"} <= reached


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, two: str) -> float:
    """Contrast of two colours (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
