"""Public errors for failures of a database: without its SQL, its paths and its code."""

from __future__ import annotations

import re

from desdm.errors import DesdmError, LimitExceeded, LimitKind, QueryError
from desdm.timestamps import FORM

__all__ = ["ended", "public_error"]

#: Pattern in a message of DuckDB or PostgreSQL → public message.
_PUBLIC_MESSAGES: tuple[tuple[str, str], ...] = (
    # DuckDB: "Max expression depth limit", PostgreSQL: "stack depth limit", psycopg: "number of parameters".
    (
        r"(expression|stack) depth|number of parameters",
        "an expression has too many terms (chains of + or || of about a thousand are possible), or is nested too deeply; "
        "shorten it, or compute it in steps with WITH",
    ),
    (
        r"not a timestamp|timestamp field|date/time field",
        f"a text cannot be converted to a timestamp: it must be {FORM}",
    ),
    (
        r"not a number",
        "a text cannot be converted to a number: it must be digits with sign, point and exponent, for REAL and DOUBLE "
        "also Infinity",
    ),
    (r"division by zero", "a division by zero; NULLIF(x, 0) replaces zero by NULL"),
    (r"square root of a negative", "SQRT of a negative number; cut with WHERE first"),
    (
        r"logarithm of (a negative|zero)",
        "LOG or LOG10 of a number that is not positive; cut with WHERE first",
    ),
    (
        r"undefined outside|input (value .*)?is out of range",
        "a function gets a number that it is not defined for: ACOS and "
        "ASIN are defined from -1 to 1, SIN, COS, TAN and COT for finite numbers",
    ),
    (r"negative (number|value) raised|zero raised|power", "POWER is not defined for these numbers"),
    (r"underflow", "a number comes nearer to zero than its type holds; CAST to DOUBLE first"),
    (
        r"overflow|out of range|Out of Range",
        "a number grows beyond what its type holds; CAST to BIGINT or DOUBLE first",
    ),
    (r"more than one row", "a query used as a value returns more than one row"),
    (
        r"could not convert|invalid input|conversion|date/time",
        "a value cannot be converted by CAST or TIMESTAMP",
    ),
)


def public_error(message: str) -> QueryError:
    """Return the public error for a message of the database."""
    for pattern, text in _PUBLIC_MESSAGES:
        if re.search(pattern, message, re.IGNORECASE):
            return QueryError(f"while the query ran: {text}")
    return QueryError("the database cannot run this query: kinds of values do not fit one another; try CAST")


def ended(seconds: float | None, late: bool) -> DesdmError:
    """Return the error of a query that was cancelled: by its deadline, or by the caller."""
    if late:
        return LimitExceeded(
            f"the query took longer than {seconds:g} s and was ended; ask for less", LimitKind.TIME
        )
    return LimitExceeded("the query was ended on request", LimitKind.TIME)
