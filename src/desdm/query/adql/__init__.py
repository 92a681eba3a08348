"""ADQL 2.1: reads a query, checks it against the visible tables, and writes it in an engine's own SQL."""
