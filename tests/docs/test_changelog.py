"""Fragments of the changelog: their names, and how a version takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import changelog


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two fragments and its README."""
    changes = tmp_path / "changes"
    changes.mkdir()
    (changes / "README.md").write_text("# Fragments\n")
    (changes / "upload-limit.changed.md").write_text("Uploads are limited\nto 1 GB.\n")
    (changes / "moc-output.added.md").write_text("`footprint` answers MOC.\n")
    return changes


def test_sections_stand_in_order_of_kinds(folder: Path) -> None:
    assert changelog.assemble(folder) == (
        "### Added\n\n- `footprint` answers MOC.\n\n### Changed\n\n- Uploads are limited to 1 GB.\n"
    )


def test_a_version_takes_the_fragments_and_stands_before_earlier_ones(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "CHANGELOG.md"
    log.write_text("# Changelog\n\n## 0.1.0 (2026-11-01)\n\n- First.\n")
    changelog.release("0.2.0", folder, log)
    text = log.read_text()
    assert text.index("## 0.2.0 (") < text.index("MOC") < text.index("1 GB") < text.index("## 0.1.0")
    assert text.endswith("- First.\n")
    assert not changelog.fragments(folder)
    with pytest.raises(SystemExit, match=r"0\.2\.0 is there already"):
        changelog.release("0.2.0", folder, log)


def test_an_unreleased_version_keeps_what_stood_below_it(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "CHANGELOG.md"
    log.write_text("# Changelog\n\n## 0.1.0 (unreleased)\n\n- First.\n")
    changelog.release("0.1.0", folder, log)
    text = log.read_text()
    assert "unreleased" not in text
    assert text.count("## 0.1.0") == 1
    assert text.index("MOC") < text.index("- First.")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("Upload.changed.md", "Text."),
        ("upload.better.md", "Text."),
        ("upload.md", "Text."),
        ("upload.fixed.md", ""),
        ("upload.fixed.md", "- Text."),
        ("upload.fixed.md", "Text.\n\nMore."),
    ],
)
def test_a_fragment_that_does_not_fit_is_named(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(body)
    (fault,) = changelog.faults(folder)
    assert fault.startswith(f"{name}: ")


def test_the_fragments_of_the_project_are_sound() -> None:
    assert changelog.faults(changelog.FRAGMENTS) == []
