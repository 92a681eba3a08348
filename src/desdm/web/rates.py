"""Rate limits: a bucket of requests for each caller, filled at a steady rate."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from desdm.errors import LimitExceeded

__all__ = ["Rates"]

#: Callers that are kept in mind; who comes back after being forgotten has a full bucket.
_KEPT = 20_000


class Rates:
    """Token buckets by caller.

    Parameters
    ----------
    rate
        Requests that a bucket gains in a second; 0: no limit.
    burst
        Requests that it holds.
    clock
        Seconds that never go back.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: float = 1.0, share: float = 1.0) -> None:
        """Take a request out of a caller's bucket, which is ``share`` times the usual one.

        Raises
        ------
        LimitExceeded
            It is empty; ``retry_after`` says when it will not be.
        """
        self._take(key, cost, min(cost, 1.0), share)

    def check(self, key: str, share: float = 1.0) -> None:
        """Raise `LimitExceeded` where `take` would, and take nothing."""
        self._take(key, 0.0, 1.0, share)

    def give(self, key: str, cost: float = 1.0, share: float = 1.0) -> None:
        """Put back what was taken for a request that is not to count."""
        if key in self._buckets:
            level, at = self._buckets[key]
            self._buckets[key] = (min(self._burst * share, level + cost), at)

    def _take(self, key: str, cost: float, needed: float, share: float) -> None:
        if not self._rate:
            return
        at, rate, burst = self._clock(), self._rate * share, self._burst * share
        level, before = self._buckets.pop(key, (burst, at))
        level = min(burst, level + (at - before) * rate)
        # What is dear may overdraw a bucket that holds at least one: else it would never be let in.
        let_in = level >= needed
        self._buckets[key] = (level - cost if let_in else level, at)
        if len(self._buckets) > _KEPT:
            self._buckets.popitem(last=False)
        if not let_in:
            wait = max(1, math.ceil((needed - level) / rate))
            raise LimitExceeded(
                f"more than {rate:g} requests a second over a time; try again in {wait} s", "rate", wait
            )
