"""What an independent program says of a FITS file."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

__all__ = ["unclean"]


def unclean(paths: Iterable[Path]) -> list[str]:
    """The files at which HEASARC's fitsverify finds an error or a warning, with what it says."""
    said = []
    for path in paths:
        ran = subprocess.run(["fitsverify", "-q", str(path)], capture_output=True, text=True, check=False)
        if "verification OK" not in ran.stdout:
            said.append(f"{path.name}: {ran.stdout.strip()} {ran.stderr.strip()}")
    return said
