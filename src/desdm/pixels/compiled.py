"""Compiled pixel loops: numba's ``njit`` with the survey's settings, typed for those who call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(*, fast: bool = False, ieee: bool = False) -> Callable[[Function], Function]:
    """Decorator: compile a loop over arrays, cached on disk between processes, without the interpreter's lock.

    Parameters
    ----------
    fast
        Allow the compiler to reorder and contract floating-point operations. Without it a result is the same bits on
        every machine and for every number of threads; with it still the same for every number of threads, as
        long as rows are computed by themselves.
    ieee
        Divide as IEEE 754 does: by zero gives infinity or NaN. Otherwise it raises `ZeroDivisionError`, and a loop with a
        division cannot be vectorised. For loops whose divisors are known not to be zero, or whose results are tested.

    Returns
    -------
    callable
        The decorator; the function keeps its signature.
    """

    model = "numpy" if ieee else "python"

    def wrap(function: Function) -> Function:
        return cast(Function, numba.njit(cache=True, nogil=True, fastmath=fast, error_model=model)(function))

    return wrap
