"""Assemble the changelog from the fragments in docs/changes: changelog.py [--check | VERSION].

Without arguments the fragments are printed as they will stand. `--check` names fragments that break
the rules of docs/changes/README.md. VERSION writes them under a heading of that
version in CHANGELOG.md and deletes them.
"""

from __future__ import annotations

import re
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
FRAGMENTS = ROOT / "docs" / "changes"
CHANGELOG = ROOT / "CHANGELOG.md"

# In the order of their headings.
KINDS = {
    "added": "Added",
    "changed": "Changed",
    "fixed": "Fixed",
    "removed": "Removed",
    "internal": "For developers",
}
WIDTH = 118

_NAME = re.compile(rf"[a-z0-9]+(?:-[a-z0-9]+)*\.({'|'.join(KINDS)})\.md")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def fragments(folder: Path) -> list[Path]:
    """Return the fragments of a folder, by name."""
    return sorted(p for p in folder.glob("*.md") if p.name != "README.md")


def faults(folder: Path) -> list[str]:
    """Return what is wrong with fragments: one text each, with file and what to do."""
    texts = []
    for path in fragments(folder):
        body = path.read_text("utf-8").strip()
        if not _NAME.fullmatch(path.name):
            texts.append(
                f"{path.name}: not called <what>.<kind>.md with <kind> one of {', '.join(KINDS)}; rename it"
            )
        if not body:
            texts.append(f"{path.name}: empty; write one bullet or delete it")
        elif re.search(r"^\s*$|^(?:[-*#]|\d+\.) ", body, re.MULTILINE):
            texts.append(
                f"{path.name}: more than the text of one bullet; leave out marks, headings and blank lines"
            )
    return texts


def assemble(folder: Path) -> str:
    """Return the fragments as sections of the changelog."""
    lines: list[str] = []
    for kind, title in KINDS.items():
        texts = [
            " ".join(p.read_text("utf-8").split())
            for p in fragments(folder)
            if p.name.endswith(f".{kind}.md")
        ]
        if texts:
            lines += [f"### {title}", ""]
            lines += [
                textwrap.fill(
                    t,
                    WIDTH,
                    initial_indent="- ",
                    subsequent_indent="  ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
                for t in texts
            ]
            lines.append("")
    return "\n".join(lines)


def release(version: str, folder: Path, changelog: Path) -> None:
    """Move the fragments of a folder below a heading of a version, before the earlier versions."""
    text = changelog.read_text("utf-8")
    if re.search(rf"^## {re.escape(version)} \((?!unreleased)", text, re.MULTILINE):
        raise SystemExit(f"{changelog.name}: version {version} is there already; give the next one")
    title, _, earlier = text.partition("\n## ")
    heading = f"## {version} ({datetime.now(UTC):%Y-%m-%d})"
    sections = assemble(folder)
    if earlier.startswith(f"{version} (unreleased)"):
        # What was written below the version before there were fragments stays below the sections.
        earlier = earlier.partition("\n")[2].lstrip("\n")
        changelog.write_text(f"{title}\n{heading}\n\n{sections}\n{earlier}", "utf-8")
    else:
        changelog.write_text(f"{title}\n{heading}\n\n{sections}\n## {earlier}".rstrip() + "\n", "utf-8")
    for path in fragments(folder):
        path.unlink()


def main(arguments: list[str]) -> int:
    """Print, check or release the fragments."""
    wrong = faults(FRAGMENTS)
    for text in wrong:
        sys.stderr.write(f"docs/changes/{text}\n")
    if wrong or arguments == ["--check"]:
        return int(bool(wrong))
    if not arguments:
        sys.stdout.write(assemble(FRAGMENTS))
    elif len(arguments) == 1 and _VERSION.fullmatch(arguments[0]):
        release(arguments[0], FRAGMENTS, CHANGELOG)
    else:
        sys.stderr.write("usage: changelog.py [--check | VERSION]; VERSION is like 0.2.0\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
