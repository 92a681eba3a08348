"""Aggregate functions beside those of ADQL, as the capabilities declare them: standard deviation, variance, median."""

from __future__ import annotations

__all__ = ["SIGNATURES"]

#: Name → signature and description in the capabilities.
SIGNATURES: dict[str, tuple[str, str]] = {
    "STDDEV": (
        "stddev(x DOUBLE) -> DOUBLE",
        "Standard deviation of a sample (n - 1), an aggregate; NULL for one row",
    ),
    "STDDEV_SAMP": ("stddev_samp(x DOUBLE) -> DOUBLE", "The same as stddev"),
    "STDDEV_POP": ("stddev_pop(x DOUBLE) -> DOUBLE", "Standard deviation of a population (n), an aggregate"),
    "VARIANCE": (
        "variance(x DOUBLE) -> DOUBLE",
        "Variance of a sample (n - 1), an aggregate; NULL for one row",
    ),
    "VAR_SAMP": ("var_samp(x DOUBLE) -> DOUBLE", "The same as variance"),
    "VAR_POP": ("var_pop(x DOUBLE) -> DOUBLE", "Variance of a population (n), an aggregate"),
    "MEDIAN": (
        "median(x DOUBLE) -> DOUBLE",
        "Median, the mean of the middle two of an even number; an aggregate",
    ),
}
