"""Rate limits: a bucket of requests a caller, by a clock that the test turns."""

from __future__ import annotations

import pytest

from desdm.errors import LimitExceeded
from desdm.web.rates import Rates


class Clock:
    at = 1000.0

    def __call__(self) -> float:
        return self.at


def test_a_burst_is_let_in_then_the_steady_rate() -> None:
    clock = Clock()
    rates = Rates(2.0, 5.0, clock)
    for _ in range(5):
        rates.take("one")
    with pytest.raises(LimitExceeded) as caught:
        rates.take("one")
    assert caught.value.kind == "rate"
    assert caught.value.retry_after == 1
    clock.at += 1.0  # two more came in
    rates.take("one")
    rates.take("one")
    with pytest.raises(LimitExceeded):
        rates.take("one")


def test_who_waits_as_told_is_let_in() -> None:
    clock = Clock()
    rates = Rates(0.1, 1.0, clock)
    rates.take("one")
    with pytest.raises(LimitExceeded) as caught:
        rates.take("one")
    assert caught.value.retry_after == 10
    clock.at += 10
    rates.take("one")


def test_callers_do_not_share_a_bucket_and_some_have_a_larger_one() -> None:
    rates = Rates(1.0, 2.0, Clock())
    for _ in range(2):
        rates.take("one")
    for _ in range(8):
        rates.take("known", share=4.0)
    rates.take("two")
    for key, share in (("one", 1.0), ("known", 4.0)):
        with pytest.raises(LimitExceeded):
            rates.take(key, share=share)


def test_what_is_dear_empties_the_bucket_for_longer() -> None:
    clock = Clock()
    rates = Rates(1.0, 4.0, clock)
    rates.take("one", 20.0)  # 4 - 20: 16 s until it holds nothing, 17 s until it holds one
    with pytest.raises(LimitExceeded) as caught:
        rates.take("one")
    assert caught.value.retry_after == 17
    with pytest.raises(LimitExceeded):
        rates.check("one")
    clock.at += 17
    rates.check("one")  # looking takes nothing
    rates.take("one")


def test_no_limit_where_none_is_set() -> None:
    rates = Rates(0.0, 0.0, Clock())
    for _ in range(10_000):
        rates.take("one")


def test_memory_is_bounded_however_many_callers_come() -> None:
    rates = Rates(1.0, 1.0, Clock())
    for number in range(25_000):
        rates.take(f"address {number}")
    assert len(rates._buckets) <= 20_000
