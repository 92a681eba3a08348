"""Words of other databases' SQL with their equivalents in ADQL, for the error messages of queries."""

from __future__ import annotations

__all__ = ["function_advice", "table_advice", "value_advice", "word_advice"]

#: Unexpected word, or the word before it (parsed as an alias) → what to write.
_WORDS = {
    "LIMIT": "ADQL has no LIMIT; write SELECT TOP n …",
    "FETCH": "ADQL has no FETCH FIRST; write SELECT TOP n …",
    "MINUS": "ADQL has no MINUS; write EXCEPT",
    "SAMPLE": "ADQL has no SAMPLE; write WHERE RAND() < 0.01 for about one row in a hundred",
    "TABLESAMPLE": "ADQL has no TABLESAMPLE; write WHERE RAND() < 0.01 for about one row in a hundred",
    "EXPLAIN": "the service shows no plans; in desdm sql, explain QUERY tells whether a query is allowed and its columns",
    "QUALIFY": "ADQL has no window functions and no QUALIFY",
    "OVER": "ADQL has no window functions",
    "CONNECT": "ADQL has no CONNECT BY",
}
_FUNCTIONS = {
    "NVL": "COALESCE(value, otherwise)",
    "NVL2": "CASE WHEN value IS NOT NULL THEN … ELSE … END",
    "IFNULL": "COALESCE(value, otherwise)",
    "ISNULL": "value IS NULL, or COALESCE(value, otherwise)",
    "NULLIF": "CASE WHEN a = b THEN NULL ELSE a END",
    "DECODE": "CASE WHEN value = 1 THEN … ELSE … END",
    "IF": "CASE WHEN condition THEN … ELSE … END",
    "IIF": "CASE WHEN condition THEN … ELSE … END",
    "TO_CHAR": "CAST(value AS VARCHAR)",
    "TO_NUMBER": "CAST(text AS DOUBLE)",
    "TO_DATE": "TIMESTAMP('2026-11-22T03:04:05')",
    "TO_TIMESTAMP": "TIMESTAMP('2026-11-22T03:04:05')",
    "TRUNC": "TRUNCATE(value, digits), or FLOOR(value)",
    "CEIL": "CEILING(value)",
    "LN": "LOG(value), the natural logarithm; LOG10 is the decimal one",
    "POW": "POWER(value, exponent)",
    "RANDOM": "RAND()",
    "GREATEST": "CASE WHEN a > b THEN a ELSE b END",
    "LEAST": "CASE WHEN a < b THEN a ELSE b END",
    "BITAND": "a & b",
    "BITOR": "a | b",
    "BITXOR": "a ^ b",
    "CONCAT": "a || b",
    "Q3C_RADIAL_QUERY": "DISTANCE(ra, dec, 30.0, -5.0) < 0.1",
    "Q3C_JOIN": "DISTANCE(a.ra, a.dec, b.ra, b.dec) < 1 / 3600.0",
}
_TABLES = {
    "dual": "a SELECT without a table needs no FROM",
    **dict.fromkeys(
        ("all_tables", "user_tables", "dba_tables", "all_objects"),
        "tables are listed in tap_schema.tables; in desdm sql: find_tables, and mytables for your own",
    ),
    **dict.fromkeys(
        ("all_tab_columns", "user_tab_columns", "dba_tab_columns"),
        "columns are listed in tap_schema.columns; in desdm sql: describe_table TABLE",
    ),
}
_SYSTEM = ("information_schema", "pg_catalog", "sys")
_VALUES = {
    "ROWNUM": "ADQL has no ROWNUM; write SELECT TOP n …",
    **dict.fromkeys(
        ("SYSDATE", "SYSTIMESTAMP", "CURRENT_TIMESTAMP", "CURRENT_DATE"),
        "ADQL has no present time; write it out: TIMESTAMP('2026-11-22T03:04:05')",
    ),
}


def word_advice(word: str, before: str) -> str:
    """Return advice on the unexpected word ``word`` after ``before`` (both in capitals); empty if there is none."""
    return _WORDS.get(word, "") or (
        _WORDS.get(before, "") if word in ("SELECT", "(") or before == "CONNECT" else ""
    )


def function_advice(name: str) -> str:
    """Return the ADQL for a function (or package) of another database; empty if there is none."""
    if name.upper() == "DBMS_RANDOM":
        return "ADQL writes RAND()"
    written = _FUNCTIONS.get(name.upper(), "")
    return f"ADQL writes {written}" if written else ""


def table_advice(schema: str | None, name: str) -> str:
    """Return where to find the content of a system table of another database; empty if the table is not known."""
    if schema is not None and schema.lower() in _SYSTEM:
        return "tables and columns are listed in tap_schema.tables and tap_schema.columns"
    return _TABLES.get(name.lower(), "")


def value_advice(name: str) -> str:
    """Return advice on a name of another database that has a value, such as SYSDATE; empty if there is none."""
    return _VALUES.get(name.upper(), "")
