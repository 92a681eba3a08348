"""Connected groups of marked pixels: their boxes and sizes, without an image of labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["groups"]


@compiled()
def _groups(left: npt.NDArray[np.bool_], places: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """Follow each group from its first pixel; ``left`` is emptied, ``places`` has its pixels, rows joined end to end."""
    ny, nx = left.shape
    boxes = np.empty((256, 5), np.int64)
    stack = np.empty((1024, 2), np.int32)
    count = 0
    for place in places:
        y, x = place // nx, place % nx
        if not left[y, x]:
            continue
        if count == boxes.shape[0]:
            more = np.empty((2 * count, 5), np.int64)
            more[:count] = boxes
            boxes = more
        first, last, west, east, size = y, y, x, x, 0
        left[y, x] = False
        stack[0, 0], stack[0, 1] = y, x
        depth = 1
        while depth:
            depth -= 1
            y0, x0 = stack[depth, 0], stack[depth, 1]
            size += 1
            first, last = min(first, y0), max(last, y0)
            west, east = min(west, x0), max(east, x0)
            if depth + 8 > stack.shape[0]:
                deeper = np.empty((2 * stack.shape[0], 2), np.int32)
                deeper[:depth] = stack[:depth]
                stack = deeper
            for j in range(max(y0 - 1, 0), min(y0 + 2, ny)):
                for i in range(max(x0 - 1, 0), min(x0 + 2, nx)):
                    if left[j, i]:
                        left[j, i] = False
                        stack[depth, 0], stack[depth, 1] = j, i
                        depth += 1
        boxes[count, 0], boxes[count, 1] = first, last
        boxes[count, 2], boxes[count, 3], boxes[count, 4] = west, east, size
        count += 1
    return boxes[:count]


def groups(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Groups of marked pixels that touch by a side or a corner.

    Parameters
    ----------
    marked
        (ny, nx).

    Returns
    -------
    numpy.ndarray
        (n, 5) first row, last row, first column, last column (inclusive) and pixels of each, by their first pixels in
        reading order.
    """
    return np.asarray(_groups(np.array(marked, bool, order="C"), np.flatnonzero(marked)))
