"""Keywords of external programs: read from the installed program itself, which prints its default settings."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from desdm.framework.sections import Settings

__all__ = ["KeywordSection", "keyword_sections", "program_keywords"]

_SECONDS = 10
#: A line ``KEYWORD  value  # comment``; some versions mark keywords that are not in the short list by an asterisk.
_LINE = re.compile(r"^\*?([A-Z][A-Z0-9_]*)(?=\s|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class KeywordSection:
    """A section of a module's settings whose keys are the keywords of a program.

    Attributes
    ----------
    program
        The program's name, or its path.
    flag
        Its option that prints all keywords, one a line.
    """

    program: str
    flag: str

    def keywords(self) -> frozenset[str] | None:
        """Return the keywords in lower case, as WCL has them; None if the program does not print them."""
        return program_keywords(self.program, self.flag)


def keyword_sections(config: Settings) -> dict[str, KeywordSection]:
    """Return the sections of program keywords that a module has, by name, as its programs (``<exec>``) declare them."""
    sections: dict[str, KeywordSection] = {}
    execs = config.get("exec")
    execs = execs if isinstance(execs, Mapping) else {}
    for name, spec in execs.items():
        if isinstance(spec, Mapping) and "keywords" in spec:
            program_section = KeywordSection(
                str(spec.get("program", name)), str(spec.get("keywords_flag", "-dd"))
            )
            names = (section.strip().lower() for section in str(spec["keywords"]).split(","))
            # A code's programs are listed for all its modules; a section that this one has not is read by nobody.
            sections.update({section: program_section for section in names if section in config})
    return sections


def program_keywords(program: str, flag: str) -> frozenset[str] | None:
    """Return the keywords that an installed program knows, in lower case.

    Parameters
    ----------
    program
        Its name or path.
    flag
        Its option that prints them.

    Returns
    -------
    frozenset of str or None
        None where the program is not installed or does not print keywords; ``desdm doctor`` tells of a missing program.
    """
    path = shutil.which(program)
    if path is None:
        return None
    stat = Path(path).stat()
    return _printed_keywords(path, flag, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=32)
def _printed_keywords(path: str, flag: str, _changed: int, _size: int) -> frozenset[str] | None:
    """Ask a program once in a process, and again when its file changes."""
    try:
        process = subprocess.run(
            [path, flag],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return frozenset(word.lower() for word in _LINE.findall(process.stdout)) or None
