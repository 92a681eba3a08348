"""Scalar functions that the engines lack or compute differently: rounding, remainder, conversion of text.

Both engines round by the same operations in binary64, whose results IEEE 754 defines exactly. The unit, 10^-n, is
``times / over``: one of them is 1, the other a power of ten up to 10^18, which a double holds exactly. With a whole number
k below 2^53, ``k * times / over`` is therefore the double nearest to k units.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from desdm.numbers import DECIMAL, NOT_FINITE
from desdm.timestamps import PATTERN, parse_timestamp

__all__ = ["define", "statements"]

#: Numbers of at least so many units are not rounded: a double has no more digits.
_WHOLE = 4503599627370496.0  # 2^52

_SIZE = f"abs(v) >= {_WHOLE!r}::float8 * times / over"
_COUNT = "floor(abs(v) * over / times)"
_TRUNCATED = f"""CASE WHEN ({_COUNT} + 1::float8) * times / over <= abs(v) THEN {_COUNT} + 1::float8
  WHEN {_COUNT} * times / over <= abs(v) THEN {_COUNT} ELSE {_COUNT} - 1::float8 END"""

#: A lambda, so that a value that occurs several times in the expression is computed once.
_DUCKDB_TRUNCATE = f"""CREATE MACRO desdm_truncate(x, over, times) AS
list_transform([x], lambda v: CASE WHEN {_SIZE} THEN v
  ELSE sign(v) * ({_TRUNCATED}) * times / over END)[1]"""
_DUCKDB_ROUND = f"""CREATE MACRO desdm_round(x, over, times) AS
list_transform([x], lambda v: CASE WHEN {_SIZE} THEN v
  ELSE list_transform([{_TRUNCATED}], lambda k: sign(v) * CASE WHEN k * times / over < abs(v)
    AND (2::float8 * k + 1::float8) * times / (2::float8 * over) <= abs(v)
    THEN k + 1::float8 ELSE k END * times / over)[1] END)[1]"""

#: PostgreSQL raises an error for a quotient that underflows, so numbers below a quarter of the unit give 0 directly.
_POSTGRESQL_ROUND = f"""
CREATE OR REPLACE FUNCTION desdm_service.desdm_{{name}}(x float8, over float8, times float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  v float8 := abs(x); k float8 := 0;
BEGIN
  IF {_SIZE} THEN RETURN x; END IF;
  IF v > times / over / 4 THEN
    k := {_COUNT};
    k := {_TRUNCATED};
    {{step}}
  END IF;
  RETURN sign(x) * k * times / over;
END $$
"""
_HALF = """IF k * times / over < v AND (2 * k + 1) * times / (2 * over) <= v THEN k := k + 1; END IF;"""

#: ``x = m 2^e`` with whole numbers, as the bits of a double have it: the remainder of whole numbers is exact.
_POSTGRESQL_MOD = """
CREATE OR REPLACE FUNCTION desdm_service.desdm_mod(x float8, y float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  a float8 := abs(x); b float8 := abs(y); m bigint; n bigint; e integer; f integer; r float8;
BEGIN
  IF b = 0 THEN RAISE division_by_zero USING MESSAGE = 'division by zero'; END IF;
  IF a = 'Infinity' THEN RETURN NULL; END IF;
  IF a < b THEN RETURN x; END IF;
  m := ('x' || encode(float8send(a), 'hex'))::bit(64)::bigint;
  n := ('x' || encode(float8send(b), 'hex'))::bit(64)::bigint;
  e := greatest(m >> 52, 1); f := greatest(n >> 52, 1);
  m := (m & 4503599627370495) + CASE WHEN m >> 52 > 0 THEN 4503599627370496 ELSE 0 END;
  n := (n & 4503599627370495) + CASE WHEN n >> 52 > 0 THEN 4503599627370496 ELSE 0 END;
  IF e - f < 11 THEN
    r := (m << (e - f)) % n;
  ELSE
    r := mod(m * power(2::numeric, e - f), n);
  END IF;
  -- The bias of the exponent is 1023, the fraction has 52 bits; in two steps, because 2^-1074 is less than normal.
  f := f - 1075;
  RETURN sign(x) * r * power(2::float8, f / 2) * power(2::float8, f - f / 2);
END $$
"""

#: The same as `parse_timestamp`.
_POSTGRESQL_TIMESTAMP = f"""
CREATE OR REPLACE FUNCTION desdm_service.desdm_timestamp(t text) RETURNS timestamp
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  part text[]; digits text; ahead interval; value timestamp;
BEGIN
  part := regexp_match(btrim(t, E' \\t\\r\\n'), '^{PATTERN}$');
  IF part IS NULL THEN RAISE invalid_datetime_format USING MESSAGE = 'not a timestamp'; END IF;
  value := (part[1] || ' ' || left(coalesce(part[2], '00:00'), 15))::timestamp;
  IF part[3] IS NOT NULL THEN
    digits := rpad(replace(substr(part[3], 2), ':', ''), 4, '0');
    ahead := make_interval(hours => left(digits, 2)::integer, mins => right(digits, 2)::integer);
    value := CASE WHEN part[3] LIKE '-%' THEN value + ahead ELSE value - ahead END;
  END IF;
  IF value < '0001-01-01' OR value >= '10000-01-01' THEN
    RAISE invalid_datetime_format USING MESSAGE = 'not a timestamp';
  END IF;
  RETURN value;
END $$
"""


_DUCKDB_TRIMMED = "list_transform([trim(t, E' \\t\\r\\n')], lambda v: CASE WHEN v IS NULL THEN NULL"
#: An exponent so low that the number is less than 10^-400 is 0 at once: the engines disagree whether they read it.
_DUCKDB_ZERO = "TRY_CAST(regexp_extract(v, '[eE](-[0-9]+)$', 1) AS DOUBLE) < -400 - length(v)"
_DUCKDB_FLOATING = f"""CREATE MACRO desdm_floating(t) AS
{_DUCKDB_TRIMMED} WHEN NOT regexp_full_match(v, '{DECIMAL}|{NOT_FINITE}') THEN error('not a number')
  WHEN {_DUCKDB_ZERO} THEN CASE WHEN v LIKE '-%' THEN '-0' ELSE '0' END ELSE v END)[1]"""
_DUCKDB_WHOLE = f"""CREATE MACRO desdm_whole(t) AS
{_DUCKDB_TRIMMED} WHEN NOT regexp_full_match(v, '{DECIMAL}') THEN error('not a number')
  WHEN {_DUCKDB_ZERO} THEN 0 ELSE coalesce(TRY_CAST(v AS HUGEINT), error('overflow')) END)[1]"""

_POSTGRESQL_NUMBER = """
CREATE OR REPLACE FUNCTION desdm_service.desdm_{name} LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  v text := btrim(t, E' \\t\\r\\n');
BEGIN
  IF v !~ '^({pattern})$' THEN RAISE invalid_text_representation USING MESSAGE = 'not a number'; END IF;
  IF substring(v FROM '[eE](-[0-9]+)$')::numeric < -400 - length(v) THEN RETURN {zero}; END IF;
  {value}
