"""Compare the contents of the images and catalogues of two attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.archive.archive import Archive
from desdm.framework.model import Attempt
from desdm.operations.compare.model import FileDifference
from desdm.operations.compare.store import OutputFile
from desdm.schema.runname import RunName

__all__ = ["compare_files"]

_SUFFIXES = (".fits", ".fits.fz")
_HEADER_TEXT = "Field Header Card"


def compare_files(
    archive: Archive,
    first: tuple[Attempt, Sequence[OutputFile]],
    second: tuple[Attempt, Sequence[OutputFile]],
) -> Iterator[FileDifference]:
    """Yield the FITS files of two attempts whose pixels or rows differ, paired by names without those of the runs.

    Parameters
    ----------
    archive
        The archive that holds the files.
    first, second
        Attempt and its outputs.
    """
    other_unit = first[0].unitname != second[0].unitname
    before, after = _by_name(*first, other_unit), _by_name(*second, other_unit)
    for name in sorted({*before, *after}):
        one, two = before.get(name), after.get(name)
        if one is None or two is None:
            yield FileDifference(name, "", f"only the {'second' if one is None else 'first'} run has it", 0)
        elif not (one.place and two.place):
            yield FileDifference(name, "", "it is not in the archive any more", 0)
        else:
            runs = first[0].run, second[0].run
            yield from _contents(name, archive.root / one.place, archive.root / two.place, runs)


def _by_name(attempt: Attempt, files: Sequence[OutputFile], other_unit: bool) -> dict[str, OutputFile]:
    """Return the FITS files of an attempt by their names without request and attempt, and unit if that differs too."""
    number = attempt.run.removeprefix(attempt.unitname)
    names = {file.filename.replace(number, ""): file for file in files if file.filename.endswith(_SUFFIXES)}
    return {k.replace(attempt.unitname, "UNIT"): v for k, v in names.items()} if other_unit else names


def _contents(name: str, one: Path, two: Path, runs: tuple[str, str]) -> Iterator[FileDifference]:
    """Yield the planes and columns of two files that differ; the names of their own runs are no difference."""
    with fits.open(one, memmap=False) as first, fits.open(two, memmap=False) as second:
        if len(first) != len(second):
            yield FileDifference(name, "", f"{len(first)} and {len(second)} header units", 0)
            return
        for number, (left, right) in enumerate(zip(first, second, strict=True)):
            part = left.name or f"HDU {number}"
            if left.data is None and right.data is None:
                continue
            if left.data is None or right.data is None or left.data.shape != right.data.shape:
                shapes = " and ".join("none" if u.data is None else str(u.data.shape) for u in (left, right))
                yield FileDifference(name, part, f"shapes {shapes}", 0)
            elif left.data.dtype.names is None:
                yield from _values(name, part, left.data, right.data)
            else:
                yield from _columns(name, part, (left.data, right.data), runs)


def _columns(
    name: str, part: str, tables: tuple[fits.FITS_rec, fits.FITS_rec], runs: tuple[str, str]
) -> Iterator[FileDifference]:
    """Yield the columns of two tables of one length that differ."""
    names = [list(table.dtype.names or ()) for table in tables]
    if names[0] != names[1]:
        yield FileDifference(name, part, "other columns", 0)
        return
    for column in names[0]:
        # The header of an image as a text, with times and paths; its numbers stand in the image itself.
        if column != _HEADER_TEXT:
            left, right = (_without(np.asarray(t[column]), run) for t, run in zip(tables, runs, strict=True))
            yield from _values(name, f"{part}.{column}", left, right)


def _without(values: npt.NDArray[np.generic], run: str) -> npt.NDArray[np.generic]:
    """Return the values of a column; of texts without the name of the run."""
    if values.dtype.kind != "U" or not values.size:
        return values
    texts = np.char.replace(values.astype(np.str_), run, "RUN")
    name = RunName.parse(run)
    # Tables name their version by request and attempt without leading zeros.
    return texts if name is None else np.where(texts == f"r{name.reqnum}p{name.attnum}", "RUN", texts)


def _values(
    name: str, part: str, left: npt.NDArray[np.generic], right: npt.NDArray[np.generic]
) -> Iterator[FileDifference]:
    """Yield the difference of two arrays, if there is one; not a number equals not a number."""
    if left.shape != right.shape:
        yield FileDifference(name, part, f"shapes {left.shape} and {right.shape}", 0)
        return
    numeric = np.issubdtype(left.dtype, np.number) and np.issubdtype(right.dtype, np.number)
    differing = left != right
    if numeric:
        differing &= ~((left != left) & (right != right))
    count = int(np.count_nonzero(differing))
    if not count:
        return
    largest = None
    if numeric:
        gaps = np.abs(left[differing].astype(np.float64) - right[differing].astype(np.float64))
        finite = gaps[np.isfinite(gaps)]
        largest = float(finite.max()) if finite.size else None
    yield FileDifference(name, part, f"{count} of {left.size} values differ", count, largest)
