"""Waits until something is so: loops of the server write after the answer has gone out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], seconds: float = 15.0) -> T:
    """What ``look`` gives as soon as it is true; after some seconds whatever it gives then."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found