END $$
"""
#: PostgreSQL refuses digits of a number that is too near to zero for its type; it is 0, as in DuckDB.
_POSTGRESQL_FLOATING = _POSTGRESQL_NUMBER.format(
    name="floating(t text, half numeric) RETURNS text",
    pattern=f"{DECIMAL}|{NOT_FINITE}",
    zero="CASE WHEN v LIKE '-%' THEN '-0' ELSE '0' END",
    value="RETURN CASE WHEN abs(v::numeric) < half THEN CASE WHEN v LIKE '-%' THEN '-0' ELSE '0' END ELSE v END;",
)
_POSTGRESQL_WHOLE = _POSTGRESQL_NUMBER.format(
    name="whole(t text) RETURNS numeric", pattern=DECIMAL, zero="0", value="RETURN round(v::numeric);"
)


def _timestamps(texts: pa.ChunkedArray) -> pa.Array:
    """Return the timestamps of texts; `ValueError` for a text that is not a timestamp."""
    values = [None if text is None else parse_timestamp(text) for text in texts.to_pylist()]
    return pa.array(values, pa.timestamp("us"))


def define(conn: duckdb.DuckDBPyConnection) -> None:
    """Create the functions in DuckDB."""
    conn.execute(_DUCKDB_TRUNCATE)
    conn.execute(_DUCKDB_ROUND)
    conn.execute(_DUCKDB_FLOATING)
    conn.execute(_DUCKDB_WHOLE)
    conn.create_function("desdm_timestamp", _timestamps, ["VARCHAR"], "TIMESTAMP", type="arrow")


def statements() -> list[str]:
    """Return the statements that create the functions in PostgreSQL; they are idempotent."""
    return [
        _POSTGRESQL_ROUND.format(name="truncate", step=""),
        _POSTGRESQL_ROUND.format(name="round", step=_HALF),
        _POSTGRESQL_MOD,
        _POSTGRESQL_TIMESTAMP,
        _POSTGRESQL_FLOATING,
        _POSTGRESQL_WHOLE,
    ]
