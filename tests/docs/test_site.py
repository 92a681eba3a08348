"""The hook of the documentation site: pages made from the sources, and nothing loaded from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from mkdocs.exceptions import PluginError

from scripts import docs_site

ROOT = Path(__file__).parents[2]
PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="a.md"))


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<script defer src="//cdn.example.org/x.js"></script>',
        "<img alt=x src=http://example.org/x.png>",
        '<link rel="stylesheet" href="https://fonts.example.org/css">',
        '<link href="https://fonts.example.org" rel="preconnect">',
        '<style>@import "https://example.org/a.css"</style>',
        "<style>a { background: url(https://example.org/a.png) }</style>",
    ],
)
def test_a_page_that_loads_from_elsewhere_is_refused(html: str) -> None:
    with pytest.raises(PluginError, match=r"a\.md loads from another machine"):
        docs_site.on_post_page(html, PAGE, None)


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://www.ivoa.net/">IVOA</a>',
        '<link rel="canonical" href="https://example.org/">',
        '<img src="data:image/png;base64,AAAA">',
        '<script src="../assets/x.js"></script>',
    ],
)
def test_links_and_own_files_are_not(html: str) -> None:
    assert docs_site.on_post_page(html, PAGE, None) == html


def test_every_table_has_a_page_with_its_columns() -> None:
    from desdm.schema import metadata

    pages = docs_site.tables()
    for name, table in metadata.tables.items():
        assert [
            line.split("`")[1] for line in pages[f"tables/{name}.md"].splitlines() if line.startswith("| `")
        ] == [column.name for column in table.columns]
    objects = pages["tables/release-objects.md"]
    assert "| `ra` | double | deg | pos.eq.ra;meta.main | right ascension (ICRS) |" in objects
    assert "| `mag_auto_<band>` | float | mag | phot.mag |" in objects


def test_a_folder_of_the_navigation_becomes_its_pages() -> None:
    nav = [{"A": "index.md"}, {"B": ["b/index.md", {"C": "adr/*"}]}]
    paths = ["adr/0002-x.md", "adr/index.md", "adr/0001-y.md", "adr/deep/z.md", "b/index.md"]
    assert docs_site.expand(nav, paths) == [
        {"A": "index.md"},
        {"B": ["b/index.md", {"C": ["adr/index.md", "adr/0001-y.md", "adr/0002-x.md"]}]},
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[x](nowhere.md)", "nowhere.md"),
        ("[x](#nowhere)", "#nowhere"),
        ("[x](/etc/passwd)", "/etc/passwd"),
        ("fine", ""),
    ],
)
def test_a_dead_link_fails_the_build(tmp_path: Path, text: str, fault: str) -> None:
    # The project's own settings and command, on a site of one page.
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    for key in ("hooks", "nav", "plugins", "extra_css"):
        del settings[key]
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings), "utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{text}\n", "utf-8")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    # Within `make test` the inner make would print the folder that it enters.
    command = subprocess.run(
        ["make", "--no-print-directory", "-n", "docs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={
            key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        },
    ).stdout
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode != 0) == bool(fault), done.stderr
    assert fault in done.stderr
