"""Rate limits: a bucket of requests for each caller, filled at a steady rate."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from desdm.errors import LimitExceeded, LimitKind

__all__ = ["Rates"]

#: Buckets in memory; a caller whose bucket was dropped starts with a full one.
_MOST = 20_000


class Rates:
    """Token buckets by caller.

    Parameters
    ----------
    rate
        Requests that a bucket gains in a second; 0: no limit.
    burst
        Size of a bucket, requests.
    clock
        Monotonic clock, seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: float = 1.0, share: float = 1.0) -> None:
        """Take a request out of a caller's bucket.

        Parameters
        ----------
        key
            Caller: login or address.
        cost
            Requests to take.
        share
            Rate and size of the bucket as multiples of the normal ones.

        Raises
        ------
        LimitExceeded
            The bucket is empty; ``retry_after`` is the time until it is not.
        """
        self._take(key, cost, min(cost, 1.0), share)

    def check(self, key: str, share: float = 1.0) -> None:
        """Raise `LimitExceeded` where `take` would, and take nothing."""
        self._take(key, 0.0, 1.0, share)

    def refund(self, key: str, cost: float = 1.0, share: float = 1.0) -> None:
        """Put back what `take` took for a request that does not count.

        Parameters
        ----------
        key
            Caller: login or address.
        cost
            Requests to put back.
        share
            As for `take`.
        """
        if key in self._buckets:
            level, at = self._buckets[key]
            self._buckets[key] = (min(self._burst * share, level + cost), at)

    def _take(self, key: str, cost: float, required: float, share: float) -> None:
        """Take ``cost`` out of a bucket that has at least ``required``; raise `LimitExceeded` otherwise."""
        if not self._rate:
            return
        at, rate, burst = self._clock(), self._rate * share, self._burst * share
        level, before = self._buckets.pop(key, (burst, at))
        level = min(burst, level + (at - before) * rate)
        # An expensive request may overdraw a bucket with at least one left: else it would never be accepted.
        accepted = level >= required
        self._buckets[key] = (level - cost if accepted else level, at)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        if not accepted:
            wait = max(1, math.ceil((required - level) / rate))
            raise LimitExceeded(
                f"more than {rate:g} requests a second over a time; try again in {wait} s",
                LimitKind.RATE,
                wait,
            )
