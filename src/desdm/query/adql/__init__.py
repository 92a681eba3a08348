"""ADQL 2.1: reads a query, checks it against what may be asked, and writes it in an engine's own SQL."""
