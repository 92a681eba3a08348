"""Scripts that are sent as one file, so that a page needs few requests."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from desdm.web.npm import UPLOT

__all__ = ["BUNDLES", "STATIC", "Bundle", "bundle", "bundle_address"]

STATIC = Path(__file__).parent / "static"
#: Script of the desk with plots, and its parts after uPlot, which is left out where it is not installed.
BUNDLES = {"nightplots.js": ("desk.js", "plots.js")}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A script: its bytes, those compressed, and a digest of its content."""

    content: bytes
    compressed: bytes
    digest: str


def bundle(name: str) -> Bundle:
    """Return a bundle by its name; `KeyError` if there is none."""
    return _bundle(name, UPLOT.is_installed())


def bundle_address(name: str) -> str:
    """Return the address of a bundle with a digest of its content, so that browsers may cache it."""
    return f"/static/{name}?{bundle(name).digest}"


@cache
def _bundle(name: str, plots: bool) -> Bundle:
    """Return a bundle with or without uPlot."""
    parts = [(UPLOT.target / "uplot.js").read_bytes()] if plots else [b"const uPlot = null;"]
    parts += [(STATIC / part).read_bytes() for part in BUNDLES[name]]
    content = b"\n".join(parts)
    return Bundle(content, gzip.compress(content, 9, mtime=0), hashlib.sha256(content).hexdigest()[:10])
