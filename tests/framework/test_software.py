"""Identity of the software that ran: digests of folders, and the commit that a real git repository gives."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from desdm.framework.software import cached_file_digest, folder_digest, folder_software


def git(root: Path, *args: str) -> str:
    """Return the output of a git command in a repository."""
    return subprocess.run(["git", "-C", str(root), *args], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit: packages ``p`` and ``q``, and an ignored folder ``env``."""
    root = tmp_path / "tree"
    for name in ("p/abcdef.py", "p/other.py", "q/ghijkl.py"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n" + "VALUE = 1\n" * 20)
    (root / ".gitignore").write_text("env/\n")
    git(root, "init", "--quiet")
    git(root, "config", "user.email", "test@example.org")
    git(root, "config", "user.name", "test")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    return root


def commit_of(folder: Path) -> str:
    """Return the commit in the version of a folder's software: what follows the digest."""
    return folder_software("package", folder, "1.0").version.partition("+")[2].partition(".")[2]


def head(root: Path) -> str:
    """Return the commit of a repository as a version names it."""
    return "g" + git(root, "rev-parse", "--short=8", "HEAD").strip()


def test_a_clean_folder_has_the_commit(repository: Path) -> None:
    assert {commit_of(repository / name) for name in ("", "p", "q")} == {head(repository)}


def test_a_changed_file_marks_its_own_folder(repository: Path) -> None:
    (repository / "p/other.py").write_text("VALUE = 2\n")
    assert commit_of(repository / "p") == f"{head(repository)}.dirty"
    assert commit_of(repository / "q") == head(repository)


@pytest.mark.parametrize("staged", [True, False])
def test_a_moved_file_marks_both_folders(repository: Path, staged: bool) -> None:
    if staged:
        git(repository, "mv", "p/abcdef.py", "q/abcdef.py")
    else:
        (repository / "p/abcdef.py").rename(repository / "q/abcdef.py")
    # Renames may be reported as such whatever the user's settings are.
    git(repository, "config", "status.renames", "true")
    assert commit_of(repository / "p") == f"{head(repository)}.dirty"
    assert commit_of(repository / "q") == f"{head(repository)}.dirty"


def test_an_untracked_file_marks_its_folder(repository: Path) -> None:
    (repository / "q/new.py").write_text("VALUE = 3\n")
    assert commit_of(repository / "q") == f"{head(repository)}.dirty"
    assert commit_of(repository / "p") == head(repository)


def test_a_folder_that_git_does_not_track_has_no_commit(repository: Path, tmp_path: Path) -> None:
    for folder in (repository / "env/lib", tmp_path / "plain"):
        folder.mkdir(parents=True)
        (folder / "code.py").write_text("VALUE = 4\n")
        assert commit_of(folder) == ""


def test_digests_follow_names_and_contents_but_not_compiled_files(repository: Path) -> None:
    folder = repository / "p"
    file = folder / "abcdef.py"
    assert cached_file_digest(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    before = folder_digest(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/abcdef.cpython-312.pyc").write_bytes(b"\0")
    assert folder_digest(folder) == before
    file.rename(folder / "renamed.py")
    assert folder_digest(folder) != before
