"""Tiles whose products come from several coadd runs: what was taken from which, and what of it does not belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from desdm.archive.filetypes import BY_NAME
from desdm.release.findings import Check, note
from desdm.release.selection import SelectionEntry
from desdm.survey.bands import band_order

__all__ = ["check_mixtures"]


def check_mixtures(files: Iterable[SelectionEntry]) -> Iterator[Check]:
    """Note each tile whose images come from several runs, or from another run than its catalogues.

    Parameters
    ----------
    files
        Selected files of a release.
    """
    images: dict[str, dict[str, str]] = {}
    joint: dict[str, dict[str, set[str]]] = {}
    for file in files:
        tile, band, run = file.tilename or "", file.band, file.run or "delivered"
        if file.filetype == "coadd" and band:
            images.setdefault(tile, {})[band] = run
        elif (kind := BY_NAME.get(file.filetype)) is not None and kind.all_bands:
            joint.setdefault(tile, {}).setdefault(run, set()).update([band] if band else [])
    for tile in sorted(images):
        text = _contradiction(images[tile], joint.get(tile, {}))
        if text:
            yield note("runs", tile, text)


def _contradiction(images: Mapping[str, str], joint: Mapping[str, set[str]]) -> str:
    """Describe which products of a tile come from which run; empty if all come from one run."""
    if len({*images.values(), *joint}) < 2:
        return ""
    words = [f"images of {_bands(images, run)} come from {run}" for run in dict.fromkeys(images.values())]
    for run in sorted(joint):
        words.append(f"its catalogues and picture from {run}")
        others = [band for band in sorted(images, key=band_order) if images[band] != run]
        if others:
            words.append(
                f"so that what they say of {' '.join(others)} was not measured on the image of the release"
            )
    return "; ".join(words) + "; coadd all its bands in one run, or mark the run that is not wanted junk"


def _bands(images: Mapping[str, str], run: str) -> str:
    """Return the bands whose images come from a run."""
    return " ".join(sorted((band for band, of in images.items() if of == run), key=band_order))
