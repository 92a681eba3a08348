"""Nothing is written into, or called missing from, the place of a disk that is not mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from desdm.config import load
from desdm.facility import open_database
from desdm.operations.doctor import State
from desdm.operations.doctor.run import examine
from tests.cli.test_archive_commands import Run, document, runner


@pytest.fixture
def installation(tmp_path: Path) -> tuple[Run, Path]:
    """An installation with one file, whose archive's disk has gone away: the root is gone, or an empty mount point."""
    home = tmp_path / "home"
    run = runner(home)
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    run("ingest", tmp_path / "a.txt", "--filetype", "misc")
    return run, home


@pytest.mark.parametrize("mount_point", [False, True])
def test_a_root_that_is_not_mounted_is_refused_and_left_alone(
    installation: tuple[Run, Path], mount_point: bool
) -> None:
    run, home = installation
    root, away = home / "archive", home.parent / "away"
    root.rename(away)
    if mount_point:
        root.mkdir(mode=0o700)
    for words in (
        ("ingest", home.parent / "b.txt", "--filetype", "misc"),
        ("audit",),
        ("delete", "a.txt", "--yes", "--reason", "old"),
    ):
        done = run(*words, status=3)
        said = " ".join(done.stderr.split())
        assert str(root) in said and "mount it, or correct archive.root" in said, said
    assert (list(root.iterdir()) == []) if mount_point else not root.exists()
    database = open_database(load(home))
    checks = [c for c in examine(load(home), database) if c.name == "archive"]
    database.close()
    assert [c.state for c in checks] == [State.PROBLEM] and "mount it" in checks[0].text
    if mount_point:
        root.rmdir()
    away.rename(root)
    assert [f["filename"] for f in document(run("files", "--json"))] == ["a.txt"]
    run("audit")


def test_the_first_deposit_makes_the_root(tmp_path: Path) -> None:
    run = runner(tmp_path / "home")
    (tmp_path / "home" / "archive").rmdir()
    (tmp_path / "a.txt").write_text("one")
    run("ingest", tmp_path / "a.txt", "--filetype", "misc")
