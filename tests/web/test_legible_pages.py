"""Pages as people see them: whole identifiers, names that stay whole, narrow screens, colours that can be told apart."""

from __future__ import annotations

import itertools

import duckdb
import pytest

from tests.support.pages import Browser
from tests.web.conftest import Site

#: Texts of the lines in which an element's text is laid out, as the browser breaks it.
_LINES = """element => {
  const lines = []; let bottom = null;
  const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) for (let i = 0; i < node.length; i++) {
    const range = document.createRange(); range.setStart(node, i); range.setEnd(node, i + 1);
    const box = range.getBoundingClientRect();
    if (bottom === null || box.top > bottom - 2) lines.push("");
    bottom = box.bottom; lines[lines.length - 1] += node.data[i];
  }
  return lines; }"""


@pytest.mark.parametrize("width", [1280, 400])
def test_identifiers_are_whole_and_names_break_at_underscores_only(
    site: Site, chromium: Browser, width: int
) -> None:
    parts = str(site.home / "releases" / "D1" / "tables" / "objects" / "dataset" / "**" / "*.parquet")
    ids = duckdb.sql(f"SELECT coadd_object_id FROM read_parquet('{parts}')").fetchall()
    low, high = min(ids)[0], max(ids)[0]
    assert low > 2**53  # else a 64-bit float would do
    with chromium.tab(width=width) as tab:
        page = tab.go("/tables/D1.objects")
        row = page.locator("#columns tr", has_text="coadd_object_id")
        assert [row.locator("td.n").nth(i).inner_text() for i in (0, 1)] == [str(low), str(high)]
        assert "e+" not in page.inner_text("#columns")
        for code in page.locator("#columns code").all():
            lines = code.evaluate(_LINES)
            assert all(line.endswith("_") for line in lines[:-1]), lines
        assert page.locator("#columns code").first.inner_text().count("_") == 0
        tab.check()


def test_on_a_telephone_the_header_has_two_lines_and_descriptions_stand_below(chromium: Browser) -> None:
    with chromium.tab(width=400) as tab:
        for path in ("/", "/tables/D1.objects", "/releases/D1"):
            page = tab.go(path)
            tops = page.evaluate(
                "[...document.querySelectorAll('.bar a')].map(a => Math.round(a.getBoundingClientRect().top / 8))"
            )
            assert len(set(tops)) == 2, path
        # A release's table: its description lies below name and counts and is as wide as the box; nothing is cut.
        name, text = page.locator("table.stack td").first, page.locator("table.stack td.below").first
        above, below = name.bounding_box(), text.bounding_box()
        assert above is not None and below is not None
        assert below["y"] >= above["y"] + above["height"] - 1
        assert below["width"] > 250
        assert page.evaluate(
            "[...document.querySelectorAll('.scroll:has(table.stack)')].every(s => s.scrollWidth <= s.clientWidth + 1)"
        )
        tab.check()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_table_that_goes_on_sideways_has_a_shadow_there(chromium: Browser, dark: bool) -> None:
    with chromium.tab(width=400, dark=dark) as tab:
        page = tab.go("/tables/D1.objects")
        box = page.locator(".scroll", has=page.locator("table.rows"))
        assert box.evaluate("e => e.scrollWidth > e.clientWidth + 50")
        image = box.evaluate("e => getComputedStyle(e).backgroundImage")
        # Two shadows that stay, two covers of them that go with the content (background-attachment: local).
        assert image.count("linear-gradient") == 4
        assert box.evaluate("e => getComputedStyle(e).backgroundAttachment").split(", ")[:4] == [
            "local", "local", "scroll", "scroll",
        ]  # fmt: skip


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_map_is_legible(chromium: Browser, dark: bool) -> None:
    with chromium.tab(dark=dark) as tab:
        page = tab.go("/map?release=F1")
        page.wait_for_function("document.body.dataset.map === 'ready'")
        ink, ground = page.locator("#sky input").first.evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
        )
        assert _contrast(ink, ground) > 7
        bands = page.locator("label.band").evaluate_all(
            "some => some.map(e => getComputedStyle(e).borderBottomColor)"
        )
        assert len(bands) >= 2
        for one, other in itertools.combinations(map(_colour, bands), 2):
            assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 100, bands


def _colour(text: str) -> list[int]:
    return [int(part) for part in text[text.index("(") + 1 : -1].split(",")[:3]]


def _contrast(one: str, two: str) -> float:
    """Contrast of two colours (WCAG 2.2, relative luminance)."""

    def luminance(text: str) -> float:
        parts = [part / 255 for part in _colour(text)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
