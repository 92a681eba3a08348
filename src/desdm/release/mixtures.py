"""Tiles whose products come from several coadd runs: what was taken from which, and what of it does not belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from desdm.archive.filetypes import BY_NAME
from desdm.release.findings import Check, note
from desdm.survey.bands import band_order

__all__ = ["check_mixtures"]


def check_mixtures(files: Iterable[Mapping[str, Any]]) -> Iterator[Check]:
    """Note each tile whose images come from several runs, or from another run than its catalogues.

    Parameters
    ----------
    files
        Selected files as `desdm.release.create` wrote them down: file, filetype, tilename, band, run.
    """
    images: dict[str, dict[str, str]] = {}
    joint: dict[str, dict[str, set[str]]] = {}
    for file in files:
        tile, band, run = str(file["tilename"] or ""), file["band"], str(file["run"] or "delivered")
        if file["filetype"] == "coadd" and band:
            images.setdefault(tile, {})[str(band)] = run
        elif (kind := BY_NAME.get(file["filetype"])) is not None and kind.all_bands:
            joint.setdefault(tile, {}).setdefault(run, set()).update([str(band)] if band else [])
    for tile in sorted(images):
        text = _contradiction(images[tile], joint.get(tile, {}))
        if text:
            yield note("runs", tile, text)


def _contradiction(images: Mapping[str, str], joint: Mapping[str, set[str]]) -> str:
    """What a tile has from which run, if that is not one run; empty: it is one."""
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
    return " ".join(sorted((band for band, of in images.items() if of == run), key=band_order))
